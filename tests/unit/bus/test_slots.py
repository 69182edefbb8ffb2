"""Attempts under way are bounded and divided: among accounts, and among the targets of one."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from headrace.bus import slots
from headrace.core import delivery
from tests import virtual_time
from tests.unit.bus import world as worlds

pytestmark = pytest.mark.anyio

FLOOD, QUIET = worlds.ACCOUNT, worlds.OTHER
MOST = 20
#: Each target has one attempt in any case, so all together may have so many more.
TARGETS = 4


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": virtual_time.VirtualLoop}


class Meter:
    """Counts what is under way, of all targets and of each account."""

    def __init__(self) -> None:
        self.running: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.most_of_all = 0

    def target(self, latency_s: float) -> Metered:
        return Metered(self, latency_s)


class Metered(worlds.Target):
    def __init__(self, meter: Meter, latency_s: float) -> None:
        super().__init__(latency_s=latency_s)
        self._meter = meter

    async def send(self, batch: list[delivery.Message], deadline_us: int) -> list[delivery.Outcome]:  # type: ignore[override]
        account, meter = batch[0].account, self._meter
        meter.running[account] += 1
        meter.most[account] = max(meter.most[account], meter.running[account])
        meter.most_of_all = max(meter.most_of_all, meter.running.total())
        try:
            return list(await super().send(batch, deadline_us))
        finally:
            meter.running[account] -= 1


async def wire(
    it: worlds.World, meter: Meter, account: str, ids: list[str], latency_s: float
) -> list[Metered]:
    """One rule of `account` with a target per id, each of which takes `latency_s`."""
    made: list[Metered] = []
    for id in ids:
        it.targets[id] = meter.target(latency_s)
        made.append(it.targets[id])  # type: ignore[arg-type]
    await it.rule(f"rule-{ids[0]}", *ids, account=account)
    return made


async def test_one_account_alone_uses_all_there_is_and_no_more() -> None:
    async with worlds.world() as it:
        it.engine.dispatcher.slots = slots.Slots(MOST)
        meter = Meter()
        targets = await wire(it, meter, FLOOD, ["a", "b", "c", "d"], 10.0)
        await it.publish(*(f"e{n}" for n in range(40)), account=FLOOD)
        await virtual_time.passes(5)
        assert MOST <= meter.running[FLOOD] <= MOST + TARGETS
        await virtual_time.passes(1_000)
        assert meter.most_of_all <= MOST + TARGETS
        assert [len(set(target.ids)) for target in targets] == [40] * 4
        # Never idle: 160 attempts of 10 s, 20 at a time.
        ended = max(at for target in targets for at, _ in target.seen)
        began = min(at for target in targets for at, _ in target.seen) - 10
        assert 60 <= ended - began <= 81


async def test_an_account_that_floods_does_not_hold_up_the_other() -> None:
    """The flood's attempts hang; what comes into the full house starts at once all the same."""
    async with worlds.world() as it:
        it.engine.dispatcher.slots = slots.Slots(MOST)
        meter = Meter()
        await wire(it, meter, FLOOD, ["a", "b", "c", "d"], 50.0)
        (quiet,) = await wire(it, meter, QUIET, ["q"], 1.0)
        await it.publish(*(f"f{n}" for n in range(100)), account=FLOOD)
        await virtual_time.passes(1)
        now = asyncio.get_running_loop().time()
        await it.publish(*(f"q{n}" for n in range(30)), account=QUIET)
        await virtual_time.passes(5)
        assert set(quiet.ids) == {f"q{n}" for n in range(30)}
        # Half of all is its share: ten at a time, a second each.
        assert [round(at - now) for at, _ in quiet.seen] == [1] * 10 + [2] * 10 + [3] * 10


async def test_two_accounts_that_compete_get_equal_parts() -> None:
    async with worlds.world() as it:
        it.engine.dispatcher.slots = slots.Slots(MOST)
        meter = Meter()
        flood = await wire(it, meter, FLOOD, ["a0", "a1", "a2", "a3"], 1.0)
        few = await wire(it, meter, QUIET, ["b0", "b1"], 1.0)
        await it.publish(*(f"f{n}" for n in range(200)), account=FLOOD)
        await it.publish(*(f"q{n}" for n in range(200)), account=QUIET)
        await virtual_time.passes(30)
        done = [sum(len(target.seen) for target in targets) for targets in (flood, few)]
        assert sum(done) >= 29 * MOST
        assert done[0] >= 29 * MOST / 2
        assert done[1] >= 29 * MOST / 2
        await virtual_time.passes(1_000)


async def test_what_one_does_not_want_the_other_has() -> None:
    async with worlds.world() as it:
        it.engine.dispatcher.slots = slots.Slots(MOST)
        meter = Meter()
        await wire(it, meter, FLOOD, ["a", "b", "c", "d"], 1.0)
        await wire(it, meter, QUIET, ["q"], 1.0)
        await it.publish(*(f"f{n}" for n in range(100)), account=FLOOD)
        await it.publish("q1", "q2", account=QUIET)
        await virtual_time.passes(10)
        assert meter.running[QUIET] == 0
        assert MOST <= meter.running[FLOOD] <= MOST + TARGETS
        await virtual_time.passes(1_000)


async def test_targets_of_one_account_take_turns_and_each_has_one_attempt_in_any_case() -> None:
    async with worlds.world() as it:
        it.engine.dispatcher.slots = slots.Slots(MOST)
        meter = Meter()
        hanging = await wire(it, meter, FLOOD, [f"h{n}" for n in range(6)], 50.0)
        (quick,) = await wire(it, meter, FLOOD, ["quick"], 0.1)
        await it.publish(*(f"e{n}" for n in range(100)), account=FLOOD)
        await virtual_time.passes(11)
        assert len(quick.ids) >= 100
        assert sum(target.running for target in hanging) <= MOST + len(hanging)
        assert all(target.running for target in hanging), "each has at least one under way"
        await virtual_time.passes(10_000)


async def test_targets_of_one_account_that_all_hang_leave_the_other_its_share() -> None:
    """Each target has one attempt in any case; together they must not take what others may have."""
    async with worlds.world() as it:
        it.engine.dispatcher.slots = slots.Slots(MOST)
        meter = Meter()
        for number in range(12):
            await wire(it, meter, FLOOD, [f"h{number}-{n}" for n in range(5)], 50.0)
        (quiet,) = await wire(it, meter, QUIET, ["q"], 1.0)
        await it.publish(*(f"f{n}" for n in range(20)), account=FLOOD)
        await virtual_time.passes(1)
        await it.publish(*(f"q{n}" for n in range(30)), account=QUIET)
        await virtual_time.passes(5)
        assert set(quiet.ids) == {f"q{n}" for n in range(30)}
        assert meter.most[QUIET] == MOST // 2
        await virtual_time.passes(10_000)
        assert it.engine.dispatcher.slots.shares.taken == 0


async def test_an_account_that_falls_below_its_share_need_not_wait_until_others_are_at_theirs() -> (
    None
):
    """The attempts of the others hang, and are more than all there is."""
    async with worlds.world() as it:
        it.engine.dispatcher.slots = room = slots.Slots(4)
        room.shares.take("flood", 6)
        room.shares.take("more", 2)
        meter = Meter()
        (quiet,) = await wire(it, meter, QUIET, ["q"], 1.0)
        room.shares.take(QUIET, 1)
        await it.publish("q1", account=QUIET)
        await virtual_time.passes(3)
        assert not quiet.ids, "it has its share"
        room.shares.give_back(QUIET, 1)
        it.engine.dispatcher._serve_waiting()  # pyright: ignore[reportPrivateUsage]
        await virtual_time.passes(3)
        assert quiet.ids == ["q1"], "whoever has nothing gets one, though nobody else let go"


async def test_more_targets_that_hang_than_there_is_room_for_take_turns_with_a_quick_one() -> None:
    async with worlds.world() as it:
        it.engine.dispatcher.slots = slots.Slots(4)
        meter = Meter()
        hanging: list[Metered] = []
        for number in range(12):  # they end one by one, not all at the same moment
            hanging += await wire(it, meter, FLOOD, [f"h{number}"], 5 + 0.37 * number)
        (quick,) = await wire(it, meter, FLOOD, ["quick"], 0.1)
        await it.publish(*(f"e{n}" for n in range(40)), account=FLOOD)
        await virtual_time.passes(60)
        assert meter.most_of_all <= 6
        assert len(quick.ids) >= 4
        assert min(len(target.ids) for target in hanging) >= 3, "each has its turns"
        await virtual_time.passes(10_000)
        assert not it.engine.dispatcher.slots.crowded


async def test_a_large_event_counts_for_more() -> None:
    async with worlds.world() as it:
        it.engine.dispatcher.slots = slots.Slots(MOST)
        meter = Meter()
        (target,) = await wire(it, meter, FLOOD, ["a"], 1.0)
        text = "x" * (slots.SLOT_BYTES * 9)
        for number in range(4):
            await it.publish(f"e{number}", data=text, account=FLOOD)
        await virtual_time.passes(0.5)
        assert target.running == 2
        await virtual_time.passes(10)
        assert len(target.ids) == 4
        assert it.engine.dispatcher.slots.shares.taken == 0


async def test_a_rule_that_is_deleted_while_it_waits_for_its_turn_leaves_nothing_behind() -> None:
    async with worlds.world() as it:
        it.engine.dispatcher.slots = slots.Slots(4)
        meter = Meter()
        await wire(it, meter, FLOOD, ["a"], 10.0)
        await wire(it, meter, FLOOD, ["b"], 10.0)
        await it.publish(*(f"e{n}" for n in range(20)), account=FLOOD)
        await virtual_time.passes(1)
        await it.catalog.delete_rule(FLOOD, "default", "rule-b")
        await virtual_time.passes(1_000)
        assert len(set(it.targets["a"].ids)) == 20
        assert it.engine.dispatcher.slots.shares.taken == 0
        assert not it.engine.dispatcher.slots.crowded
