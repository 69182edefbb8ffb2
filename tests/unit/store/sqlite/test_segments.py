"""Segment files: what is on disk, what a crash leaves, what verifying finds."""

from __future__ import annotations

import errno
import shutil
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from headrace.store import ports
from headrace.store.settings import JournalSettings
from headrace.store.sqlite import Directory, SqliteJournal, verify
from headrace.store.sqlite import disk as disks
from headrace.store.sqlite import segment as segments
from tests.contract.making import delivered, event, frame, replayed

pytestmark = pytest.mark.anyio

SETTINGS = JournalSettings(roll_events=10, low_disk_bytes=0, reserve_bytes=0)


class Bench:
    """One data directory and the journals opened on it."""

    def __init__(self, path: Path) -> None:
        self.directory = Directory(path, None, disks.Disk())
        self.folder = self.directory.shard(0)
        self.executor = ThreadPoolExecutor(1)
        self._journals: list[SqliteJournal] = []

    async def open(self, settings: JournalSettings = SETTINGS) -> SqliteJournal:
        journal = SqliteJournal(self.directory, writer=self.executor, settings=settings)
        await journal.open()
        self._journals.append(journal)
        return journal

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    async def close(self) -> None:
        for journal in self._journals:
            await journal.close()
        self._journals = []


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    await made.close()
    made.executor.shutdown()


class Noting(disks.Disk):
    """Notes which files had a name each time a directory was synced; may fail from there on."""

    def __init__(self) -> None:
        super().__init__()
        self.synced: list[set[str]] = []
        self.fails_at = ""

    def sync_directory(self, path: Path) -> None:
        names = {one.name for one in path.iterdir()}
        if self.fails_at in names:
            raise OSError(errno.EIO, "Input/output error")
        super().sync_directory(path)
        self.synced.append(names)


async def fill(journal: SqliteJournal, count: int) -> list[ports.Position]:
    return [await journal.append(frame(number)) for number in range(count)]


async def test_files_are_named_by_their_first_sequence(bench: Bench) -> None:
    journal = await bench.open()
    await fill(journal, 25)
    await journal.quiesce()
    found = [name for name in bench.names() if name.endswith(".seg")]
    assert found == ["000000000000.seg", "000000000021.seg", "000000000041.seg"]


async def test_a_sealed_file_is_one_file_with_all_it_needs(bench: Bench, tmp_path: Path) -> None:
    """Copied away alone, it replays and answers through its indexes."""
    journal = await bench.open()
    await journal.append(ports.Frame(1, (event(0),), marks={"m": b"1"}))
    await fill(journal, 20)
    await journal.quiesce()
    assert not [name for name in bench.names() if name.startswith("000000000000.seg-")]
    alone = tmp_path / "alone.seg"
    shutil.copy(bench.folder / "000000000000.seg", alone)
    assert verify.problems(disks.Disk(), alone) == []
    connection = apsw.Connection(str(alone), flags=apsw.SQLITE_OPEN_READONLY)
    indexes = {row[1] for row in connection.execute("PRAGMA index_list(event)")}
    assert indexes == {"event_key", "event_kind", "event_mset", "event_ms"}
    (plan,) = connection.execute(
        "EXPLAIN QUERY PLAN SELECT pos FROM event WHERE key = 1 ORDER BY pos DESC LIMIT 5"
    )
    assert "event_key" in plan[3]
    assert [row[0] for row in connection.execute("PRAGMA page_size")] == [8192]
    assert [row[0] for row in connection.execute("PRAGMA journal_mode")] == ["delete"]
    connection.close()


async def test_frame_rows_carry_the_sums_of_their_frame(bench: Bench) -> None:
    journal = await bench.open()
    first = await journal.append(frame(1, 2))
    await journal.append(
        ports.Frame(
            7_000,
            (event(3, matches=()),),
            (
                delivered(first),
                ports.Settlement(first, 2, ports.Verdict.RETRY, wait_ms=10),
            ),
        )
    )
    await bench.close()
    connection = apsw.Connection(str(bench.folder / "000000000000.seg"))
    rows = list(
        connection.execute("SELECT pos, at_ms, events, deliveries, facts, closings FROM frame")
    )
    assert rows == [(1, 5_000, 2, 4, 0, 0), (4, 7_000, 1, 0, 2, 1)]
    connection.close()


@pytest.mark.parametrize("begun", [False, True])
async def test_a_half_made_next_file_is_removed(bench: Bench, begun: bool) -> None:
    """A crash before the old head names the new file: the new one was never referred to."""
    journal = await bench.open()
    lasts = await fill(journal, 3)
    await bench.close()
    stray = segments.path_of(bench.folder, lasts[-1] + 1)
    first = lasts[-1] + 1 if begun else None
    segments.make(disks.Disk(), stray, 0, first=first)
    (bench.folder / f"{stray.name}-wal").write_bytes(b"left over")
    (bench.folder / "next-1.new").write_bytes(b"torn")
    journal = await bench.open()
    await journal.quiesce()
    assert stray.name not in bench.names()
    assert [one.last for one in await replayed(journal)] == lasts
    await fill(journal, 20)
    assert len(await replayed(journal)) == 23


async def test_a_missing_file_of_the_chain_is_an_error_not_a_gap(bench: Bench) -> None:
    journal = await bench.open()
    await fill(journal, 35)
    await bench.close()
    (bench.folder / "000000000021.seg").unlink()
    with pytest.raises(ports.Corrupt, match="missing"):
        await bench.open()


async def test_sealing_goes_on_after_a_restart(bench: Bench) -> None:
    """A file that was rolled but not sealed, as a crash leaves it."""
    journal = await bench.open()
    await fill(journal, 25)
    await journal.quiesce()
    await bench.close()
    connection = apsw.Connection(str(bench.folder / "000000000000.seg"))
    connection.execute("UPDATE meta SET sealed = 0, settles_from = NULL")
    connection.execute("DROP INDEX event_key")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    journal = await bench.open()
    assert await journal.quiesce()
    assert [one.sealed for one in await journal.segments()] == [True, True, False]
    assert len(await replayed(journal)) == 25


async def test_a_reader_in_the_way_delays_sealing_only(bench: Bench) -> None:
    journal = await bench.open()
    await fill(journal, 5)
    walk = journal.replay(ports.Position(0))
    await anext(walk)
    await fill(journal, 20)
    # The walk keeps its file open, so the file cannot leave its log yet.
    assert not (await journal.segments())[0].sealed
    await walk.aclose()
    assert await journal.quiesce()
    assert [one.sealed for one in await journal.segments()] == [True, True, False]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE event SET body = x'00' WHERE pos = 6",
        "UPDATE event SET kind = kind + 1 WHERE pos = 6",
        "UPDATE mset SET subs = '[1,3]'",
        "DELETE FROM event WHERE pos = 6",
        "UPDATE frame SET at_ms = at_ms + 1 WHERE pos = 5",
        "UPDATE frame SET marks = NULL WHERE pos = 1",
        "DELETE FROM settle",
        "DELETE FROM frame WHERE pos = 5",
        "INSERT INTO settle SELECT pos, frame + 1, facts FROM settle",
        "UPDATE settle SET pos = pos + 2",
    ],
)
async def test_any_changed_row_is_found_by_verify(bench: Bench, damage: str) -> None:
    journal = await bench.open()
    position = await journal.append(ports.Frame(1, (event(0),), marks={"m": b"1"}))
    await journal.append(ports.Frame(2, (event(1),), (delivered(position),)))
    await fill(journal, 5)
    assert await journal.verify() == []
    await bench.close()
    connection = apsw.Connection(str(bench.folder / "000000000000.seg"))
    connection.execute(damage)
    connection.close()
    journal = await bench.open()
    (problem,) = (await journal.verify())[-1:]
    assert problem.startswith("000000000000.seg: ")


async def test_a_damaged_frame_stops_a_replay(bench: Bench) -> None:
    """Also without bodies: the sum over the rest is a sum of its own."""
    journal = await bench.open()
    await fill(journal, 5)
    await bench.close()
    connection = apsw.Connection(str(bench.folder / "000000000000.seg"))
    connection.execute("UPDATE event SET generation = 9 WHERE pos = 6")
    connection.close()
    journal = await bench.open()
    with pytest.raises(ports.Corrupt):
        await replayed(journal, bodies=False)


@pytest.mark.parametrize(
    "rot",
    [
        "UPDATE event SET generation = 'x' WHERE pos = 6",
        "UPDATE event SET body = 7 WHERE pos = 6",
        "UPDATE frame SET events = 'x' WHERE pos = 5",
        "UPDATE frame SET marks = 'x' WHERE pos = 5",
        "UPDATE frame SET turns = 7 WHERE pos = 5",
        "UPDATE mset SET subs = 'x'",
        "UPDATE mset SET subs = 7",
    ],
)
async def test_a_column_that_became_something_else_stops_a_start_or_a_replay_by_name(
    bench: Bench, rot: str
) -> None:
    """Rot can also change what a column is: a number or a text where bytes should be."""
    journal = await bench.open()
    await fill(journal, 5)
    await bench.close()
    connection = apsw.Connection(str(bench.folder / "000000000000.seg"))
    connection.execute(rot)
    assert connection.changes()
    connection.close()
    with pytest.raises(ports.Corrupt, match=r"000000000000\.seg"):
        await replayed(await bench.open())


async def test_the_name_of_the_log_is_durable_before_anything_is_acknowledged(
    bench: Bench,
) -> None:
    """SQLite syncs the directory of a log it makes, and ignores a failure."""
    for _ in range(2):  # a start finds no log after a clean end
        bench.directory.disk = disk = Noting()
        await bench.open()
        assert disk.synced[-1] >= {"000000000000.seg", "000000000000.seg-wal"}
        await bench.close()
    journal = await bench.open()
    disk.synced.clear()
    await fill(journal, 15)
    (log,) = {name for name in bench.names() if name.endswith(".seg-wal")} - {
        "000000000000.seg-wal"
    }
    assert any(log in names for names in disk.synced)


async def test_a_directory_that_cannot_be_synced_refuses_the_start(bench: Bench) -> None:
    bench.directory.disk = disk = Noting()
    disk.fails_at = "000000000000.seg-wal"
    with pytest.raises(ports.Broken):
        await bench.open()


async def test_a_directory_that_cannot_be_synced_ends_the_writing_at_a_roll(bench: Bench) -> None:
    bench.directory.disk = disk = Noting()
    journal = await bench.open()
    disk.fails_at = "000000000021.seg-wal"
    with pytest.raises(ports.Broken):
        await fill(journal, 15)
    assert not any("000000000021.seg-wal" in names for names in disk.synced)


async def test_the_log_is_emptied_at_its_high_water_mark(bench: Bench) -> None:
    """A background that never gets a turn must not let the log grow without bound."""
    settings = JournalSettings(
        wal_bytes_max=1 << 20, checkpoint_ms=60_000, low_disk_bytes=0, reserve_bytes=0
    )
    journal = await bench.open(settings)
    for number in range(200):
        await journal.append(ports.Frame(1, (event(number, body=bytes(50_000)),)))
        size = (bench.folder / "000000000000.seg-wal").stat().st_size
        assert size <= (1 << 20) + 200_000


async def test_a_format_of_a_later_version_is_refused(bench: Bench) -> None:
    await bench.open()
    await bench.close()
    connection = apsw.Connection(str(bench.folder / "000000000000.seg"))
    connection.execute("UPDATE meta SET format = 99")
    connection.close()
    with pytest.raises(ports.StoreError, match="format 99"):
        await bench.open()


async def test_a_segment_of_another_shard_is_refused(bench: Bench, tmp_path: Path) -> None:
    await bench.open()
    await bench.close()
    shutil.copytree(bench.folder, tmp_path / "shard-0001")
    other = SqliteJournal(bench.directory, 1, writer=bench.executor, settings=SETTINGS)
    with pytest.raises(ports.Corrupt, match="shard 1"):
        await other.open()
    await other.close()
