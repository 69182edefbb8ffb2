"""The cache of unpacked code."""

from __future__ import annotations

import hashlib
import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headrace.core import errors
from headrace.functions import cache, package


def a_zip(text: str = "x = 1\n") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("index.py"), text)
    return out.getvalue()


def test_package_is_unpacked_once_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = cache.Packages(tmp_path / "code")
    blob = tmp_path / "blob"
    blob.write_bytes(a_zip())
    digest = hashlib.sha256(a_zip()).hexdigest()
    assert packages.cached(digest) is None
    place = packages.path(digest, blob)
    assert (place / "index.py").read_text() == "x = 1\n"
    monkeypatch.setattr(package, "unpack", lambda *_: pytest.fail("unpacked again"))
    assert packages.path(digest, blob) == packages.cached(digest) == place


def test_check_refuses_and_keeps_nothing(tmp_path: Path) -> None:
    packages = cache.Packages(tmp_path)
    with pytest.raises(errors.PackageInvalid):
        packages.check(b"no zip")
    assert list(tmp_path.iterdir()) == []


def test_many_threads_get_the_same_directory(tmp_path: Path) -> None:
    packages = cache.Packages(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        digests = set(threads.map(packages.check, [a_zip()] * 32))
    assert len(digests) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_what_an_earlier_boot_left_is_not_trusted(tmp_path: Path) -> None:
    """A power loss may have torn it: files without content under a right name."""
    digest = cache.Packages(tmp_path, boot="old").check(a_zip())
    packages = cache.Packages(tmp_path, boot="new")
    assert packages.cached(digest) is None
    (tmp_path / "unpacking-left").mkdir()
    packages.check(a_zip("y = 2\n"))
    packages.sweep()
    assert [path.suffix for path in tmp_path.iterdir()] == [".new"]


def test_removed_package_can_come_back(tmp_path: Path) -> None:
    packages = cache.Packages(tmp_path)
    digest = packages.check(a_zip())
    packages.remove(digest)
    assert packages.cached(digest) is None
    assert packages.check(a_zip()) == digest
    assert packages.cached(digest) is not None
