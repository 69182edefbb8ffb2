"""Delivery on simulated time: policy, dead letters, blocking, restart, isolation."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from headrace.bus import accept, deliver, lane
from headrace.core import delivery, errors
from headrace.resources import inputs
from headrace.store import ports
from headrace.store.settings import JournalSettings
from tests import virtual_time
from tests.unit.bus.world import ACCOUNT, DOWN, OK, POISONED, Target, world

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": virtual_time.VirtualLoop}


async def day() -> None:
    """Let a day and a half pass."""
    await virtual_time.passes(130_000)


async def test_an_event_reaches_every_target_of_a_matching_rule_and_no_other() -> None:
    async with world() as it:
        await it.rule("yes", "a", "b", pattern='{"source":["shop"]}')
        await it.rule("no", "c", pattern='{"source":["elsewhere"]}')
        await it.publish("e1")
        await virtual_time.passes(1)
        assert it.targets["a"].ids == it.targets["b"].ids == ["e1"]
        assert it.targets["c"].ids == []


async def test_decay_retries_176_times_with_the_documented_waits_then_one_dead_letter() -> None:
    async with world() as it:
        it.targets["t"] = Target(DOWN)
        await it.rule("r", "t", retry="EXPONENTIAL_DECAY_RETRY")
        await it.publish("e1")
        await day()
        waits = it.targets["t"].waits()
        assert len(waits) == 176
        assert [round(wait) for wait in waits[:10]] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
        assert {round(wait) for wait in waits[9:]} == {512}
        letters = await it.engine.dead_letters.list(ACCOUNT)
        assert [(one.event_id, one.rule, one.attempts) for one in letters] == [
            ("e1", "default/r", 177)
        ]
        assert letters[0].error == "[500]Internal Server Error"


async def test_backoff_retries_three_times_between_ten_and_twenty_seconds() -> None:
    async with world() as it:
        it.targets["t"] = Target(DOWN)
        await it.rule("r", "t")
        await it.publish("e1")
        await virtual_time.passes(100)
        waits = it.targets["t"].waits()
        assert len(waits) == 3
        assert all(10 <= wait <= 20.1 for wait in waits)
        assert it.engine.dead_letters.count(ACCOUNT) == 1


async def test_a_wish_of_the_receiver_to_wait_longer_is_honoured() -> None:
    async with world() as it:
        later = delivery.failed("throttled", 429, "Too Many Requests", after_ms=90_000)
        it.targets["t"] = Target(later, OK)
        await it.rule("r", "t")
        await it.publish("e1")
        await virtual_time.passes(200)
        assert it.targets["t"].waits() == [pytest.approx(90, abs=0.1)]


async def test_a_poisoned_event_is_dead_at_once_and_the_letter_holds_the_event() -> None:
    async with world() as it:
        await it.attempted(Target(POISONED), data={"amount": 3})
        assert len(it.targets["t"].seen) == 1
        letter = await it.only_letter()
        assert msgspec.json.decode(letter.event)["data"] == {"amount": 3}


async def test_a_dead_letter_is_sent_again_and_closed_in_one_frame() -> None:
    async with world() as it:
        await it.attempted(Target(POISONED, OK))
        letter = await it.only_letter()
        await it.engine.dead_letters.resend(ACCOUNT, [letter.id])
        await virtual_time.passes(1)
        assert it.targets["t"].ids == ["e1", "e1"]
        assert "ebdlqrule" not in it.targets["t"].seen[1][1].body.decode()
        assert it.engine.dead_letters.count(ACCOUNT) == 0
        with pytest.raises(errors.DeadLetterNotFound):
            await it.engine.dead_letters.resend(ACCOUNT, [letter.id])
        steps = await it.engine.traces(ACCOUNT, "default", "e1")
        assert [step.verdict for step in steps if step.action == "PushEvent"] == [
            "dead",
            "delivered",
        ]


async def test_a_dead_letter_also_stands_on_the_queue_its_target_names() -> None:
    async with world() as it:
        await it.catalog.create_queue(ACCOUNT, "letters")
        it.targets["t"] = Target(POISONED)
        arn = f"acs:mns:cn-hangzhou:{ACCOUNT}:/queues/letters"
        await it.rule("r", "t", dead_letter={"Arn": arn})
        await it.publish("e1")
        await virtual_time.passes(1)
        assert it.engine.dead_letters.count(ACCOUNT) == 1
        messages = await it.engine.queues.peek(ACCOUNT, "letters")
        assert [msgspec.json.decode(one.body)["id"] for one in messages] == ["e1"]


async def test_errors_tolerance_none_stands_at_the_event_and_never_skips_it() -> None:
    async with world() as it:

        def answer(message: delivery.Message) -> delivery.Outcome:
            healed = asyncio.get_running_loop().time() > 2_000
            return OK if message.event_id != "bad" or healed else DOWN

        it.targets["t"] = Target(answer)
        await it.rule("r", "t", errors="NONE", concurrency=1)
        await it.publish("good")
        await it.publish("bad")
        await virtual_time.passes(100)
        await it.publish("after")
        await virtual_time.passes(600)
        assert "after" not in it.targets["t"].ids
        assert it.engine.dead_letters.count(ACCOUNT) == 0
        await virtual_time.passes(600)
        assert it.targets["t"].ids[0] == "good"
        assert it.targets["t"].ids[-2:] == ["bad", "after"]


async def test_concurrency_of_a_target_is_never_exceeded_and_is_used() -> None:
    async with world() as it:
        it.targets["t"] = Target(latency_s=1.0)
        await it.rule("r", "t", concurrency=3)
        await it.publish(*(f"e{n}" for n in range(30)))
        await virtual_time.passes(60)
        assert it.targets["t"].running_most == 3
        assert len(it.targets["t"].seen) == 30


async def test_a_slow_target_holds_up_no_other_and_its_backlog_is_not_in_memory() -> None:
    async with world() as it:
        it.targets["slow"] = Target(latency_s=3_600.0)
        await it.rule("slow", "slow", concurrency=1)
        await it.rule("fast", "fast")
        for batch in range(10):
            await it.publish(*(f"e{batch}-{n}" for n in range(200)))
        await virtual_time.passes(5)
        assert len(it.targets["fast"].seen) == 2_000
        taker = it.engine.dispatcher.lanes[
            it.catalog.get_rule(ACCOUNT, "default", "slow")[0].targets[0].subscription
        ]
        assert len(taker._ready) <= lane.WINDOW_RECORDS_MAX  # pyright: ignore[reportPrivateUsage]
        assert len(taker.state.open) == 2_000
        it.targets["slow"].latency_s = 0.0
        await virtual_time.passes(4_000)
        assert sorted(it.targets["slow"].ids) == sorted(it.targets["fast"].ids)


async def test_what_was_open_before_a_crash_is_delivered_after_it_with_its_attempts() -> None:
    async with world() as it:
        it.targets["t"] = Target(DOWN)
        await it.rule("r", "t", retry="EXPONENTIAL_DECAY_RETRY")
        await it.publish("e1")
        await virtual_time.passes(4)
        attempts = len(it.targets["t"].seen)
        assert attempts == 3
        await it.crash()
        it.targets["t"].script = [OK]
        await virtual_time.passes(5)
        assert it.targets["t"].seen[-1][1].attempt == attempts + 1
        assert it.engine.ledger.pending() == 0


async def test_after_a_crash_a_retry_is_not_due_earlier_than_it_was() -> None:
    async with world() as it:
        it.targets["t"] = Target(DOWN)
        await it.rule("r", "t", retry="EXPONENTIAL_DECAY_RETRY")
        await it.publish("e1")
        await virtual_time.passes(300)  # the next wait is 256 s
        seen = len(it.targets["t"].seen)
        await it.crash()
        await virtual_time.passes(100)
        assert len(it.targets["t"].seen) == seen
        await virtual_time.passes(200)
        assert len(it.targets["t"].seen) == seen + 1


async def test_deleting_a_rule_drops_what_is_open_and_says_so() -> None:
    async with world() as it:
        it.targets["t"] = Target(DOWN)
        await it.rule("r", "t", retry="EXPONENTIAL_DECAY_RETRY")
        await it.publish("e1", "e2")
        await virtual_time.passes(2)
        await it.catalog.delete_rule(ACCOUNT, "default", "r")
        await virtual_time.passes(1)
        assert it.engine.ledger.pending() == 0
        steps = await it.engine.traces(ACCOUNT, "default", "e1")
        assert steps[-1].status == f"[{ports.DropReason.RULE_DELETED:d}]rule_deleted"
        await virtual_time.passes(1_000)
        assert it.engine.dead_letters.count(ACCOUNT) == 0


async def test_open_deliveries_use_the_newest_configuration_of_their_target() -> None:
    async with world() as it:
        it.targets["t"] = Target(DOWN)
        await it.rule("r", "t", retry="EXPONENTIAL_DECAY_RETRY")
        await it.publish("e1")
        await virtual_time.passes(2)
        replaced = Target()
        it.targets["t"] = replaced
        target = inputs.TargetInput("t", "http", "http://example.com/new")
        await it.catalog.put_targets(ACCOUNT, "default", "r", [target])
        await virtual_time.passes(10)
        assert replaced.ids == ["e1"]


async def test_a_disabled_rule_matches_nothing_more_but_its_open_deliveries_go_on() -> None:
    async with world() as it:
        it.targets["t"] = Target(DOWN, OK)
        await it.rule("r", "t", retry="EXPONENTIAL_DECAY_RETRY")
        await it.publish("before")
        await virtual_time.passes(0.1)
        await it.catalog.update_rule(ACCOUNT, "default", "r", inputs.RulePatch(status="DISABLE"))
        await it.publish("while")
        await virtual_time.passes(10)
        assert it.targets["t"].ids == ["before", "before"]


async def test_a_forwarding_target_puts_its_message_and_settlement_in_one_frame() -> None:
    async with world() as it:
        await it.catalog.create_queue(ACCOUNT, "inbox")
        forward = delivery.Forward("queue", "inbox", b"hello")
        await it.attempted(Target(delivery.Outcome(True, "ok", 201, forward=forward)))
        messages = await it.engine.queues.peek(ACCOUNT, "inbox")
        assert [one.body for one in messages] == ["hello"]
        assert await it.engine.queues.purge(ACCOUNT, "inbox") == 1
        assert it.engine.queues.depth(ACCOUNT, "inbox") == 0


async def test_a_forward_to_a_queue_that_is_gone_is_retried_and_then_dead() -> None:
    async with world() as it:
        forward = delivery.Forward("queue", "nowhere", b"hello")
        it.targets["t"] = Target(delivery.Outcome(True, "ok", 201, forward=forward))
        await it.rule("r", "t")
        await it.publish("e1")
        await virtual_time.passes(100)
        letter = await it.only_letter()
        assert "[404]the queue [nowhere] does not exist" in letter.error


async def test_a_target_with_a_bug_costs_an_attempt_not_the_delivery() -> None:
    async with world() as it:

        def bug(message: delivery.Message) -> delivery.Outcome:
            raise ZeroDivisionError("a bug")

        it.targets["t"] = Target(bug, OK)
        await it.rule("r", "t")
        await it.publish("e1")
        await virtual_time.passes(30)
        assert it.engine.ledger.pending() == 0
        assert it.targets["t"].seen[-1][1].attempt == 2


async def test_an_event_that_runs_in_a_circle_is_kept_and_matches_nothing() -> None:
    async with world() as it:
        await it.rule("r", "t")
        given = {"id": "e1", "source": "shop", "type": "order"}
        again = accept.event.build(given, accept.event.limits.WIDE)
        for _ in range(accept.HOPS_MAX + 3):
            again._fields = again._body = None
            await it.engine.publish(ACCOUNT, [again], bus="default", addr="")
        await virtual_time.passes(1)
        assert len(it.targets["t"].seen) == accept.HOPS_MAX + 1
        _, verdicts = await it.engine.why(ACCOUNT, "default", "e1")
        assert "loop guard" in verdicts[0].because


async def test_a_full_store_refuses_events_and_the_dead_letter_waits_for_room() -> None:
    async with world() as it:
        it.targets["t"] = Target(POISONED)
        await it.rule("r", "t")
        it.targets["t"].latency_s = 5.0
        await it.publish("e1")
        it.log.room_bytes = 0
        with pytest.raises(errors.StoreFull):
            await it.publish("e2")
        await virtual_time.passes(20)
        assert it.engine.dead_letters.count(ACCOUNT) == 0
        assert it.engine.ledger.pending() == 1
        it.log.room_bytes = None
        await virtual_time.passes(20)
        assert it.engine.dead_letters.count(ACCOUNT) == 1


@pytest.mark.parametrize("letter_id", ["", "x", "-1", "7", "\u00b2", "9" * 19, "9" * 40])
async def test_letter_that_is_not_there_is_not_found_whatever_its_id(letter_id: str) -> None:
    async with world() as it:
        with pytest.raises(errors.DeadLetterNotFound):
            await it.engine.dead_letters.get(ACCOUNT, letter_id)


async def test_retention_carries_open_deliveries_forward_with_their_attempts() -> None:
    async with world(JournalSettings(roll_events=4)) as it:
        it.targets["t"] = Target(DOWN)
        await it.rule("r", "t", retry="EXPONENTIAL_DECAY_RETRY", pattern='{"source":["shop"]}')
        await it.publish("kept")
        for number in range(20):
            await it.publish(f"other-{number}", source="else")
        await virtual_time.passes(25 * 3600)  # the sweeps find the old segments
        assert it.engine.ledger.pending() + it.engine.dead_letters.count(ACCOUNT) >= 1
        assert len(await it.engine._journal.segments()) == 1 or (  # pyright: ignore[reportPrivateUsage]
            (await it.engine.usage()).first > 1
        )
        seen = [message.attempt for _, message in it.targets["t"].seen]
        assert seen == list(range(1, len(seen) + 1)), "no attempt is repeated or lost"


async def test_an_event_that_was_sent_again_is_listed_once() -> None:
    async with world() as it:
        await it.rule("r", "t")
        await it.publish("e1")
        await virtual_time.passes(1)
        await it.engine.replay(ACCOUNT, "default", "e1")
        found = await it.engine.search(ACCOUNT, "default", start_ms=0, stop_ms=1 << 62)
        assert [kept.id for kept in found.items] == ["e1"]


async def test_a_replayed_event_is_delivered_again_and_not_accepted_twice() -> None:
    async with world() as it:
        await it.rule("r", "t")
        await it.publish("e1")
        await virtual_time.passes(1)
        assert await it.engine.replay(ACCOUNT, "default", "e1") == 1
        await virtual_time.passes(1)
        assert it.targets["t"].ids == ["e1", "e1"]
        assert [row.matched for row in it.engine.books().rules] == [1]


async def test_dropping_a_large_backlog_is_cut_into_frames() -> None:
    async with world() as it:
        it.targets["t"] = Target(latency_s=1e6)
        await it.rule("r", "t", concurrency=1)
        for batch in range(6):
            await it.publish(*(f"e{batch}-{n}" for n in range(900)))
        await it.catalog.delete_rule(ACCOUNT, "default", "r")
        await virtual_time.passes(1)
        assert it.engine.ledger.pending() <= 1
        assert deliver.DROP_CHUNK < 5_400


async def test_read_your_writes_a_rule_matches_from_the_moment_it_is_answered() -> None:
    async with world() as it:
        for number in range(20):
            await it.rule(f"r{number}", f"t{number}")
            await it.publish(f"e{number}")
        await virtual_time.passes(1)
        for number in range(20):
            assert it.targets[f"t{number}"].ids == [f"e{n}" for n in range(number, 20)]
