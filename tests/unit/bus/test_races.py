"""What may happen between two awaits: rules that go, copies that move, stores that refuse."""

from __future__ import annotations

import asyncio

import pytest

from headrace.bus import deliver, lane, retention
from headrace.core import delivery, errors, event, limits
from headrace.resources import inputs
from headrace.store import ports
from headrace.store.settings import JournalSettings
from tests import virtual_time
from tests.unit.bus.world import ACCOUNT, DOWN, OK, POISONED, Target, World, world

pytestmark = pytest.mark.anyio

LARGE = "x" * 900_000
DAY_S = 25 * 3600


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": virtual_time.VirtualLoop}


def lane_of(it: World, rule: str) -> lane.Lane:
    found = it.catalog.get_rule(ACCOUNT, "default", rule)[0]
    return it.engine.dispatcher.lanes[found.targets[0].subscription]


async def fill_segment(it: World, events: int = 20) -> None:
    for number in range(events):
        await it.publish(f"other-{number}", source="else")


def hold_the_disk(it: World) -> asyncio.Event:
    """No frame is written until the event that is returned is set."""
    journal = it.engine._journal  # pyright: ignore[reportPrivateUsage]
    real, gate = journal.append, asyncio.Event()

    async def append(frame: ports.Frame) -> ports.Position:
        await gate.wait()
        return await real(frame)

    journal.append = append  # type: ignore[method-assign]
    return gate


# -- rules that change under an event -------------------------------------------------------------


async def test_event_in_the_queue_of_the_disk_when_its_rule_goes_is_dropped_not_orphaned() -> None:
    async with world() as it:
        await it.rule("r", "t")
        publishing = asyncio.ensure_future(it.publish("e1"))
        await asyncio.sleep(0)
        await it.catalog.delete_rule(ACCOUNT, "default", "r")
        await publishing
        await virtual_time.passes(5)
        assert it.engine.ledger.pending() == 0


async def test_message_in_the_queue_of_the_disk_when_its_queue_goes_is_dropped() -> None:
    async with world() as it:
        await it.catalog.create_queue(ACCOUNT, "inbox")
        sending = asyncio.ensure_future(it.engine.queues.send(ACCOUNT, "inbox", "hello"))
        await asyncio.sleep(0)
        await it.catalog.delete_queue(ACCOUNT, "inbox")
        await sending
        await virtual_time.passes(5)
        assert it.engine.ledger.pending() == 0


async def test_books_balance_when_a_rule_is_edited_while_a_large_request_is_written() -> None:
    async with world() as it:
        await it.rule("r", "t")
        first = asyncio.Event()
        it.engine.committer.followers.append(lambda frame, last: first.set())
        publishing = asyncio.ensure_future(it.publish(*(f"e{n}" for n in range(8)), data=LARGE))
        await first.wait()
        await it.catalog.update_rule(ACCOUNT, "default", "r", inputs.RulePatch(status="DISABLE"))
        await it.publish("between")
        await publishing
        await it.publish("after")
        await virtual_time.passes(5)
        (row,) = it.engine.books().rules
        assert (row.accepted, row.matched, row.balance) == (8, 8, 0)


# -- a lane that stands at an event ---------------------------------------------------------------


async def test_lane_goes_on_when_an_edit_lets_the_event_it_stood_at_die() -> None:
    async with world() as it:
        it.targets["t"] = Target(lambda sent: DOWN if sent.event_id == "bad" else OK)
        rule = await it.rule("r", "t", errors="NONE", concurrency=1)
        await it.publish("bad")
        await virtual_time.passes(200)
        await it.publish("after")
        target = inputs.TargetInput("t", "http", "http://example.com/", errors="ALL")
        await it.catalog.put_targets(ACCOUNT, "default", rule.name, [target])
        await virtual_time.passes(200)
        assert it.engine.dead_letters.count(ACCOUNT) == 1
        assert "after" in it.targets["t"].ids
        assert it.engine.ledger.pending() == 1, "the letter"


async def test_lane_goes_on_after_the_event_it_stood_at_was_carried_forward() -> None:
    async with world(JournalSettings(roll_events=4)) as it:
        healed = DAY_S + 2_000

        def answer(message: delivery.Message) -> delivery.Outcome:
            late = asyncio.get_running_loop().time() > healed
            return OK if late or message.event_id != "bad" else DOWN

        it.targets["t"] = Target(answer)
        await it.rule("r", "t", errors="NONE", concurrency=1, pattern='{"source":["shop"]}')
        await it.publish("bad")
        await virtual_time.passes(100)
        await it.publish("after")
        await fill_segment(it)
        await virtual_time.passes(DAY_S)
        assert "after" not in it.targets["t"].ids
        await virtual_time.passes(3_000)
        assert it.targets["t"].ids[-1] == "after"
        assert it.engine.ledger.pending() == 0


async def test_lane_stands_at_its_event_after_a_restart_too() -> None:
    async with world() as it:
        it.targets["t"] = Target(lambda sent: DOWN if sent.event_id == "bad" else OK)
        await it.rule("r", "t", errors="NONE", concurrency=1)
        await it.publish("bad")
        await virtual_time.passes(100)
        await it.publish("after")
        await it.crash()
        await virtual_time.passes(500)
        assert "after" not in it.targets["t"].ids


# -- loading --------------------------------------------------------------------------------------


async def test_lane_that_found_the_common_memory_full_starts_its_event_all_the_same() -> None:
    async with world() as it:
        await it.rule("r", "t")
        it.engine.dispatcher.loaded_bytes = deliver.LOADED_BYTES_MAX  # others hold it
        await it.publish("e1")
        await virtual_time.passes(5)
        assert it.targets["t"].ids == ["e1"]
        it.engine.dispatcher.loaded_bytes -= deliver.LOADED_BYTES_MAX


async def test_a_failed_read_costs_time_not_the_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    async with world() as it:
        await it.attempted(Target(DOWN, OK))
        journal = it.engine._journal  # pyright: ignore[reportPrivateUsage]
        real, left = journal.fetch, [1, 1]

        async def fetch(positions: list[ports.Position]) -> list[ports.Record | None]:
            if left:
                left.pop()
                raise ports.StoreError("too many open files")
            return await real(positions)

        monkeypatch.setattr(journal, "fetch", fetch)
        await virtual_time.passes(100)
        assert it.targets["t"].ids == ["e1", "e1"]
        lane_of(it, "r")._behind = True  # pyright: ignore[reportPrivateUsage]
        left.append(1)
        await it.publish("e2")
        lane_of(it, "r").pump()
        await virtual_time.passes(100)
        assert it.targets["t"].ids[-1] == "e2"


async def test_a_lane_closed_while_it_loads_leaves_no_bytes_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with world() as it:
        it.targets["t"] = Target(latency_s=1_000.0)
        await it.rule("r", "t", concurrency=1)
        for batch in range(3):
            await it.publish(*(f"e{batch}-{n}" for n in range(400)))
        taker = lane_of(it, "r")
        journal = it.engine._journal  # pyright: ignore[reportPrivateUsage]
        real, gate = journal.fetch, asyncio.Event()

        async def fetch(positions: list[ports.Position]) -> list[ports.Record | None]:
            await gate.wait()
            return await real(positions)

        monkeypatch.setattr(journal, "fetch", fetch)
        taker._ready.clear()  # pyright: ignore[reportPrivateUsage]
        it.engine.dispatcher.loaded_bytes -= taker._ready_bytes  # pyright: ignore[reportPrivateUsage]
        taker._ready_bytes = 0  # pyright: ignore[reportPrivateUsage]
        taker.pump()
        await asyncio.sleep(0)
        it.engine.dispatcher.unsubscribe(taker.subscription.id)
        gate.set()
        await virtual_time.passes(1)
        assert it.engine.dispatcher.loaded_bytes == 0


async def test_carried_retry_reaches_a_lane_that_is_behind() -> None:
    async with world(JournalSettings(roll_events=4)) as it:
        it.targets["t"] = Target(DOWN, OK)
        await it.rule("r", "t", retry="EXPONENTIAL_DECAY_RETRY", pattern='{"source":["shop"]}')
        await it.publish("kept")
        await virtual_time.passes(0.1)
        taker = lane_of(it, "r")
        await fill_segment(it)
        taker._behind = True  # pyright: ignore[reportPrivateUsage]
        keep = retention.Keep(age_ms=-1)
        it.engine.retention._keep = keep  # pyright: ignore[reportPrivateUsage]
        await it.engine.retention.sweep()
        taker.pump()
        await virtual_time.passes(10)
        assert it.targets["t"].ids == ["kept", "kept"]


# -- retention ------------------------------------------------------------------------------------


async def test_what_could_not_be_carried_forward_is_still_attempted() -> None:
    async with world(JournalSettings(roll_events=4)) as it:
        it.targets["t"] = Target(DOWN, OK)
        await it.rule("r", "t", retry="EXPONENTIAL_DECAY_RETRY", pattern='{"source":["shop"]}')
        await it.publish("kept")
        await virtual_time.passes(0.1)
        await fill_segment(it)
        it.engine.retention._keep = retention.Keep(age_ms=-1)  # pyright: ignore[reportPrivateUsage]
        it.log.room_bytes = 0
        with pytest.raises(errors.StoreFull):
            await it.engine.retention.sweep()
        await virtual_time.passes(10)
        assert it.targets["t"].ids == ["kept", "kept"]
        assert it.engine.ledger.pending() == 0


async def test_sweeps_go_on_after_one_was_told_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with world() as it:
        swept: list[int] = []

        async def sweep() -> int:
            swept.append(1)
            raise errors.Throttled("too many events wait for the disk")

        monkeypatch.setattr(it.engine.retention, "sweep", sweep)
        await virtual_time.passes(200)
        assert len(swept) == 3


async def test_a_delivery_that_settles_while_it_would_be_carried_is_not_delivered_twice() -> None:
    async with world(JournalSettings(roll_events=4)) as it:
        it.targets["t"] = Target(latency_s=1.0)
        await it.rule("r", "t", pattern='{"source":["shop"]}')
        await it.publish("kept")
        await fill_segment(it)
        it.engine.retention._keep = retention.Keep(age_ms=-1)  # pyright: ignore[reportPrivateUsage]
        gate = hold_the_disk(it)
        await virtual_time.passes(2)
        assert it.engine.ledger.pending() == 1, "answered, not yet durable"
        sweeping = asyncio.ensure_future(it.engine.retention.sweep())
        await virtual_time.passes(1)
        gate.set()
        await sweeping
        await virtual_time.passes(10)
        assert it.targets["t"].ids == ["kept"]
        (row,) = [one for one in it.engine.books().subscriptions if one.enqueued]
        assert (row.enqueued, row.carried_in, row.moved_out, row.stray) == (1, 0, 0, 0)


async def test_a_purged_message_is_not_carried_back() -> None:
    async with world(JournalSettings(roll_events=4)) as it:
        await it.catalog.create_queue(ACCOUNT, "inbox")
        for number in range(4):
            await it.engine.queues.send(ACCOUNT, "inbox", f"m{number}")
        await fill_segment(it)
        it.engine.retention._keep = retention.Keep(age_ms=-1)  # pyright: ignore[reportPrivateUsage]
        gate = hold_the_disk(it)
        purging = asyncio.ensure_future(it.engine.queues.purge(ACCOUNT, "inbox"))
        await asyncio.sleep(0)
        sweeping = asyncio.ensure_future(it.engine.retention.sweep())
        await virtual_time.passes(1)
        gate.set()
        await asyncio.gather(purging, sweeping)
        assert it.engine.queues.depth(ACCOUNT, "inbox") == 0


async def test_open_deliveries_are_not_carried_again_at_every_sweep() -> None:
    """A copy keeps the event's own time, but it is written now: only its segment's age counts."""
    async with world(JournalSettings(roll_events=4)) as it:
        await it.catalog.create_queue(ACCOUNT, "inbox")
        for number in range(20):
            await it.engine.queues.send(ACCOUNT, "inbox", f"m{number}")
        await virtual_time.passes(DAY_S)
        first = it.log.last
        await virtual_time.passes(3600)
        assert it.engine.queues.depth(ACCOUNT, "inbox") == 20
        assert it.log.last - first < 60


# -- attempts and letters -------------------------------------------------------------------------


async def test_a_sender_whose_inner_work_is_cancelled_costs_an_attempt() -> None:
    async with world() as it:

        def cancelled(message: delivery.Message) -> delivery.Outcome:
            raise asyncio.CancelledError

        it.targets["t"] = Target(cancelled, OK)
        await it.rule("r", "t")
        await it.publish("e1")
        await virtual_time.passes(100)
        assert it.engine.ledger.pending() == 0


async def test_a_letter_named_twice_in_one_call_is_sent_once() -> None:
    async with world() as it:
        await it.attempted(Target(POISONED, OK))
        letter = await it.only_letter()
        await it.engine.dead_letters.resend(ACCOUNT, [letter.id, letter.id])
        await virtual_time.passes(1)
        assert it.targets["t"].ids == ["e1", "e1"]


async def test_a_letter_sent_again_by_two_callers_at_once_is_sent_once() -> None:
    async with world() as it:
        await it.attempted(Target(POISONED, OK))
        letter = await it.only_letter()
        resend = it.engine.dead_letters.resend
        answers = await asyncio.gather(
            resend(ACCOUNT, [letter.id]), resend(ACCOUNT, [letter.id]), return_exceptions=True
        )
        await virtual_time.passes(1)
        assert it.targets["t"].ids == ["e1", "e1"]
        assert [type(one) for one in answers] == [list, errors.DeadLetterNotFound]


async def test_a_call_of_a_function_that_went_meanwhile_is_refused_by_name() -> None:
    async with world() as it:
        with pytest.raises(errors.FunctionNotFound):
            it.engine.postbox.call(ACCOUNT, "gone", b"", "id", None)


@pytest.mark.parametrize("hops", ["\u00b2", "9" * 5_000, "-3"])
async def test_a_strange_count_of_rounds_counts_as_none(hops: str) -> None:
    async with world() as it:
        await it.rule("r", "t")
        built = event.build({"id": "e1", "source": "shop", "type": "order"}, limits.WIDE)
        built.extensions.update(aliyunpublishtime="x", aliyunaccountid=ACCOUNT, headracehops=hops)
        await it.engine.publish(ACCOUNT, [built], bus="default", addr="")
        await virtual_time.passes(1)
        assert it.targets["t"].ids == ["e1"]


async def test_closing_on_a_dead_disk_lets_go_of_the_journal() -> None:
    made = World()
    await made.open()
    await made.publish("e1")
    made.log.sync_fails = True
    await made.engine.close()
    assert made.engine._journal._closed  # type: ignore[attr-defined]
