"""Publishing, querying and tracing through the control SDK: effect, errors, state after restart."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.wire import making, processes, receivers, sdk, waiting

YEAR_MS = 365 * 24 * 3600 * 1000


def period() -> dict[str, int]:
    now_ms = int(time.time() * 1000)
    return {"StartTime": now_ms - YEAR_MS, "EndTime": now_ms + YEAR_MS}


def ids(page: dict[str, Any]) -> list[str]:
    return [event["EventId"] for event in page["Events"]]


def test_published_event_is_kept_as_it_was_with_the_buss_attributes(
    eventbridge: sdk.EventBridge, server: processes.Server, bus: str
) -> None:
    sent = making.entry(
        "e1", Subject="orders/7", Time="2026-01-02T03:04:05Z", DataSchema="https://schema/1",
        DataContentType="application/json", Data={"amount": 12.5, "text": "店", "none": None},
    )  # fmt: skip
    put = eventbridge.put_events(EventBusName=bus, EventList=[sent])
    assert put.body["Code"] == "Success"
    (result,) = put.data["EntryList"]
    assert put.data["FailedEntryCount"] == 0
    assert result["EventId"] == "e1"
    assert result["TraceId"]
    assert result.get("ErrorCode") is None
    kept = eventbridge.query_event(EventBusName=bus, EventId="e1", EventSource="my.shop").data
    published = kept.pop("aliyunpublishtime")
    assert published.endswith("Z")
    assert kept == {
        "id": "e1", "source": "my.shop", "type": "order", "specversion": "1.0",
        "subject": "orders/7", "time": "2026-01-02T03:04:05Z", "dataschema": "https://schema/1",
        "datacontenttype": "application/json",
        "data": {"amount": 12.5, "text": "店", "none": None},
        "aliyunaccountid": server.account, "aliyunoriginalaccountid": server.account,
        "aliyuneventbusname": bus, "aliyunregionid": server.region,
        "aliyunpublishaddr": "127.0.0.1",
    }  # fmt: skip


def test_unsent_time_and_content_type_are_filled_in(eventbridge: sdk.EventBridge, bus: str) -> None:
    eventbridge.put_events(EventBusName=bus, EventList=[making.entry("e1", Data="plain")])
    kept = eventbridge.query_event(EventBusName=bus, EventId="e1", EventSource="my.shop").data
    assert kept["data"] == "plain"
    assert kept["datacontenttype"] == "application/json; charset=utf-8"
    assert kept["time"]


def test_malformed_event_fails_alone_with_its_code(eventbridge: sdk.EventBridge, bus: str) -> None:
    put = eventbridge.put_events(
        EventBusName=bus,
        EventList=[
            making.entry("good-1"),
            making.entry("bad", SpecVersion="9.9"),
            making.entry("", Data={}),
            making.entry("bad", source=""),
            making.entry("bad", type=""),
            making.entry("good-2"),
        ],
    )
    assert put.status == 200
    assert put.data["FailedEntryCount"] == 4
    codes = [entry.get("ErrorCode") for entry in put.data["EntryList"]]
    assert codes == [
        None, "EventSpecversionInvalid", "EventIdEmpty", "EventSourceInvalid", "EventTypeInvalid",
        None,
    ]  # fmt: skip
    assert all(e.get("ErrorMessage") for e in put.data["EntryList"] if e.get("ErrorCode"))
    found = eventbridge.query_traced_events(EventBusName=bus, **period()).data
    assert sorted(ids(found)) == ["good-1", "good-2"]


def test_publishing_to_a_missing_bus_is_an_error(eventbridge: sdk.EventBridge) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.put_events(EventBusName="nowhere", EventList=[making.entry("e1")])
    assert (refused.value.code, refused.value.status) == ("EventBusNotExist", 409)


def test_publishing_nothing_is_an_error(eventbridge: sdk.EventBridge, bus: str) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.put_events(EventBusName=bus, EventList=[])
    assert (refused.value.code, refused.value.status) == ("MissingParameter", 400)
    assert "EventList" in refused.value.message


def test_more_events_than_a_request_may_hold_are_refused_whole(
    eventbridge: sdk.EventBridge, bus: str
) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.put_events(
            EventBusName=bus, EventList=[making.entry(f"e{n}") for n in range(1001)]
        )
    assert (refused.value.code, refused.value.status) == ("InvalidArgument", 400)
    assert eventbridge.query_traced_events(EventBusName=bus, **period()).data["Events"] == []


def test_request_of_megabytes_is_stored_whole_and_a_larger_one_refused(
    eventbridge: sdk.EventBridge, bus: str
) -> None:
    large = "x" * 900_000
    put = eventbridge.put_events(
        EventBusName=bus, EventList=[making.entry(f"e{n}", Data=large) for n in range(7)]
    )
    assert put.data["FailedEntryCount"] == 0
    found = eventbridge.query_traced_events(EventBusName=bus, **period()).data
    assert sorted(ids(found)) == [f"e{n}" for n in range(7)]
    kept = eventbridge.query_event(EventBusName=bus, EventId="e6", EventSource="my.shop").data
    assert kept["data"] == large
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.put_events(
            EventBusName=bus, EventList=[making.entry(f"m{n}", Data=large) for n in range(10)]
        )
    assert (refused.value.code, refused.value.status) == ("EntityTooLarge", 413)
    assert eventbridge.get_event_bus(EventBusName=bus).status == 200


def test_event_larger_than_the_limit_fails_alone(eventbridge: sdk.EventBridge, bus: str) -> None:
    put = eventbridge.put_events(
        EventBusName=bus,
        EventList=[making.entry("large", Data="x" * 1_100_000), making.entry("small")],
    )
    first, second = put.data["EntryList"]
    assert first["ErrorCode"] == "EventSizeExceed"
    assert second["EventId"] == "small"


def test_event_that_is_not_kept_is_an_error_of_query_event(
    eventbridge: sdk.EventBridge, bus: str
) -> None:
    eventbridge.put_events(EventBusName=bus, EventList=[making.entry("e1")])
    for changed in ({"EventId": "e2"}, {"EventSource": "other"}):
        with pytest.raises(sdk.SdkError) as refused:
            eventbridge.query_event(
                **{"EventBusName": bus, "EventId": "e1", "EventSource": "my.shop"} | changed
            )
        assert (refused.value.code, refused.value.status) == ("EventNotExist", 404)


def test_trace_tells_receipt_match_and_each_push(
    eventbridge: sdk.EventBridge, receiver: receivers.Receiver, bus: str
) -> None:
    hook = receiver.hook(bus)
    hook.answers.append(503)
    target = making.http_target(hook.url, PushRetryStrategy="EXPONENTIAL_DECAY_RETRY")
    for name, source in (("orders", "my.shop"), ("others", "other")):
        eventbridge.create_rule(
            EventBusName=bus, RuleName=name, FilterPattern=making.pattern(source=[source]),
            EventTargets=[target],
        )  # fmt: skip
    before_ms = int(time.time() * 1000)
    eventbridge.put_events(EventBusName=bus, EventList=[making.entry("e1")])

    def told() -> list[dict[str, Any]] | None:
        steps = eventbridge.query_event_traces(EventBusName=bus, EventId="e1").data
        return steps if len(steps) == 4 else None

    received, matched, failed, pushed = waiting.wait_for(told, "trace of four steps")
    after_ms = int(time.time() * 1000)
    whose = {"EventBusName": bus, "EventId": "e1", "EventSource": "my.shop"}
    at_ms = received["ReceivedTime"]
    assert before_ms <= at_ms <= after_ms
    assert received == whose | {
        "Action": "PutEvent", "ActionTime": at_ms, "ReceivedTime": at_ms
    }  # fmt: skip
    assert matched.pop("RuleMatchingTime") == str(matched["ActionTime"])
    assert matched == whose | {
        "Action": "FilterEvent", "ActionTime": matched["ActionTime"], "RuleName": "orders"
    }  # fmt: skip
    for step, status in ((failed, 503), (pushed, 200)):
        assert (step["Action"], step["RuleName"]) == ("PushEvent", "orders")
        assert step["Endpoint"] == hook.url
        assert step["NotifyStatus"].startswith(f"[{status}]")
        assert int(step["NotifyLatency"]) >= 0
        assert at_ms <= step["NotifyTime"] <= after_ms
    assert pushed["NotifyTime"] - failed["NotifyTime"] >= 900  # the strategy's first wait is 1 s


def test_unknown_event_has_no_steps_and_a_missing_bus_is_an_error(
    eventbridge: sdk.EventBridge, bus: str
) -> None:
    assert not eventbridge.query_event_traces(EventBusName=bus, EventId="e1").body.get("Data")
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.query_event_traces(EventBusName="nowhere", EventId="e1")
    assert refused.value.code == "EventBusNotExist"


@pytest.fixture(scope="module")
def searched(eventbridge: sdk.EventBridge) -> str:
    """A bus with six events: two sources, two types, one subject, one rule that took three."""
    bus = making.name("searched")
    eventbridge.create_event_bus(EventBusName=bus)
    eventbridge.create_rule(
        EventBusName=bus, RuleName="orders", FilterPattern=making.pattern(type=["order"])
    )
    eventbridge.put_events(
        EventBusName=bus,
        EventList=[
            making.entry("a1", source="a", type="order"),
            making.entry("a2", source="a", type="order", Subject="s/1"),
            making.entry("a3", source="a", type="refund"),
            making.entry("b1", source="b", type="order"),
            making.entry("b2", source="b", type="refund"),
            making.entry("b3", source="b", type="refund"),
        ],
    )
    return bus


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["a1", "a2", "a3", "b1", "b2", "b3"]),
        ({"EventSource": "a"}, ["a1", "a2", "a3"]),
        ({"EventType": "refund"}, ["a3", "b2", "b3"]),
        ({"EventSource": "b", "EventType": "order"}, ["b1"]),
        ({"Subject": "s/1"}, ["a2"]),
        ({"MatchedRule": "orders"}, ["a1", "a2", "b1"]),
        ({"MatchedRule": "orders", "EventSource": "a"}, ["a1", "a2"]),
        ({"EventSource": "nobody"}, []),
    ],
)
def test_events_are_found_by_source_type_subject_and_matched_rule(
    eventbridge: sdk.EventBridge, searched: str, wanted: dict[str, str], found: list[str]
) -> None:
    page = eventbridge.query_traced_events(EventBusName=searched, **period(), **wanted).data
    assert sorted(ids(page)) == found


def test_found_event_is_described(eventbridge: sdk.EventBridge, searched: str) -> None:
    page = eventbridge.query_traced_events(
        EventBusName=searched, EventSource="a", EventType="refund", **period()
    ).data
    (event,) = page["Events"]
    assert abs(event.pop("EventReceivedTime") - time.time() * 1000) < 120_000
    assert event == {
        "EventBusName": searched, "EventId": "a3", "EventSource": "a", "EventType": "refund"
    }  # fmt: skip


def test_found_events_come_in_pages(eventbridge: sdk.EventBridge, searched: str) -> None:
    seen: list[str] = []
    token = None
    within = period()  # a token goes with its search: every page asks the same
    for size in (4, 2):
        page = eventbridge.query_traced_events(
            EventBusName=searched, Limit=4, NextToken=token, **within
        ).data
        assert len(page["Events"]) == size
        seen += ids(page)
        token = page.get("NextToken")
    assert sorted(seen) == ["a1", "a2", "a3", "b1", "b2", "b3"]
    assert not token


def test_events_outside_the_period_are_not_found(
    eventbridge: sdk.EventBridge, searched: str
) -> None:
    now_ms = int(time.time() * 1000)
    long_ago, soon = now_ms - YEAR_MS, now_ms + 60_000
    for start, end in ((long_ago, long_ago + 1), (soon, soon + YEAR_MS)):
        page = eventbridge.query_traced_events(
            EventBusName=searched, StartTime=start, EndTime=end
        ).data
        assert page["Events"] == []


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"Limit": 101}, "InvalidArgument"),
        ({"NextToken": "made up"}, "NextTokenInvalid"),
        ({"StartTime": None}, "MissingParameter"),
    ],
)
def test_search_that_is_wrong_is_refused(
    eventbridge: sdk.EventBridge, searched: str, changed: dict[str, Any], code: str
) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.query_traced_events(**{"EventBusName": searched, **period()} | changed)
    assert (refused.value.code, refused.value.status) == (code, 400)


def test_search_on_a_missing_bus_is_an_error(eventbridge: sdk.EventBridge) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.query_traced_events(EventBusName="nowhere", **period())
    assert (refused.value.code, refused.value.status) == ("EventBusNotExist", 409)


def test_event_is_found_by_its_id_in_a_list_of_one_page(
    eventbridge: sdk.EventBridge, searched: str
) -> None:
    found = eventbridge.query_traced_event_by_event_id(EventBusName=searched, EventId="b2")
    (page,) = found.data
    assert ids(page) == ["b2"]
    none = eventbridge.query_traced_event_by_event_id(
        EventBusName=searched, EventId="b2", EventSource="a"
    )
    assert none.data[0]["Events"] == []


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_events_and_traces_are_as_they_were_after_a_restart(
    eventbridge: sdk.EventBridge,
    server: processes.Server,
    receiver: receivers.Receiver,
    bus: str,
    how: str,
) -> None:
    hook = receiver.hook(bus)
    eventbridge.create_rule(
        EventBusName=bus, RuleName="orders", FilterPattern=making.pattern(type=["order"]),
        EventTargets=[making.http_target(hook.url)],
    )  # fmt: skip
    eventbridge.put_events(
        EventBusName=bus, EventList=[making.entry("e1"), making.entry("e2", type="other")]
    )
    hook.wait(1)
    whole = {"EventBusName": bus, "EventId": "e1"}
    steps = waiting.wait_for(
        lambda: (d := eventbridge.query_event_traces(**whole).data) and len(d) == 3 and d,
        "the push in the trace",
    )
    kept = eventbridge.query_event(**whole, EventSource="my.shop").data
    found = eventbridge.query_traced_events(EventBusName=bus, **period()).data
    server.restart(how)
    assert eventbridge.query_event(**whole, EventSource="my.shop").data == kept
    again = eventbridge.query_traced_events(EventBusName=bus, **period()).data
    assert again["Events"] == found["Events"]
    assert eventbridge.query_event_traces(**whole).data == steps
    matched = eventbridge.query_traced_events(EventBusName=bus, MatchedRule="orders", **period())
    assert ids(matched.data) == ["e1"]
    assert len(hook.received) == 1, "a delivery that was settled is not repeated"
