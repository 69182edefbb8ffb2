"""Publishing and querying through the data-plane SDK: effect, errors, state after restart."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.wire import making, processes, receivers, sdk, waiting

HOUR_MS = 3600 * 1000


@pytest.fixture
def bus(data_plane: sdk.DataPlane) -> str:
    made = making.name("bus")
    data_plane.create_event_bus(EventBusName=made)
    return made


def period() -> dict[str, int]:
    now_ms = int(time.time() * 1000)
    return {"StartTime": now_ms - HOUR_MS, "EndTime": now_ms + HOUR_MS}


def kept(data_plane: sdk.DataPlane, bus: str, *ids: str) -> dict[str, Any]:
    found = data_plane.query_events(EventBusName=bus, EventIds=list(ids)).body
    return {id: json.loads(text) for id, text in found["EventMap"].items()}


def test_json_text_and_binary_data_are_kept_as_published(
    data_plane: sdk.DataPlane, bus: str
) -> None:
    put = data_plane.put_events(
        [
            making.event("object", bus, data=b'{"amount": 12.50, "text": "\\u5e97"}'),
            making.event("text", bus, data=b"not json", datacontenttype="application/json"),
            making.event("binary", bus, data=b"\x00\xff\x01", datacontenttype="image/png"),
            making.event("nothing", bus),
        ]
    )
    assert put.body["FailedEntryCount"] == 0
    assert [e["EventId"] for e in put.body["EntryList"]] == ["object", "text", "binary", "nothing"]
    assert all(entry["TraceId"] for entry in put.body["EntryList"])
    found = kept(data_plane, bus, "object", "text", "binary", "nothing")
    assert found["object"]["data"] == {"amount": 12.5, "text": "店"}
    assert found["text"]["data"] == "not json"
    assert found["binary"]["data_base64"] == "AP8B"
    assert "data" not in found["binary"]
    assert found["binary"]["datacontenttype"] == "image/png"
    assert "data" not in found["nothing"]


def test_answer_names_request_and_account(
    data_plane: sdk.DataPlane, server: processes.Server, bus: str
) -> None:
    put = data_plane.put_events([making.event("e1", bus)])
    assert put.body["RequestId"]
    assert put.body["ResourceOwnerAccountId"] == server.account


def test_bus_is_chosen_by_the_event_and_extensions_stay(
    data_plane: sdk.DataPlane, server: processes.Server, bus: str
) -> None:
    sent = making.event(
        "e1", bus, subject="s", extensions={"tenant": "blue", "aliyunaccountid": "forged"}
    )
    data_plane.put_events([sent])
    found = kept(data_plane, bus, "e1")["e1"]
    assert found["aliyuneventbusname"] == bus
    assert found["tenant"] == "blue"
    assert found["subject"] == "s"
    assert found["aliyunaccountid"] == server.account


def test_malformed_event_fails_alone_with_its_code(data_plane: sdk.DataPlane, bus: str) -> None:
    put = data_plane.put_events(
        [
            making.event("good-1", bus),
            making.event("no-bus", None),
            making.event("", bus),
            making.event("version", bus, specversion="0.1"),
            making.event("time", bus, time="yesterday"),
            making.event("good-2", bus),
        ]
    )
    entries = put.body["EntryList"]
    assert put.body["FailedEntryCount"] == 4
    assert [entry.get("ErrorCode") for entry in entries][:4] == [
        None, "EventBusEmpty", "EventIdEmpty", "EventSpecversionInvalid",
    ]  # fmt: skip
    assert entries[4]["ErrorCode"]
    assert all(entry["ErrorMessage"] for entry in entries if entry.get("ErrorCode"))
    found = data_plane.query_events_by_period(EventBusName=bus, **period()).body
    assert sorted(e["EventId"] for e in found["TracedEvents"]) == ["good-1", "good-2"]


def test_events_for_two_buses_in_one_request_are_refused_whole(
    data_plane: sdk.DataPlane, bus: str
) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        data_plane.put_events([making.event("e1", bus), making.event("e2", "default")])
    assert refused.value.code == "PutEventsRequestMoreThanOneEventBus"
    assert refused.value.message.startswith("[EventBridgeError-")
    assert kept(data_plane, bus, "e1") == {}


def test_event_for_a_missing_bus_fails_with_the_code_of_the_bus(
    data_plane: sdk.DataPlane,
) -> None:
    put = data_plane.put_events([making.event("e1", "nowhere")])
    assert put.body["FailedEntryCount"] == 1
    assert put.body["EntryList"][0]["ErrorCode"] == "EventBusNotExist"


def test_pattern_is_tested_without_a_rule(data_plane: sdk.DataPlane) -> None:
    event = json.dumps({"id": "1", "source": "my.shop", "type": "order"})
    for source, result in (("my.shop", True), ("other", False)):
        tested = data_plane.test_event_pattern(
            Event=event, EventPattern=making.pattern(source=[source])
        )
        assert tested.body["Result"] is result
    with pytest.raises(sdk.SdkError) as refused:
        data_plane.test_event_pattern(Event=event, EventPattern='{"source":"x"}')
    assert refused.value.code == "EventRuleFilterPatternSchemaError"
    assert "source" in refused.value.message


def test_trace_has_times_as_this_plane_has_them(
    data_plane: sdk.DataPlane,
    server: processes.Server,
    receiver: receivers.Receiver,
    bus: str,
) -> None:
    hook = receiver.hook(bus)
    data_plane.create_rule(
        EventBusName=bus, RuleName="orders", FilterPattern="{}",
        Targets=[making.http_target(hook.url)],
    )  # fmt: skip
    data_plane.put_events([making.event("e1", bus, data=b"{}")])

    def told() -> list[dict[str, Any]] | None:
        steps = data_plane.query_event_traces(EventBusName=bus, EventId="e1").body
        return steps["EventTraceList"] if len(steps["EventTraceList"]) == 3 else None

    steps = waiting.wait_for(told, "trace of three steps")
    assert [step["Action"] for step in steps] == ["PutEvent", "FilterEvent", "PushEvent"]
    assert all(step["ResourceOwnerId"] == server.account for step in steps)
    assert all(isinstance(step["ActionTime"], str) for step in steps)
    assert steps[0]["ReceivedTime"] == int(steps[0]["ActionTime"])
    assert isinstance(steps[1]["RuleMatchingTime"], int)
    assert steps[2]["NotifyStatus"] == "[200]Ok"
    assert steps[2]["Endpoint"] == hook.url
    assert isinstance(steps[2]["NotifyLatency"], int)


def test_event_is_found_by_id_and_by_period(data_plane: sdk.DataPlane, bus: str) -> None:
    data_plane.create_rule(
        EventBusName=bus, RuleName="orders", FilterPattern=making.pattern(type=["order"]),
        Targets=[],
    )  # fmt: skip
    data_plane.put_events([making.event("e1", bus), making.event("e2", bus, type="refund")])
    found = data_plane.query_event_by_event_id(EventBusName=bus, EventId="e1").body
    (event,) = found["TracedEvents"]
    assert found["Total"] == 1
    assert abs(int(event.pop("EventReceivedTime")) - time.time() * 1000) < 60_000
    assert event == {
        "EventBusName": bus, "EventId": "e1", "EventSource": "my.shop", "EventType": "order"
    }  # fmt: skip

    def ids(**wanted: Any) -> list[str]:
        page = data_plane.query_events_by_period(EventBusName=bus, **period(), **wanted).body
        return sorted(e["EventId"] for e in page["TracedEvents"])

    assert ids() == ["e1", "e2"]
    assert ids(EventType="refund") == ["e2"]
    assert ids(EventSource="nobody") == []
    assert ids(MatchedRule="orders") == ["e1"]
    missing = data_plane.query_event_by_event_id(EventBusName=bus, EventId="e9").body
    assert missing["TracedEvents"] == []


def test_period_comes_in_pages(data_plane: sdk.DataPlane, bus: str) -> None:
    data_plane.put_events([making.event(f"e{n}", bus) for n in range(5)])
    within = period()
    first = data_plane.query_events_by_period(EventBusName=bus, Limit=3, **within).body
    second = data_plane.query_events_by_period(
        EventBusName=bus, Limit=3, NextToken=first["NextToken"], **within
    ).body
    seen = [e["EventId"] for e in first["TracedEvents"] + second["TracedEvents"]]
    assert len(first["TracedEvents"]) == 3
    assert sorted(seen) == [f"e{n}" for n in range(5)]
    assert second["NextToken"] == ""


def test_only_events_that_are_kept_are_in_the_map(data_plane: sdk.DataPlane, bus: str) -> None:
    data_plane.put_events([making.event("e1", bus), making.event("e2", bus)])
    assert sorted(kept(data_plane, bus, "e1", "e2", "e3")) == ["e1", "e2"]
    other = data_plane.query_events(EventBusName=bus, EventSourceName="other", EventIds=["e1"]).body
    assert not other.get("EventMap")
    assert other["EventBusName"] == bus


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("query_event_traces", {"EventId": "e1"}),
        ("query_event_by_event_id", {"EventId": "e1"}),
        ("query_events", {"EventIds": ["e1"]}),
        ("query_events_by_period", {"StartTime": 1, "EndTime": 2}),
    ],
)
def test_query_on_a_missing_bus_is_an_error(
    data_plane: sdk.DataPlane, operation: str, more: dict[str, Any]
) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        getattr(data_plane, operation)(EventBusName="nowhere", **more)
    assert refused.value.code == "EventBusNotExist"
    assert refused.value.data["requestId"] in refused.value.message


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_events_are_as_they_were_after_a_restart(
    data_plane: sdk.DataPlane, server: processes.Server, bus: str, how: str
) -> None:
    data_plane.create_rule(EventBusName=bus, RuleName="all", FilterPattern="{}", Targets=[])
    data_plane.put_events(
        [
            making.event("e1", bus, data=b'{"a": 1}'),
            making.event("e2", bus, data=b"\x00", datacontenttype="image/png"),
        ]
    )
    before = kept(data_plane, bus, "e1", "e2")
    steps = data_plane.query_event_traces(EventBusName=bus, EventId="e1").body
    found = data_plane.query_events_by_period(EventBusName=bus, **period()).body
    server.restart(how)
    assert kept(data_plane, bus, "e1", "e2") == before
    assert len(before) == 2
    again = data_plane.query_events_by_period(EventBusName=bus, **period()).body
    assert again["TracedEvents"] == found["TracedEvents"]
    by_id = data_plane.query_event_by_event_id(EventBusName=bus, EventId="e2").body
    assert [e["EventId"] for e in by_id["TracedEvents"]] == ["e2"]
    traced = data_plane.query_event_traces(EventBusName=bus, EventId="e1").body
    assert traced["EventTraceList"] == steps["EventTraceList"]
