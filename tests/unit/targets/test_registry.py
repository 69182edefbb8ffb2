"""From a stored target to its sender, and the table of target types."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headrace.core import calling, delivery
from headrace.resources import model
from headrace.resources import target_params as checks
from headrace.targets import egress, kinds, push, registry

pytestmark = pytest.mark.anyio


class Clock:
    def wall_ms(self) -> int:
        return 0

    def mono_us(self) -> int:
        return 0


class Answer(msgspec.Struct):
    payload: bytes = b""
    error_type: str | None = None


class World:
    def __init__(self) -> None:
        self.invoked: list[calling.Call] = []
        self.registry = registry.Registry(
            pushers=push.Pushers(egress.Egress(allow_private=False), Clock()),
            clock=Clock(),
            begin=self._begin,
        )

    def _begin(self, call: calling.Call, told: calling.Told) -> calling.Abandon:
        self.invoked.append(call)
        told(Answer())
        return lambda: None

    async def send(self, target: model.Target, body: bytes = b"{}") -> delivery.Outcome:
        sender = self.registry.open(target)
        sent = delivery.Message(
            position=1, event_id="e", source="s", type="t", attempt=1, account="1", bus="default",
            rule="r", target=target.id, request_id="R", params={}, body=body,
        )  # fmt: skip
        return (await sender.send([sent], 1_000_000))[0]


def target(type_name: str, endpoint: str, **params: str) -> model.Target:
    entries = tuple(model.Param(key, "CONSTANT", value) for key, value in params.items())
    return model.Target(id="t", type=type_name, endpoint=endpoint, params=entries)


@pytest.mark.parametrize(
    ("endpoint", "params", "expected"),
    [
        ("acs:fc:r:1:functions/f", {}, ("f", "LATEST")),
        ("acs:fc:r:1:functions/f/LATEST", {}, ("f", "LATEST")),
        ("acs:fc:r:1:services/s.LATEST/functions/f", {}, ("f", "LATEST")),
        ("acs:fc:r:1:services/s/functions/f", {}, ("f", "LATEST")),
        ("acs:fc:r:1:services/.prod/functions/f", {}, ("f", "prod")),
        ("", {"functionName": "g", "Qualifier": "LATEST"}, ("g", "LATEST")),
        ("acs:fc:r:1:functions/f", {"FUNCTIONNAME": "f", "qualifier": "2"}, ("f", "2")),
    ],
)
async def test_a_function_target_finds_its_function_in_every_form(
    endpoint: str, params: dict[str, Any], expected: tuple[str, str]
) -> None:
    world = World()
    given = target("acs.fc.function", endpoint, InvocationType="Sync", **params)
    assert (await world.send(given)).ok
    assert (world.invoked[0].function, world.invoked[0].qualifier) == expected


async def test_a_function_target_that_does_not_say_is_asynchronous() -> None:
    world = World()
    outcome = await world.send(target("acs.fc.function", "acs:fc:r:1:functions/f"))
    assert outcome.code == 202
    assert outcome.forward == delivery.Forward("function", "f", b"{}", "R")
    assert world.invoked == []


@pytest.mark.parametrize(
    ("endpoint", "params"),
    [
        ("acs:mns:r:1:queues/orders", {}),
        ("acs:mns:r:1:/queues/orders", {}),
        ("", {"queue": "orders"}),
        ("acs:mns:r:1:queues/orders", {"queue": "orders", "IsBase64Encode": "false"}),
    ],
)
async def test_a_queue_target_asks_the_bus_to_append(endpoint: str, params: dict[str, str]) -> None:
    outcome = await World().send(target("acs.mns.queue", endpoint, **params), b'{"a":1}')
    assert (outcome.ok, outcome.code) == (True, 201)
    assert outcome.forward == delivery.Forward("queue", "orders", b'{"a":1}')


async def test_a_queue_message_is_encoded_when_asked() -> None:
    given = target("acs.mns.queue", "", queue="q", IsBase64Encode="true")
    outcome = await World().send(given, b'{"a":1}')
    assert outcome.forward == delivery.Forward("queue", "q", b"eyJhIjoxfQ==")


@pytest.mark.parametrize("type_name", ["http", "https"])
async def test_an_http_target_goes_through_the_guarded_client(type_name: str) -> None:
    outcome = await World().send(target(type_name, "http://127.0.0.1:1/"))
    assert (outcome.kind, outcome.code) == ("poisoned", 0)
    assert "address denied" in outcome.text


def test_the_types_with_a_sender_are_those_the_table_calls_built_and_the_catalog_takes() -> None:
    assert set(registry.FACTORIES) == set(kinds.BUILT) == set(checks.PARAMS)


def test_the_table_knows_every_parameter_the_catalog_takes() -> None:
    for type_name, params in checks.PARAMS.items():
        known = {key.name.lower() for key in kinds.KINDS[type_name].keys}
        assert params.keys() <= known, type_name


def test_the_table_has_every_target_type_of_the_cloud() -> None:
    assert len(kinds.KINDS) == 25
    body = kinds.KINDS["acs.rocketmq"].key("BODY")
    assert body is not None
    assert (body.required, body.forms) == (True, "OCJT")
