"""The data plane as its SDK sees it: flat answers, lower-case error keys, a bus per event."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.api import shapes
from headrace.api.eventbridge import dataplane, unsupported
from headrace.core import delivery
from tests.unit.api import support
from tests.unit.api import world as worlds

pytestmark = pytest.mark.anyio

BATCH = "application/cloudevents-batch+json; charset=utf-8"


def event(number: int = 1, bus: str | None = "default", **more: Any) -> dict[str, Any]:
    named = {} if bus is None else {"aliyuneventbusname": bus}
    return {
        "id": f"e{number}",
        "source": "shop",
        "type": "order",
        "specversion": "1.0",
        "datacontenttype": "application/json",
        "data": {"n": number},
        **named,
        **more,
    }


TARGET = {
    "Id": "hook",
    "Type": "https",
    "Endpoint": "https://hook.example.com/in",
    "ParamList": [
        {"ResourceKey": "url", "Form": "CONSTANT", "Value": "https://hook.example.com/in"},
        {"ResourceKey": "Body", "Form": "ORIGINAL"},
    ],
}
RULE = {
    "EventBusName": "default",
    "RuleName": "orders",
    "FilterPattern": '{"source":["shop"]}',
    "Targets": [TARGET],
}


async def refused(world: worlds.World, name: str, value: object) -> tuple[int, str, str]:
    reply = await world.openapi(name, value)
    body = json.loads(reply.body)
    assert set(body) == {"code", "message", "requestId"}
    assert body["requestId"] == reply.headers["x-acs-request-id"]
    return reply.status, body["code"], body["message"]


def fits(name: str, answer: dict[str, Any]) -> None:
    """Fail if `answer` holds a field that the operation's answer shape does not."""
    extra = ("RequestId", "ResourceOwnerAccountId")
    shapes.read(
        dataplane.TABLE.named(name).answer, {k: v for k, v in answer.items() if k not in extra}
    )


async def test_events_are_put_to_the_bus_they_name(world: worlds.World) -> None:
    await world.flat("createEventBus", {"EventBusName": "shop"})
    reply = await world.openapi("putEvents", [event(1, "shop"), event(2, "shop")], BATCH)
    answer = json.loads(reply.body)
    fits("putEvents", answer)
    assert answer["FailedEntryCount"] == 0
    assert [entry["EventId"] for entry in answer["EntryList"]] == ["e1", "e2"]
    found = await world.flat(
        "queryEventsByEventIds", {"EventBusName": "shop", "EventIds": ["e1", "none", "e2"]}
    )
    fits("queryEventsByEventIds", found)
    assert set(found["EventMap"]) == {"e1", "e2"}
    assert json.loads(found["EventMap"]["e2"])["data"] == {"n": 2}


async def test_event_without_or_with_an_unknown_bus_fails_alone(world: worlds.World) -> None:
    answer = await world.flat("putEvents", [event(1), event(2, None), {"id": "x"}])
    codes = [entry["ErrorCode"] for entry in answer["EntryList"]]
    assert answer["FailedEntryCount"] == 2
    assert codes[:2] == [None, "EventBusEmpty"]
    answer = await world.flat("putEvents", [event(3, "none")])
    assert answer["EntryList"][0]["ErrorCode"] == "EventBusNotExist"


async def test_events_for_two_buses_are_one_refused_request(world: worlds.World) -> None:
    await world.flat("createEventBus", {"EventBusName": "shop"})
    status, code, _ = await refused(world, "putEvents", [event(1), event(2, "shop")])
    assert (status, code) == (400, "PutEventsRequestMoreThanOneEventBus")
    traced = await world.flat("queryEventByEventId", {"EventBusName": "default", "EventId": "e1"})
    assert traced["Total"] == 0


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"7"])
async def test_body_that_is_no_batch_is_refused(world: worlds.World, body: bytes) -> None:
    assert (await refused(world, "putEvents", body))[0] == 400


async def test_bus_operations_answer_flat(world: worlds.World) -> None:
    made = await world.flat(
        "createEventBus", {"EventBusName": "shop", "Description": "d", "Tags": {"team": "a"}}
    )
    fits("createEventBus", made)
    got = await world.flat("getEventBus", {"EventBusName": "shop"})
    fits("getEventBus", got)
    assert got["EventBusARN"] == made["EventBusARN"]
    assert (got["Description"], got["Tags"], got["CreateTimestamp"]) == (
        "d",
        {"team": "a"},
        world.now,
    )
    listed = await world.flat("listEventBuses", {"Limit": 1})
    fits("listEventBuses", listed)
    assert listed["Total"] == 2
    assert listed["NextToken"] != ""
    rest = await world.flat("listEventBuses", {"Limit": 1, "NextToken": listed["NextToken"]})
    assert rest["NextToken"] == ""
    assert rest["EventBuses"][0]["EventBusName"] == "shop"
    await world.flat("deleteEventBus", {"EventBusName": "shop"})
    assert (await refused(world, "getEventBus", {"EventBusName": "shop"}))[:2] == (
        409,
        "EventBusNotExist",
    )


async def test_rule_operations_answer_flat(world: worlds.World) -> None:
    names = {"EventBusName": "default", "RuleName": "orders"}
    made = await world.flat("createRule", RULE | {"Tags": {"a": "b"}, "Status": "DISABLE"})
    fits("createRule", made)
    got = await world.flat("getRule", names)
    fits("getRule", got)
    assert got["RuleARN"] == made["RuleARN"]
    assert (got["Status"], got["Tags"], got["Ctime"]) == ("DISABLE", {"a": "b"}, world.now)
    assert got["Targets"][0] == TARGET | {"PushRetryStrategy": "BACKOFF_RETRY"}
    await world.flat("enableRule", names)
    assert (await world.flat("getRule", names))["Status"] == "ENABLE"
    await world.flat("disableRule", names)
    await world.flat("updateRule", names | {"Description": "d"})
    got = await world.flat("getRule", names)
    assert (got["Status"], got["Description"], got["FilterPattern"]) == (
        "DISABLE",
        "d",
        RULE["FilterPattern"],
    )
    listed = await world.flat("listRules", {"EventBusName": "default"})
    fits("listRules", listed)
    assert (listed["Total"], listed["NextToken"]) == (1, "")
    await world.flat("deleteRule", names)
    assert (await refused(world, "getRule", names))[1] == "EventRuleNotExisted"
    assert (await refused(world, "deleteRule", names))[:2] == (409, "EventRuleNotExisted")


async def test_target_operations_answer_flat(world: worlds.World) -> None:
    names = {"EventBusName": "default", "RuleName": "orders"}
    await world.flat("createRule", RULE)
    put = await world.flat("createTargets", names | {"Targets": [TARGET | {"Id": "two"}]})
    fits("createTargets", put)
    assert put["ErrorEntriesCount"] == 0
    listed = await world.flat("listTargets", names)
    fits("listTargets", listed)
    assert [target["Id"] for target in listed["Targets"]] == ["hook", "two"]
    gone = await world.flat("deleteTargets", names | {"TargetIds": ["hook", "nine"]})
    assert [entry["EntryId"] for entry in gone["ErrorEntries"]] == ["nine"]


async def test_both_planes_see_the_one_rule(world: worlds.World) -> None:
    await world.flat("createRule", RULE)
    rule = (await world.ok("GetRule", EventBusName="default", RuleName="orders"))["Data"]
    assert rule["FilterPattern"] == RULE["FilterPattern"]
    await world.ok("UpdateRule", EventBusName="default", RuleName="orders", FilterPattern="{}")
    got = await world.flat("getRule", {"EventBusName": "default", "RuleName": "orders"})
    assert got["FilterPattern"] == "{}"


async def test_pattern_is_tested(world: worlds.World) -> None:
    answer = await world.flat(
        "testEventPattern",
        {"Event": json.dumps(event()), "EventPattern": '{"data":{"n":[{"numeric":[">",0]}]}}'},
    )
    assert answer["Result"] is True
    code = await refused(world, "testEventPattern", {"Event": "{}", "EventPattern": "["})
    assert code[:2] == (409, "EventRuleFilterPatternSchemaError")


async def test_queries_have_times_as_text_and_numbers_in_traces(world: worlds.World) -> None:
    await world.flat("createRule", RULE)
    world.receiver.answer = delivery.delivered(204)
    await world.flat("putEvents", [event()])
    await world.settled("e1")
    by_id = await world.flat("queryEventByEventId", {"EventBusName": "default", "EventId": "e1"})
    fits("queryEventByEventId", by_id)
    assert by_id["TracedEvents"][0]["EventReceivedTime"] == str(world.now)
    period = {"EventBusName": "default", "StartTime": 0, "EndTime": world.now + 1}
    found = await world.flat("queryEventsByPeriod", period | {"MatchedRule": "orders"})
    fits("queryEventsByPeriod", found)
    assert [one["EventId"] for one in found["TracedEvents"]] == ["e1"]
    traces = await world.flat("queryEventTraces", {"EventBusName": "default", "EventId": "e1"})
    fits("queryEventTraces", traces)
    steps = traces["EventTraceList"]
    assert [step["Action"] for step in steps] == ["PutEvent", "FilterEvent", "PushEvent"]
    assert steps[0]["ActionTime"] == str(world.now)
    assert steps[1]["RuleMatchingTime"] == world.now
    assert steps[2]["NotifyStatus"] == "[204]Ok"
    assert isinstance(steps[2]["NotifyLatency"], int)
    assert steps[2]["ResourceOwnerId"] == worlds.ACCOUNT


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("getEventBus", {"EventBusName": "b", "Colour": 1}, "Colour"),
        ("getEventBus", {}, "EventBusName"),
        ("getEventBus", b"[]", "object"),
        ("getEventBus", b"{", "JSON"),
        ("listEventBuses", {"Limit": "many"}, "Limit"),
        ("listEventBuses", {"Limit": 0}, "Limit"),
        ("createRule", {"EventBusName": "b", "RuleName": "r"}, "Targets"),
    ],
)
async def test_bad_parameters_are_named(
    world: worlds.World, name: str, value: object, word: str
) -> None:
    status, _, message = await refused(world, name, value)
    assert status == 400
    assert word in message


@pytest.mark.parametrize("name", [*unsupported.PATHS, "frobnicate", ""])
async def test_path_that_is_not_built_has_the_apis_own_error(
    world: worlds.World, name: str
) -> None:
    status, code, _ = await refused(world, name, {})
    assert (status, code) == (404, "InvalidAction.NotFound")


async def test_all_paths_of_the_sdk_are_in_the_table() -> None:
    assert len(list(dataplane.TABLE)) == 34


async def test_unsigned_request_is_refused_with_lower_case_keys(world: worlds.World) -> None:
    reply = await support.ask(world.app, "POST", "/openapi/putEvents", body=b"[]")
    assert reply.status == 403
    assert json.loads(reply.body)["code"] == "MissingSignature"


async def test_too_large_a_request_is_refused_unread(world: worlds.World) -> None:
    reply = await support.ask(
        world.app, "POST", "/openapi/putEvents", headers={"content-length": str(9 << 20)}
    )
    assert reply.status == 413
    assert json.loads(reply.body)["code"] == "EntityTooLarge"
