"""Senders that tell an outcome instead of returning it: same books, no task for each delivery."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from headrace.core import delivery
from tests import virtual_time
from tests.unit.bus.world import DOWN, OK, World, world

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": virtual_time.VirtualLoop}


class Telling:
    """Answers at once, or when a test says so."""

    def __init__(self, *script: delivery.Outcome, at_once: bool = True) -> None:
        self.script = list(script) or [OK]
        self.at_once = at_once
        self.fault: Exception | None = None
        self.waiting: dict[str, delivery.Answered] = {}
        self.given_up: list[str] = []
        self.ids: list[str] = []
        self.most = 0

    def start(
        self, message: delivery.Message, deadline_us: int, answered: delivery.Answered
    ) -> delivery.Attempt | None:
        if self.fault is not None:
            raise self.fault
        self.ids.append(message.event_id)
        if self.at_once:
            answered(self.script.pop(0) if len(self.script) > 1 else self.script[0])
            return None
        self.waiting[message.event_id] = answered
        self.most = max(self.most, len(self.waiting))
        return _Way(lambda: self.given_up.append(message.event_id))

    def tell(self, *ids: str) -> None:
        for id in ids:
            self.waiting.pop(id)(OK)

    async def send(
        self, batch: Sequence[delivery.Message], deadline_us: int
    ) -> Sequence[delivery.Outcome]:
        raise AssertionError("a sender that can start is not asked to send")

    async def close(self) -> None:
        """Nothing is held."""


class _Way:
    def __init__(self, cancel: Callable[[], None]) -> None:
        self.cancel = cancel


async def wired(it: World, target: Telling, concurrency: int | None = None) -> None:
    it.targets["t"] = target  # type: ignore[assignment]
    await it.rule("r", "t", concurrency=concurrency)


def delivered(it: World) -> int:
    return sum(row.delivered for row in it.engine.books().subscriptions)


async def test_an_answer_told_before_start_returns_settles_the_delivery() -> None:
    async with world() as it:
        target = Telling()
        await wired(it, target)
        await it.publish("e1", "e2", "e3")
        await virtual_time.passes(1)
        assert target.ids == ["e1", "e2", "e3"]
        assert (delivered(it), it.engine.ledger.pending()) == (3, 0)


async def test_a_failure_that_is_told_is_tried_again_by_the_policy() -> None:
    async with world() as it:
        target = Telling(DOWN, OK)
        await wired(it, target)
        await it.publish("e1")
        await virtual_time.passes(60)
        assert target.ids == ["e1", "e1"]
        assert delivered(it) == 1


async def test_a_sender_whose_start_raises_does_not_lose_the_delivery() -> None:
    async with world() as it:
        target = Telling()
        target.fault = RuntimeError("a bug")
        await wired(it, target)
        await it.publish("e1")
        await virtual_time.passes(1)
        assert it.engine.ledger.pending() == 1
        target.fault = None
        await virtual_time.passes(60)
        assert delivered(it) == 1


async def test_no_more_are_under_way_than_the_rule_allows_and_each_answer_starts_another() -> None:
    async with world() as it:
        target = Telling(at_once=False)
        await wired(it, target, concurrency=2)
        await it.publish(*(f"e{number}" for number in range(5)))
        await virtual_time.passes(1)
        assert target.ids == ["e0", "e1"]
        target.tell("e0", "e1")
        await virtual_time.passes(1)
        assert target.ids == ["e0", "e1", "e2", "e3"]
        target.tell("e3")
        await virtual_time.passes(1)
        target.tell("e2", "e4")
        await virtual_time.passes(1)
        assert (target.most, delivered(it)) == (2, 5)


async def test_what_lands_in_one_turn_is_settled_by_one_frame() -> None:
    async with world() as it:
        target = Telling(at_once=False)
        await wired(it, target, concurrency=50)
        ids = [f"e{number}" for number in range(20)]
        await it.publish(*ids)
        await virtual_time.passes(1)
        frames: list[int] = []
        it.engine.committer.followers.append(lambda frame, _: frames.append(len(frame.settlements)))
        target.tell(*ids)
        await virtual_time.passes(1)
        assert frames == [20]


async def test_a_delivery_that_was_answered_stays_its_lanes_until_it_is_with_the_committer() -> (
    None
):
    """No moment at which it looks free: retention and deletes ask exactly this."""
    async with world() as it:
        target = Telling(at_once=False)
        await wired(it, target)
        (position,) = await it.publish("e1")
        await virtual_time.passes(1)
        (taker,) = it.engine.dispatcher.lanes.values()
        target.tell("e1")
        assert position in taker.running
        await asyncio.sleep(0)
        number = taker.subscription.id
        settling = it.engine.committer.is_settling(position, number)
        assert settling or position not in it.engine.ledger.deliveries(number).open


async def test_a_rule_deleted_while_its_calls_run_settles_them_by_their_outcome() -> None:
    async with world() as it:
        target = Telling(at_once=False)
        await wired(it, target, concurrency=1)
        await it.publish("e1", "e2")
        await virtual_time.passes(1)
        await it.catalog.delete_rule("1000000000000001", "default", "r")
        target.tell("e1")
        await virtual_time.passes(1)
        assert target.ids == ["e1"]
        assert (delivered(it), it.engine.ledger.pending()) == (1, 0)


async def test_closing_waits_for_what_runs() -> None:
    async with world() as it:
        target = Telling(at_once=False)
        await wired(it, target)
        await it.publish("e1")
        await virtual_time.passes(1)
        closing = asyncio.create_task(it.engine.close())
        await virtual_time.passes(1)
        assert not closing.done()
        target.tell("e1")
        await closing
        assert target.given_up == []
        assert delivered(it) == 1
        await it.open()


async def test_closing_gives_up_what_runs_too_long_and_leaves_it_open() -> None:
    async with world() as it:
        target = Telling(at_once=False)
        await wired(it, target)
        await it.publish("e1")
        await virtual_time.passes(1)
        await it.engine.close(grace_s=0.5)
        assert target.given_up == ["e1"]
        target.at_once = True
        await it.open()
        await virtual_time.passes(1)
        assert target.ids == ["e1", "e1"]
        assert delivered(it) == 1
