"""Retention: old segments go by age and size, and an open delivery is never lost to it.

What is still open in the oldest segment is carried forward: a copy with its `origin` is appended
and the old delivery settles MOVED in the same frame; then the segment is unlinked. A delivery that
is being attempted right now is left for the next round.
"""

from __future__ import annotations

from collections import deque

import msgspec

from headrace.bus import commit, deliver, lane, letters
from headrace.bus import ledger as ledgers
from headrace.core import clock as clocks
from headrace.store import ports

#: Deliveries carried in one frame at most, and fetched at once.
CARRY_CHUNK = 128


class Keep(msgspec.Struct, frozen=True):
    """How long events are kept, whichever bound is reached first (store.md §3)."""

    age_ms: int = 24 * 3600 * 1000
    bytes: int = 8 * 1024**3


class Retention:
    """Trims one shard's journal."""

    def __init__(
        self,
        journal: ports.Journal,
        ledger: ledgers.Ledger,
        committer: commit.Committer,
        dispatcher: deliver.Dispatcher,
        postbox: letters.Postbox,
        clock: clocks.Clock,
        keep: Keep,
    ) -> None:
        self._journal = journal
        self._ledger = ledger
        self._committer = committer
        self._dispatcher = dispatcher
        self._postbox = postbox
        self._clock = clock
        self._keep = keep
        #: Bytes carried out of the segment at hand.
        self._carried = 0

    async def sweep(self) -> int:
        """Remove every segment past its keep; return how many went."""
        gone = 0
        segments = await self._journal.segments()
        held = sum(segment.bytes for segment in segments)
        for segment in segments:
            if not segment.sealed or not self._expired(segment, held):
                break
            self._carried = 0
            if not await self._carry(segment):
                break
            await self._journal.trim(ports.Position(segment.last + 1))
            held -= segment.bytes
            gone += 1
            if self._carried * 2 > segment.bytes:
                break  # it gained little: what is open may be all there is
        return gone

    def _expired(self, segment: ports.Segment, held: int) -> bool:
        too_old = self._clock.wall_ms() - segment.written_ms > self._keep.age_ms
        return too_old or held > self._keep.bytes

    async def _carry(self, segment: ports.Segment) -> bool:
        """Copy what is open in `segment` to the head; False while something in it is being
        attempted."""
        whom = self._open_in(segment)
        positions = sorted(whom)
        for start in range(0, len(positions), CARRY_CHUNK):
            chunk = [
                p for p in positions[start : start + CARRY_CHUNK] if not self._moving(p, whom[p])
            ]
            records = await self._journal.fetch([ports.Position(position) for position in chunk])
            held = deque(zip(chunk, records, strict=True))
            while held:
                copies, facts = self._moves(held, whom)
                if copies:
                    await self._move(copies, facts)
        return not self._open_in(segment)

    def _moves(
        self, held: deque[tuple[int, ports.Record | None]], whom: dict[int, list[int]]
    ) -> tuple[list[ports.Record], list[ports.Settlement]]:
        """Take from `held` what one frame can hold; asked anew for each frame, since deliveries go
        on between two."""
        copies: list[ports.Record] = []
        facts: list[ports.Settlement] = []
        size = 0
        while held:
            position, record = held[0]
            numbers = self._still_open(position, whom[position])
            if record is not None and numbers:
                copy = self._postbox.copy(record, numbers, position)
                moved = [
                    ports.Settlement(ports.Position(position), number, ports.Verdict.MOVED)
                    for number in numbers
                ]
                size += commit.entry_bytes((copy,), moved)
                if copies and size > commit.FRAME_BYTES_MAX:
                    break
                copies.append(copy)
                facts += moved
            held.popleft()
        return copies, facts

    async def _move(self, copies: list[ports.Record], facts: list[ports.Settlement]) -> None:
        lanes = self._lanes_of(facts)
        for taker, positions in lanes:
            taker.forget(positions)
        try:
            await self._committer.append(copies, facts)
        finally:
            for taker, positions in lanes:
                taker.release(positions)
        self._carried += commit.entry_bytes(copies, facts)

    def _open_in(self, segment: ports.Segment) -> dict[int, list[int]]:
        whom: dict[int, list[int]] = {}
        for number, state in self._ledger.subscriptions.items():
            for position in state.open.iter_equal_or_larger(int(segment.first)):
                if position > segment.last:
                    break
                whom.setdefault(position, []).append(number)
        return whom

    def _moving(self, position: int, numbers: list[int]) -> bool:
        lanes = self._dispatcher.lanes
        return any(number in lanes and position in lanes[number].running for number in numbers)

    def _still_open(self, position: int, numbers: list[int]) -> tuple[int, ...]:
        """Asked again after the fetch: a delivery may have closed or started meanwhile, or what
        became of it is on its way to the disk."""
        settling = self._committer.is_settling
        if self._moving(position, numbers) or any(settling(position, one) for one in numbers):
            return ()
        known = self._ledger.subscriptions
        return tuple(sorted(number for number in numbers if position in known[number].open))

    def _lanes_of(self, facts: list[ports.Settlement]) -> list[tuple[lane.Lane, frozenset[int]]]:
        by_lane: dict[int, set[int]] = {}
        for fact in facts:
            by_lane.setdefault(fact.subscription, set()).add(int(fact.position))
        lanes = self._dispatcher.lanes
        return [
            (lanes[number], frozenset(positions))
            for number, positions in by_lane.items()
            if number in lanes
        ]
