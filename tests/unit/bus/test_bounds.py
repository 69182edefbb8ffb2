"""Memory and frames stay bounded, whatever an event, a target or a caller brings."""

from __future__ import annotations

import asyncio

import pytest

from headrace.bus import commit, engine, lane, letters
from headrace.core import delivery, errors
from headrace.store import frames, memory, ports
from tests import virtual_time
from tests.unit.bus.test_commit import Bench, record
from tests.unit.bus.world import ACCOUNT, DOWN, OK, Target, world

pytestmark = pytest.mark.anyio

LARGE = "x" * 900_000


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": virtual_time.VirtualLoop}


@pytest.mark.parametrize("text", ["\x01", "\U0001f600", "\\", "\ud800"])
def test_detail_of_a_failure_fits_whatever_the_target_says(text: str) -> None:
    outcome = delivery.failed("down", 500, text * 5_000, detail=b"\x01\xff" * 4_000)
    assert len(letters.detail(outcome)) <= frames.DETAIL_BYTES_MAX


async def test_a_target_with_an_endless_error_text_gets_its_letter() -> None:
    async with world() as it:
        await it.attempted(Target(delivery.failed("poisoned", 400, "\x01" * 5_000_000)))
        assert it.broken == []
        assert it.engine.dead_letters.count(ACCOUNT) == 1


async def test_a_forwarded_body_that_no_frame_can_hold_ends_as_a_letter() -> None:
    async with world() as it:
        await it.catalog.create_queue(ACCOUNT, "inbox")
        forward = delivery.Forward("queue", "inbox", b"x" * (4 << 20))
        await it.attempted(Target(delivery.Outcome(True, "ok", 201, forward=forward)))
        assert it.engine.dead_letters.count(ACCOUNT) == 1


async def test_marks_that_do_not_fit_beside_the_events_go_ahead_of_them() -> None:
    async with Bench() as bench:
        for number in range(12):
            bench.committer.mark(f"cursor/{number}", bytes(600_000))
        await bench.committer.append((record(bytes(2_900_000)),))
        assert bench.broken == []
        written = [name for frame in bench.frames for name in frame.marks]
        assert sorted(written) == sorted(f"cursor/{number}" for number in range(12))
        assert all(not frame.events for frame in bench.frames[:-1])
        assert bench.frames[-1].events


async def test_callers_hear_of_a_disk_that_dies_while_it_is_full() -> None:
    log = memory.MemoryLog()
    async with Bench(log) as bench:
        first = await bench.committer.append((record(b"{}", 5),))
        log.room_bytes = 0
        real, calls = bench.journal.append, [0]

        async def append(frame: ports.Frame) -> ports.Position:
            calls[0] += 1
            log.sync_fails = calls[0] == 2
            return await real(frame)

        bench.journal.append = append  # type: ignore[method-assign]
        refused = bench.committer.submit((record(),))
        closing = ports.Settlement(ports.Position(first), 5, ports.Verdict.DELIVERED)
        settled = bench.committer.submit((), (closing,))
        with pytest.raises(errors.StoreFull):
            await refused
        async with asyncio.timeout(5):
            with pytest.raises(errors.Unavailable):
                await settled
        assert len(bench.broken) == 1


async def test_a_lane_loads_a_bounded_number_of_bytes_not_of_records() -> None:
    async with world() as it:
        it.targets["t"] = Target(latency_s=1e6)
        await it.rule("r", "t", concurrency=1)
        for batch in range(8):
            await it.publish(*(f"e{batch}-{n}" for n in range(8)), data=LARGE)
        await it.crash()
        await virtual_time.passes(5)
        taker = next(iter(it.engine.dispatcher.lanes.values()))
        assert it.engine.dispatcher.loaded_bytes <= 2 * lane.WINDOW_BYTES_MAX + 8 * len(LARGE)
        assert len(taker.running) == 1
        it.targets["t"].latency_s = 0


async def test_retries_that_are_due_at_once_do_not_all_come_into_memory() -> None:
    async with world() as it:
        it.targets["t"] = Target(DOWN)
        await it.rule("r", "t", concurrency=1_000)
        for batch in range(6):
            await it.publish(*(f"e{batch}-{n}" for n in range(500)))
        await virtual_time.passes(1)
        await it.engine.close()
        it.targets["t"] = Target(OK, latency_s=50.0)
        await virtual_time.passes(1_000)
        await it.open()
        target = next(iter(it.engine.dispatcher.lanes.values()))
        await virtual_time.passes(5)
        held = len(target._ready)  # pyright: ignore[reportPrivateUsage]
        assert held <= lane.WINDOW_RECORDS_MAX + lane.LOAD_RECORDS_MAX
        await virtual_time.passes(1_000)
        assert it.engine.ledger.pending() == 0


async def test_a_slow_tail_holds_a_bounded_number_of_bytes() -> None:
    async with world() as it:
        tail = await it.engine.tail(ACCOUNT, "default")
        for number in range(20):
            await it.publish(f"e{number}", data=LARGE)
        first = await anext(tail)
        assert isinstance(first, engine.TailSkipped)
        assert first.events >= 20 - engine.TAIL_BYTES_MAX // len(LARGE)
        tail.close()


async def test_letters_are_listed_without_reading_all_of_them() -> None:
    async with world() as it:
        it.targets["t"] = Target(delivery.failed("poisoned", 410, "Gone"))
        await it.rule("r", "t")
        for batch in range(5):
            await it.publish(*(f"e{batch}-{n}" for n in range(400)))
        await virtual_time.passes(5)
        assert it.engine.dead_letters.count(ACCOUNT) == 2_000
        journal = it.engine._journal  # pyright: ignore[reportPrivateUsage]
        real, most = journal.fetch, [0]

        async def fetch(positions: list[ports.Position]) -> list[ports.Record | None]:
            most[0] = max(most[0], len(positions))
            return await real(positions)

        journal.fetch = fetch  # type: ignore[method-assign]
        listed = await it.engine.dead_letters.list(ACCOUNT, limit=10)
        assert [int(one.id) for one in listed] == sorted((int(o.id) for o in listed), reverse=True)
        assert len(listed) == 10
        assert most[0] <= 100
        assert len(await it.engine.dead_letters.list(ACCOUNT, rule="r", limit=1000)) == 1000
        assert await it.engine.dead_letters.list(ACCOUNT, rule="other") == []


def test_one_entry_never_takes_more_of_a_frame_than_marks_leave() -> None:
    assert commit.FRAME_BYTES_MAX + commit.MARKS_BYTES_MAX <= frames.FRAME_BYTES_MAX
