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


def names(root: Path) -> set[str]:
    return {path.name.partition(".")[0] for path in root.iterdir()}


def test_past_the_bound_the_longest_unused_package_that_nobody_runs_goes(tmp_path: Path) -> None:
    packages = cache.Packages(tmp_path, bytes_max=3_500)
    one, two, three = (packages.check(a_zip(letter * 1_000)) for letter in "abc")
    packages.hold(one)
    packages.cached(two)
    four = packages.check(a_zip("d" * 1_000))
    assert names(tmp_path) == {one, two, four}, "three was used longest ago but for one, which runs"
    packages.release(one)
    five = packages.check(a_zip("e" * 1_000))
    assert names(tmp_path) == {two, four, five}
    assert packages.cached(three) is None
    assert packages.check(a_zip("c" * 1_000)) == three


def test_a_package_that_is_held_stays_until_the_last_who_holds_it(tmp_path: Path) -> None:
    packages = cache.Packages(tmp_path, bytes_max=0)
    one = packages.check(a_zip("a"))
    packages.hold(one)
    packages.hold(one)
    packages.release(one)
    two = packages.check(a_zip("b"))
    assert names(tmp_path) == {one, two}, "and the newest is about to be used"
    packages.release(one)
    three = packages.check(a_zip("c"))
    assert names(tmp_path) == {three}


def test_what_was_there_at_the_start_counts_too(tmp_path: Path) -> None:
    one = cache.Packages(tmp_path).check(a_zip("a" * 1_000))
    packages = cache.Packages(tmp_path, bytes_max=1_500)
    packages.sweep()
    two = packages.check(a_zip("b" * 1_000))
    assert names(tmp_path) == {two}
    assert one != two
