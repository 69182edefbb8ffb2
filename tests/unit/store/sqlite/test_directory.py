"""The data directory: version, way up, lock, refusal of what is not ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.store import ports
from headrace.store.sqlite import directory as directories

Directory = directories.Directory


def test_a_new_directory_says_its_format(tmp_path: Path) -> None:
    opened = Directory.open(tmp_path / "data")
    assert json.loads((tmp_path / "data" / "VERSION").read_text()) == {"format": directories.FORMAT}
    assert opened.shard(3) == tmp_path / "data" / "shard-0003"
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    opened.close()
    Directory.open(tmp_path / "data").close()


def test_a_second_server_is_refused_and_told_who_runs(tmp_path: Path) -> None:
    opened = Directory.open(tmp_path)
    with pytest.raises(directories.DirectoryHeld, match=f"process id {os.getpid()}$"):
        Directory.open(tmp_path)
    Directory.open(tmp_path, lock=False).close()
    with pytest.raises(directories.DirectoryHeld):
        Directory.open(tmp_path)
    opened.close()
    Directory.open(tmp_path).close()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    script = (
        "import sys, os, signal, pathlib\n"
        "from headrace.store.sqlite import Directory\n"
        "held = Directory.open(pathlib.Path(sys.argv[1]))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert ended.returncode == -9
    Directory.open(tmp_path).close()


def test_a_directory_of_an_older_format_opens_as_it_is(tmp_path: Path) -> None:
    """Until somebody finalizes, the version that wrote it can come back."""
    (tmp_path / "VERSION").write_text('{"format": 1}')
    opened = Directory.open(tmp_path, newest=3)
    assert opened.format == 1
    opened.close()
    assert (tmp_path / "VERSION").read_text() == '{"format": 1}'


def test_finalizing_brings_it_up_step_by_step(tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text('{"format": 1}')
    (tmp_path / "old-name").write_text("kept")

    def rename(path: Path) -> None:
        if (path / "old-name").exists():
            (path / "old-name").rename(path / "new-name")

    def note(path: Path) -> None:
        assert json.loads((path / "VERSION").read_text()) == {"format": 2}
        (path / "noted").write_text("yes")

    steps = {1: rename, 2: note}
    assert directories.finalize(tmp_path, migrations=steps, newest=3) == 2
    assert json.loads((tmp_path / "VERSION").read_text()) == {"format": 3}
    assert (tmp_path / "new-name").read_text() == "kept"
    assert (tmp_path / "noted").exists()
    assert directories.finalize(tmp_path, migrations=steps, newest=3) == 0


def test_a_step_that_was_cut_short_runs_again(tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text('{"format": 1}')
    runs: list[int] = []

    def step(path: Path) -> None:
        runs.append(1)
        if len(runs) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        directories.finalize(tmp_path, migrations={1: step}, newest=2)
    assert json.loads((tmp_path / "VERSION").read_text()) == {"format": 1}
    assert directories.finalize(tmp_path, migrations={1: step}, newest=2) == 1
    assert json.loads((tmp_path / "VERSION").read_text()) == {"format": 2}
    assert len(runs) == 2


def test_there_is_a_step_up_from_every_format_that_opens() -> None:
    assert set(directories.MIGRATIONS) == set(range(directories.OLDEST, directories.FORMAT))


def test_a_newer_directory_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text('{"format": 99, "more": true}')
    for refused in (Directory.open, directories.finalize):
        with pytest.raises(directories.DirectoryTooNew, match="format 99"):
            refused(tmp_path)
    assert (tmp_path / "VERSION").read_text() == '{"format": 99, "more": true}'


def test_a_format_too_old_to_be_known_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text('{"format": 1}')
    for refused in (Directory.open, directories.finalize):
        with pytest.raises(directories.DirectoryTooOld, match="finalize there"):
            refused(tmp_path, oldest=2, newest=3)
    assert (tmp_path / "VERSION").read_text() == '{"format": 1}'


@pytest.mark.parametrize("text", ["", "1", "{}", '{"format": "x"}'])
def test_a_version_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "VERSION").write_text(text)
    with pytest.raises(ports.Corrupt, match="VERSION"):
        Directory.open(tmp_path)
    assert (tmp_path / "VERSION").read_text() == text


def test_a_directory_of_something_else_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(directories.DirectoryForeign):
        Directory.open(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
