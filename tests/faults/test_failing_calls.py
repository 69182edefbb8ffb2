"""Failing calls: the Nth write, sync, truncate, open, rename or removal of a short run fails.

Whatever fails: what was acknowledged is there afterwards, nothing else is, the directory opens
again. Room that runs out is waited for; a failed sync is the end.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from headrace.store import ports
from headrace.store.settings import JournalSettings
from headrace.store.sqlite import Directory, SqliteJournal
from tests.contract.engines import sync_error
from tests.contract.making import delivered, event, frame, replayed
from tests.faults import vfs

pytestmark = [
    pytest.mark.anyio,
    # What fails while a file is being closed has nobody to be raised to.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SETTINGS = JournalSettings(
    roll_events=6, low_disk_bytes=0, reserve_bytes=0, checkpoint_ms=1, checkpoint_bytes=8_192
)
FRAMES = 20


def io_error() -> Exception:
    return apsw.IOError("input/output error on purpose")


def no_room() -> Exception:
    return apsw.FullError("no room, on purpose")


def no_room_here() -> Exception:
    return OSError(errno.ENOSPC, "no room, on purpose")


async def run(
    folder: Path, fault: vfs.Fault | None
) -> tuple[list[int], list[str], vfs.RecordingDisk]:
    """Append frames while `fault` strikes; return what was acknowledged, how the others ended."""
    disk = vfs.RecordingDisk()
    executor = ThreadPoolExecutor(1)
    journal = SqliteJournal(
        Directory(folder, None, disk),
        writer=executor,
        settings=SETTINGS,
        snapshot=lambda: (ports.Position(acked[-1] if acked else 0), b"state"),
    )
    acked: list[int] = []
    ended: list[str] = []
    try:
        await journal.open()
        disk.record.fault = fault
        for number in range(FRAMES):
            try:
                acked.append(await journal.append(frame(number, 100 + number)))
            except ports.StoreError as error:
                ended.append(type(error).__name__)
        if not ended:
            await journal.quiesce(0.2)
    finally:
        disk.record.fault = None
        await journal.close()
        executor.shutdown()
    return acked, ended, disk


async def reopened(folder: Path) -> list[int]:
    """Return the last positions a healthy journal replays, after it has verified its files."""
    executor = ThreadPoolExecutor(1)
    journal = SqliteJournal(Directory(folder, None, vfs.RecordingDisk()), writer=executor)
    await journal.open()
    try:
        assert await journal.verify() == []
        last = await journal.append(frame(999))
        return [one.last for one in await replayed(journal) if one.last != last]
    finally:
        await journal.close()
        executor.shutdown()


class Nth:
    """Fails the Nth operation of some kinds, or all from the Nth on."""

    def __init__(
        self, kinds: set[str], number: int, error: Callable[[], Exception], *, on: bool = False
    ) -> None:
        self._kinds = kinds
        self._left = number
        self._error = error
        self._on = on
        self.struck = False

    def __call__(self, kind: str, path: str) -> Exception | None:
        if kind not in self._kinds:
            return None
        self._left -= 1
        if self._left == 0 or (self._on and self._left < 0):
            self.struck = True
            return self._error()
        return None


CASES = {
    "a write fails": ({"write"}, io_error, False),
    "a truncate fails": ({"truncate"}, io_error, False),
    "a sync fails": ({"sync"}, sync_error, False),
    "every sync fails": ({"sync"}, sync_error, True),
    "an open fails": ({"open"}, io_error, False),
    "a removal fails": ({"unlink"}, io_error, False),
    "a rename fails": ({"rename"}, no_room_here, False),
    "a directory sync fails": ({"syncdir"}, lambda: OSError(errno.EIO, "on purpose"), False),
    "a write finds no room": ({"write"}, no_room, False),
    "every write finds no room": ({"write"}, no_room, True),
}


@pytest.mark.parametrize("name", CASES)
async def test_nothing_acknowledged_is_lost_when(name: str, tmp_path: Path) -> None:
    """The first eight of a kind fail in turn, then every 19th, to the end of the run."""
    kinds, error, on = CASES[name]
    number = 1
    strikes = 0
    while True:
        fault = Nth(kinds, number, error, on=on)
        folder = tmp_path / str(number)
        folder.mkdir()
        acked, ended, _ = await run(folder, fault)
        stored = await reopened(folder)
        assert set(acked) <= set(stored), f"lost at {number}"
        assert len(stored) <= FRAMES
        assert stored == sorted(stored)
        if "Broken" in ended:
            after = ended[ended.index("Broken") :]
            assert set(after) == {"Broken"}, f"acknowledged again after a failure, at {number}"
            assert len(acked) + len(ended) == FRAMES
        if not fault.struck:
            assert len(acked) == FRAMES
            break
        strikes += 1
        number += 1 if number < 8 else 19
    assert strikes >= 1


async def test_a_failed_sync_is_never_tried_again(tmp_path: Path) -> None:
    """One sync of the log fails and the next would succeed: the pages may be gone all the same."""
    failed: list[str] = []

    def fault(kind: str, path: str) -> Exception | None:
        if kind == "sync" and path.endswith("-wal") and not failed:
            failed.append(path)
            return sync_error()
        return None

    acked, ended, _ = await run(tmp_path, fault)
    assert acked == []
    assert ended == ["Broken"] * FRAMES
    assert failed


async def test_when_room_is_back_events_are_taken_again(tmp_path: Path) -> None:
    full = True

    def fault(kind: str, path: str) -> Exception | None:
        return no_room() if full and kind == "write" and path.endswith("-wal") else None

    disk = vfs.RecordingDisk()
    executor = ThreadPoolExecutor(1)
    directory = Directory(tmp_path, None, disk)
    journal = SqliteJournal(directory, writer=executor, settings=SETTINGS)
    await journal.open()
    position = await journal.append(frame(0)) if not full else ports.Position(0)
    disk.record.fault = fault
    for _ in range(3):
        with pytest.raises(ports.Full):
            await journal.append(frame(1))
    full = False
    position = await journal.append(frame(2))
    assert position == 2
    assert [one.frame.events for one in await replayed(journal)] == [(event(2),)]
    await journal.close()
    executor.shutdown()


async def test_settlements_get_the_reserve_when_nothing_else_is_left(tmp_path: Path) -> None:
    """Somebody else filled the disk: the reserve is given up for the first frame without events."""
    settings = JournalSettings(low_disk_bytes=0, reserve_bytes=65_536)
    disk = vfs.RecordingDisk()
    executor = ThreadPoolExecutor(1)
    journal = SqliteJournal(Directory(tmp_path, None, disk), writer=executor, settings=settings)
    await journal.open()
    reserve = tmp_path / "shard-0000" / "reserve"
    assert reserve.stat().st_size == 65_536
    position = await journal.append(frame(0))

    def fault(kind: str, path: str) -> Exception | None:
        return no_room() if kind == "write" and reserve.exists() else None

    disk.record.fault = fault
    with pytest.raises(ports.Full):
        await journal.append(frame(1))
    assert reserve.exists(), "not for events"
    await journal.append(ports.Frame(1, settlements=(delivered(position),)))
    assert not reserve.exists()
    assert len(await journal.settled(position)) == 1
    disk.record.fault = None
    for number in range(70):
        await journal.append(frame(number))
    assert reserve.exists(), "taken again once there is room"
    await journal.close()
    executor.shutdown()


async def test_no_room_for_a_next_file_lets_the_old_one_grow(tmp_path: Path) -> None:
    def fault(kind: str, path: str) -> Exception | None:
        return no_room_here() if kind == "rename" else None

    acked, ended, _ = await run(tmp_path, fault)
    assert (len(acked), ended) == (FRAMES, [])
    assert len(list((tmp_path / "shard-0000").glob("*.seg"))) == 1
    assert await reopened(tmp_path) == acked


async def test_a_next_file_that_could_not_be_made_whole_is_made_anew(tmp_path: Path) -> None:
    """Room was missing for a moment while the background made it; the roll must not take it."""
    failed: list[str] = []

    def fault(kind: str, path: str) -> Exception | None:
        # The first file fills up and is rolled: by then the second was begun twice.
        if kind == "write" and "/next-" in path and len(failed) < 2:
            failed.append(path)
            return no_room()
        return None

    acked, ended, _ = await run(tmp_path, fault)
    assert failed
    assert (len(acked), ended) == (FRAMES, [])
    assert len(list((tmp_path / "shard-0000").glob("*.seg"))) > 1
    assert await reopened(tmp_path) == acked
