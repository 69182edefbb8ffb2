"""One test per row of the delete table: both sides see the effect that it promises."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from headrace.core import errors
from headrace.resources import deletes, inputs, targets
from tests.unit.resources import world as worlds

pytestmark = pytest.mark.anyio

ACCOUNT = worlds.ACCOUNT
World = worlds.World
Check = Callable[[World], Awaitable[None]]

CHECKS: dict[str, Check] = {}


def cell(operation: str, origin: str, situation: str) -> Callable[[Check], Check]:
    def keep(check: Check) -> Check:
        CHECKS[f"{operation}/{origin}/{situation}"] = check
        return check

    return keep


def test_every_row_has_its_check_and_every_check_its_row() -> None:
    assert set(CHECKS) == {row.id for row in deletes.DELETE_TABLE}


@pytest.mark.parametrize("row", deletes.DELETE_TABLE, ids=lambda row: row.id)
async def test_the_row_does_what_it_says(world: World, row: deletes.Cell) -> None:
    await world.with_function("f", "g")
    await CHECKS[row.id](world)


def rule_is_gone(world: World, name: str = "f-t") -> bool:
    try:
        world.stored_rule(name)
    except errors.RuleNotFound:
        return True
    return False


def target_ids(world: World, name: str = "f-t") -> list[str]:
    return [target.id for target in world.stored_rule(name).targets]


async def shared_trigger(world: World) -> str:
    """Make trigger `t` of `f` with another target; return the id of its own target."""
    own = (await world.trigger()).target_id
    await world.catalog.put_targets(ACCOUNT, "default", "f-t", [worlds.web("extra")])
    return own


# -- delete_trigger


@cell("delete_trigger", "trigger", deletes.ALONE)
async def _(world: World) -> None:
    await world.trigger()
    await world.catalog.delete_trigger(ACCOUNT, "f", "t")
    assert rule_is_gone(world)
    assert world.trigger_names() == []


@cell("delete_trigger", "trigger", deletes.SHARED)
async def _(world: World) -> None:
    await shared_trigger(world)
    await world.catalog.delete_trigger(ACCOUNT, "f", "t")
    assert target_ids(world) == ["extra"]
    assert world.stored_rule("f-t").origin is None
    assert world.trigger_names() == []


@cell("delete_trigger", "rule", deletes.ALONE)
async def _(world: World) -> None:
    await world.rule("r", targets=[worlds.calls("f")])
    await world.catalog.delete_trigger(ACCOUNT, "f", "default|r|1")
    assert target_ids(world, "r") == []
    assert world.trigger_names() == []


@cell("delete_trigger", "rule", deletes.SHARED)
async def _(world: World) -> None:
    await world.rule("r", targets=[worlds.calls("f"), worlds.calls("f", "2")])
    await world.catalog.delete_trigger(ACCOUNT, "f", "default|r|1")
    assert target_ids(world, "r") == ["2"]
    assert world.trigger_names() == ["default|r|2"]


@cell("delete_trigger", "rule", deletes.ADDED)
async def _(world: World) -> None:
    own = (await world.trigger()).target_id
    await world.catalog.put_targets(ACCOUNT, "default", "f-t", [worlds.calls("g", "added")])
    await world.catalog.delete_trigger(ACCOUNT, "g", "default|f-t|added")
    assert target_ids(world) == [own]
    assert world.trigger_names("f") == ["t"]
    assert world.trigger_names("g") == []


# -- delete_rule


@cell("delete_rule", "trigger", deletes.ALONE)
async def _(world: World) -> None:
    await world.trigger()
    await world.catalog.delete_rule(ACCOUNT, "default", "f-t")
    assert world.trigger_names() == []
    await world.trigger()


@cell("delete_rule", "trigger", deletes.SHARED)
async def _(world: World) -> None:
    await shared_trigger(world)
    await world.catalog.delete_rule(ACCOUNT, "default", "f-t")
    assert world.trigger_names() == []
    assert rule_is_gone(world)


@cell("delete_rule", "rule", deletes.ANY)
async def _(world: World) -> None:
    await world.rule("r", targets=[worlds.calls("f")])
    await world.catalog.delete_rule(ACCOUNT, "default", "r")
    assert world.trigger_names() == []


# -- delete_targets


@cell("delete_targets", "trigger", deletes.OWN)
async def _(world: World) -> None:
    own = await shared_trigger(world)
    await world.catalog.delete_targets(ACCOUNT, "default", "f-t", [own])
    assert target_ids(world) == ["extra"]
    assert world.trigger_names() == []
    with pytest.raises(errors.RuleExists, match=r"on the bus \[default\]!$"):
        await world.trigger()


@cell("delete_targets", "trigger", deletes.OTHER)
async def _(world: World) -> None:
    own = await shared_trigger(world)
    await world.catalog.delete_targets(ACCOUNT, "default", "f-t", ["extra"])
    assert target_ids(world) == [own]
    assert world.trigger_names() == ["t"]


@cell("delete_targets", "rule", deletes.FUNCTION)
async def _(world: World) -> None:
    await world.rule("r", targets=[worlds.calls("f")])
    await world.catalog.delete_targets(ACCOUNT, "default", "r", ["1"])
    assert world.trigger_names() == []
    assert target_ids(world, "r") == []


# -- put_targets


@cell("put_targets", "trigger", deletes.ELSEWHERE)
async def _(world: World) -> None:
    own = (await world.trigger()).target_id
    for elsewhere in (worlds.web(own), worlds.calls("g", own)):
        await world.catalog.put_targets(ACCOUNT, "default", "f-t", [elsewhere])
        assert world.trigger_names("f") == []
        assert world.stored_rule("f-t").origin is None
    assert world.trigger_names("g") == [f"default|f-t|{own}"]
    await world.catalog.put_targets(ACCOUNT, "default", "f-t", [worlds.calls("f", own)])
    assert world.trigger_names("f") == [f"default|f-t|{own}"], "a trigger that ended stays ended"


@cell("put_targets", "trigger", deletes.STILL)
async def _(world: World) -> None:
    own = (await world.trigger()).target_id
    await world.catalog.put_targets(
        ACCOUNT, "default", "f-t", [worlds.calls("f", own, errors="NONE")]
    )
    assert world.config()["runOptions"] == {"errorsTolerance": "NONE"}


@cell("put_targets", "rule", deletes.LISTED_ELSEWHERE)
async def _(world: World) -> None:
    await world.rule("r", targets=[worlds.calls("f")])
    await world.catalog.put_targets(ACCOUNT, "default", "r", [worlds.calls("g")])
    assert world.trigger_names("f") == []
    assert world.trigger_names("g") == ["default|r|1"]


# -- disable_rule


async def disable(world: World, rule: str) -> None:
    patch = inputs.RulePatch(status="DISABLE")
    await world.catalog.update_rule(ACCOUNT, "default", rule, patch)


@cell("disable_rule", "trigger", deletes.ANY)
async def _(world: World) -> None:
    await world.trigger()
    await disable(world, "f-t")
    assert world.config()["triggerEnable"] is False
    assert world.view().status == "DISABLE"


@cell("disable_rule", "rule", deletes.ANY)
async def _(world: World) -> None:
    await world.rule("r", targets=[worlds.calls("f")])
    await disable(world, "r")
    assert world.config("default|r|1")["triggerEnable"] is False
    assert world.view("default|r|1").status == "DISABLE"


# -- delete_function


@cell("delete_function", "trigger", deletes.USED_BY_TRIGGERS)
async def _(world: World) -> None:
    await world.trigger()
    with pytest.raises(errors.FunctionInUse, match=r"\[t\]"):
        await world.catalog.delete_function(ACCOUNT, "f")
    assert world.catalog.get_function(ACCOUNT, "f")
    await world.catalog.delete_trigger(ACCOUNT, "f", "t")
    await world.catalog.delete_function(ACCOUNT, "f")


@cell("delete_function", "rule", deletes.USED_BY_RULES)
async def _(world: World) -> None:
    await world.rule("r", targets=[worlds.calls("f")])
    await world.catalog.delete_function(ACCOUNT, "f")
    assert targets.function_of(world.stored_rule("r").targets[0]) == "f"
    with pytest.raises(errors.FunctionNotFound):
        world.trigger_names()
    await world.with_function("f")
    assert world.trigger_names() == ["default|r|1"]


@cell("delete_function", "-", deletes.UNUSED)
async def _(world: World) -> None:
    await world.catalog.delete_function(ACCOUNT, "f")
    with pytest.raises(errors.FunctionNotFound):
        world.catalog.get_function(ACCOUNT, "f")


# -- delete_bus


@cell("delete_bus", "-", deletes.IS_DEFAULT)
async def _(world: World) -> None:
    with pytest.raises(errors.BusNameInvalid):
        await world.catalog.delete_bus(ACCOUNT, "default")


@cell("delete_bus", "-", deletes.HAS_RULES)
async def _(world: World) -> None:
    await world.catalog.create_bus(ACCOUNT, "b")
    await world.rule("r", bus="b")
    with pytest.raises(errors.BusNotEmpty, match=r"\[r\]") as refused:
        await world.catalog.delete_bus(ACCOUNT, "b")
    assert refused.value.code == "EventBusRuleNotEmptyForDelete"


@cell("delete_bus", "-", deletes.HAS_SOURCES)
async def _(world: World) -> None:
    await world.catalog.create_bus(ACCOUNT, "b")
    await world.catalog.create_source(ACCOUNT, "b", inputs.SourceInput("s", "HttpEvent"))
    with pytest.raises(errors.BusNotEmpty, match=r"\[s\]") as refused:
        await world.catalog.delete_bus(ACCOUNT, "b")
    assert refused.value.code == "EventBusSourceNotEmptyForDelete"


@cell("delete_bus", "-", deletes.EMPTY)
async def _(world: World) -> None:
    await world.catalog.create_bus(ACCOUNT, "b")
    await world.rule("r", bus="b")
    await world.catalog.delete_rule(ACCOUNT, "b", "r")
    await world.catalog.delete_bus(ACCOUNT, "b")
    with pytest.raises(errors.BusNotFound):
        world.catalog.get_bus(ACCOUNT, "b")
    await world.catalog.create_bus(ACCOUNT, "b")


# -- delete_queue


@cell("delete_queue", "-", deletes.IS_TARGET)
async def _(world: World) -> None:
    await world.catalog.create_queue(ACCOUNT, "q")
    await world.rule("r", targets=[worlds.feeds("q")])
    with pytest.raises(errors.Refused, match="default/r/q") as refused:
        await world.catalog.delete_queue(ACCOUNT, "q")
    assert refused.value.code == "QueueInUse"


@cell("delete_queue", "-", deletes.IS_DEAD_LETTER)
async def _(world: World) -> None:
    await world.catalog.create_queue(ACCOUNT, "q")
    dead = {"Arn": worlds.dead_letter_arn("q")}
    await world.rule("r", targets=[worlds.web(dead_letter=dead)])
    with pytest.raises(errors.Refused, match=r"dead letters.*default/r/w"):
        await world.catalog.delete_queue(ACCOUNT, "q")


@cell("delete_queue", "-", deletes.UNUSED)
async def _(world: World) -> None:
    first = await world.catalog.create_queue(ACCOUNT, "q")
    with pytest.raises(errors.QueueExists):
        await world.catalog.create_queue(ACCOUNT, "q")
    await world.rule("r", targets=[worlds.feeds("q")])
    await world.catalog.delete_rule(ACCOUNT, "default", "r")
    await world.catalog.delete_queue(ACCOUNT, "q")
    with pytest.raises(errors.QueueNotFound):
        world.catalog.get_queue(ACCOUNT, "q")
    second = await world.catalog.create_queue(ACCOUNT, "q")
    assert second.subscription != first.subscription
