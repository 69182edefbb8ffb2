"""A function's directory as a zip."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from headrace.cli import failure, package


def names(content: bytes) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(content)).namelist()


def test_same_files_make_the_same_bytes(tmp_path: Path) -> None:
    """Neither the order of the directory nor times change the checksum of the code."""
    for folder, order in (("one", "ab"), ("two", "ba")):
        (tmp_path / folder / "sub").mkdir(parents=True)
        for name in order:
            (tmp_path / folder / "sub" / f"{name}.py").write_text(name)
    os.utime(tmp_path / "two" / "sub" / "a.py", (0, 0))
    assert package.zipped(tmp_path / "one") == package.zipped(tmp_path / "two")


def test_a_changed_file_makes_other_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    before = package.zipped(tmp_path)
    (tmp_path / "a.py").write_text("2")
    assert package.zipped(tmp_path) != before


def test_caches_and_version_control_stay_out(tmp_path: Path) -> None:
    for name in ("index.py", "__pycache__/index.cpython-311.pyc", ".git/HEAD", "lib/m.py", "m.pyc"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    assert names(package.zipped(tmp_path)) == ["index.py", "lib/m.py"]


def test_the_executable_bit_is_kept(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    (tmp_path / "run").write_text("x")
    (tmp_path / "run").chmod(0o755)
    archive = zipfile.ZipFile(io.BytesIO(package.zipped(tmp_path)))
    modes = {info.filename: info.external_attr >> 16 & 0o777 for info in archive.infolist()}
    assert modes == {"plain": 0o644, "run": 0o755}


def test_a_link_inside_becomes_a_copy(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("content")
    (tmp_path / "b").symlink_to("a")
    assert zipfile.ZipFile(io.BytesIO(package.zipped(tmp_path))).read("b") == b"content"


@pytest.mark.parametrize("target", ["/etc/hostname", "..", "missing"])
def test_a_link_out_of_the_directory_is_refused(tmp_path: Path, target: str) -> None:
    """A package must not carry a file its author did not put there."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "index.py").write_text("x")
    (tmp_path / "d" / "out").symlink_to(target)
    with pytest.raises(failure.Failure) as refused:
        package.zipped(tmp_path / "d")
    assert refused.value.exit_code is failure.Exit.USAGE
    assert "link" in refused.value.message


def test_nothing_to_deploy_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(failure.Failure, match="no files"):
        package.zipped(tmp_path)
    with pytest.raises(failure.Failure, match="not a directory"):
        package.zipped(tmp_path / "none")


def test_a_pipe_in_the_directory_is_refused_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(failure.Failure, match="no plain file"):
        package.zipped(tmp_path)


def test_too_large_a_directory_is_refused_before_it_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package, "ZIP_BYTES_MAX", 1024)
    (tmp_path / "big").write_bytes(os.urandom(4096))
    with pytest.raises(failure.Failure, match="larger than"):
        package.zipped(tmp_path)


def test_the_sample_is_a_handler_that_runs(tmp_path: Path) -> None:
    package.write_sample(tmp_path / "new")
    scope: dict[str, object] = {}
    exec((tmp_path / "new" / "index.py").read_text(), scope)
    handler = scope["handler"]
    assert callable(handler)
    assert handler(b'{"n": 1}', None) == '{"ok": true, "got": {"n": 1}}'


def test_the_sample_never_overwrites_anything(tmp_path: Path) -> None:
    (tmp_path / "index.py").write_text("mine")
    with pytest.raises(failure.Failure, match="not empty"):
        package.write_sample(tmp_path)
    assert (tmp_path / "index.py").read_text() == "mine"
