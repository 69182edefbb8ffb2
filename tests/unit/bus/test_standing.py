"""A target with ErrorsTolerance NONE stands at what it cannot deliver: it skips nothing, ever."""

from __future__ import annotations

import pytest

from headrace.bus import lane, retention
from headrace.core import delivery
from headrace.store.settings import JournalSettings
from tests import virtual_time
from tests.unit.bus.test_races import fill_segment, lane_of
from tests.unit.bus.world import DOWN, OK, POISONED, Target, World, world

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": virtual_time.VirtualLoop}


class Picky(Target):
    """Refuses the events it is told to, takes all others."""

    def __init__(self, **refused: delivery.Outcome) -> None:
        super().__init__(self._answer)
        self.refused = refused

    def _answer(self, message: delivery.Message) -> delivery.Outcome:
        return self.refused.get(message.event_id, OK)


async def standing(it: World, *, concurrency: int = 1, **refused: delivery.Outcome) -> Picky:
    """A rule whose target refuses some events; one second has passed since they came."""
    target = it.targets["t"] = Picky(**refused)
    await it.rule("r", "t", errors="NONE", concurrency=concurrency, pattern='{"source": ["shop"]}')
    await it.publish(*refused)
    await virtual_time.passes(1)
    return target


async def test_it_stands_at_two_until_both_have_passed() -> None:
    async with world() as it:
        target = await standing(it, concurrency=2, one=POISONED, two=POISONED)
        del target.refused["one"]
        await virtual_time.passes(30)
        assert it.engine.ledger.pending() == 1
        await it.publish("after")
        await virtual_time.passes(100)
        assert "after" not in target.ids
        del target.refused["two"]
        await virtual_time.passes(30)
        assert target.ids[-1] == "after"


@pytest.mark.parametrize(("refusal", "after_s"), [(POISONED, 5), (DOWN, 200)])
async def test_it_stands_there_after_a_restart_too(
    refusal: delivery.Outcome, after_s: float
) -> None:
    async with world() as it:
        target = await standing(it, bad=refusal)
        await virtual_time.passes(after_s)
        await it.crash()
        await it.publish("after")
        await virtual_time.passes(100)
        assert "after" not in target.ids
        del target.refused["bad"]
        await virtual_time.passes(30)
        assert target.ids[-2:] == ["bad", "after"]


async def test_it_stands_at_an_event_that_was_carried_forward() -> None:
    async with world(JournalSettings(roll_events=20)) as it:
        await it.engine.close()
        await it.open(retention.Keep(bytes=1))
        target = await standing(it, bad=POISONED)
        await fill_segment(it, 40)
        await it.engine.retention.sweep()
        moved = [state.moved_out for state in it.engine.ledger.subscriptions.values()]
        assert max(moved) == 1
        await it.publish("after")
        await virtual_time.passes(100)
        assert set(target.ids) == {"bad"}
        assert min(target.waits()) >= 20
        del target.refused["bad"]
        await virtual_time.passes(30)
        assert target.ids[-2:] == ["bad", "after"]


async def test_what_else_is_due_stays_on_disk_while_it_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lane, "WINDOW_RECORDS_MAX", 4)
    async with world() as it:
        refused = {f"e{number}": DOWN for number in range(60)}
        target = await standing(it, concurrency=60, **refused)
        target.refused["e0"] = POISONED
        await virtual_time.passes(25)  # all are due, one is what the lane stands at
        held = len(lane_of(it, "r")._ready)  # pyright: ignore[reportPrivateUsage]
        assert held <= lane.WINDOW_RECORDS_MAX + 2 * lane.LOAD_RECORDS_FIRST
        target.refused.clear()
        await virtual_time.passes(120)
        assert it.engine.ledger.pending() == 0
