"""The trigger as a view: what the function side makes, what each side sees of the other's edits."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from headrace.core import errors, limits
from headrace.resources import fields, inputs, model
from tests.unit.resources import world as worlds

pytestmark = pytest.mark.anyio

ACCOUNT, REGION = worlds.ACCOUNT, worlds.REGION
# -- creating


async def test_a_trigger_is_a_rule_on_the_default_bus(wired: worlds.World) -> None:
    rule = wired.stored_rule("f-t")
    assert (rule.pattern, rule.status) == ('{"source":["a"]}', "ENABLE")
    (target,) = rule.targets
    assert (target.type, target.endpoint) == (
        "acs.fc.function",
        f"acs:fc:{REGION}:{ACCOUNT}:functions/f",
    )
    assert worlds.param(target, "functionName") == ("CONSTANT", "f")
    assert worlds.param(target, "Qualifier") == ("CONSTANT", "LATEST")
    assert worlds.param(target, "Body") == ("ORIGINAL", None)
    assert worlds.param(target, "InvocationType") == ("CONSTANT", "Sync")
    assert (target.retry, target.errors, target.dead_letter, target.concurrency) == (None,) * 4
    assert target.id == wired.view().id


async def test_a_trigger_shows_what_the_api_shows(wired: worlds.World) -> None:
    view = await wired.trigger("u", description="why", invocation_role="acs:ram::1:role/r")
    assert wired.view("u") == view
    assert (view.name, view.type, view.status) == ("u", "eventbridge", "ENABLE")
    assert uuid.UUID(view.id).version == 4
    assert (view.description, view.invocation_role) == ("why", "acs:ram::1:role/r")
    assert view.qualifier == "LATEST"
    assert view.source_arn == f"acs:eventbridge:{REGION}:{ACCOUNT}:eventbus/default/rule/f-u"
    assert view.target_arn == f"acs:fc:{REGION}:{ACCOUNT}:functions/f/LATEST"
    assert view.created_ms == view.modified_ms == wired.clock.now_ms
    assert view.revision == wired.catalog.get_rule(ACCOUNT, "default", "f-u")[1]
    assert wired.stored_rule("f-u").description == "why"


async def test_every_honoured_key_of_the_config_reaches_the_rule(wired: worlds.World) -> None:
    await wired.trigger("u", config=worlds.FULL_CONFIG)
    rule = wired.stored_rule("f-u")
    (target,) = rule.targets
    assert rule.status == "DISABLE"
    assert worlds.param(target, "InvocationType") == ("CONSTANT", "Async")
    assert worlds.param(target, "Body") == ("JSONPATH", "$.data")
    assert (target.retry, target.errors) == ("EXPONENTIAL_DECAY_RETRY", "ALL")
    assert target.dead_letter == model.DeadLetterQueue(worlds.dead_letter_arn("d"))
    assert target.concurrency == 2


@pytest.mark.parametrize("config", [worlds.trigger_config(), worlds.FULL_CONFIG])
async def test_the_config_is_echoed_to_the_letter(wired: worlds.World, config: str) -> None:
    assert (await wired.trigger("u", config=config)).config == config
    assert wired.view("u").config == config


def _config(path: str, value: Any) -> str:
    tree: dict[str, Any] = {"eventRuleFilterPattern": "{}"}
    *above, last = path.split(".")
    here = tree
    for key in above:
        here = here.setdefault(key, {})
    here[last] = value
    return json.dumps(tree)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("nonsense", 1),
        ("runOptions.nonsense", 1),
        ("eventRuleFilterPattern", None),
        ("eventRuleFilterPattern", {"source": ["a"]}),
        ("triggerEnable", "maybe"),
        ("asyncInvocationType", 1),
        ("runOptions", 7),
        ("runOptions.mode", "event-streaming"),
        ("runOptions.mode", "other"),
        ("runOptions.errorsTolerance", "SOME"),
        ("runOptions.retryStrategy.PushRetryStrategy", "NEVER"),
        ("runOptions.deadLetterQueue.Arn", "nothing"),
        ("eventSinkConfig.deliveryOption.mode", "event-streaming"),
        ("eventSinkConfig.deliveryOption.eventSchema", "Other"),
        ("eventSinkConfig.deliveryOption.concurrency", "many"),
        ("eventSinkConfig.deliveryOption.concurrency", 0),
        ("eventSourceConfig.eventSourceType", "Carrier"),
        ("eventSourceConfig.eventSourceParameters", {"sourceMNSParameters": {}}),
    ],
)
async def test_a_wrong_key_of_the_config_is_named(
    wired: worlds.World, path: str, value: Any
) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        await wired.trigger("u", config=_config(path, value))
    assert str(refused.value.field).startswith(f"triggerConfig.{path.split('.')[0]}")
    assert "TargetInvalid" not in type(refused.value).__name__, "the function side has no targets"


@pytest.mark.parametrize("config", ["", "{", "[]", '"x"'])
async def test_a_config_that_is_no_object_is_refused(wired: worlds.World, config: str) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        await wired.trigger("u", config=config)
    assert refused.value.field == "triggerConfig"


@pytest.mark.parametrize("type_", ["MNS", "RocketMQ", "RabbitMQ", "Kafka", "MQTT", "DTS"])
async def test_other_sources_are_refused_as_not_supported(wired: worlds.World, type_: str) -> None:
    with pytest.raises(errors.Unsupported, match=type_) as refused:
        await wired.trigger("u", config=_config("eventSourceConfig.eventSourceType", type_))
    assert refused.value.field == "triggerConfig.eventSourceConfig.eventSourceType"


async def test_null_source_parameters_are_tolerated(wired: worlds.World) -> None:
    """The cloud returns the unused ones as null, and clients send back what they read."""
    unused = {"sourceMNSParameters": None, "sourceKafkaParameters": None}
    config = _config("eventSourceConfig.eventSourceParameters", unused)
    assert (await wired.trigger("u", config=config)).config == config


async def test_a_bad_pattern_names_its_place(wired: worlds.World) -> None:
    config = _config("eventRuleFilterPattern", '{"source":[{"prefixx":"a"}]}')
    with pytest.raises(errors.PatternInvalid) as refused:
        await wired.trigger("u", config=config)
    assert str(refused.value.field).startswith("triggerConfig.eventRuleFilterPattern.source")


@pytest.mark.parametrize("type_", ["http", "timer", "oss", "log", "mns_topic", "cdn_events"])
async def test_other_trigger_types_are_refused_as_not_supported(
    wired: worlds.World, type_: str
) -> None:
    given = inputs.TriggerInput("u", type_, worlds.trigger_config())
    with pytest.raises(errors.Unsupported) as refused:
        await wired.catalog.create_trigger(ACCOUNT, "f", given)
    assert refused.value.field == "triggerType"


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"name": ""}, "triggerName"),
        ({"name": "1t"}, "triggerName"),
        ({"name": "a|b"}, "triggerName"),
        ({"name": "t" * 127}, "triggerName"),
        ({"type": "carrier"}, "triggerType"),
        ({"type": ""}, "triggerType"),
        ({"source_arn": "acs:oss:r:1:bucket"}, "sourceArn"),
    ],
)
async def test_a_wrong_field_of_a_trigger_is_named(
    wired: worlds.World, more: dict[str, str], field: str
) -> None:
    given = {"name": "u", "type": "eventbridge", "config": worlds.trigger_config(), **more}
    with pytest.raises(errors.InvalidInput) as refused:
        await wired.catalog.create_trigger(ACCOUNT, "f", inputs.TriggerInput(**given))
    assert refused.value.field == field


async def test_only_latest_can_be_qualified_yet(wired: worlds.World) -> None:
    with pytest.raises(errors.VersionNotFound):
        await wired.trigger("u", qualifier="prod")
    with pytest.raises(errors.VersionNotFound):
        await wired.catalog.update_trigger(ACCOUNT, "f", "t", inputs.TriggerPatch(qualifier="prod"))


async def test_a_trigger_needs_its_function(wired: worlds.World) -> None:
    for wanted in (
        wired.trigger(of="missing"),
        wired.catalog.update_trigger(ACCOUNT, "missing", "t", inputs.TriggerPatch()),
        wired.catalog.delete_trigger(ACCOUNT, "missing", "t"),
    ):
        with pytest.raises(errors.FunctionNotFound):
            await wanted
    with pytest.raises(errors.FunctionNotFound):
        wired.catalog.list_triggers(ACCOUNT, "missing")


async def test_names_collide_with_a_word_on_whom(wired: worlds.World) -> None:
    with pytest.raises(errors.TriggerExists, match=r"\[t\] of the function \[f\]"):
        await wired.trigger()
    await wired.rule("f-u")
    with pytest.raises(errors.RuleExists, match=r"\[f-u\] already existed on the bus \[default\]"):
        await wired.trigger("u")
    with pytest.raises(errors.RuleExists, match=r"trigger \[t\] of the function \[f\]"):
        await wired.rule("f-t")
    await wired.with_function("f-a")
    await wired.trigger("b", of="f-a")
    with pytest.raises(errors.RuleExists, match=r"trigger \[b\] of the function \[f-a\]"):
        await wired.trigger("a-b")


async def test_a_function_whose_name_begins_with_an_underscore_has_triggers(
    world: worlds.World,
) -> None:
    await world.with_function("_f")
    view = await world.trigger(of="_f")
    assert world.stored_rule("_f-t").name == view.rule


async def test_strict_limits_bound_the_triggers_of_a_function() -> None:
    world = await worlds.World(bounds=limits.STRICT).opened()
    await world.with_function("f")
    for number in range(10):
        await world.trigger(f"t{number}")
    with pytest.raises(errors.Refused) as refused:
        await world.trigger("one-more")
    assert refused.value.code == "LimitExceededError"


# -- listing


async def test_triggers_of_both_sides_are_listed(wired: worlds.World) -> None:
    await wired.catalog.create_bus(ACCOUNT, "orders")
    await wired.rule("r", bus="orders", targets=[worlds.calls("f", "x"), worlds.calls("g", "y")])
    assert wired.trigger_names("f") == ["orders|r|x", "t"]
    assert wired.trigger_names("g") == ["orders|r|y"]
    assert wired.trigger_names("f", include_remote=False) == ["t"]
    assert wired.trigger_names("f", prefix="orders|") == ["orders|r|x"]


async def test_a_bus_made_rule_is_rendered_with_what_it_says_only(wired: worlds.World) -> None:
    await wired.rule("r", targets=[worlds.calls("f")])
    view = wired.view("default|r|1")
    assert (view.origin, view.status, view.invocation_role) == ("rule", "ENABLE", "")
    assert view.source_arn == f"acs:eventbridge:{REGION}:{ACCOUNT}:eventbus/default/rule/r"
    assert json.loads(view.config) == {
        "triggerEnable": True,
        "asyncInvocationType": True,
        "eventRuleFilterPattern": '{"source":["a"]}',
        "eventSourceConfig": {"eventSourceType": "Default"},
        "eventSinkConfig": {"deliveryOption": {"eventSchema": "CloudEvents"}},
    }
    assert uuid.UUID(view.id)
    assert wired.view("default|r|1").id == view.id


async def test_a_trigger_has_one_name(wired: worlds.World) -> None:
    own = wired.view().target_id
    for name in (f"default|f-t|{own}", "default|f-t", "default|missing|1", "missing", "a/b|c|d"):
        with pytest.raises(errors.TriggerNotFound):
            wired.view(name)
    with pytest.raises(errors.TriggerNotFound):
        wired.view("t", of="g")


# -- edits on the function side


async def test_a_new_config_replaces_what_the_old_one_said(wired: worlds.World) -> None:
    before = wired.stored_rule("f-t").targets[0]
    await worlds.update(wired, config=worlds.FULL_CONFIG)
    after = wired.stored_rule("f-t").targets[0]
    assert (after.id, after.subscription) == (before.id, before.subscription)
    assert after.retry == "EXPONENTIAL_DECAY_RETRY"
    assert wired.view().config == worlds.FULL_CONFIG
    await worlds.update(wired, config=worlds.trigger_config())
    assert wired.stored_rule("f-t").targets[0] == before
    assert wired.stored_rule("f-t").status == "ENABLE"


async def test_the_other_fields_change_alone(wired: worlds.World) -> None:
    config = wired.view().config
    await worlds.update(wired, description="new", invocation_role="role")
    view = wired.view()
    assert (view.description, view.invocation_role, view.config) == ("new", "role", config)
    assert wired.stored_rule("f-t").description == "new"


async def test_targets_that_the_bus_side_added_outlive_a_new_config(wired: worlds.World) -> None:
    await wired.catalog.put_targets(ACCOUNT, "default", "f-t", [worlds.web()])
    web = wired.stored_rule("f-t").targets[1]
    await worlds.update(wired, config=worlds.FULL_CONFIG)
    assert wired.stored_rule("f-t").targets[1] == web


async def test_a_bus_made_rule_takes_from_a_config_what_it_holds(wired: worlds.World) -> None:
    template = inputs.ParamInput("Body", "TEMPLATE", '{"a":"$.data.a"}', '{"a":"${a}"}')
    given = worlds.calls("f", params=[template], retry="EXPONENTIAL_DECAY_RETRY")
    await wired.rule("r", targets=[given])
    new = json.dumps({"eventRuleFilterPattern": '{"type":["b"]}', "triggerEnable": False})
    await worlds.update(wired, "default|r|1", config=new, description="seen from f")
    rule = wired.stored_rule("r")
    assert (rule.pattern, rule.status, rule.description) == (
        '{"type":["b"]}',
        "DISABLE",
        "seen from f",
    )
    assert worlds.param(rule.targets[0], "Body")[0] == "TEMPLATE"
    assert rule.targets[0].retry == "EXPONENTIAL_DECAY_RETRY"
    assert rule.origin is None
    await worlds.update(wired, "default|r|1", config=worlds.FULL_CONFIG)
    target = wired.stored_rule("r").targets[0]
    assert worlds.param(target, "Body") == ("JSONPATH", "$.data")
    assert worlds.param(target, "InvocationType") == ("CONSTANT", "Async")
    assert target.dead_letter is not None


async def test_what_a_bus_made_rule_cannot_keep_is_refused(wired: worlds.World) -> None:
    await wired.rule("r", targets=[worlds.calls("f")])
    with pytest.raises(errors.InvalidInput) as refused:
        await worlds.update(wired, "default|r|1", invocation_role="role")
    assert refused.value.field == "invocationRole"


def test_every_key_of_the_config_has_a_fate() -> None:
    """Keys of EventBridgeTriggerConfig in the SDK, with those older clients still send."""
    wanted = """triggerEnable asyncInvocationType eventRuleFilterPattern
    eventSourceConfig.eventSourceType eventSourceConfig.eventSourceParameters
    eventSinkConfig.deliveryOption.eventSchema eventSinkConfig.deliveryOption.concurrency
    eventSinkConfig.deliveryOption.mode runOptions.mode runOptions.errorsTolerance
    runOptions.retryStrategy.PushRetryStrategy runOptions.retryStrategy.MaximumEventAgeInSeconds
    runOptions.retryStrategy.MaximumRetryAttempts runOptions.deadLetterQueue.Arn
    runOptions.batchWindow.CountBasedWindow runOptions.batchWindow.TimeBasedWindow
    runOptions.maximumTasks"""
    assert set(wanted.split()) <= set(fields.TRIGGER_CONFIG_FIELDS)
