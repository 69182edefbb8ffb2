"""The power-loss bar at the size of a test run, and that its checks can fail."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from headrace.store import ports
from tests.faults import powerloss, vfs

pytestmark = pytest.mark.anyio

#: Images are read, not trusted: a file system in memory is as good and much faster.
MEMORY = Path("/dev/shm")


@pytest.fixture(autouse=True)
def _images_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    if MEMORY.is_dir():
        monkeypatch.setattr(tempfile, "tempdir", str(MEMORY))


async def test_every_crash_image_opens_with_all_that_was_acknowledged() -> None:
    checked: list[int] = []

    def check(opened: ports.Opened, frames: Sequence[ports.Replayed]) -> list[str]:
        checked.append(len(frames))
        return []

    figures, problems = await powerloss.images(powerloss.IMAGES_CI, seed=20, check=check)
    assert problems == []
    assert figures["images"] == powerloss.IMAGES_CI
    assert len(checked) == powerloss.IMAGES_CI
    assert max(checked) > 50, "images late in a run hold many frames"


async def test_a_disk_that_lies_about_syncs_is_found_out(tmp_path: Path) -> None:
    """Without any sync in the record acknowledged frames are lost, and the checks must say so."""
    run = await powerloss.drive(3, tmp_path)
    lying = [op for op in run.ops if op.kind != "sync"]
    model = vfs.Model()
    for op in lying:
        model.apply(op)
    image = tmp_path / "image"
    image.mkdir()
    model.image(run.root, image, Random(3), 0.5)
    wrong = await powerloss.examine(run, len(run.ops), image, None, powerloss.SETTINGS)
    assert wrong


def test_unsynced_sectors_are_kept_dropped_or_torn(tmp_path: Path) -> None:
    model = vfs.Model()
    old, new = b"o" * 4_096, b"n" * 4_096
    for op in (
        vfs.Op("create", "/d/f"),
        vfs.Op("syncdir", "/d"),
        vfs.Op("write", "/d/f", 0, old),
        vfs.Op("sync", "/d/f"),
        vfs.Op("write", "/d/f", 0, new),
    ):
        model.apply(op)
    seen: set[bytes] = set()
    for seed in range(20):
        target = tmp_path / str(seed)
        model.image("/d", target, Random(seed), 0.5)
        content = (target / "f").read_bytes()
        seen |= {content[at : at + vfs.SECTOR] for at in range(0, len(content), vfs.SECTOR)}
    assert old[: vfs.SECTOR] in seen
    assert new[: vfs.SECTOR] in seen
    assert any(set(sector) == set(b"on") for sector in seen), "torn ones too"
    for keep, wanted in ((0.0, old), (1.0, new)):
        target = tmp_path / f"keep-{keep}"
        model.image("/d", target, Random(0), keep)
        assert (target / "f").read_bytes() == wanted


def test_a_name_without_a_directory_sync_may_be_gone(tmp_path: Path) -> None:
    model = vfs.Model()
    for op in (
        vfs.Op("create", "/d/f"),
        vfs.Op("write", "/d/f", 0, b"x"),
        vfs.Op("sync", "/d/f"),
    ):
        model.apply(op)
    model.image("/d", tmp_path / "none", Random(0), 0.0)
    assert not (tmp_path / "none" / "f").exists()
    model.image("/d", tmp_path / "all", Random(0), 1.0)
    assert (tmp_path / "all" / "f").read_bytes() == b"x"
