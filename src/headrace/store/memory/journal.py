"""The journal in memory: a list of frames in segments, with the guarantees of the port and no disk.

`MemoryLog` stands for the disk: hand it to a second journal to reopen it, set `room_bytes` or
`sync_fails` to let it misbehave. Must never share a mutable object with its caller.
"""

from __future__ import annotations

import asyncio
import bisect
from collections.abc import AsyncIterator, Callable, Sequence

from headrace.store import frames, paging, ports
from headrace.store.settings import JournalSettings

Snapshot = Callable[[], tuple[ports.Position, bytes]]


class _MemorySegment:
    """One stretch of the log."""

    def __init__(
        self, first: ports.Position, last: ports.Position, at: ports.Position, state: bytes | None
    ) -> None:
        self.first = first
        #: Of its newest frame; of the log when it was begun, as long as it has none.
        self.last = last
        #: The snapshot it begins with.
        self.at = at
        self.state = state
        self.start_ms = 0
        self.written_ms = 0
        self.events = 0
        self.bytes_used = 0
        self.oldest_ms = 0
        self.newest_ms = 0
        self.frames: list[ports.Replayed] = []

    def add(self, replayed: ports.Replayed, figures: frames.Figures) -> None:
        frame = replayed.frame
        if not self.frames:
            self.start_ms = frame.at_ms
        self.written_ms = frame.at_ms
        if figures.oldest_ms is not None and figures.newest_ms is not None:
            first = self.events == 0
            self.oldest_ms = min(figures.oldest_ms, figures.oldest_ms if first else self.oldest_ms)
            self.newest_ms = max(figures.newest_ms, self.newest_ms)
        self.events += len(frame.events)
        self.bytes_used += figures.bytes_used
        self.last = replayed.last
        self.frames.append(replayed)


class MemoryLog:
    """What a disk would hold of one shard, and its faults."""

    def __init__(self, shard: int = 0) -> None:
        start = ports.position(shard, 0)
        self.shard = shard
        self.epoch = 0
        self.last = start
        self.at = start
        self.state: bytes | None = None
        self.marks: dict[str, bytes] = {}
        self.segments = [_MemorySegment(start, start, start, None)]
        self.positions: list[int] = []
        self.events: dict[int, ports.Record] = {}
        self.attempts: dict[int, list[ports.Attempted]] = {}
        #: Room for events; None = endless. Frames without events always fit.
        self.room_bytes: int | None = None
        #: From now on every sync fails, as on a dying disk.
        self.sync_fails = False

    @property
    def bytes_used(self) -> int:
        return sum(segment.bytes_used for segment in self.segments)


class MemoryJournal:
    """One opener of a `MemoryLog`."""

    def __init__(
        self,
        shard: int = 0,
        *,
        log: MemoryLog | None = None,
        settings: JournalSettings | None = None,
        snapshot: Snapshot | None = None,
    ) -> None:
        self._log = log if log is not None else MemoryLog(shard)
        assert self._log.shard == shard, f"log of shard {self._log.shard} opened as {shard}"
        self._settings = settings or JournalSettings()
        self._snapshot = snapshot
        self._epoch = 0
        self._broken = False
        self._closed = False

    async def open(self) -> ports.Opened:
        log = self._log
        log.epoch += 1
        self._epoch = log.epoch
        return ports.Opened(log.epoch, log.last, log.at, log.state, dict(log.marks))

    async def append(self, frame: ports.Frame) -> ports.Position:
        figures = frames.counted(frame)
        self._check_owner()
        self._check_room(frame, figures.bytes_used)
        self._roll_if_full(frame)
        last = self._write(frame, figures)
        await asyncio.sleep(0)
        return last

    async def replay(
        self, after: ports.Position, *, bodies: bool = False
    ) -> AsyncIterator[ports.Replayed]:
        for segment in list(self._log.segments):
            if segment.last <= after:
                continue
            for replayed in list(segment.frames):
                if replayed.last > after:
                    yield replayed if bodies else _without_bodies(replayed)

    async def save(self, at: ports.Position, state: bytes) -> None:
        self._check_owner()
        assert at <= self._log.last, f"snapshot at {at} lies past the end {self._log.last}"
        if at < self._log.at:
            return
        self._log.at, self._log.state = at, state
        head = self._log.segments[-1]
        if head.at == at:
            head.state = state

    async def baseline(self) -> tuple[ports.Position, bytes | None]:
        segment = self._log.segments[0]
        if segment.state is None:
            return max(segment.at, ports.Position(segment.first - 1)), None
        return segment.at, segment.state

    async def segments(self) -> list[ports.Segment]:
        head = self._log.segments[-1]
        return [
            ports.Segment(
                s.first,
                s.last,
                s.events,
                s.bytes_used,
                s.oldest_ms,
                s.newest_ms,
                s is not head,
                s.written_ms,
            )
            for s in self._log.segments
        ]

    async def trim(self, before: ports.Position) -> None:
        self._check_owner()
        log = self._log
        kept = 0
        for index, segment in enumerate(log.segments[:-1], 1):
            if segment.last >= before:
                break
            if log.segments[index].state is None or log.segments[index].at >= segment.last:
                kept = index
        del log.segments[:kept]
        first = log.segments[0].first
        if log.state is None:
            log.at = max(log.at, ports.Position(first - 1))
        cut = bisect.bisect_left(log.positions, first)
        for position in log.positions[:cut]:
            del log.events[position]
        del log.positions[:cut]
        for position in [p for p in log.attempts if p < first]:
            del log.attempts[position]

    async def fetch(self, positions: Sequence[ports.Position]) -> list[ports.Record | None]:
        return [self._log.events.get(position) for position in positions]

    async def scan(
        self, start: ports.Position, stop: ports.Position, *, bus: int | None, limit: int
    ) -> AsyncIterator[tuple[ports.Position, ports.Record]]:
        log = self._log
        low = bisect.bisect_left(log.positions, start)
        high = bisect.bisect_left(log.positions, stop)
        for position in log.positions[low:high]:
            if limit <= 0:
                return
            record = log.events.get(position)
            if record is not None and (bus is None or record.bus == bus):
                limit -= 1
                yield ports.Position(position), record

    async def find(
        self, query: ports.EventQuery, page: str | None, limit: int
    ) -> ports.Page[ports.Found]:
        assert limit >= 1, f"limit {limit}"
        log = self._log
        high = len(log.positions)
        if page is not None:
            high = bisect.bisect_left(log.positions, paging.read_token(query, page))
        found: list[ports.Found] = []
        for position in reversed(log.positions[:high]):
            if len(found) > limit:
                break
            if paging.fits(query, log.events[position]):
                found.append(ports.Found(ports.Position(position), log.events[position]))
        return paging.page_of(query, found, limit)

    async def settled(self, position: ports.Position) -> list[ports.Attempted]:
        return list(self._log.attempts.get(position, ()))

    async def locate(self, time_ms: int) -> ports.Position:
        log = self._log
        for position in log.positions:
            if log.events[position].received_ms >= time_ms:
                return ports.Position(position)
        return ports.Position(log.last + 1)

    async def usage(self) -> ports.Usage:
        log = self._log
        free = (1 << 62) if log.room_bytes is None else max(0, log.room_bytes - log.bytes_used)
        oldest_ms = next((s.oldest_ms for s in log.segments if s.events), 0)
        return ports.Usage(
            log.bytes_used, free, log.segments[0].first, log.last, len(log.segments), oldest_ms
        )

    async def close(self) -> None:
        self._closed = True

    def _check_owner(self) -> None:
        assert not self._closed, "the journal is closed"
        if self._broken:
            raise ports.Broken("a sync has failed before")
        if self._log.epoch != self._epoch:
            raise ports.Fenced(f"epoch {self._epoch} was followed by {self._log.epoch}")
        if self._log.sync_fails:
            self._broken = True
            raise ports.Broken("sync failed")

    def _check_room(self, frame: ports.Frame, size: int) -> None:
        room = self._log.room_bytes
        if room is not None and frame.events and self._log.bytes_used + size > room:
            raise ports.Full(f"{room} bytes are taken")

    def _roll_if_full(self, frame: ports.Frame) -> None:
        log = self._log
        head = log.segments[-1]
        if not head.frames or not self._settings.segment_is_full(
            events=head.events, bytes_used=head.bytes_used, age_ms=frame.at_ms - head.start_ms
        ):
            return
        if self._snapshot is not None:
            log.at, log.state = self._snapshot()
        first = ports.Position(log.last + 1)
        log.segments.append(_MemorySegment(first, log.last, log.at, log.state))

    def _write(self, frame: ports.Frame, figures: frames.Figures) -> ports.Position:
        log = self._log
        header = log.last + 1
        last = ports.Position(header + len(frame.events))
        kept = ports.Frame(frame.at_ms, frame.events, frame.settlements, dict(frame.marks))
        for position, record in enumerate(frame.events, header + 1):
            log.positions.append(position)
            log.events[position] = record
        first = log.segments[0].first
        for settlement in frame.settlements:
            assert settlement.position < header, "a settlement is about an event that is written"
            if settlement.position >= first:
                attempts = log.attempts.setdefault(settlement.position, [])
                attempts.append(ports.Attempted(frame.at_ms, settlement))
        for name, value in frame.marks.items():
            if value is None:
                log.marks.pop(name, None)
            else:
                log.marks[name] = value
        log.last = last
        log.segments[-1].add(ports.Replayed(last, kept), figures)
        return last


def _without_bodies(replayed: ports.Replayed) -> ports.Replayed:
    frame = replayed.frame
    events = tuple(
        ports.Record(r.bus, r.received_ms, r.kind, r.key, r.generation, r.matches, b"", r.origin)
        for r in frame.events
    )
    return ports.Replayed(
        replayed.last, ports.Frame(frame.at_ms, events, frame.settlements, frame.marks)
    )
