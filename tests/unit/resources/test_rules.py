"""Rules and targets from the bus side: whole validation, upsert by id, numbers of lives."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.core import errors, limits
from headrace.resources import inputs
from tests.unit.resources import world as worlds

pytestmark = pytest.mark.anyio

ACCOUNT = worlds.ACCOUNT


async def test_a_rule_comes_back_as_it_was_made(world: worlds.World) -> None:
    given = inputs.RuleInput("r", '{ "source" : ["a"] }', "why", None, [worlds.web()], {"a": "b"})
    made = await world.catalog.create_rule(ACCOUNT, "default", given)
    rule, revision = world.catalog.get_rule(ACCOUNT, "default", "r")
    assert rule == made
    assert revision > 0
    assert (rule.pattern, rule.description) == ('{ "source" : ["a"] }', "why")
    assert (rule.status, rule.tags) == ("ENABLE", {"a": "b"})
    assert rule.number > 0
    assert rule.targets[0].subscription > 0


async def test_a_rule_needs_its_bus(world: worlds.World) -> None:
    with pytest.raises(errors.BusNotFound):
        await world.rule(bus="missing")
    with pytest.raises(errors.BusNotFound):
        world.catalog.get_rule(ACCOUNT, "missing", "r")


async def test_a_missing_rule_is_told_in_the_words_of_the_cloud(world: worlds.World) -> None:
    with pytest.raises(errors.RuleNotFound, match="The event rule not existed!") as missing:
        world.catalog.get_rule(ACCOUNT, "default", "a/b")
    assert missing.value.code == "EventRuleNotExisted"


async def test_a_second_rule_of_the_same_name_is_refused_on_its_bus_only(
    world: worlds.World,
) -> None:
    await world.catalog.create_bus(ACCOUNT, "other")
    await world.rule()
    await world.rule(bus="other")
    with pytest.raises(errors.RuleExists):
        await world.rule()


async def test_a_bad_pattern_is_refused_on_create_and_update(world: worlds.World) -> None:
    bad = '{"source":[{"prefixx":"a"}]}'
    with pytest.raises(errors.PatternInvalid) as refused:
        await world.catalog.create_rule(ACCOUNT, "default", inputs.RuleInput("r", bad))
    assert "source" in str(refused.value.field)
    await world.rule()
    with pytest.raises(errors.PatternInvalid):
        await world.catalog.update_rule(ACCOUNT, "default", "r", inputs.RulePatch(pattern=bad))
    assert world.stored_rule("r").pattern == '{"source":["a"]}'


async def test_an_update_changes_only_what_is_given(world: worlds.World) -> None:
    await world.rule(targets=[worlds.web()])
    before = world.stored_rule("r")
    world.clock.now_ms += 5
    await world.catalog.update_rule(
        ACCOUNT, "default", "r", inputs.RulePatch(status="DISABLE", description="off")
    )
    after = world.stored_rule("r")
    assert (after.status, after.description) == ("DISABLE", "off")
    assert (after.pattern, after.targets, after.number) == (
        before.pattern,
        before.targets,
        before.number,
    )
    assert (after.created_ms, after.modified_ms) == (before.created_ms, world.clock.now_ms)


async def test_an_update_that_changes_nothing_writes_nothing(world: worlds.World) -> None:
    await world.rule()
    _, before = world.catalog.get_rule(ACCOUNT, "default", "r")
    await world.catalog.update_rule(ACCOUNT, "default", "r", inputs.RulePatch(status="ENABLE"))
    assert world.catalog.get_rule(ACCOUNT, "default", "r")[1] == before


@pytest.mark.parametrize("status", ["enable", "ENABLED", "OFF"])
async def test_a_status_has_two_values(world: worlds.World, status: str) -> None:
    with pytest.raises(errors.InvalidInput, match="ENABLE or DISABLE"):
        await world.catalog.create_rule(
            ACCOUNT, "default", inputs.RuleInput("r", "{}", status=status)
        )


async def test_a_rule_with_one_bad_target_is_not_made(world: worlds.World) -> None:
    with pytest.raises(errors.TargetInvalid) as refused:
        await world.rule(targets=[worlds.web("a"), worlds.web("b", url="ftp://x")])
    assert refused.value.field == "EventTargets[1].Endpoint"
    with pytest.raises(errors.RuleNotFound):
        world.stored_rule("r")


async def test_two_targets_with_one_id_are_refused(world: worlds.World) -> None:
    with pytest.raises(errors.TargetIdDuplicate):
        await world.rule(targets=[worlds.web("a"), worlds.web("a")])


async def test_put_targets_writes_the_good_entries_and_reports_the_others(
    world: worlds.World,
) -> None:
    await world.rule(targets=[worlds.web("kept")])
    refused = await world.catalog.put_targets(
        ACCOUNT,
        "default",
        "r",
        [
            worlds.web("good"),
            worlds.web("bad", url="nowhere"),
            worlds.web("twice"),
            worlds.web("twice"),
            worlds.feeds("missing", "queue"),
        ],
    )
    assert [target.id for target in world.stored_rule("r").targets] == ["kept", "good"]
    assert [entry.entry_id for entry in refused] == ["bad", "twice", "twice", "queue"]
    assert refused[0].code == "EventTargetIneffectiveAttribute"
    assert "Targets[1].Endpoint" in refused[0].message
    assert refused[1].code == "EventRuleTargetIdDuplicate"
    assert refused[1].message == "The id of event target is duplicate!"
    assert "headrace queue create missing" in refused[3].message


async def test_a_replaced_target_keeps_its_subscription_and_its_place(
    world: worlds.World,
) -> None:
    await world.rule(targets=[worlds.web("a"), worlds.web("b")])
    before = world.stored_rule("r").targets
    await world.catalog.put_targets(
        ACCOUNT, "default", "r", [worlds.web("a", url="https://new.example/")]
    )
    after = world.stored_rule("r").targets
    assert after[0].endpoint == "https://new.example/"
    assert [target.subscription for target in after] == [each.subscription for each in before]


async def test_a_target_made_again_has_a_new_life(world: worlds.World) -> None:
    await world.rule(targets=[worlds.web("a")])
    first = world.stored_rule("r").targets[0].subscription
    await world.catalog.delete_targets(ACCOUNT, "default", "r", ["a"])
    await world.catalog.put_targets(ACCOUNT, "default", "r", [worlds.web("a")])
    assert world.stored_rule("r").targets[0].subscription != first


async def test_a_rule_made_again_has_a_new_life(world: worlds.World) -> None:
    first = await world.rule(targets=[worlds.web()])
    await world.catalog.delete_rule(ACCOUNT, "default", "r")
    second = await world.rule(targets=[worlds.web()])
    assert first.number != second.number
    assert first.targets[0].subscription != second.targets[0].subscription


async def test_subscriptions_are_interned_under_a_name_that_tells_the_target(
    world: worlds.World,
) -> None:
    rule = await world.rule(targets=[worlds.web("a")])
    name = world.registry.name_of(rule.targets[0].subscription)
    assert name is not None
    assert name.startswith(f"{ACCOUNT}/subscription/default/r/a/")


async def test_delete_targets_reports_ids_that_are_not_there(world: worlds.World) -> None:
    await world.rule(targets=[worlds.web("a")])
    refused = await world.catalog.delete_targets(ACCOUNT, "default", "r", ["a", "x"])
    assert [(entry.entry_id, entry.code) for entry in refused] == [("x", "EventTargetNotExist")]
    assert world.stored_rule("r").targets == ()


async def test_targets_are_listed_by_bus_rule_and_endpoint(world: worlds.World) -> None:
    await world.catalog.create_bus(ACCOUNT, "other")
    await world.rule(targets=[worlds.web("b"), worlds.web("a", url="http://two.example/")])
    await world.rule(bus="other", targets=[worlds.web("c")])

    def ids(**more: Any) -> list[str]:
        return [placed.target.id for placed in world.catalog.list_targets(ACCOUNT, **more).items]

    assert ids() == ["a", "b", "c"]
    assert ids(bus="other") == ["c"]
    assert ids(bus="default", rule="r") == ["a", "b"]
    assert ids(arn="http://two.example/") == ["a"]


async def test_rules_are_listed_by_prefix(world: worlds.World) -> None:
    for name in ("b2", "a1", "b1"):
        await world.rule(name)
    listed = world.catalog.list_rules(ACCOUNT, "default", prefix="b")
    assert [rule.name for rule in listed.items] == ["b1", "b2"]
    with pytest.raises(errors.BusNotFound):
        world.catalog.list_rules(ACCOUNT, "missing")


async def test_a_bus_whose_name_begins_like_another_has_its_own_rules(
    world: worlds.World,
) -> None:
    """`a` and `a-b` share a prefix as text, not as a key."""
    for bus in ("a", "a-b"):
        await world.catalog.create_bus(ACCOUNT, bus)
        await world.rule(f"on-{bus}", bus=bus)
    listed = world.catalog.list_rules(ACCOUNT, "a").items
    assert [rule.name for rule in listed] == ["on-a"]


async def test_strict_limits_bound_targets_rules_and_expressions() -> None:
    world = await worlds.World(bounds=limits.STRICT).opened()
    many = [worlds.web(str(number)) for number in range(6)]
    with pytest.raises(errors.TargetInvalid, match="may have 5"):
        await world.rule(targets=many)
    await world.rule(targets=many[:5])
    with pytest.raises(errors.TargetInvalid, match="would have 6"):
        await world.catalog.put_targets(ACCOUNT, "default", "r", many[5:])
    tests = ",".join(f'{{"prefix":"{number}"}}' for number in range(6))
    wide = f'{{"source":[{tests}]}}'
    with pytest.raises(errors.PatternInvalid):
        await world.catalog.create_rule(ACCOUNT, "default", inputs.RuleInput("w", wide))
    for number in range(49):
        await world.rule(f"r{number}")
    with pytest.raises(errors.Refused) as refused:
        await world.rule("one-more")
    assert refused.value.code == "EventRuleCountExceedLimit"
