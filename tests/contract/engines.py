"""The engines under contract, each behind one kit: reopen it, fill its disk, fail its syncs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import apsw

from headrace.store import ports
from headrace.store.memory import (
    MemoryBlobs,
    MemoryJournal,
    MemoryLog,
    MemoryRecords,
    MemoryRegistry,
    MemoryTable,
)
from headrace.store.settings import JournalSettings
from headrace.store.sqlite import (
    Directory,
    FileBlobs,
    SqliteJournal,
    SqliteRecords,
    SqliteRegistry,
)
from tests.faults import vfs

#: Ten events a segment, so that every test rolls.
SMALL = JournalSettings(roll_events=10, low_disk_bytes=1_000, reserve_bytes=4_096)

Snapshot = Callable[[], tuple[ports.Position, bytes]]


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now_ms = 1_790_000_000_000

    def wall_ms(self) -> int:
        return self.now_ms

    def mono_us(self) -> int:
        return self.now_ms * 1000


class Kit(Protocol):
    """One engine and the disk below it."""

    clock: Clock

    def journal(
        self, settings: JournalSettings = SMALL, snapshot: Snapshot | None = None, shard: int = 0
    ) -> ports.Journal: ...
    async def settled_down(self, journal: ports.Journal) -> None: ...
    def fill(self) -> None: ...
    def free(self) -> None:
        """Take back `fill` and `break_syncs`."""
        ...

    def break_syncs(self) -> None: ...
    def registry(self, owner: str = "server") -> ports.Registry: ...
    def blobs(self) -> ports.Blobs: ...
    def records(self, bytes_max: int) -> ports.Records: ...
    def close(self) -> None: ...


class MemoryKit:
    """The engine in memory."""

    def __init__(self) -> None:
        self.clock = Clock()
        self._logs: dict[int, MemoryLog] = {}
        self._table = MemoryTable()
        self._blobs = MemoryBlobs()

    def journal(
        self, settings: JournalSettings = SMALL, snapshot: Snapshot | None = None, shard: int = 0
    ) -> ports.Journal:
        log = self._logs.setdefault(shard, MemoryLog(shard))
        return MemoryJournal(shard, log=log, settings=settings, snapshot=snapshot)

    async def settled_down(self, journal: ports.Journal) -> None:
        return

    def fill(self) -> None:
        self._logs[0].room_bytes = 0

    def free(self) -> None:
        self._logs[0].room_bytes = None

    def break_syncs(self) -> None:
        self._logs[0].sync_fails = True

    def registry(self, owner: str = "server") -> ports.Registry:
        return MemoryRegistry(self.clock, table=self._table, owner=owner)

    def blobs(self) -> ports.Blobs:
        return self._blobs

    def records(self, bytes_max: int) -> ports.Records:
        return MemoryRecords(bytes_max=bytes_max)

    def close(self) -> None:
        return


class SqliteKit:
    """The embedded engine on a disk that can be filled and broken."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.disk = vfs.RecordingDisk()
        self.directory = Directory.open(path, disk=self.disk)
        self._executors: list[ThreadPoolExecutor] = []

    def journal(
        self, settings: JournalSettings = SMALL, snapshot: Snapshot | None = None, shard: int = 0
    ) -> SqliteJournal:
        executor = ThreadPoolExecutor(1)
        self._executors.append(executor)
        return SqliteJournal(
            self.directory, shard, writer=executor, settings=settings, snapshot=snapshot
        )

    async def settled_down(self, journal: ports.Journal) -> None:
        assert isinstance(journal, SqliteJournal), "a kit knows its own"
        assert await journal.quiesce(30), "the background did not come to rest"

    def fill(self) -> None:
        self.disk.free = 0

    def free(self) -> None:
        self.disk.free = None
        self.disk.record.fault = None

    def break_syncs(self) -> None:
        def fault(kind: str, path: str) -> Exception | None:
            return sync_error() if kind == "sync" else None

        self.disk.record.fault = fault

    def registry(self, owner: str = "server") -> ports.Registry:
        return SqliteRegistry(self.directory, self.clock, owner=owner)

    def blobs(self) -> ports.Blobs:
        return FileBlobs(self.directory.blobs)

    def records(self, bytes_max: int) -> ports.Records:
        return SqliteRecords(self.directory, bytes_max=bytes_max)

    def close(self) -> None:
        for executor in self._executors:
            executor.shutdown()
        self.directory.close()


def sync_error() -> apsw.IOError:
    """Return what SQLite makes of a failed fsync."""
    error = apsw.IOError("sync failed on purpose")
    error.extendedresult = apsw.SQLITE_IOERR_FSYNC  # type: ignore[attr-defined]
    return error
