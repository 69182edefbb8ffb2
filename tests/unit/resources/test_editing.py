"""How records are read and written: decode once, compare-and-set, the feed, meeting writers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from headrace.core import errors
from headrace.resources import editing, inputs, model
from headrace.store import ports
from headrace.store.memory import registry as memory
from tests.unit.resources import world as worlds

pytestmark = pytest.mark.anyio

ACCOUNT = worlds.ACCOUNT


async def two_worlds() -> tuple[worlds.World, worlds.World]:
    """Two catalogs, as of two processes, over one registry."""
    table = memory.MemoryTable()
    first = await worlds.World(table=table).opened()
    second = await worlds.World(table=table).opened()
    return first, second


class Interloper(memory.MemoryRegistry):
    """Lets something happen between the reads of a write and its commit."""

    def __init__(self, world: worlds.World) -> None:
        super().__init__(world.clock, table=world.table)
        self.acts: list[Callable[[], Awaitable[None]]] = []

    async def commit(
        self, changes: Sequence[ports.Change], *, unless: Sequence[ports.Guard] = ()
    ) -> ports.Revision:
        if self.acts:
            await self.acts.pop(0)()
        return await super().commit(changes, unless=unless)


async def with_interloper(world: worlds.World) -> tuple[worlds.World, Interloper]:
    """Return a second catalog over the table of `world` whose commits can be preceded by acts."""
    other = worlds.World(table=world.table)
    interloper = Interloper(other)
    await interloper.open()
    editor = other.catalog._editor  # pyright: ignore[reportPrivateUsage]
    editor._registry = interloper  # pyright: ignore[reportPrivateUsage]
    return other, interloper


async def test_a_record_is_decoded_once_per_revision(world: worlds.World) -> None:
    await world.rule("r")
    first = world.stored_rule("r")
    assert world.stored_rule("r") is first
    await world.catalog.update_rule(ACCOUNT, "default", "r", inputs.RulePatch(status="DISABLE"))
    assert world.stored_rule("r") is not first


async def test_the_feed_tells_before_and_after_in_order(world: worlds.World) -> None:
    await world.rule("r")
    await world.catalog.update_rule(ACCOUNT, "default", "r", inputs.RulePatch(status="DISABLE"))
    await world.catalog.delete_rule(ACCOUNT, "default", "r")
    made, changed, gone = world.heard
    assert [change.kind for change in world.heard] == ["rule"] * 3
    assert {change.account for change in world.heard} == {ACCOUNT}
    assert {change.key for change in world.heard} == {f"{ACCOUNT}/rule/default/r"}
    assert made.before is None
    assert made.after == changed.before
    assert changed.after == gone.before
    assert gone.after is None
    assert made.revision < changed.revision < gone.revision


async def test_the_feed_has_spoken_when_the_write_returns(world: worlds.World) -> None:
    """Read your writes: the bus routes by the new rule as soon as the caller may publish."""
    seen: list[bool] = []

    def listener(changes: Sequence[editing.Changed]) -> None:
        seen.append(world.registry.get(changes[0].key) is not None)

    world.catalog.on_change(listener)
    await world.rule("r")
    assert seen == [True]


async def test_a_refused_write_is_not_heard(world: worlds.World) -> None:
    with pytest.raises(errors.BusNotFound):
        await world.rule("r", bus="missing")
    assert world.heard == []


async def test_a_write_whose_caller_went_away_is_still_heard(world: worlds.World) -> None:
    """A durable change that the bus did not hear of would leave it on an old rule set."""
    reached, released = asyncio.Event(), asyncio.Event()
    other, interloper = await with_interloper(world)

    async def wait() -> None:
        reached.set()
        await released.wait()

    interloper.acts.append(wait)
    writer = asyncio.ensure_future(other.rule("r"))
    await reached.wait()
    writer.cancel()
    released.set()
    with pytest.raises(asyncio.CancelledError):
        await writer
    await other.rule("next")
    assert [change.key.rsplit("/", 1)[1] for change in other.heard] == ["r", "next"]


async def test_writers_in_one_process_queue_and_all_get_through(world: worlds.World) -> None:
    await world.rule("r")
    await asyncio.gather(
        *(
            world.catalog.put_targets(ACCOUNT, "default", "r", [worlds.web(str(number))])
            for number in range(40)
        )
    )
    assert len(world.stored_rule("r").targets) == 40


async def test_a_write_that_met_another_process_is_repeated_on_what_it_finds() -> None:
    first, _ = await two_worlds()
    await first.rule("r")
    other, interloper = await with_interloper(first)

    async def meanwhile() -> None:
        await first.catalog.put_targets(ACCOUNT, "default", "r", [worlds.web("theirs")])

    interloper.acts.append(meanwhile)
    await other.catalog.put_targets(ACCOUNT, "default", "r", [worlds.web("ours")])
    assert [target.id for target in other.stored_rule("r").targets] == ["theirs", "ours"]


async def test_of_two_writers_on_one_revision_one_is_told_of_the_other() -> None:
    first, second = await two_worlds()
    await first.with_function("f")
    await first.trigger()
    await second.registry.open()
    seen = second.view().revision
    assert seen == first.view().revision
    await first.catalog.update_rule(
        ACCOUNT, "default", "f-t", inputs.RulePatch(pattern="{}"), revision=seen
    )
    with pytest.raises(errors.EditConflict, match="pattern on the bus side"):
        await second.catalog.update_trigger(
            ACCOUNT, "f", "t", inputs.TriggerPatch(description="x"), revision=seen
        )


async def test_a_bus_is_not_deleted_under_a_rule_that_is_being_made() -> None:
    first, _ = await two_worlds()
    await first.catalog.create_bus(ACCOUNT, "b")
    other, interloper = await with_interloper(first)

    async def meanwhile() -> None:
        await first.rule("r", bus="b")

    interloper.acts.append(meanwhile)
    with pytest.raises(errors.BusNotEmpty):
        await other.catalog.delete_bus(ACCOUNT, "b")


async def test_a_rule_is_not_made_on_a_bus_that_is_being_deleted() -> None:
    first, _ = await two_worlds()
    await first.catalog.create_bus(ACCOUNT, "b")
    other, interloper = await with_interloper(first)

    async def meanwhile() -> None:
        await first.catalog.delete_bus(ACCOUNT, "b")

    interloper.acts.append(meanwhile)
    with pytest.raises(errors.BusNotFound):
        await other.rule("r", bus="b")


async def test_a_function_is_not_deleted_under_a_trigger_that_is_being_made() -> None:
    first, _ = await two_worlds()
    await first.with_function("f")
    other, interloper = await with_interloper(first)

    async def meanwhile() -> None:
        await first.trigger()

    interloper.acts.append(meanwhile)
    with pytest.raises(errors.FunctionInUse):
        await other.catalog.delete_function(ACCOUNT, "f")


async def test_a_queue_is_not_deleted_under_a_target_that_is_being_made() -> None:
    first, _ = await two_worlds()
    await first.catalog.create_queue(ACCOUNT, "q")
    await first.rule("r")
    other, interloper = await with_interloper(first)

    async def meanwhile() -> None:
        await first.catalog.put_targets(ACCOUNT, "default", "r", [worlds.feeds("q")])

    interloper.acts.append(meanwhile)
    with pytest.raises(errors.Refused) as refused:
        await other.catalog.delete_queue(ACCOUNT, "q")
    assert refused.value.code == "QueueInUse"


async def test_a_record_that_never_holds_still_is_given_up(world: worlds.World) -> None:
    await world.rule("r")
    other, interloper = await with_interloper(world)
    count = 0

    async def meanwhile() -> None:
        nonlocal count
        count += 1
        await world.catalog.update_rule(
            ACCOUNT, "default", "r", inputs.RulePatch(description=str(count))
        )
        interloper.acts.append(meanwhile)

    interloper.acts.append(meanwhile)
    with pytest.raises(errors.EditConflict, match="kept changing"):
        await other.catalog.update_rule(ACCOUNT, "default", "r", inputs.RulePatch(status="DISABLE"))
    assert count == editing.EDIT_ATTEMPTS_MAX


async def test_a_walk_meets_every_account(world: worlds.World) -> None:
    await world.with_function("f")
    await world.rule("r")
    await world.catalog.create_rule("other", "default", inputs.RuleInput("s", "{}"))
    found = [(each.account, each.record.name) for each in world.catalog.walk(editing.RULE)]
    assert found == [(ACCOUNT, "r"), ("other", "s")]


async def test_a_record_that_was_made_again_is_told_so(world: worlds.World) -> None:
    await world.rule("r")
    _, seen = world.catalog.get_rule(ACCOUNT, "default", "r")
    await world.catalog.delete_rule(ACCOUNT, "default", "r")
    await world.rule("r")
    with pytest.raises(errors.EditConflict, match="deleted, and made again"):
        await world.catalog.delete_rule(ACCOUNT, "default", "r", revision=seen)


async def test_only_the_newest_edits_are_remembered(world: worlds.World) -> None:
    await world.rule("r")
    _, seen = world.catalog.get_rule(ACCOUNT, "default", "r")
    for number in range(6):
        await world.catalog.update_rule(
            ACCOUNT, "default", "r", inputs.RulePatch(description=str(number))
        )
    assert len(world.stored_rule("r").edits) == model.EDITS_KEPT
    with pytest.raises(errors.EditConflict, match="and earlier edits"):
        await world.catalog.delete_rule(ACCOUNT, "default", "r", revision=seen)
