"""The shelf of code packages: what nobody needs goes, and nothing else ever does."""

from __future__ import annotations

import asyncio
import io
import zipfile
from pathlib import Path

import pytest

from headrace.core import errors
from headrace.functions import cache, shelf
from headrace.store import files, ports

pytestmark = pytest.mark.anyio


def a_zip(text: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("index.py"), text)
    return out.getvalue()


class Stage:
    """A shelf in a folder; `needed` is what records of functions refer to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blobs = files.FileBlobs(folder / "blobs")
        self.packages = cache.Packages(folder / "code")
        self.needed: set[str] = set()
        self.shelf = shelf.Shelf(self.blobs, self.packages, lambda: self.needed)

    async def kept(self) -> set[str]:
        blobs = {str(digest) async for digest, _ in self.blobs.digests()}
        assert blobs == self.packages.digests(), "a package and its unpacked copy go together"
        return blobs


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


async def test_what_the_last_life_left_goes_at_the_start_and_what_is_needed_stays(
    stage: Stage,
) -> None:
    left = await stage.shelf.put(a_zip("left"))
    needed = await stage.shelf.put(a_zip("needed"))
    again = Stage(stage.folder)
    again.needed = {needed}
    assert await again.shelf.open() == 1
    assert await again.kept() == {needed}
    with pytest.raises(KeyError):
        await again.shelf.get(left)
    assert await again.shelf.get(needed) == a_zip("needed")


async def test_a_copy_whose_upload_never_ended_goes_at_the_start(stage: Stage) -> None:
    stage.packages.check(a_zip("half"))
    assert await stage.shelf.open() == 1
    assert stage.packages.digests() == set()


async def test_an_upload_has_a_whole_pause_to_become_a_function(stage: Stage) -> None:
    """Between an upload and the record of its function, sweeps may pass by."""
    digest = await stage.shelf.put(a_zip("new"))
    assert await stage.shelf.sweep() == 0
    stage.needed = {digest}
    assert await stage.shelf.sweep() == 0
    assert await stage.kept() == {digest}


async def test_what_nobody_needs_goes_by_the_second_sweep(stage: Stage) -> None:
    digest = await stage.shelf.put(a_zip("old"))
    stage.needed = {digest}
    await stage.shelf.sweep()
    stage.needed = set()
    assert [await stage.shelf.sweep(), await stage.shelf.sweep()] == [0, 1]
    assert await stage.kept() == set()


async def test_what_is_uploaded_again_between_two_sweeps_stays(stage: Stage) -> None:
    digest = await stage.shelf.put(a_zip("again"))
    await stage.shelf.sweep()
    await stage.shelf.put(a_zip("again"))
    assert await stage.shelf.sweep() == 0
    assert await stage.kept() == {digest}


async def test_what_becomes_needed_while_a_sweep_looks_stays(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = sorted([await stage.shelf.put(a_zip("a")), await stage.shelf.put(a_zip("b"))])
    await stage.shelf.sweep()
    remove = stage.blobs.remove

    async def and_then_one_is_needed(digest: ports.Digest) -> None:
        await remove(digest)
        stage.needed = {second}

    monkeypatch.setattr(stage.blobs, "remove", and_then_one_is_needed)
    assert await stage.shelf.sweep() == 1
    assert await stage.kept() == {second}
    assert first != second


async def test_an_upload_waits_for_the_same_package_on_its_way_out(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would find the package there, and it would be gone a moment later."""
    digest = await stage.shelf.put(a_zip("both"))
    await stage.shelf.sweep()
    remove, taking, go = stage.blobs.remove, asyncio.Event(), asyncio.Event()

    async def slowly(digest: ports.Digest) -> None:
        taking.set()
        await go.wait()
        await remove(digest)

    monkeypatch.setattr(stage.blobs, "remove", slowly)
    sweeping = asyncio.create_task(stage.shelf.sweep())
    await taking.wait()
    uploading = asyncio.create_task(stage.shelf.put(a_zip("both")))
    go.set()
    assert (await sweeping, await uploading) == (1, digest)
    assert await stage.kept() == {digest}


async def test_a_bad_package_leaves_nothing(stage: Stage) -> None:
    with pytest.raises(errors.PackageInvalid):
        await stage.shelf.put(b"no zip")
    assert await stage.kept() == set()
