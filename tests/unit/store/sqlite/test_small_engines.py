"""Registry, blobs and records on disk: what only this engine can do wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from headrace.store import ports
from headrace.store.sqlite import Directory, FileBlobs, SqliteRecords, SqliteRegistry
from headrace.store.sqlite import registry as registries
from tests.contract.engines import Clock, sync_error
from tests.faults import vfs

pytestmark = pytest.mark.anyio


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_a_watcher_too_far_behind_is_told_to_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registries, "CHANGE_SETS_MAX", 5)
    registry = SqliteRegistry(Directory.open(tmp_path), Clock())
    await registry.open()
    for number in range(12):
        await registry.commit([ports.Change("a/x", b"%d" % number)])
    with pytest.raises(ports.Compacted):
        await anext(registry.watch(ports.Revision(6)))
    walk = registry.watch(ports.Revision(7))
    assert (await anext(walk)).revision == 8
    await walk.aclose()  # type: ignore[attr-defined]
    await registry.close()


async def test_a_registry_whose_sync_failed_takes_no_further_commit(tmp_path: Path) -> None:
    disk = vfs.RecordingDisk()
    registry = SqliteRegistry(Directory(tmp_path, None, disk), Clock())
    await registry.open()
    await registry.commit([ports.Change("a/x", b"1")])
    disk.record.fault = lambda kind, path: sync_error() if kind == "sync" else None
    with pytest.raises(ports.Broken):
        await registry.commit([ports.Change("a/x", b"2")])
    disk.record.fault = None
    with pytest.raises(ports.Broken):
        await registry.commit([ports.Change("a/x", b"3")])
    found = registry.get("a/x")
    assert found is not None
    assert found.value == b"1"
    await registry.close()


async def test_an_unfinished_upload_is_swept_at_start(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "7.part").write_bytes(b"half")
    blobs = FileBlobs(tmp_path / "blobs")
    assert [one async for one in blobs.digests()] == []
    digest = await blobs.put(chunks(b"whole"), 10)
    assert sorted(path.name for path in (tmp_path / "blobs").rglob("*")) == [digest[:2], digest]


async def test_lines_that_cannot_be_written_are_counted_and_later_ones_are_kept(
    tmp_path: Path,
) -> None:
    disk = vfs.RecordingDisk()
    records = SqliteRecords(Directory(tmp_path, None, disk))
    await records.open()
    line = ports.LogLine(1, "a/f", "r", "log", b"x")
    disk.record.fault = lambda kind, path: apsw.FullError() if kind == "write" else None
    for _ in range(3):
        records.write(line)
    assert await records.read(ports.LineQuery("a/f")) == []
    disk.record.fault = None
    assert records.dropped() == 3
    assert records.failure is not None
    records.write(line)
    assert await records.read(ports.LineQuery("a/f")) == [line], records.failure
    await records.close()


async def test_a_burst_past_the_buffer_drops_the_oldest(tmp_path: Path) -> None:
    records = SqliteRecords(Directory.open(tmp_path), buffer_bytes_max=10_000)
    await records.open()
    for number in range(100):
        records.write(ports.LogLine(number, "a/f", "r", "log", bytes(1_000)))
    kept = await records.read(ports.LineQuery("a/f"))
    assert [line.at_ms for line in kept] == list(range(100 - len(kept), 100))
    assert 0 < len(kept) < 12
    assert records.dropped() == 100 - len(kept)
    await records.close()


async def test_lines_are_written_without_being_asked_for(tmp_path: Path) -> None:
    """Closing loses nothing, and the files are named by the hour."""
    records = SqliteRecords(Directory.open(tmp_path))
    await records.open()
    records.write(ports.LogLine(1_795_453_200_000, "a/f", "r", "log", b"x"))
    await records.close()
    assert [path.name for path in (tmp_path / "records").iterdir()] == ["2026-11-23T17.db"]
    again = SqliteRecords(Directory.open(tmp_path, lock=False))
    await again.open()
    assert len(await again.read(ports.LineQuery("a/f"))) == 1
    await again.close()


async def test_lines_that_an_earlier_version_kept_a_row_each_are_still_read(tmp_path: Path) -> None:
    """Old rows and new packs in one file: one order, one limit, one count of what is dropped."""
    directory = Directory.open(tmp_path)
    folder = tmp_path / "records"
    folder.mkdir()
    old = apsw.Connection(str(folder / "1970-01-01T00.db"))
    old.execute(
        "CREATE TABLE line (at_ms INTEGER NOT NULL, stream TEXT NOT NULL,"
        " request_id TEXT NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL);"
        "CREATE INDEX line_stream ON line (stream, at_ms)"
    )
    rows = [(number, "a/f", f"r{number}", "log", b"old") for number in range(10)]
    old.executemany("INSERT INTO line VALUES (?, ?, ?, ?, ?)", rows)
    old.close()
    records = SqliteRecords(directory)
    await records.open()
    for number in range(10, 20):
        records.write(ports.LogLine(number, "a/f", f"r{number}", "log", b"new"))
    assert [line.at_ms for line in await records.read(ports.LineQuery("a/f"))] == list(range(20))
    newest = await records.read(ports.LineQuery("a/f", limit=13))
    assert [(line.at_ms, line.body) for line in newest][:4] == [
        (7, b"old"), (8, b"old"), (9, b"old"), (10, b"new"),
    ]  # fmt: skip
    assert [line.at_ms for line in await records.read(ports.LineQuery("a/f", request_id="r4"))] == [
        4
    ]
    await records.close()


async def test_the_newest_lines_are_found_when_the_clock_went_back_between_packs(
    tmp_path: Path,
) -> None:
    records = SqliteRecords(Directory.open(tmp_path))
    await records.open()
    for at_ms in (500, 100, 900, 50, 700):
        for number in range(3):
            records.write(ports.LogLine(at_ms + number, "a/f", "r", "log", b"x"))
        await records.read(ports.LineQuery("a/f", limit=1))  # each burst into a pack of its own
    kept = await records.read(ports.LineQuery("a/f", limit=7))
    assert [line.at_ms for line in kept] == [502, 700, 701, 702, 900, 901, 902]
    await records.close()


async def test_a_burst_larger_than_a_pack_keeps_its_order(tmp_path: Path) -> None:
    records = SqliteRecords(Directory.open(tmp_path))
    await records.open()
    for number in range(2_000):
        records.write(ports.LogLine(7, f"a/{number % 2}", str(number), "log", bytes(number)))
    kept = await records.read(ports.LineQuery("a/1", limit=5_000))
    assert [line.request_id for line in kept] == [str(number) for number in range(1, 2_000, 2)]
    assert [len(line.body) for line in kept] == list(range(1, 2_000, 2))
    await records.close()


async def test_a_registry_that_finds_no_room_to_open_says_so(tmp_path: Path) -> None:
    """In the words of the ports, so that a start ends with a sentence and not with a traceback."""
    disk = vfs.RecordingDisk()
    disk.record.fault = lambda kind, _: apsw.FullError("no room") if kind == "write" else None
    registry = SqliteRegistry(Directory(tmp_path, None, disk), Clock())
    with pytest.raises(ports.Full):
        await registry.open()
    disk.record.fault = None
    await registry.close()
