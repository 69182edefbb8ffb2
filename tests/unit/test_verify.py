"""Every file is looked at; a broken one is named with what of it can be saved."""

from __future__ import annotations

import asyncio
from pathlib import Path

import apsw
import pytest

from headrace import verify
from headrace.store import ports
from headrace.store.sqlite import disk as disks
from headrace.store.sqlite import segment
from headrace.store.sqlite import verify as one_file
from tests.unit.backup import test_backup as backups

pytestmark = pytest.mark.anyio


async def make(path: Path) -> None:
    async with backups.world(path) as owner:
        await owner.publish(30)
        await owner.journal.quiesce()


async def looked_at(path: Path) -> verify.Report:
    return await asyncio.to_thread(verify.verify_directory, path)


def changed(file: Path, statement: str) -> None:
    connection = apsw.Connection(str(file))
    connection.execute(statement)
    connection.close()


async def test_a_whole_directory_is_whole(tmp_path: Path) -> None:
    await make(tmp_path)
    report = await looked_at(tmp_path)
    assert (report.whole, report.events, report.open, report.skipped) == (True, 30, 30, "")


async def test_a_file_that_a_crash_left_half_written_is_read_as_the_next_start_would(
    tmp_path: Path,
) -> None:
    """The mark that seals a segment goes through a journal of its own; so may the registry's."""
    await make(tmp_path)
    oldest = segment.listed(tmp_path / "shard-0000")[0]
    before = oldest.read_bytes()
    cut_short(oldest, "UPDATE frame SET crc = crc + 1")
    torn = oldest.read_bytes()
    assert torn != before
    assert one_file.problems(disks.Disk(), oldest) == []
    assert oldest.read_bytes() == torn, "nothing is mended"
    report = await looked_at(tmp_path)
    assert (report.whole, report.events, report.broken) == (True, 30, [])


def cut_short(file: Path, statement: str) -> None:
    """Leave a file as a crash in the middle of a commit does: half written, beside its journal."""
    connection = apsw.Connection(str(file))
    for text in ("PRAGMA cache_size=1", "PRAGMA cache_spill=1", "BEGIN", statement):
        connection.execute(text).fetchall()
    connection.cache_flush()
    journal = Path(f"{file}-journal")
    left, said = file.read_bytes(), journal.read_bytes()
    connection.execute("ROLLBACK")
    connection.close()
    file.write_bytes(left)
    journal.write_bytes(said)


async def test_beside_its_owner_files_are_looked_at_and_books_are_left_to_it(
    tmp_path: Path,
) -> None:
    async with backups.world(tmp_path) as owner:
        await owner.publish(30)
        report = await looked_at(tmp_path)
        assert report.whole
        assert "in use" in report.skipped
        assert await owner.publish(1)


async def test_each_broken_frame_costs_its_own_events_only(tmp_path: Path) -> None:
    await make(tmp_path)
    oldest = segment.listed(tmp_path / "shard-0000")[0]
    assert one_file.examine(disks.Disk(), oldest) == one_file.Examined([], 8, 8)
    for body in (2, 5, 7):  # in the middle, and the last one of the file
        changed(
            oldest, f"UPDATE event SET body = 'x' WHERE body = CAST('{{\"n\":{body}}}' AS BLOB)"
        )
    examined = one_file.examine(disks.Disk(), oldest)
    assert (examined.events, examined.whole, len(examined.problems)) == (8, 5, 3)
    report = await looked_at(tmp_path)
    (broken,) = report.broken
    assert broken.name == f"shard-0000/{oldest.name}"
    assert broken.saved == "5 of 8 events are whole"
    assert "when every file is whole" in report.skipped


async def test_many_broken_frames_are_counted_not_listed(tmp_path: Path) -> None:
    await make(tmp_path)
    oldest = segment.listed(tmp_path / "shard-0000")[0]
    changed(oldest, "UPDATE frame SET crc = crc + 1")
    examined = one_file.examine(disks.Disk(), oldest)
    assert examined.whole == 0
    assert len(examined.problems) == one_file.SHOWN_MAX + 1
    assert "more frames" in examined.problems[-1]


async def test_a_file_that_sqlite_cannot_read_is_named(tmp_path: Path) -> None:
    await make(tmp_path)
    oldest = segment.listed(tmp_path / "shard-0000")[0]
    oldest.write_bytes(b"not a database at all" * 1000)
    (broken,) = (await looked_at(tmp_path)).broken
    assert oldest.name in broken.problems[0]


async def test_a_segment_that_is_missing_is_named(tmp_path: Path) -> None:
    await make(tmp_path)
    files = segment.listed(tmp_path / "shard-0000")
    for missing in (files[1], files[-1]):
        content = missing.read_bytes()
        missing.unlink()
        (broken,) = (await looked_at(tmp_path)).broken
        assert broken.problems == [f"{missing.name} is missing"]
        missing.write_bytes(content)
    assert (await looked_at(tmp_path)).whole


async def test_a_record_that_cannot_be_read_is_named_by_its_key(tmp_path: Path) -> None:
    await make(tmp_path)
    changed(tmp_path / "registry.db", "INSERT INTO record VALUES ('1/rule/b/r', 1, 'half a rec')")
    (broken,) = [one for one in (await looked_at(tmp_path)).broken if one.kind == "registry"]
    assert any("1/rule/b/r" in problem for problem in broken.problems)
    assert "every other resource" in broken.saved


async def test_a_missing_registry_is_named(tmp_path: Path) -> None:
    await make(tmp_path)
    (tmp_path / "registry.db").unlink()
    (broken,) = (await looked_at(tmp_path)).broken
    assert broken.problems == ["registry.db is missing"]
    assert not (tmp_path / "registry.db").exists()


async def test_a_log_file_that_is_broken_costs_logs_only(tmp_path: Path) -> None:
    await make(tmp_path)
    log = tmp_path / "records" / "2026-11-23T17.db"
    await asyncio.to_thread(log.write_bytes, b"not a database" * 1000)
    (broken,) = (await looked_at(tmp_path)).broken
    assert (broken.kind, broken.name) == ("log", "records/2026-11-23T17.db")
    assert "can be removed" in broken.saved


async def test_an_unknown_format_is_not_looked_into(tmp_path: Path) -> None:
    await make(tmp_path)
    await asyncio.to_thread((tmp_path / "VERSION").write_text, '{"format": 9}')
    with pytest.raises(ports.StoreError, match="has format 9"):
        await looked_at(tmp_path)
