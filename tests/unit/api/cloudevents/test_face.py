"""CloudEvents over HTTP: the three modes, status by outcome, signed like everything else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.api import support
from tests.unit.api import world as worlds

pytestmark = pytest.mark.anyio

STRUCTURED = {"content-type": "application/cloudevents+json; charset=utf-8"}
BATCHED = {"content-type": "application/cloudevents-batch+json"}


def event(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": f"e{number}", "source": "shop", "type": "order", **more}


async def post(
    world: worlds.World, headers: dict[str, str], value: object, bus: str = "default"
) -> tuple[int, Any]:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    reply = await world.send("POST", f"/events/{bus}", headers=headers, body=body)
    return reply.status, json.loads(reply.body)


async def kept(world: worlds.World, event_id: str) -> Any:
    _, answer = await world.native("GET", f"/events/{event_id}")
    return answer["event"]


async def test_structured_event_is_stored(world: worlds.World) -> None:
    status, answer = await post(world, STRUCTURED, event(data={"n": 1}))
    assert (status, answer["failed"]) == (202, 0)
    assert answer["entries"][0]["id"] == "e1"
    assert answer["entries"][0]["trace_id"]
    stored = await kept(world, "e1")
    assert stored["data"] == {"n": 1}
    assert stored["aliyuneventbusname"] == "default"


async def test_binary_event_is_stored(world: worlds.World) -> None:
    headers = {
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": "e1",
        "ce-source": "/shop",
        "ce-subject": "a%20b",
        "ce-type": "order",
        "ce-team": "a",
    }
    status, _ = await post(world, headers, {"n": 1})
    assert status == 202
    stored = await kept(world, "e1")
    assert (stored["source"], stored["subject"]) == ("/shop", "a b")
    assert (stored["team"], stored["data"]) == ("a", {"n": 1})


async def test_batch_with_a_bad_event_stores_the_others(world: worlds.World) -> None:
    status, answer = await post(world, BATCHED, [event(1), {"id": "x"}, event(3)])
    assert (status, answer["failed"]) == (207, 1)
    assert [("code" in entry) for entry in answer["entries"]] == [False, True, False]
    assert (await kept(world, "e3"))["id"] == "e3"


async def test_event_that_is_refused_decides_the_status(world: worlds.World) -> None:
    status, answer = await post(world, STRUCTURED, {"id": "x"})
    assert (status, answer["failed"]) == (400, 1)
    status, _ = await post(world, BATCHED, [{"id": "x"}, {"id": "y"}])
    assert status == 400


async def test_bus_of_the_path_wins_over_the_attribute(world: worlds.World) -> None:
    await world.flat("createEventBus", {"EventBusName": "shop"})
    await post(world, STRUCTURED, event(aliyuneventbusname="default"), bus="shop")
    _, answer = await world.native("GET", "/events/e1")
    assert answer["bus"] == "shop"


@pytest.mark.parametrize(
    ("headers", "bus", "status"),
    [
        (STRUCTURED, "none", 409),
        ({"content-type": "application/json"}, "default", 400),
        ({"content-type": "application/cloudevents+avro"}, "default", 400),
        (STRUCTURED, "a/b", 404),
    ],
)
async def test_request_that_carries_no_event_for_a_bus_is_refused(
    world: worlds.World, headers: dict[str, str], bus: str, status: int
) -> None:
    got, answer = await post(world, headers, event(), bus)
    assert got == status
    assert answer["code"]
    assert answer["request_id"]


async def test_unsigned_event_is_refused(world: worlds.World) -> None:
    body = json.dumps(event()).encode()
    reply = await support.ask(world.app, "POST", "/events/default", headers=STRUCTURED, body=body)
    assert (reply.status, json.loads(reply.body)["code"]) == (403, "MissingSignature")


async def test_parameter_that_means_nothing_is_refused(world: worlds.World) -> None:
    reply = await world.send(
        "POST",
        "/events/default",
        query="EventBusName=other",
        headers=STRUCTURED,
        body=json.dumps(event()).encode(),
    )
    assert (reply.status, json.loads(reply.body)["code"]) == (400, "InvalidParameter")
