"""Red switches on simulated time: what is held starts nothing and loses nothing."""

from __future__ import annotations

import pytest

from headrace.bus import switchboard
from headrace.core import errors
from headrace.resources import inputs, model
from headrace.store.settings import JournalSettings
from tests import virtual_time
from tests.unit.bus.world import ACCOUNT, DOWN, OK, Target, World, world

pytestmark = pytest.mark.anyio

ALL = ("pause-all", "")
THIS_ACCOUNT = ("pause-account", ACCOUNT)
THIS_TARGET = ("pause-target", "default/r/t")
DRAIN = ("drain", "")
READ_ONLY = ("read-only", "")
HOLDING = (ALL, THIS_ACCOUNT, THIS_TARGET, DRAIN)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": virtual_time.VirtualLoop}


async def turn(it: World, switch: tuple[str, str], *, on: bool = True) -> model.Switch:
    return await it.catalog.turn_switch(
        ACCOUNT, switch[0], switch[1], on=on, by="AKtest", reason="incident 7"
    )


# -- the decision


def a_switch(kind: model.SwitchKind, of: str = "", *, on: bool = True) -> model.Switch:
    return model.Switch(kind, of, ACCOUNT, on, 1, (model.Flip(on, 1, "AKtest", ""),))


@pytest.mark.parametrize(
    ("found", "account", "name", "held_by"),
    [
        ((), ACCOUNT, "default/r/t", ""),
        ((a_switch("read-only"),), ACCOUNT, "default/r/t", ""),
        ((a_switch("pause-all"),), "another", "async/f", "pause-all"),
        ((a_switch("drain"),), "another", "default/r/t", "drain"),
        ((a_switch("pause-all", on=False),), ACCOUNT, "default/r/t", ""),
        ((a_switch("pause-account", "7"),), "7", "default/r/t", "pause-account 7"),
        ((a_switch("pause-account", "7"),), ACCOUNT, "default/r/t", ""),
        (
            (a_switch("pause-target", "default/r/t"),),
            ACCOUNT,
            "default/r/t",
            "pause-target default/r/t",
        ),
        ((a_switch("pause-target", "default/r/t"),), ACCOUNT, "default/r/u", ""),
        ((a_switch("pause-target", "default/r/t"),), "another", "default/r/t", ""),
        ((a_switch("pause-target", "async/f"),), ACCOUNT, "async/f", "pause-target async/f"),
        ((a_switch("pause-target", "default/r/t"), a_switch("drain")), ACCOUNT, "x/y/z", "drain"),
    ],
)
def test_the_switch_that_holds_a_delivery_is_named(
    found: tuple[model.Switch, ...], account: str, name: str, held_by: str
) -> None:
    """Every kind, on and off, of this and of another account; the widest one is named."""
    assert switchboard.board_of(found).holding(account, name) == held_by


# -- what is held


@pytest.mark.parametrize("switch", HOLDING, ids=lambda one: one[0])
async def test_what_comes_while_a_switch_is_on_waits_and_arrives_once_in_order(
    switch: tuple[str, str],
) -> None:
    async with world() as it:
        await it.rule("r", "t", concurrency=1)
        await turn(it, switch)
        sent = [f"e{number}" for number in range(40)]
        for at in range(0, 40, 8):
            await it.publish(*sent[at : at + 8])
        await virtual_time.passes(100_000)
        assert it.targets["t"].seen == []
        await turn(it, switch, on=False)
        await virtual_time.passes(1)
        assert it.targets["t"].ids == sent
        assert {message.attempt for _, message in it.targets["t"].seen} == {1}


async def test_more_than_a_window_waits_on_disk_and_arrives_once_in_order() -> None:
    async with world() as it:
        it.targets["t"] = Target(OK, latency_s=0.01)
        await it.rule("r", "t", concurrency=1)
        first = [f"a{number}" for number in range(700)]  # behind already when it is paused
        await it.publish(*first)
        await virtual_time.passes(0.055)
        await turn(it, THIS_TARGET)
        later = [f"b{number}" for number in range(700)]
        await it.publish(*later)
        await virtual_time.passes(1_000)
        assert it.targets["t"].ids == first[: len(it.targets["t"].ids)]
        assert len(it.targets["t"].ids) < 20
        await turn(it, THIS_TARGET, on=False)
        await virtual_time.passes(100)
        assert it.targets["t"].ids == first + later


async def test_a_paused_target_holds_up_nobody_else() -> None:
    async with world() as it:
        await it.rule("r", "t", "u")
        await turn(it, THIS_TARGET)
        await it.publish("e1")
        await virtual_time.passes(1)
        assert (it.targets["t"].ids, it.targets["u"].ids) == ([], ["e1"])


async def test_what_is_under_way_ends_and_is_settled() -> None:
    async with world() as it:
        it.targets["t"] = Target(OK, latency_s=5)
        await it.rule("r", "t", concurrency=1)
        await it.publish("e1", "e2")
        await virtual_time.passes(1)
        await turn(it, DRAIN)
        assert it.engine.dispatcher.under_way == 1
        await virtual_time.passes(100)
        assert it.engine.dispatcher.under_way == 0
        assert it.targets["t"].ids == ["e1"]
        steps = await it.engine.traces(ACCOUNT, "default", "e1")
        assert steps[-1].verdict == "delivered"


@pytest.mark.parametrize("switch", HOLDING, ids=lambda one: one[0])
async def test_a_retry_that_comes_due_while_paused_is_made_at_the_end_with_its_number(
    switch: tuple[str, str],
) -> None:
    async with world() as it:
        await it.attempted(Target(DOWN, OK))
        await turn(it, switch)
        await virtual_time.passes(3_600)
        assert len(it.targets["t"].seen) == 1
        await turn(it, switch, on=False)
        await virtual_time.passes(100)
        assert [message.attempt for _, message in it.targets["t"].seen] == [1, 2]
        assert it.targets["t"].waits() == [pytest.approx(3_601, abs=1)]
        assert it.engine.dead_letters.count(ACCOUNT) == 0


async def test_a_retry_that_is_not_due_at_the_end_keeps_its_time() -> None:
    async with world() as it:
        await it.attempted(Target(DOWN, OK))
        await turn(it, ALL)
        await virtual_time.passes(5)
        await turn(it, ALL, on=False)
        await virtual_time.passes(100)
        (wait,) = it.targets["t"].waits()
        assert 10 <= wait <= 20.1


async def test_no_attempt_is_used_up_however_long_the_pause() -> None:
    """After it all retries are still there, and then one dead letter."""
    async with world() as it:
        await it.attempted(Target(DOWN))
        for _ in range(50):
            await turn(it, THIS_TARGET)
            await virtual_time.passes(3_600)
        assert len(it.targets["t"].seen) == 1
        await turn(it, THIS_TARGET, on=False)
        await virtual_time.passes(200)
        assert [message.attempt for _, message in it.targets["t"].seen] == [1, 2, 3, 4]
        assert it.engine.dead_letters.count(ACCOUNT) == 1


@pytest.mark.parametrize("switch", HOLDING, ids=lambda one: one[0])
async def test_a_switch_outlives_a_crash_and_so_does_what_it_holds(switch: tuple[str, str]) -> None:
    async with world() as it:
        await it.attempted(Target(DOWN, OK))
        await turn(it, switch)
        await it.publish("e2")
        for _ in range(2):
            await it.crash()
            await virtual_time.passes(3_600)
        assert it.targets["t"].ids == ["e1"]
        (known,) = it.engine.switchboard.on
        assert (known.flips[-1].by, known.flips[-1].reason) == ("AKtest", "incident 7")
        await turn(it, switch, on=False)
        await virtual_time.passes(100)
        arrived = sorted((m.event_id, m.attempt) for _, m in it.targets["t"].seen)
        assert arrived == [("e1", 1), ("e1", 2), ("e2", 1)]


async def test_a_pause_outlives_retention_and_loses_nothing() -> None:
    """What waits is carried forward, again and again."""
    async with world(JournalSettings(roll_bytes=40_000)) as it:
        await it.rule("r", "t")
        await turn(it, ALL)
        sent = [f"e{number}" for number in range(30)]
        for one in sent:
            await it.publish(one, data="x" * 4_000)
        for _ in range(3):
            await virtual_time.passes(25 * 3_600)
        assert it.targets["t"].seen == []
        await turn(it, ALL, on=False)
        await virtual_time.passes(10)
        assert sorted(it.targets["t"].ids) == sorted(sent)


async def test_a_target_that_is_made_while_all_is_paused_is_paused_too() -> None:
    async with world() as it:
        await turn(it, ALL)
        await it.rule("r", "t")
        await it.publish("e1")
        await virtual_time.passes(10)
        assert it.targets["t"].ids == []
        await turn(it, ALL, on=False)
        await virtual_time.passes(1)
        assert it.targets["t"].ids == ["e1"]


async def test_of_two_switches_each_must_be_off() -> None:
    async with world() as it:
        await it.rule("r", "t")
        await turn(it, ALL)
        await turn(it, THIS_TARGET)
        await it.publish("e1")
        await turn(it, ALL, on=False)
        await virtual_time.passes(10)
        assert it.targets["t"].ids == []
        await turn(it, THIS_TARGET, on=False)
        await virtual_time.passes(1)
        assert it.targets["t"].ids == ["e1"]


@pytest.mark.parametrize("switch", [ALL, DRAIN, ("pause-target", "async/f")], ids=str)
async def test_asynchronous_calls_wait(switch: tuple[str, str]) -> None:
    async with world() as it:
        code = inputs.Code(sha256="0" * 64, checksum="1", size=1)
        given = inputs.FunctionInput("f", "python3.12", "i.h", code)
        function = await it.catalog.create_function(ACCOUNT, given)
        await turn(it, switch)
        await it.engine.enqueue_call(ACCOUNT, function, b"payload", request_id="1")
        await virtual_time.passes(1_000)
        assert it.calls["f"].seen == []
        await turn(it, switch, on=False)
        await virtual_time.passes(1)
        assert [message.attempt for _, message in it.calls["f"].seen] == [1]


async def test_deleting_a_paused_rule_drops_what_waits_with_the_reason() -> None:
    async with world() as it:
        await it.rule("r", "t")
        await turn(it, THIS_TARGET)
        await it.publish("e1")
        await it.catalog.delete_rule(ACCOUNT, "default", "r")
        await virtual_time.passes(1)
        steps = await it.engine.traces(ACCOUNT, "default", "e1")
        assert (steps[-1].verdict, steps[-1].status) == ("dropped", "[1]rule_deleted")
        await turn(it, THIS_TARGET, on=False)
        assert it.engine.ledger.pending() == 0


# -- what is told


async def test_trace_and_why_name_the_switch_of_what_waits() -> None:
    async with world() as it:
        it.targets["t"] = Target(DOWN, OK)
        await it.rule("r", "t")
        await it.publish("tried")
        await virtual_time.passes(1)
        await turn(it, THIS_TARGET)
        await it.publish("fresh")
        for event_id, attempt in (("tried", 2), ("fresh", 0)):
            last = (await it.engine.traces(ACCOUNT, "default", event_id))[-1]
            assert (last.held_by, last.attempt) == ("pause-target default/r/t", attempt)
            _, (verdict,) = await it.engine.why(ACCOUNT, "default", event_id)
            assert "t: waiting [0]paused by switch pause-target default/r/t" in verdict.because
        await turn(it, THIS_TARGET, on=False)
        await virtual_time.passes(100)
        _, (verdict,) = await it.engine.why(ACCOUNT, "default", "tried")
        assert verdict.because == "matched; t: delivered [200]Ok"


async def test_a_delivery_that_is_under_way_is_not_called_paused() -> None:
    async with world() as it:
        await it.attempted(Target(OK, latency_s=5))
        await turn(it, ALL)
        last = (await it.engine.traces(ACCOUNT, "default", "e1"))[-1]
        assert (last.held_by, last.status) == ("", "[0]waiting")


# -- requests


async def test_only_read_only_refuses_changes_and_only_drain_refuses_calls() -> None:
    async with world() as it:
        await it.rule("r", "t")
        board = it.engine.switchboard
        for switch in (*HOLDING, READ_ONLY):
            await turn(it, switch)
            assert board.closed is (switch in (DRAIN, READ_ONLY))
            for refuse, refusing, error in (
                (board.refuse_changes, READ_ONLY, errors.ReadOnly),
                (board.refuse_calls, DRAIN, errors.Draining),
            ):
                if switch == refusing:
                    with pytest.raises(error):
                        refuse()
                else:
                    refuse()
            await turn(it, switch, on=False)
            assert not board.closed


async def test_deliveries_go_on_in_read_only_mode() -> None:
    """What was accepted is brought there; that is no change from outside."""
    async with world() as it:
        await it.attempted(Target(DOWN, OK))
        await turn(it, READ_ONLY)
        await virtual_time.passes(100)
        assert len(it.targets["t"].seen) == 2


async def test_what_waits_for_a_switch_is_on_disk_not_in_memory() -> None:
    """Neither retries that come due nor new events are loaded while nothing may start."""
    async with world() as it:
        it.targets["t"] = Target(DOWN)
        await it.rule("r", "t", concurrency=20)
        await it.publish(*(f"a{number}" for number in range(20)))
        await virtual_time.passes(1)
        await turn(it, ALL)
        await it.publish(*(f"b{number}" for number in range(100)))
        await virtual_time.passes(3_600)
        assert it.engine.dispatcher.loaded_bytes == 0
        it.targets["t"].script = [OK]
        await turn(it, ALL, on=False)
        await virtual_time.passes(100)
        assert len(it.targets["t"].seen) == 20 + 20 + 100


async def test_a_lane_that_stands_at_an_event_stands_while_paused_and_goes_on_there() -> None:
    """ErrorsTolerance NONE: what it stands at is tried first afterwards, and told meanwhile."""
    async with world() as it:
        it.targets["t"] = Target(DOWN)
        await it.rule("r", "t", errors="NONE", concurrency=1)
        await it.publish("stuck")
        await virtual_time.passes(200)
        attempts = len(it.targets["t"].seen)
        await it.publish("next")
        await turn(it, THIS_TARGET)
        await it.crash()
        await virtual_time.passes(3_600)
        assert len(it.targets["t"].seen) == attempts
        last = (await it.engine.traces(ACCOUNT, "default", "stuck"))[-1]
        assert (last.held_by, last.attempt) == ("pause-target default/r/t", attempts + 1)
        it.targets["t"].script = [OK]
        await turn(it, THIS_TARGET, on=False)
        await virtual_time.passes(100)
        arrived = [(message.event_id, message.attempt) for _, message in it.targets["t"].seen]
        assert arrived[attempts:] == [("stuck", attempts + 1), ("next", 1)]
