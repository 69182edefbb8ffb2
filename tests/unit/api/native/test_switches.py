"""Red switches over the API: who may turn them, what is refused meanwhile, where they are seen."""

from __future__ import annotations

import json
from typing import Any

import prometheus_client
import pytest

from headrace import metrics
from headrace.access import policy
from headrace.api import operations
from headrace.api.cloudevents import face as cloudevents
from headrace.api.eventbridge import control, dataplane
from headrace.api.fc import table as fc_table
from headrace.api.native import face as native
from headrace.api.native import switches
from headrace.core import errors
from tests.unit.api import world as worlds
from tests.unit.api.native.test_face import event, make_rule, publish

pytestmark = pytest.mark.anyio

#: Every built operation that is refused in read-only mode. All others are answered.
CHANGES = {
    "CreateEventBus", "UpdateEventBus", "DeleteEventBus",
    "CreateRule", "UpdateRule", "DeleteRule", "EnableRule", "DisableRule",
    "PutTargets", "DeleteTargets", "PutEvents", "CreateServiceLinkedRoleForProduct",
    "putEvents", "createEventBus", "deleteEventBus",
    "createRule", "deleteRule", "disableRule", "enableRule", "updateRule",
    "createTargets", "deleteTargets",
    "CreateFunction", "DeleteFunction", "UpdateFunction",
    "CreateTrigger", "DeleteTrigger", "UpdateTrigger",
    "PublishCloudEvents",
    "ReplayEvent", "ResendDeadLetters", "CreateQueue", "DeleteQueue", "SendMessage", "PurgeQueue",
}  # fmt: skip


async def test_a_switch_is_turned_listed_and_remembered(world: worlds.World) -> None:
    status, answer = await world.native("PUT", "/switches/pause-all", {"reason": "incident 7"})
    assert (status, answer["name"], answer["on"]) == (200, "pause-all", True)
    assert (answer["by"], answer["reason"], answer["since_ms"]) == (
        worlds.KEY.access_key_id, "incident 7", world.now,
    )  # fmt: skip
    _, listed = await world.native("GET", "/switches")
    assert listed["switches"] == [answer]
    assert listed["under_way"] == {"deliveries": 0, "invocations": 0}
    _, state = await world.native("GET", "/status")
    assert (state["switches"], state["under_way"]) == ([answer], listed["under_way"])
    status, answer = await world.native("DELETE", "/switches/pause-all", query="reason=over")
    assert (status, answer["on"], len(answer["history"])) == (200, False, 2)
    assert (await world.native("GET", "/switches"))[1]["switches"] == []
    assert (await world.native("GET", "/switches", query="all=true"))[1]["switches"] == [answer]


@pytest.mark.parametrize(
    ("method", "path", "value", "refused"),
    [
        ("PUT", "/switches/pause", {}, (400, "InvalidArgument")),
        ("PUT", "/switches/pause-target", {"of": "default/no/t"}, (409, "EventRuleNotExisted")),
        ("DELETE", "/switches/drain", None, (404, "SwitchNotExist")),
    ],
)
async def test_what_cannot_be_turned_is_said(
    world: worlds.World, method: str, path: str, value: object, refused: tuple[int, str]
) -> None:
    status, answer = await world.native(method, path, value)
    assert (status, answer["code"]) == refused


@pytest.mark.parametrize(
    "principal",
    [
        policy.Principal(worlds.ACCOUNT, "AK2", statements=(policy.Statement("Allow", ("*",)),)),
        policy.Principal("another", "AK3", root=True),
    ],
)
async def test_nobody_but_the_account_of_the_server_turns_a_switch(
    world: worlds.World, principal: policy.Principal
) -> None:
    row = native.TABLE.named("TurnSwitchOn")
    asked: Any = None
    call = operations.Call(world.services, principal, asked, {"switch": "pause-all"})
    with pytest.raises(errors.AccessDenied):
        await operations.run(row, call)
    assert world.services.engine.switchboard.on == []


async def test_turning_needs_a_right_of_its_own(world: worlds.World) -> None:
    denied = policy.Statement("Deny", ("headrace:TurnSwitch*",))
    root = policy.Principal(worlds.ACCOUNT, "AK1", root=True, statements=(denied,))
    asked: Any = None
    for name in ("TurnSwitchOn", "TurnSwitchOff"):
        call = operations.Call(world.services, root, asked, {"switch": "pause-all"})
        with pytest.raises(errors.AccessDenied, match=f"headrace:{name}"):
            await operations.run(native.TABLE.named(name), call)


# -- read-only mode


def test_which_operations_are_refused_in_read_only_mode() -> None:
    """A new operation is thought about: what does not say that it reads is refused."""
    tables = (control.TABLE, dataplane.TABLE, fc_table.TABLE, cloudevents.TABLE, native.TABLE)
    built = [row for table in tables for row in table if row.handler is not None]
    assert {row.name for row in built if not row.reads} == CHANGES


async def test_read_only_mode_refuses_changes_with_a_code_and_when_to_come_back(
    world: worlds.World,
) -> None:
    await make_rule(world)
    await publish(world, event(1))
    await world.settled("e1")
    await world.native("PUT", "/switches/read-only")
    entry = [{"Id": "e2", "Source": "shop", "Type": "order", "Data": {}}]
    asked = (
        await world.rpc("PutEvents", EventBusName="default", EventList=entry),
        await world.rpc("CreateEventBus", EventBusName="more"),
        await world.openapi("putEvents", [event(2)]),
        await world.send(
            "POST", "/events/default", body=json.dumps({"specversion": "1.0", **event(2)}).encode(),
            headers={"content-type": "application/cloudevents+json"},
        ),
        await world.send("PUT", "/headrace/v1/queues/q"),
    )  # fmt: skip
    for reply in asked:
        body = {name.lower(): value for name, value in json.loads(reply.body).items()}
        assert (reply.status, body["code"]) == (503, "ServerReadOnly"), body
        assert reply.headers["retry-after"] == str(errors.ReadOnly.retry_after_s)
    assert (await world.native("GET", "/events/e1/why"))[0] == 200
    assert (await world.native("GET", "/events/e2"))[0] == 404
    assert (await world.rpc("ListEventBuses")).status == 200
    await world.native("DELETE", "/switches/read-only")
    await publish(world, event(2))


async def test_a_refusal_is_not_kept_for_the_client_token(world: worlds.World) -> None:
    """The same request with the same token succeeds once the switch is off."""
    await world.native("PUT", "/switches/read-only")
    given = {"EventBusName": "more", "ClientToken": "token-1"}
    assert (await world.rpc("CreateEventBus", **given)).status == 503
    await world.native("DELETE", "/switches/read-only")
    await world.ok("CreateEventBus", **given)


async def test_a_drained_server_takes_events_and_keeps_them(world: worlds.World) -> None:
    await make_rule(world)
    await world.native("PUT", "/switches/drain")
    await publish(world, event(1))
    _, found = await world.native("GET", "/events/e1/trace")
    assert found["steps"][-1]["held_by"] == "drain"
    assert world.receiver.seen == []
    await world.native("DELETE", "/switches/drain")
    await world.settled("e1")
    assert [message.attempt for message in world.receiver.seen] == [1]


# -- metrics


async def test_metrics_have_a_gauge_for_each_switch(world: worlds.World) -> None:
    await make_rule(world)
    for kind, value in (
        ("pause-target", {"of": "default/orders/hook"}),
        ("read-only", {}),
        ("pause-account", {"of": "42"}),
    ):
        assert (await world.native("PUT", f"/switches/{kind}", value))[0] == 200
    await world.native("DELETE", "/switches/pause-account", query="of=42")
    shown = prometheus_client.CollectorRegistry()
    shown.register(metrics.Books(world.services.engine, world.services.functions))
    assert {
        (of["switch"], of["of"]): value
        for family in shown.collect()
        if family.name == "headrace_switch_on"
        for _, of, value, *_ in family.samples
    } == {
        ("pause-all", ""): 0,
        ("read-only", ""): 1,
        ("drain", ""): 0,
        ("pause-account", "42"): 0,
        ("pause-target", "default/orders/hook"): 1,
    }


def test_the_answer_of_a_switch_is_what_its_shape_says() -> None:
    fields = native.TABLE.named("TurnSwitchOn").answer.fields
    assert set(fields) == {
        "name", "switch", "of", "account", "on", "since_ms", "by", "reason", "history",
    }  # fmt: skip
    assert switches.SWITCHES.startswith("switches:[{name")
