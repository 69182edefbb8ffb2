"""From a publish through the SDKs to every kind of target: retries, dead letters, transforms."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.wire import making, native, processes, receivers, sdk, waiting

EXPONENTIAL = {"PushRetryStrategy": "EXPONENTIAL_DECAY_RETRY"}


def make_rule(
    eventbridge: sdk.EventBridge,
    bus: str,
    *targets: dict[str, Any],
    name: str = "orders",
    **pattern: Any,
) -> None:
    eventbridge.create_rule(
        EventBusName=bus, RuleName=name, FilterPattern=json.dumps(pattern),
        EventTargets=list(targets),
    )  # fmt: skip


def publish(eventbridge: sdk.EventBridge, bus: str, *events: dict[str, Any]) -> None:
    put = eventbridge.put_events(EventBusName=bus, EventList=list(events))
    assert put.data["FailedEntryCount"] == 0


def dead_letters(own_api: native.Native, event_id: str) -> list[dict[str, Any]]:
    letters = own_api.get("dead-letters", rule="orders")["dead_letters"]
    return [letter for letter in letters if letter["event_id"] == event_id]


@pytest.fixture
def hook(receiver: receivers.Receiver) -> receivers.Hook:
    return receiver.hook(making.name("hook"))


# -- HTTP


def test_receiver_gets_the_whole_event_with_headers_that_name_it(
    eventbridge: sdk.EventBridge, bus: str, hook: receivers.Hook
) -> None:
    target = making.http_target(hook.url)
    target["ParamList"].append(making.param("Token", "CONSTANT", "letmein"))
    make_rule(eventbridge, bus, target, source=["my.shop"])
    before_ms = time.time() * 1000
    publish(eventbridge, bus, making.entry("e1", Data={"amount": 12.5}))
    (received,) = hook.wait(1)
    event = json.loads(received.body)
    assert event["data"] == {"amount": 12.5}
    assert (
        event == eventbridge.query_event(EventBusName=bus, EventId="e1", EventSource="my.shop").data
    )
    headers = received.headers
    assert headers["content-type"] == "application/json"
    assert headers["x-eventbridge-signature-token"] == "letmein"
    assert headers["x-eventbridge-signature-version"] == "1.0"
    assert before_ms - 1 <= int(headers["x-eventbridge-signature-timestamp"]) < before_ms + 60_000
    assert headers["x-eventbridge-event-id"] == "e1"
    assert headers["x-eventbridge-rule"].endswith("orders")
    assert headers["x-eventbridge-attempt"] == "1"


def test_only_matching_events_arrive(
    eventbridge: sdk.EventBridge, bus: str, hook: receivers.Hook
) -> None:
    make_rule(
        eventbridge, bus, making.http_target(hook.url),
        type=[{"prefix": "order"}], data={"amount": [{"numeric": [">", 10]}]},
    )  # fmt: skip
    publish(
        eventbridge, bus,
        making.entry("small", type="order:made", Data={"amount": 9}),
        making.entry("other", type="refund", Data={"amount": 99}),
        making.entry("big", type="order:made", Data={"amount": 11}),
    )  # fmt: skip
    (received,) = hook.wait(1)
    assert json.loads(received.body)["id"] == "big"
    steps = eventbridge.query_event_traces(EventBusName=bus, EventId="small").data
    assert [step["Action"] for step in steps] == ["PutEvent"]
    assert len(hook.received) == 1


@pytest.mark.parametrize(
    ("body", "arrives", "kind"),
    [
        (making.param("Body", "CONSTANT", "hello"), b"hello", "text/plain"),
        (making.param("Body", "JSONPATH", "$.data.item.name"), "café".encode(), "text/plain"),
        (making.param("Body", "JSONPATH", "$.data.item"), '{"name":"café"}'.encode(), "json"),
        (
            making.param(
                "Body", "TEMPLATE", json.dumps({"n": "$.data.item.name", "a": "$.data.amount"}),
                '{"text":"${n} for ${a}","amount":${a}}',
            ),
            '{"text":"café for 12.50","amount":12.50}'.encode(),
            "json",
        ),
    ],
)  # fmt: skip
def test_transform_arrives_rendered(
    eventbridge: sdk.EventBridge,
    data_plane: sdk.DataPlane,
    bus: str,
    hook: receivers.Hook,
    body: dict[str, Any],
    arrives: bytes,
    kind: str,
) -> None:
    make_rule(eventbridge, bus, making.http_target(hook.url, body=body))
    data = '{"amount": 12.50, "item": {"name": "café"}}'.encode()
    data_plane.put_events([making.event("e1", bus, data=data)])
    (received,) = hook.wait(1)
    assert received.body == arrives
    assert kind in received.headers["content-type"]


def test_value_of_an_event_cannot_break_out_of_a_json_template(
    eventbridge: sdk.EventBridge, bus: str, hook: receivers.Hook
) -> None:
    body = making.param(
        "Body", "TEMPLATE", json.dumps({"n": "$.data.name"}), '{"name":"${n}","admin":false}'
    )
    make_rule(eventbridge, bus, making.http_target(hook.url, body=body))
    evil = 'x","admin":true,"y":"${n}'
    publish(eventbridge, bus, making.entry("e1", Data={"name": evil}))
    (received,) = hook.wait(1)
    assert json.loads(received.body) == {"name": evil, "admin": False}


def test_every_target_of_every_matching_rule_is_sent_to(
    eventbridge: sdk.EventBridge, bus: str, receiver: receivers.Receiver
) -> None:
    hooks = [receiver.hook(making.name("hook")) for _ in range(3)]
    make_rule(
        eventbridge, bus, making.http_target(hooks[0].url, id="a"),
        making.http_target(hooks[1].url, id="b"),
    )  # fmt: skip
    make_rule(eventbridge, bus, making.http_target(hooks[2].url), name="others")
    publish(eventbridge, bus, *(making.entry(f"e{n}") for n in range(5)))
    for hook in hooks:
        ids = {json.loads(received.body)["id"] for received in hook.wait(5)}
        assert ids == {f"e{n}" for n in range(5)}


def test_disabled_rule_delivers_nothing_until_it_is_enabled(
    eventbridge: sdk.EventBridge, bus: str, hook: receivers.Hook
) -> None:
    make_rule(eventbridge, bus, making.http_target(hook.url))
    eventbridge.disable_rule(EventBusName=bus, RuleName="orders")
    publish(eventbridge, bus, making.entry("while-off"))
    eventbridge.enable_rule(EventBusName=bus, RuleName="orders")
    publish(eventbridge, bus, making.entry("while-on"))
    (received,) = hook.wait(1)
    assert json.loads(received.body)["id"] == "while-on"


def test_each_change_of_rules_holds_for_the_very_next_event(
    eventbridge: sdk.EventBridge, bus: str, hook: receivers.Hook
) -> None:
    """Read-your-writes: twenty times create, publish, change, publish, with no wait between."""
    for number in range(20):
        name, made, changed = f"r{number}", f"made-{number}", f"changed-{number}"
        make_rule(eventbridge, bus, making.http_target(hook.url), name=name, source=[made])
        publish(eventbridge, bus, making.entry(f"{made}-yes", source=made))
        eventbridge.update_rule(
            EventBusName=bus, RuleName=name, FilterPattern=making.pattern(source=[changed])
        )
        publish(eventbridge, bus, making.entry(f"{made}-no", source=made))
        publish(eventbridge, bus, making.entry(f"{changed}-yes", source=changed))
        eventbridge.delete_rule(EventBusName=bus, RuleName=name)
        publish(eventbridge, bus, making.entry(f"{changed}-no", source=changed))
        for event_id in (f"{made}-yes", f"{changed}-yes"):
            steps = eventbridge.query_event_traces(EventBusName=bus, EventId=event_id).data
            assert "FilterEvent" in [step["Action"] for step in steps], event_id
        for event_id in (f"{made}-no", f"{changed}-no"):
            steps = eventbridge.query_event_traces(EventBusName=bus, EventId=event_id).data
            assert [step["Action"] for step in steps] == ["PutEvent"], event_id
    taken = {json.loads(received.body)["id"] for received in hook.wait(1)}
    assert not {event_id for event_id in taken if event_id.endswith("-no")}


# -- retries and dead letters


def test_failed_delivery_is_tried_again_after_the_strategys_wait(
    eventbridge: sdk.EventBridge, own_api: native.Native, bus: str, hook: receivers.Hook
) -> None:
    """EXPONENTIAL_DECAY_RETRY waits one second, then two."""
    hook.answers.extend((500, 503))
    make_rule(eventbridge, bus, making.http_target(hook.url, **EXPONENTIAL))
    event_id = making.name("event")
    started = time.monotonic()
    publish(eventbridge, bus, making.entry(event_id))
    received = hook.wait(3)
    assert time.monotonic() - started >= 2.9
    assert [one.headers["x-eventbridge-attempt"] for one in received] == ["1", "2", "3"]
    assert len({one.body for one in received}) == 1
    assert dead_letters(own_api, event_id) == []


def test_refused_delivery_goes_to_the_dead_letters_and_can_be_sent_again(
    eventbridge: sdk.EventBridge, own_api: native.Native, bus: str, hook: receivers.Hook
) -> None:
    hook.answers.append(400)
    make_rule(eventbridge, bus, making.http_target(hook.url, **EXPONENTIAL))
    event_id = making.name("event")
    publish(eventbridge, bus, making.entry(event_id, Data={"amount": 7}))
    (letter,) = waiting.wait_for(lambda: dead_letters(own_api, event_id), "dead letter")
    assert (letter["rule"].rsplit("/")[-1], letter["target"]) == ("orders", "t1")
    assert letter["attempts"] == 1
    assert "400" in letter["error"]
    assert letter["event"]["data"] == {"amount": 7}
    assert len(hook.received) == 1, "what can never succeed is not retried"
    own_api.post("dead-letters/resend", {"ids": [letter["id"]]})
    again = hook.wait(2)
    assert json.loads(again[1].body)["data"] == {"amount": 7}
    waiting.wait_for(lambda: not dead_letters(own_api, event_id), "end of the dead letter")


def test_dead_letter_goes_to_the_queue_that_the_target_names(
    eventbridge: sdk.EventBridge,
    own_api: native.Native,
    server: processes.Server,
    bus: str,
    hook: receivers.Hook,
) -> None:
    hook.answers.append(404)
    queue = making.name("letters")
    own_api.put(f"queues/{queue}")
    arn = f"acs:mns:{server.region}:{server.account}:/queues/{queue}"
    make_rule(eventbridge, bus, making.http_target(hook.url, DeadLetterQueue={"Arn": arn}))
    shown = eventbridge.get_rule(EventBusName=bus, RuleName="orders").data["Targets"][0]
    assert shown["DeadLetterQueue"]["Arn"] == arn
    publish(eventbridge, bus, making.entry("e1"))
    (message,) = wait_for_messages(own_api, queue, 1)
    body = json.loads(message["body"])
    assert body["id"] == "e1"
    assert body["ebdlqrule"].endswith("orders")
    assert body["ebdlqtarget"] == "t1"
    assert "404" in body["ebdlqerror"]


def wait_for_messages(own_api: native.Native, queue: str, count: int) -> list[dict[str, Any]]:
    def messages() -> list[dict[str, Any]] | None:
        found = own_api.get(f"queues/{queue}/messages")["messages"]
        return found if len(found) >= count else None

    return waiting.wait_for(messages, f"{count} messages on {queue}")


# -- queues and functions


def test_queue_gets_the_event(
    eventbridge: sdk.EventBridge, own_api: native.Native, server: processes.Server, bus: str
) -> None:
    queue = making.name("queue")
    own_api.put(f"queues/{queue}")
    make_rule(eventbridge, bus, making.queue_target(server, queue), type=["order"])
    publish(
        eventbridge, bus, making.entry("e1", Data="one"), making.entry("no", type="refund"),
        making.entry("e2"),
    )  # fmt: skip
    messages = wait_for_messages(own_api, queue, 2)
    bodies = [json.loads(message["body"]) for message in messages]
    assert sorted(body["id"] for body in bodies) == ["e1", "e2"]
    server.restart("kill")
    assert own_api.get(f"queues/{queue}/messages")["messages"] == messages


@pytest.mark.parametrize("mode", ["Sync", "Async"])
def test_function_gets_the_event(
    eventbridge: sdk.EventBridge,
    functions: sdk.Functions,
    own_api: native.Native,
    server: processes.Server,
    bus: str,
    mode: str,
) -> None:
    name = making.name("fn")
    source = """
import json

def handler(event, context):
    told = json.loads(event)
    print("amount of", told["id"], "is", told["data"]["amount"], flush=True)
"""
    functions.create_function(body=making.function_input(name, source))
    make_rule(eventbridge, bus, making.function_target(server, name, mode=mode))
    publish(eventbridge, bus, making.entry("e1", Data={"amount": 12.5}))

    def told() -> bool:
        lines = own_api.get(f"functions/{name}/logs")["lines"]
        return any("amount of e1 is 12.5" in line.get("text", "") for line in lines)

    waiting.wait_for(told, "run of the function")
    pushed = waiting.wait_for(
        lambda: eventbridge.query_event_traces(EventBusName=bus, EventId="e1").data[2:],
        "push in the trace",
    )
    assert pushed[0]["NotifyStatus"].startswith("[200]" if mode == "Sync" else "[202]")


def test_function_that_fails_is_called_again(
    eventbridge: sdk.EventBridge,
    functions: sdk.Functions,
    own_api: native.Native,
    server: processes.Server,
    bus: str,
) -> None:
    name = making.name("fn")
    source = """
def handler(event, context):
    print("try", context.retry_count, flush=True)
    if context.retry_count == 0:
        raise ValueError("not yet")
"""
    functions.create_function(body=making.function_input(name, source))
    make_rule(eventbridge, bus, making.function_target(server, name, **EXPONENTIAL))
    publish(eventbridge, bus, making.entry("e1"))

    def told() -> bool:
        lines = own_api.get(f"functions/{name}/logs")["lines"]
        return any("try 1" in line.get("text", "") for line in lines)

    waiting.wait_for(told, "second try")
    pushes = waiting.wait_for(
        lambda: eventbridge.query_event_traces(EventBusName=bus, EventId="e1").data[3:],
        "second push in the trace",
    )
    assert pushes[0]["NotifyStatus"].startswith("[200]Ok")


# -- restart


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_delivery_that_waits_goes_on_after_a_restart(
    eventbridge: sdk.EventBridge,
    own_api: native.Native,
    server: processes.Server,
    bus: str,
    hook: receivers.Hook,
    how: str,
) -> None:
    hook.answers.append(503)
    make_rule(eventbridge, bus, making.http_target(hook.url, **EXPONENTIAL))
    event_id = making.name("event")
    publish(eventbridge, bus, making.entry(event_id))
    hook.wait(1)
    server.restart(how)
    received = hook.wait(2)
    assert json.loads(received[1].body)["id"] == event_id
    assert dead_letters(own_api, event_id) == []


def test_dead_letters_are_there_after_a_kill_and_the_books_balance(
    eventbridge: sdk.EventBridge,
    own_api: native.Native,
    server: processes.Server,
    bus: str,
    hook: receivers.Hook,
) -> None:
    hook.answers.append(410)
    make_rule(eventbridge, bus, making.http_target(hook.url))
    event_id = making.name("event")
    publish(eventbridge, bus, making.entry(event_id))
    before = waiting.wait_for(lambda: dead_letters(own_api, event_id), "dead letter")
    server.restart("kill")
    assert dead_letters(own_api, event_id) == before
    assert own_api.get("books")["balanced"] is True
