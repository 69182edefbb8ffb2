"""Triggers through the FC SDK: the rule they are, documented errors, state after restart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.wire import making, native, processes, sdk, waiting

ORDERS = making.pattern(source=["my.shop"])
SOURCE = """
import json

def handler(event, context):
    print("took", json.loads(event)["id"], flush=True)
"""


@pytest.fixture
def function(functions: sdk.Functions) -> str:
    name = making.name("fn")
    functions.create_function(body=making.function_input(name, SOURCE))
    return name


def trigger_input(name: str = "t", config: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "triggerName": name,
        "triggerType": "eventbridge",
        "triggerConfig": making.trigger_config(ORDERS) if config is None else config,
        **more,
    }


def took(own_api: native.Native, function: str, event_id: str) -> None:
    """Wait until the function has logged that it took the event."""

    def seen() -> bool:
        lines = own_api.get(f"functions/{function}/logs")["lines"]
        return any(f"took {event_id}\n" in line.get("text", "") for line in lines)

    waiting.wait_for(seen, f"run of {function} with {event_id}")


def test_trigger_is_created_read_back_and_is_a_rule_on_the_default_bus(
    functions: sdk.Functions,
    eventbridge: sdk.EventBridge,
    server: processes.Server,
    function: str,
) -> None:
    config = making.trigger_config(
        ORDERS,
        runOptions={
            "mode": "event-driven",
            "retryStrategy": {"PushRetryStrategy": "EXPONENTIAL_DECAY_RETRY"},
        },
    )
    created = functions.create_trigger(
        function, body=trigger_input(config=config, description="orders")
    )
    assert created.status == 200
    rule_arn = (
        f"acs:eventbridge:{server.region}:{server.account}:eventbus/default/rule/{function}-t"
    )
    shown = created.body
    assert shown["triggerName"] == "t"
    assert shown["triggerType"] == "eventbridge"
    assert shown["triggerConfig"] == config
    assert shown["description"] == "orders"
    assert shown["sourceArn"] == rule_arn
    assert shown["qualifier"] == "LATEST"
    assert shown["targetArn"] == (
        f"acs:fc:{server.region}:{server.account}:functions/{function}/LATEST"
    )
    assert functions.get_trigger(function, "t").body == shown
    rule = eventbridge.get_rule(EventBusName="default", RuleName=f"{function}-t").data
    assert rule["FilterPattern"] == ORDERS
    assert rule["Status"] == "ENABLE"
    (target,) = rule["Targets"]
    assert target["Id"] == shown["triggerId"]
    assert target["Type"] == "acs.fc.function"
    assert target["PushRetryStrategy"] == "EXPONENTIAL_DECAY_RETRY"


def test_matching_event_runs_the_function_and_another_does_not(
    functions: sdk.Functions,
    eventbridge: sdk.EventBridge,
    own_api: native.Native,
    function: str,
) -> None:
    functions.create_trigger(function, body=trigger_input())
    for event_id, source in ((f"{function}-other", "other"), (f"{function}-mine", "my.shop")):
        eventbridge.put_events(
            EventBusName="default", EventList=[making.entry(event_id, source=source)]
        )
    took(own_api, function, f"{function}-mine")
    lines = own_api.get(f"functions/{function}/logs")["lines"]
    assert not any(f"{function}-other" in line.get("text", "") for line in lines)


def test_edit_on_either_side_is_seen_on_the_other(
    functions: sdk.Functions, eventbridge: sdk.EventBridge, function: str
) -> None:
    named = {"EventBusName": "default", "RuleName": f"{function}-t"}
    functions.create_trigger(function, body=trigger_input())
    other = making.pattern(type=["order"])
    updated = functions.update_trigger(
        function, "t", body={"triggerConfig": making.trigger_config(other, triggerEnable=False)}
    )
    assert json.loads(updated.body["triggerConfig"])["eventRuleFilterPattern"] == other
    rule = eventbridge.get_rule(**named).data
    assert (rule["FilterPattern"], rule["Status"]) == (other, "DISABLE")
    eventbridge.enable_rule(**named)
    eventbridge.update_rule(**named, FilterPattern="{}", Description="by the bus")
    shown = functions.get_trigger(function, "t").body
    config = json.loads(shown["triggerConfig"])
    assert config["triggerEnable"] is True
    assert config["eventRuleFilterPattern"] == "{}"
    assert shown["description"] == "by the bus"


def test_rule_made_on_the_bus_side_is_listed_as_a_trigger_unless_told_not_to(
    functions: sdk.Functions,
    eventbridge: sdk.EventBridge,
    server: processes.Server,
    bus: str,
    function: str,
) -> None:
    functions.create_trigger(function, body=trigger_input())
    eventbridge.create_rule(
        EventBusName=bus, RuleName="orders", FilterPattern=ORDERS,
        EventTargets=[making.function_target(server, function)],
    )  # fmt: skip

    def names(**headers: str) -> list[str]:
        listed = functions.list_triggers(function, headers=headers).body
        return [trigger["triggerName"] for trigger in listed["triggers"]]

    assert sorted(names()) == sorted(["t", f"{bus}|orders|t1"])
    assert names(**{"x-fc-disable-list-remote-eb-triggers": "true"}) == ["t"]
    shown = functions.get_trigger(function, f"{bus}|orders|t1").body
    assert json.loads(shown["triggerConfig"])["eventRuleFilterPattern"] == ORDERS


def test_triggers_are_listed_by_prefix_in_pages(functions: sdk.Functions, function: str) -> None:
    for name in ("of-a", "of-b", "of-c", "x"):
        functions.create_trigger(function, body=trigger_input(name))
    first = functions.list_triggers(function, prefix="of-", limit=2).body
    second = functions.list_triggers(
        function, prefix="of-", limit=2, nextToken=first["nextToken"]
    ).body
    names = [trigger["triggerName"] for trigger in first["triggers"] + second["triggers"]]
    assert names == ["of-a", "of-b", "of-c"]
    assert not second.get("nextToken")


def test_deleted_trigger_is_gone_and_its_rule_too(
    functions: sdk.Functions, eventbridge: sdk.EventBridge, function: str
) -> None:
    functions.create_trigger(function, body=trigger_input())
    assert functions.delete_trigger(function, "t").status == 204
    with pytest.raises(sdk.SdkError) as refused:
        functions.get_trigger(function, "t")
    assert (refused.value.code, refused.value.status) == ("TriggerNotFound", 404)
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.get_rule(EventBusName="default", RuleName=f"{function}-t")
    assert refused.value.code == "EventRuleNotExisted"


def test_deleting_the_rule_removes_the_trigger(
    functions: sdk.Functions, eventbridge: sdk.EventBridge, function: str
) -> None:
    functions.create_trigger(function, body=trigger_input())
    eventbridge.delete_rule(EventBusName="default", RuleName=f"{function}-t")
    assert functions.list_triggers(function).body["triggers"] == []
    with pytest.raises(sdk.SdkError) as refused:
        functions.get_trigger(function, "t")
    assert refused.value.code == "TriggerNotFound"


def test_function_with_triggers_is_not_deleted(functions: sdk.Functions, function: str) -> None:
    functions.create_trigger(function, body=trigger_input())
    with pytest.raises(sdk.SdkError) as refused:
        functions.delete_function(function)
    assert refused.value.status == 409
    functions.delete_trigger(function, "t")
    assert functions.delete_function(function).status == 204


@pytest.mark.parametrize(
    ("operation", "args"),
    [
        ("get_trigger", {}),
        ("update_trigger", {"body": {"description": "x"}}),
        ("delete_trigger", {}),
    ],
)
def test_missing_trigger_or_function_is_an_error(
    functions: sdk.Functions, function: str, operation: str, args: dict[str, Any]
) -> None:
    call = getattr(functions, operation)
    with pytest.raises(sdk.SdkError) as refused:
        call(function, "nothing", **args)
    assert (refused.value.code, refused.value.status) == ("TriggerNotFound", 404)
    with pytest.raises(sdk.SdkError) as refused:
        call("nothing", "t", **args)
    assert (refused.value.code, refused.value.status) == ("FunctionNotFound", 404)


def test_missing_function_is_an_error_of_create_and_list(functions: sdk.Functions) -> None:
    for call in (
        lambda: functions.create_trigger("nothing", body=trigger_input()),
        lambda: functions.list_triggers("nothing"),
    ):
        with pytest.raises(sdk.SdkError) as refused:
            call()
        assert (refused.value.code, refused.value.status) == ("FunctionNotFound", 404)


def test_second_trigger_of_a_name_is_refused(functions: sdk.Functions, function: str) -> None:
    functions.create_trigger(function, body=trigger_input())
    with pytest.raises(sdk.SdkError) as refused:
        functions.create_trigger(function, body=trigger_input(config=making.trigger_config()))
    assert (refused.value.code, refused.value.status) == ("TriggerAlreadyExists", 409)
    shown = functions.get_trigger(function, "t").body
    assert json.loads(shown["triggerConfig"])["eventRuleFilterPattern"] == ORDERS


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"triggerName": "1st"}, "1st"),
        ({"triggerConfig": "{"}, "triggerConfig"),
        ({"triggerConfig": "{}"}, "eventRuleFilterPattern"),
        ({"triggerConfig": making.trigger_config(colour="red")}, "colour"),
        ({"triggerConfig": making.trigger_config('{"source":"x"}')}, "source"),
        (
            {"triggerConfig": making.trigger_config(runOptions={"mode": "event-streaming"})},
            "runOptions.mode",
        ),
        ({"triggerType": "carrier-pigeon"}, "triggerType"),
    ],
)
def test_trigger_that_cannot_be_is_refused_by_field_and_not_kept(
    functions: sdk.Functions, function: str, changed: dict[str, str], word: str
) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        functions.create_trigger(function, body=trigger_input() | changed)
    assert (refused.value.code, refused.value.status) == ("InvalidArgument", 400)
    assert word in refused.value.message
    assert functions.list_triggers(function).body["triggers"] == []


@pytest.mark.parametrize(
    "changed",
    [
        {"triggerType": "timer", "triggerConfig": '{"cronExpression":"@every 1m"}'},
        {
            "triggerConfig": making.trigger_config(
                eventSourceConfig={
                    "eventSourceType": "MNS",
                    "eventSourceParameters": {"sourceMNSParameters": {"QueueName": "q"}},
                }
            )
        },
    ],
)
def test_trigger_that_is_not_built_yet_is_refused_as_such(
    functions: sdk.Functions, function: str, changed: dict[str, str]
) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        functions.create_trigger(function, body=trigger_input() | changed)
    assert 400 <= (refused.value.status or 0) <= 501
    assert "support" in refused.value.message
    assert functions.list_triggers(function).body["triggers"] == []


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_triggers_are_as_they_were_after_a_restart(
    functions: sdk.Functions,
    eventbridge: sdk.EventBridge,
    server: processes.Server,
    own_api: native.Native,
    function: str,
    how: str,
) -> None:
    functions.create_trigger(function, body=trigger_input("kept"))
    functions.create_trigger(function, body=trigger_input("gone"))
    functions.update_trigger(function, "kept", body={"description": "new"})
    functions.delete_trigger(function, "gone")
    before = functions.get_trigger(function, "kept").body
    listed = functions.list_triggers(function).body
    server.restart(how)
    assert functions.get_trigger(function, "kept").body == before
    assert before["description"] == "new"
    assert functions.list_triggers(function).body == listed
    event_id = making.name("after")
    eventbridge.put_events(EventBusName="default", EventList=[making.entry(event_id)])
    took(own_api, function, event_id)
