"""A store that takes its time: the one in memory, with a disk's latency and failing reads.

Owns the moment at which a frame is durable: between the call and the answer. What a crash finds
before that moment was never written, what it finds after it is kept, answered or not. Must never
change what is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from headrace.core import clock as clocks
from headrace.store import memory, ports
from headrace.store import settings as journal


class ReadFailed(OSError):
    """A read of the simulated disk failed; the next one may succeed."""


class Disk(Protocol):
    """How slow and how bad the disk is at the moment; asked at every call."""

    def write_s(self) -> tuple[float, float]:
        """How long the next frame takes: until it is durable, and from then to the answer."""
        ...

    def read_s(self) -> float:
        """How long the next read takes. Raises: ReadFailed."""
        ...

    def edit_s(self) -> tuple[float, float]:
        """As `write_s`, for an edit of the registry."""
        ...


class PerfectDisk:
    """Takes no time and never fails."""

    def write_s(self) -> tuple[float, float]:
        return 0.0, 0.0

    def read_s(self) -> float:
        return 0.0

    def edit_s(self) -> tuple[float, float]:
        return 0.0, 0.0


#: Told of each frame at the moment it is durable: (frame, last position).
Watcher = Callable[[ports.Frame, ports.Position], None]


class SimulatedJournal(memory.MemoryJournal):
    """One opener of a `MemoryLog` whose appends and reads take time."""

    def __init__(
        self,
        log: memory.MemoryLog,
        disk: Disk,
        *,
        settings: journal.JournalSettings | None = None,
        snapshot: Callable[[], tuple[ports.Position, bytes]] | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        super().__init__(log.shard, log=log, settings=settings, snapshot=snapshot)
        self._disk = disk
        self._watcher = watcher

    async def append(self, frame: ports.Frame) -> ports.Position:
        before_s, after_s = self._disk.write_s()
        if before_s:
            await asyncio.sleep(before_s)
        last = await self.write(frame)
        if after_s:
            await asyncio.sleep(after_s)
        return last

    async def write(self, frame: ports.Frame) -> ports.Position:
        """Make a frame durable now."""
        last = await super().append(frame)
        if self._watcher is not None:
            self._watcher(frame, last)
        return last

    async def fetch(self, positions: Sequence[ports.Position]) -> list[ports.Record | None]:
        wait_s = self._disk.read_s()
        if wait_s:
            await asyncio.sleep(wait_s)
        return await super().fetch(positions)


class SimulatedRegistry(memory.MemoryRegistry):
    """A registry in memory whose edits take time."""

    def __init__(
        self, clock: clocks.Clock, disk: Disk, table: memory.MemoryTable | None = None
    ) -> None:
        super().__init__(clock, table=table)
        self._disk = disk

    async def commit(
        self, changes: Sequence[ports.Change], *, unless: Sequence[ports.Guard] = ()
    ) -> ports.Revision:
        before_s, after_s = self._disk.edit_s()
        if before_s:
            await asyncio.sleep(before_s)
        revision = await super().commit(changes, unless=unless)
        if after_s:
            await asyncio.sleep(after_s)
        return revision

    async def intern(self, name: str) -> int:
        if self.interned(name) is None and (wait_s := sum(self._disk.edit_s())):
            await asyncio.sleep(wait_s)
        return await super().intern(name)
