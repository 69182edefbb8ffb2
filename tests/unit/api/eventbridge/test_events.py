"""Publishing, querying and tracing on the control API."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from headrace.api import shapes
from headrace.api.eventbridge import control
from headrace.core import delivery
from tests.unit.api import support
from tests.unit.api import world as worlds

pytestmark = pytest.mark.anyio


TARGET = {
    "Id": "hook",
    "Type": "https",
    "Endpoint": "https://hook.example.com/in",
    "ParamList": [
        {"ResourceKey": "url", "Form": "CONSTANT", "Value": "https://hook.example.com/in"},
        {"ResourceKey": "Body", "Form": "ORIGINAL"},
    ],
}


def entry(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"Id": f"e{number}", "Source": "shop", "Type": "order", "Data": {"n": number}, **more}


async def put(world: worlds.World, *entries: object, **more: Any) -> Any:
    answer = await world.ok(
        "PutEvents", form=True, EventBusName="default", EventList=list(entries), **more
    )
    return answer["Data"]


async def stored(world: worlds.World, event_id: str = "e1") -> Any:
    answer = await world.ok(
        "QueryEvent", EventBusName="default", EventSource="shop", EventId=event_id
    )
    return answer["Data"]


async def test_events_are_stored_with_what_the_bus_adds(world: worlds.World) -> None:
    data = await put(
        world,
        entry(
            1, Subject="s", Time="2026-01-02T03:04:05Z", DataSchema="http://x/y", SpecVersion="1.0"
        ),
    )
    assert data["FailedEntryCount"] == 0
    first = data["EntryList"][0]
    assert first["EventId"] == "e1"
    assert first["TraceId"]
    assert (first["ErrorCode"], first["ErrorMessage"]) == (None, None)
    event = await stored(world)
    assert event["aliyuneventbusname"] == "default"
    assert event["aliyunaccountid"] == worlds.ACCOUNT
    assert event["aliyunpublishaddr"] == "10.1.2.3"
    assert (event["subject"], event["dataschema"]) == ("s", "http://x/y")
    assert event["time"] == "2026-01-02T03:04:05Z"
    assert event["data"] == {"n": 1}


async def test_data_keeps_its_digits(world: worlds.World) -> None:
    data = '{"price":1.10,"n":12345678901234567890}'
    text = '[{"Id":"e1","Source":"shop","Type":"order","Data":' + data + "}]"
    await world.ok("PutEvents", form=True, EventBusName="default", EventList=text)
    reply = await world.rpc("QueryEvent", EventBusName="default", EventSource="shop", EventId="e1")
    assert b'"data":' + data.encode() in reply.body


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ('{"a":1}', {"a": 1}),
        ("plain words", "plain words"),
        ([1, 2], [1, 2]),
        (None, None),
    ],
)
async def test_data_may_be_any_json_or_its_text(
    world: worlds.World, sent: object, kept: object
) -> None:
    """The SDK sends bytes of JSON as a string."""
    data = await put(world, entry(1, Data=sent))
    assert data["FailedEntryCount"] == 0, data
    assert (await stored(world)).get("data") == kept


async def test_bad_entries_fail_one_by_one_in_order(world: worlds.World) -> None:
    data = await put(
        world,
        entry(1),
        {"Source": "shop", "Type": "order"},
        entry(3, Colour="x"),
        "no object",
        entry(5, Source=""),
        entry(6),
    )
    codes = [one["ErrorCode"] for one in data["EntryList"]]
    assert data["FailedEntryCount"] == 4
    assert [code is None for code in codes] == [True, False, False, False, False, True]
    assert codes[1:5] == [
        "EventIdEmpty",
        "JsonAttributeInvalid",
        "JsonAttributeInvalid",
        "EventSourceInvalid",
    ]
    assert "Colour" in data["EntryList"][2]["ErrorMessage"]
    assert (await stored(world, "e6"))["data"] == {"n": 6}


async def test_flattened_event_list_is_taken(world: worlds.World) -> None:
    await world.ok(
        "PutEvents",
        EventBusName="default",
        **{
            "EventList.1.Id": "e1",
            "EventList.1.Source": "shop",
            "EventList.1.Type": "order",
            "EventList.1.Data": '{"n":1}',
        },
    )
    assert (await stored(world))["data"] == {"n": 1}


@pytest.mark.parametrize("events", ["", "{}", "[", "7", []])
async def test_event_list_that_is_no_list_is_a_refused_request(
    world: worlds.World, events: object
) -> None:
    assert (await world.refused("PutEvents", form=True, EventBusName="default", EventList=events))[
        0
    ] == 400


async def test_publishing_to_a_bus_that_is_not_there(world: worlds.World) -> None:
    assert (await world.refused("PutEvents", form=True, EventBusName="none", EventList=[entry()]))[
        :2
    ] == (409, "EventBusNotExist")


async def test_wrongly_signed_publish_stores_nothing(world: worlds.World) -> None:
    wrong = worlds.keys.Key(worlds.KEY.access_key_id, "another", worlds.ACCOUNT)
    body = b"EventBusName=default&EventList=" + json.dumps([entry()]).encode().replace(b" ", b"")
    headers = {
        "x-acs-action": "PutEvents",
        "x-acs-version": control.VERSION,
        "content-type": "application/x-www-form-urlencoded",
    }
    reply = await world.send("POST", "/", headers=headers, body=body, key=wrong)
    assert reply.status == 403
    code = await world.refused(
        "QueryEvent", EventBusName="default", EventSource="shop", EventId="e1"
    )
    assert code[:2] == (404, "EventNotExist")


async def test_replayed_request_is_refused_and_stores_nothing_again(world: worlds.World) -> None:
    sent: list[Any] = []
    plain = support.ask

    async def record(app: Any, *args: Any, **kwargs: Any) -> support.Reply:
        sent.append((args, kwargs))
        return await plain(app, *args, **kwargs)

    support.ask = record
    try:
        await put(world, entry())
    finally:
        support.ask = plain
    args, kwargs = sent[0]
    again = await support.ask(world.app, *args, **kwargs)
    assert (again.status, json.loads(again.body)["Code"]) == (400, "SignatureNonceUsed")


# Queries --------------------------------------------------------------------------------------


async def test_events_of_a_period_come_newest_first_and_page(world: worlds.World) -> None:
    for number in range(1, 4):
        world.services.clock.wall += 1000
        await put(world, entry(number, Subject=f"s{number}"))
    found: list[str] = []
    token: dict[str, str] = {}
    period = {"EventBusName": "default", "StartTime": "0", "EndTime": str(world.now + 1)}
    while True:
        answer = await world.ok("QueryTracedEvents", **period, Limit="2", **token)
        shapes.read(control.TABLE.named("QueryTracedEvents").answer, {"Data": answer["Data"]})
        found += [event["EventId"] for event in answer["Data"]["Events"]]
        if "NextToken" not in answer["Data"]:
            break
        token = {"NextToken": answer["Data"]["NextToken"]}
    assert found == ["e3", "e2", "e1"]
    one = await world.ok("QueryTracedEvents", **period, Subject="s2")
    assert one["Data"]["Events"] == [
        {
            "EventBusName": "default",
            "EventId": "e2",
            "EventSource": "shop",
            "EventType": "order",
            "EventReceivedTime": world.now - 1000,
        }
    ]
    none = await world.ok("QueryTracedEvents", **period, EventSource="bank")
    assert none["Data"]["Events"] == []


async def test_matched_rule_narrows_the_search(world: worlds.World) -> None:
    await world.ok(
        "CreateRule", EventBusName="default", RuleName="two", FilterPattern='{"data":{"n":[2]}}'
    )
    await put(world, entry(1), entry(2))
    answer = await world.ok(
        "QueryTracedEvents",
        EventBusName="default",
        StartTime="0",
        EndTime=str(world.now + 1),
        MatchedRule="two",
    )
    assert [event["EventId"] for event in answer["Data"]["Events"]] == ["e2"]


async def test_query_by_id_answers_a_list_around_one_page(world: worlds.World) -> None:
    await put(world, entry())
    for source, total in (({}, 1), ({"EventSource": "shop"}, 1), ({"EventSource": "bank"}, 0)):
        answer = await world.ok(
            "QueryTracedEventByEventId", EventBusName="default", EventId="e1", **source
        )
        assert [page["Total"] for page in answer["Data"]] == [total]
        assert len(answer["Data"][0]["Events"]) == total


@pytest.mark.parametrize(
    ("action", "more"),
    [
        ("QueryEvent", {"EventId": "x", "EventSource": "s"}),
        ("QueryEventTraces", {"EventId": "x"}),
        ("QueryTracedEventByEventId", {"EventId": "x"}),
        ("QueryTracedEvents", {"StartTime": "0", "EndTime": "1"}),
    ],
)
async def test_queries_on_a_missing_bus_say_so(
    world: worlds.World, action: str, more: dict[str, str]
) -> None:
    assert (await world.refused(action, EventBusName="none", **more))[1] == "EventBusNotExist"


async def test_trace_tells_put_filter_and_every_push(world: worlds.World) -> None:
    await world.ok(
        "CreateRule",
        EventBusName="default",
        RuleName="orders",
        FilterPattern='{"source":["shop"]}',
        EventTargets=[TARGET],
    )
    world.receiver.answer = delivery.failed("down", 502, "Bad Gateway")
    await put(world, entry())
    await world.settled("e1")
    answer = await world.ok("QueryEventTraces", EventBusName="default", EventId="e1")
    steps = answer["Data"]
    assert [step["Action"] for step in steps] == ["PutEvent", "FilterEvent", "PushEvent"]
    common = {"EventBusName": "default", "EventId": "e1", "EventSource": "shop"}
    assert all(common.items() <= step.items() for step in steps)
    put_step, filter_step, push_step = steps
    assert put_step["ReceivedTime"] == world.now
    assert "RuleName" not in put_step
    assert filter_step["RuleName"] == "orders"
    assert filter_step["RuleMatchingTime"] == str(world.now)
    assert push_step["RuleName"] == "orders"
    assert push_step["Endpoint"] == "https://hook.example.com/in"
    assert push_step["NotifyStatus"] == "[502]Bad Gateway"
    assert isinstance(push_step["NotifyTime"], int)
    assert push_step["NotifyLatency"].isdigit()


async def test_push_that_has_not_happened_is_not_told(world: worlds.World) -> None:
    world.receiver.gate = asyncio.Event()
    await world.ok(
        "CreateRule",
        EventBusName="default",
        RuleName="orders",
        FilterPattern='{"source":["shop"]}',
        EventTargets=[TARGET],
    )
    await put(world, entry())
    answer = await world.ok("QueryEventTraces", EventBusName="default", EventId="e1")
    assert [step["Action"] for step in answer["Data"]] == ["PutEvent", "FilterEvent"]
    world.receiver.gate.set()
    await world.settled("e1")


async def test_trace_of_an_event_that_is_not_kept_is_empty(world: worlds.World) -> None:
    answer = await world.ok("QueryEventTraces", EventBusName="default", EventId="none")
    assert answer["Data"] == []


@pytest.mark.parametrize("token", ["garbage", "9" * 400, "\x00"])
async def test_token_that_nobody_gave_out_is_refused(world: worlds.World, token: str) -> None:
    await put(world, entry())
    period = {"EventBusName": "default", "StartTime": "0", "EndTime": str(world.now + 1)}
    for action, more in (("QueryTracedEvents", period), ("ListRules", {"EventBusName": "default"})):
        status, code, _ = await world.refused(action, NextToken=token, **more)
        assert (status, code) == (400, "NextTokenInvalid"), action


async def test_odd_periods_are_empty_or_refused(world: worlds.World) -> None:
    await put(world, entry())
    backwards = {"EventBusName": "default", "StartTime": str(world.now + 1), "EndTime": "0"}
    answer = await world.ok("QueryTracedEvents", **backwards)
    assert answer["Data"]["Events"] == []
    assert (await world.refused("QueryTracedEvents", **backwards | {"EndTime": "x"}))[0] == 400
    for end in ("9" * 19, "9" * 20, "-1"):
        reply = await world.rpc("QueryTracedEvents", **backwards | {"EndTime": end})
        assert reply.status in (200, 400), end
