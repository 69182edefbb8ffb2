"""The CloudEvents HTTP binding with plain signed requests: structured, binary and batched mode."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.wire import making, processes, receivers, sdk, signing

EVENT = {"specversion": "1.0", "id": "e1", "source": "my.shop", "type": "order"}


def post(
    server: processes.Server, bus: str, body: bytes, headers: dict[str, str]
) -> signing.Answer:
    request = signing.acs3(server.place, "POST", f"/events/{bus}", headers=headers, body=body)
    return signing.send(server.place, request)


def query(eventbridge: sdk.EventBridge, bus: str, event_id: str) -> dict[str, Any]:
    return eventbridge.query_event(EventBusName=bus, EventId=event_id, EventSource="my.shop").data


def test_structured_event_is_stored(
    eventbridge: sdk.EventBridge, server: processes.Server, bus: str
) -> None:
    body = json.dumps(EVENT | {"data": {"amount": 7}, "tenant": "blue"}).encode()
    kind = {"content-type": "application/cloudevents+json; charset=utf-8"}
    answer = post(server, bus, body, kind)
    assert answer.status == 202
    told = answer.json()
    assert told["failed"] == 0
    assert told["entries"][0]["id"] == "e1"
    assert told["entries"][0]["trace_id"]
    kept = query(eventbridge, bus, "e1")
    assert kept["data"] == {"amount": 7}
    assert kept["tenant"] == "blue"
    assert kept["aliyuneventbusname"] == bus


def test_binary_event_is_stored_with_its_headers_as_attributes(
    eventbridge: sdk.EventBridge, server: processes.Server, bus: str
) -> None:
    headers = {
        "content-type": "application/json", "ce-specversion": "1.0", "ce-id": "e2",
        "ce-source": "my.shop", "ce-type": "order", "ce-subject": "caf%C3%A9", "ce-tenant": "blue",
    }  # fmt: skip
    assert post(server, bus, b'{"amount": 7}', headers).status == 202
    kept = query(eventbridge, bus, "e2")
    assert kept["data"] == {"amount": 7}
    assert (kept["subject"], kept["tenant"]) == ("café", "blue")
    assert kept["datacontenttype"] == "application/json"


def test_binary_event_with_bytes_is_stored_as_base64(
    eventbridge: sdk.EventBridge, server: processes.Server, bus: str
) -> None:
    headers = {
        "content-type": "image/png", "ce-specversion": "1.0", "ce-id": "e3",
        "ce-source": "my.shop", "ce-type": "picture",
    }  # fmt: skip
    assert post(server, bus, b"\x00\xff\x01", headers).status == 202
    assert query(eventbridge, bus, "e3")["data_base64"] == "AP8B"


def test_malformed_event_of_a_batch_fails_alone(
    eventbridge: sdk.EventBridge, server: processes.Server, bus: str
) -> None:
    batch = [EVENT | {"id": "b1"}, EVENT | {"id": ""}, EVENT | {"id": "b2"}]
    kind = {"content-type": "application/cloudevents-batch+json"}
    answer = post(server, bus, json.dumps(batch).encode(), kind)
    assert answer.status == 207
    told = answer.json()
    assert told["failed"] == 1
    assert [entry.get("code") for entry in told["entries"]] == [None, "EventIdEmpty", None]
    assert query(eventbridge, bus, "b1")["id"] == "b1"
    assert query(eventbridge, bus, "b2")["id"] == "b2"
    good = json.dumps([EVENT | {"id": "b3"}]).encode()
    assert post(server, bus, good, kind).status == 202


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/cloudevents+json", b"{", 400),
        ("application/cloudevents+json", b'{"specversion":"1.0"}', 400),
        ("application/cloudevents+avro", b"x", 400),
        ("application/cloudevents-batch+json", b"{}", 400),
        ("text/plain", b"no event", 400),
    ],
)
def test_request_that_is_no_event_is_refused_with_a_code(
    server: processes.Server, bus: str, kind: str, body: bytes, status: int
) -> None:
    answer = post(server, bus, body, {"content-type": kind})
    told = answer.json()
    assert answer.status == status
    entry = told if "code" in told else told["entries"][0]
    assert entry["code"]
    assert entry["message"]


def test_missing_bus_is_an_error(server: processes.Server) -> None:
    answer = post(
        server, "nowhere", json.dumps(EVENT).encode(),
        {"content-type": "application/cloudevents+json"},
    )  # fmt: skip
    assert (answer.status, answer.json()["code"]) == (409, "EventBusNotExist")


def test_event_posted_here_passes_rules_like_any_other(
    eventbridge: sdk.EventBridge,
    server: processes.Server,
    receiver: receivers.Receiver,
    bus: str,
) -> None:
    hook = receiver.hook(bus)
    eventbridge.create_rule(
        EventBusName=bus, RuleName="orders", FilterPattern=making.pattern(type=["order"]),
        EventTargets=[making.http_target(hook.url)],
    )  # fmt: skip
    kind = {"content-type": "application/cloudevents+json"}
    post(server, bus, json.dumps(EVENT).encode(), kind)
    (received,) = hook.wait(1)
    assert json.loads(received.body)["id"] == "e1"


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_event_that_was_accepted_is_there_after_a_restart(
    eventbridge: sdk.EventBridge, server: processes.Server, bus: str, how: str
) -> None:
    body = json.dumps(EVENT | {"data": "kept"}).encode()
    answer = post(server, bus, body, {"content-type": "application/cloudevents+json"})
    assert answer.status == 202
    server.restart(how)
    assert query(eventbridge, bus, "e1")["data"] == "kept"
