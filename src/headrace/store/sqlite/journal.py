"""The journal on SQLite: the loop's side. One hop to the writer thread and back for an append.

Owns the order of calls and the hand-over between threads; what is written is decided in `writer`,
what is read in `reading`. Must never touch a file from the loop's thread.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from typing import TypeVar

from headrace.store import paging, ports
from headrace.store.settings import JournalSettings
from headrace.store.sqlite import directory as directories
from headrace.store.sqlite import janitor as janitors
from headrace.store.sqlite import lane as lanes
from headrace.store.sqlite import reading, verify
from headrace.store.sqlite import segment as segments
from headrace.store.sqlite import writer as writers

T = TypeVar("T")

_REPLAY_STEP = 2_048
_SCAN_STEP = 512
#: Positions one job of a scan looks at; a search for a rare bus then does not hold the lane.
_SCAN_WINDOW = 16_384

Snapshot = Callable[[], writers.Snapshot]


class SqliteJournal:
    """Satisfies `ports.Journal`.

    writer: an executor of one thread, alive until `close` has returned.
    snapshot: called in the loop's thread when the next frame begins a new file, so that each file
    begins with the ledger as it was after the file before (given that appends do not overlap).
    """

    def __init__(
        self,
        directory: directories.Directory,
        shard: int = 0,
        *,
        writer: Executor,
        settings: JournalSettings | None = None,
        snapshot: Snapshot | None = None,
    ) -> None:
        settings = settings or JournalSettings()
        disk = directory.disk
        folder = directory.shard(shard)
        self._disk = disk
        self._folder = folder
        self._executor = writer
        self._snapshot = snapshot
        self._writer = writers.Writer(disk, folder, shard, settings)
        self._fetching = lanes.Lane(disk, f"headrace-fetch-{shard}")
        self._searching = lanes.Lane(disk, f"headrace-search-{shard}")
        both = (self._fetching, self._searching)
        self._janitor = janitors.Janitor(disk, self._writer, both, settings)

    # ------------------------------------------------------------ write

    async def open(self) -> ports.Opened:
        opened = await self._in_writer(self._writer.open)
        self._janitor.start()
        return opened

    async def append(self, frame: ports.Frame) -> ports.Position:
        snapshot = None
        if self._snapshot is not None and self._writer.roll_is_due(frame.at_ms):
            snapshot = self._snapshot()
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, self._append, frame, snapshot
        )

    async def save(self, at: ports.Position, state: bytes) -> None:
        await self._in_writer(lambda: self._writer.save(at, state))
        self._janitor.wake()

    async def trim(self, before: ports.Position) -> None:
        dropped = await self._in_writer(lambda: self._writer.drop_before(before))
        await self._searching.run(lambda: self._unlink(dropped))

    async def close(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._close_readers)
        await self._in_writer(self._writer.close)

    async def quiesce(self, timeout_s: float = 60) -> bool:
        """Return True once the background has checkpointed and sealed all there is."""
        return await asyncio.to_thread(self._janitor.wait_idle, timeout_s)

    # ------------------------------------------------------------ read

    async def replay(
        self, after: ports.Position, *, bodies: bool = False
    ) -> AsyncIterator[ports.Replayed]:
        end = self._writer.head.last
        while after < end:
            walk = await self._searching.run(lambda start=after: self._walk(start, bodies=bodies))
            try:
                while replayed := await self._searching.run(
                    lambda chosen=walk: chosen.step(_REPLAY_STEP)
                ):
                    for one in replayed:
                        after = one.last
                        yield one
            finally:
                await self._searching.run(walk.close)

    async def baseline(self) -> tuple[ports.Position, bytes | None]:
        return await self._searching.run(self._baseline)

    async def segments(self) -> list[ports.Segment]:
        return await self._searching.run(
            lambda: [segment.described() for segment in self._writer.segments]
        )

    async def fetch(self, positions: Sequence[ports.Position]) -> list[ports.Record | None]:
        if not positions:
            return []
        return await self._fetching.run(lambda: self._fetch(positions))

    async def scan(
        self, start: ports.Position, stop: ports.Position, *, bus: int | None, limit: int
    ) -> AsyncIterator[tuple[ports.Position, ports.Record]]:
        cursor = int(start)
        while limit > 0 and cursor < stop:
            job = functools.partial(self._scan, cursor, int(stop), bus, min(limit, _SCAN_STEP))
            following, found = await self._searching.run(job)
            for item in found:
                yield item
            limit -= len(found)
            if following is None:
                return
            cursor = following

    async def find(
        self, query: ports.EventQuery, page: str | None, limit: int
    ) -> ports.Page[ports.Found]:
        assert limit >= 1, f"limit {limit}"
        before = None if page is None else paging.read_token(query, page)
        found: list[ports.Found] = []
        for segment in reversed(self._writer.segments):
            missing = limit + 1 - len(found)
            if missing <= 0:
                break
            found += await self._searching.run(
                lambda chosen=segment, most=missing: self._find(chosen, query, before, most)
            )
        return paging.page_of(query, found, limit)

    async def settled(self, position: ports.Position) -> list[ports.Attempted]:
        return await self._fetching.run(lambda: self._settled(position))

    async def locate(self, time_ms: int) -> ports.Position:
        return await self._searching.run(lambda: self._locate(time_ms))

    async def usage(self) -> ports.Usage:
        return await self._searching.run(self._usage)

    async def verify(self) -> list[str]:
        """Return what is wrong with the files, a sentence each; reads every byte."""
        found: list[str] = []
        for segment in self._writer.segments:
            found += await self._searching.run(
                lambda chosen=segment: verify.problems(self._disk, chosen.path)
            )
        return found

    # ------------------------------------------------------------ in the writer's thread

    def _append(self, frame: ports.Frame, snapshot: writers.Snapshot | None) -> ports.Position:
        last = self._writer.append(frame, snapshot)
        self._janitor.wake()
        return last

    async def _in_writer(self, job: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, job)

    def _close_readers(self) -> None:
        self._janitor.stop()
        self._fetching.close()
        self._searching.close()
        self._janitor.close()

    # ------------------------------------------------------------ in a lane's thread

    def _walk(self, after: int, *, bodies: bool) -> reading.Walk:
        segment = next(one for one in self._writer.segments if one.last > after)
        opened = self._disk.read_sealed if segment.sealed else self._disk.read
        connection = opened(segment.path)
        try:
            return reading.Walk(connection, after, bodies=bodies)
        except BaseException:
            connection.close(True)
            raise

    def _baseline(self) -> tuple[ports.Position, bytes | None]:
        segment = self._writer.segments[0]
        if not segment.has_state:
            return ports.Position(max(segment.at, segment.first - 1)), None
        row = (
            self._searching.reader(segment)
            .connection.execute("SELECT at, ledger FROM state ORDER BY at LIMIT 1")
            .fetchone()
        )
        assert row is not None, "a segment begins with a snapshot row"
        return ports.Position(row[0]), row[1]

    def _fetch(self, positions: Sequence[int]) -> list[ports.Record | None]:
        found: dict[int, ports.Record] = {}
        ascending = sorted(set(positions))
        for segment in self._writer.segments:
            mine = [p for p in ascending if segment.first <= p <= segment.last]
            if mine:
                found.update(self._fetching.reader(segment).fetch(mine))
        return [found.get(position) for position in positions]

    def _scan(
        self, start: int, stop: int, bus: int | None, limit: int
    ) -> tuple[int | None, list[tuple[ports.Position, ports.Record]]]:
        """Return where to go on (None: at the end) and what one window holds."""
        for segment in self._writer.segments:
            if segment.last < start:
                continue
            if segment.first >= stop:
                break
            low = max(start, segment.first)
            high = min(stop, segment.last + 1, low + _SCAN_WINDOW)
            found = self._searching.reader(segment).scan(low, high, bus, limit)
            return (found[-1][0] + 1 if len(found) == limit else high), found
        return None, []

    def _find(
        self, segment: segments.Segment, query: ports.EventQuery, before: int | None, limit: int
    ) -> list[ports.Found]:
        outside = (
            segment.events == 0
            or segment not in self._writer.segments
            or (before is not None and segment.first >= before)
            or segment.newest_ms < query.start_ms
            or segment.oldest_ms >= query.stop_ms
        )
        return [] if outside else self._searching.reader(segment).find(query, before, limit)

    def _settled(self, position: int) -> list[ports.Attempted]:
        found: list[ports.Attempted] = []
        files = self._writer.segments
        if position < files[0].first:
            return found
        for segment in files:
            if segment.last >= position and segment.may_settle(position):
                found += self._fetching.reader(segment).settled(position)
        return found

    def _locate(self, time_ms: int) -> ports.Position:
        for segment in self._writer.segments:
            if segment.events and segment.newest_ms >= time_ms:
                found = self._searching.reader(segment).locate(time_ms)
                if found is not None:
                    return ports.Position(found)
        return ports.Position(self._writer.head.last + 1)

    def _usage(self) -> ports.Usage:
        files = self._writer.segments
        described = [segment.described() for segment in files]
        free, low = self._disk.free_bytes(self._folder), self._writer.low_bytes
        return ports.Usage(
            sum(one.bytes for one in described),
            free,
            ports.Position(files[0].first),
            ports.Position(files[-1].last),
            len(files),
            next((one.oldest_ms for one in described if one.events), 0),
            low,
            free < low,
        )

    def _unlink(self, dropped: Sequence[segments.Segment]) -> None:
        """Unlink the oldest files; what still reads them keeps its open file."""
        with self._fetching.lock:
            for segment in dropped:
                self._fetching.forget(segment.path)
                self._searching.forget(segment.path)
                # Oldest first, each made durable: a crash leaves no hole in the chain.
                segments.remove(self._disk, segment.path)
