"""What simulated days have found: a read, a full disk or a clock that fails at the wrong moment."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from headrace.bus import commit, retention
from headrace.core import delivery, errors
from headrace.store import ports
from headrace.store.settings import JournalSettings
from tests import virtual_time
from tests.unit.bus.test_races import DAY_S, fill_segment
from tests.unit.bus.world import ACCOUNT, DOWN, OK, POISONED, Target, World, world

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": virtual_time.VirtualLoop}


async def test_a_failed_read_freezes_no_other_retry_of_its_target(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with world() as it:
        it.targets["t"] = Target(DOWN, DOWN, OK)
        await it.rule("r", "t", retry="EXPONENTIAL_DECAY_RETRY")
        await it.publish("one")
        await virtual_time.passes(0.5)  # so that "two" is due half a second after "one"
        await it.publish("two")
        journal = it.engine._journal  # pyright: ignore[reportPrivateUsage]
        real, left = journal.fetch, [1]

        async def fetch(positions: Sequence[ports.Position]) -> list[ports.Record | None]:
            left[0] -= 1
            if left[0] == 0:
                raise OSError("a read failed")
            return await real(positions)

        monkeypatch.setattr(journal, "fetch", fetch)
        await virtual_time.passes(5)
        assert it.targets["t"].ids == ["one", "two", "two", "one"]


async def test_a_step_of_the_clock_hurries_no_retry_that_is_carried_forward() -> None:
    async with world(JournalSettings(roll_events=20)) as it:
        await it.engine.close()
        await it.open(retention.Keep(age_ms=DAY_S * 1000, bytes=1 << 33))
        it.targets["t"] = Target(DOWN)
        await it.rule(
            "r", "t", retry="EXPONENTIAL_DECAY_RETRY", pattern='{"source": ["shop"]}'
        )  # fmt: skip
        await it.publish("e1")
        await fill_segment(it, 40)
        await virtual_time.passes(1_600)  # waits of 512 s from here on
        it.clock.step(10 * 86_400_000)
        await virtual_time.passes(600)
        moved = [state.moved_out for state in it.engine.ledger.subscriptions.values()]
        assert max(moved) == 1
        assert min(it.targets["t"].waits()[10:]) >= 512


async def test_a_message_without_room_dies_with_its_rule(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with world() as it:
        await it.catalog.create_queue(ACCOUNT, "inbox")
        forward = delivery.Forward("queue", "inbox", b"hello")
        it.targets["t"] = Target(
            delivery.Outcome(True, "ok", 201, forward=forward), latency_s=10.0
        )  # fmt: skip
        await it.rule("r", "t")
        await it.publish("e1")
        await virtual_time.passes(5)
        await it.catalog.delete_rule(ACCOUNT, "default", "r")
        monkeypatch.setattr(commit, "WAITING_EVENTS_MAX", 0)
        await virtual_time.passes(60)
        assert it.engine.ledger.pending() == 0


async def test_a_request_of_several_frames_that_finds_no_room_is_refused_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its later frames are refused as well, and nobody complains of an error that went unheard."""
    monkeypatch.setattr(commit, "FRAME_BYTES_MAX", 1_000)
    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, said: unheard.append(said))
    async with world() as it:
        it.log.room_bytes = 0
        with caplog.at_level(logging.ERROR), pytest.raises(errors.StoreFull):
            await it.publish(*(f"e{number}" for number in range(20)))
        await virtual_time.passes(1)
        gc.collect()
        it.log.room_bytes = None
    assert unheard == []


async def test_a_store_that_broke_is_told_once_whatever_ends_after_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = World()
    await made.open()
    ends = (OK, DOWN, OK, POISONED)
    for second, end in enumerate(ends, 1):
        made.targets[f"t{second}"] = Target(end, latency_s=second)
    await made.rule("r", *made.targets)
    await made.publish("e1")
    await virtual_time.passes(0.5)
    made.log.sync_fails = True
    with pytest.raises(errors.Unavailable):
        await made.publish("e2")
    await virtual_time.passes(10)
    assert [len(target.seen) for target in made.targets.values()] == [1] * len(ends)
    (told,) = [record for record in caplog.records if record.name == "headrace.bus.deliver"]
    assert told.exc_info is None
    assert "after the next start" in told.message
    await made.engine.close()
