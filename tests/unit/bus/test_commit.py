"""Group commit on the memory engine: order, batching, full and broken stores."""

from __future__ import annotations

import asyncio

import pytest

from headrace.bus import commit
from headrace.bus import ledger as ledgers
from headrace.core import errors
from headrace.store import memory, ports

pytestmark = pytest.mark.anyio


NOW_MS = 1_700_000_000_000


class FixedClock:
    ms = NOW_MS

    def wall_ms(self) -> int:
        return self.ms

    def mono_us(self) -> int:
        return 0


def record(body: bytes = b"{}", *matches: int) -> ports.Record:
    return ports.Record(1, 0, 0, 0, ledgers.COPIED, matches, body)


class Bench:
    """A committer over a memory log, with everything it wrote."""

    def __init__(self, log: memory.MemoryLog | None = None, *, newest_ms: int = 0) -> None:
        self.log = log or memory.MemoryLog()
        self.journal = memory.MemoryJournal(log=self.log)
        self.ledger = ledgers.Ledger()
        self.broken: list[BaseException] = []
        self.clock = FixedClock()
        self.frames: list[ports.Frame] = []
        self.committer = commit.Committer(
            self.journal, self.ledger, self.clock, broken=self.broken.append, newest_ms=newest_ms
        )
        self.committer.followers.append(lambda frame, last: self.frames.append(frame))

    async def __aenter__(self) -> Bench:
        await self.journal.open()
        self.committer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.committer.close()


async def test_what_queues_during_a_commit_shares_the_next_frame() -> None:
    async with Bench() as bench:
        waiting = [bench.committer.submit((record(),)) for _ in range(50)]
        positions = await asyncio.gather(*waiting)
        assert len(bench.frames) < 5
        assert positions == sorted(set(positions)), "one place each, in the order of the calls"


async def test_an_entry_is_never_split_and_its_settlement_stands_in_its_frame() -> None:
    async with Bench() as bench:
        first = await bench.committer.append((record(b"{}", 9),))
        settled = ports.Settlement(ports.Position(first), 9, ports.Verdict.DEAD)
        await bench.committer.append((record(), record()), (settled,))
        assert [len(frame.events) for frame in bench.frames] == [1, 2]
        assert bench.frames[1].settlements == (settled,)


async def test_a_large_backlog_is_cut_into_bounded_frames() -> None:
    async with Bench() as bench:
        many = [bench.committer.submit((record(),)) for _ in range(commit.FRAME_EVENTS_MAX + 10)]
        await asyncio.gather(*many)
        assert max(len(frame.events) for frame in bench.frames) <= commit.FRAME_EVENTS_MAX


async def test_too_much_waiting_is_refused_before_memory_grows() -> None:
    bench = Bench()
    await bench.journal.open()  # the writer is not started: everything waits
    for _ in range(16):
        bench.committer.submit([record()] * 4096)
    with pytest.raises(errors.Throttled):
        bench.committer.submit((record(),))


async def test_a_full_store_refuses_events_and_still_settles() -> None:
    log = memory.MemoryLog()
    async with Bench(log) as bench:
        first = await bench.committer.append((record(b"{}", 5),))
        log.room_bytes = 0
        closing = ports.Settlement(ports.Position(first), 5, ports.Verdict.DELIVERED)
        refused = bench.committer.submit((record(),))
        bench.committer.settle(closing)
        with pytest.raises(errors.StoreFull):
            await refused
        await bench.committer.append((), ())
        assert bench.ledger.deliveries(5).delivered == 1
        log.room_bytes = None
        assert await bench.committer.append((record(),)) > first


async def test_a_failed_sync_acknowledges_nothing_for_good() -> None:
    log = memory.MemoryLog()
    async with Bench(log) as bench:
        log.sync_fails = True
        with pytest.raises(errors.Unavailable):
            await bench.committer.append((record(),))
        assert len(bench.broken) == 1
        log.sync_fails = False
        with pytest.raises(errors.Unavailable):
            await bench.committer.append((record(),))


async def test_a_follower_that_fails_holds_up_neither_the_others_nor_the_acknowledgement() -> None:
    async with Bench() as bench:

        def fails(frame: ports.Frame, last: ports.Position) -> None:
            raise RuntimeError("a bug in a follower")

        bench.committer.followers.insert(0, fails)
        assert await bench.committer.append((record(),)) > 0
        assert len(bench.frames) == 1


async def test_an_acknowledgement_nobody_waits_for_any_more_does_not_stop_dispatch() -> None:
    """The client went away while its event was being written: the event goes on."""
    async with Bench() as bench:
        gone = bench.committer.submit((record(b"1"),))
        kept = bench.committer.submit((record(b"2"),))
        gone.cancel()
        await kept
        assert [one.body for frame in bench.frames for one in frame.events] == [b"1", b"2"]


async def test_marks_go_into_the_frame_before_its_events_are_applied() -> None:
    async with Bench() as bench:
        bench.committer.mark("rules/1/7", None)
        await bench.committer.append((record(),))
        assert bench.frames[0].marks == {"rules/1/7": None}


async def times(bench: Bench, *steps_ms: int) -> list[int]:
    """Return how far from NOW_MS the frames are dated when the clock stands at each of `steps_ms`
    from it."""
    for step_ms in steps_ms:
        bench.clock.ms = NOW_MS + step_ms
        await bench.committer.append((record(),))
    return [frame.at_ms - NOW_MS for frame in bench.frames]


async def test_the_times_of_the_log_stand_still_until_a_clock_has_caught_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Bench() as bench:
        hour_ms = 3_600_000
        dated = await times(bench, 0, hour_ms, 5_000, 9_000, hour_ms + 1)
        assert dated == [0, hour_ms, hour_ms, hour_ms, hour_ms + 1]
    told = [entry.getMessage() for entry in caplog.records]
    assert told == [
        "the clock is 3595 s behind the newest record; the times of the log stand still until it"
        " has caught up"
    ]


async def test_the_times_of_the_log_follow_a_clock_that_was_far_ahead(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Else a year's slip would stop all times, and retention by them, for a year."""
    async with Bench() as bench:
        year_ms = 365 * 86_400_000
        assert await times(bench, 0, year_ms, 10, 20) == [0, year_ms, 10, 20]
    assert len(caplog.records) == 1
    assert "only positions say what came first" in caplog.text


async def test_times_go_on_from_the_newest_frame_of_the_last_life() -> None:
    async with Bench(newest_ms=NOW_MS + 60_000) as bench:
        assert await times(bench, 0, 70_000) == [60_000, 70_000]
