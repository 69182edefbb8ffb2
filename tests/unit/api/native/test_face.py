"""Our own API: search, trace, why, replay, live tail, dead letters, queues, status."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from headrace.api import bounds
from headrace.core import delivery
from headrace.resources import inputs
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


def event(number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "id": f"e{number}",
        "source": "shop",
        "type": "order",
        "aliyuneventbusname": "default",
        "data": {"n": number},
        **more,
    }


async def make_rule(world: worlds.World, pattern: str = '{"source":["shop"]}') -> None:
    await world.flat(
        "createRule",
        {
            "EventBusName": "default",
            "RuleName": "orders",
            "FilterPattern": pattern,
            "Targets": [TARGET],
        },
    )


async def publish(world: worlds.World, *events: dict[str, Any]) -> None:
    answer = await world.flat("putEvents", list(events))
    assert answer["FailedEntryCount"] == 0, answer


async def die(world: worlds.World) -> str:
    """Publish an event that no retry can deliver; return the id of its dead letter."""
    await make_rule(world)
    world.receiver.answer = delivery.failed("poisoned", 400, "Bad Request")
    await publish(world, event())
    await world.settled("e1")
    await world.until(lambda: world.services.engine.dead_letters.count(worlds.ACCOUNT) == 1)
    _, answer = await world.native("GET", "/dead-letters")
    assert answer["total"] == 1
    return answer["dead_letters"][0]["id"]


async def test_event_is_found_on_whichever_bus_it_is(world: worlds.World) -> None:
    await world.flat("createEventBus", {"EventBusName": "shop"})
    await publish(world, event(1, aliyuneventbusname="shop"))
    status, answer = await world.native("GET", "/events/e1")
    assert (status, answer["bus"], answer["event"]["data"]) == (200, "shop", {"n": 1})
    assert (await world.native("GET", "/events/e1", query="bus=shop"))[0] == 200
    status, answer = await world.native("GET", "/events/e1", query="bus=default")
    assert (status, answer["code"]) == (404, "EventNotExist")
    assert answer["remedy"]
    assert (await world.native("GET", "/events/none"))[0] == 404
    assert (await world.native("GET", "/events/e1", query="bus=nowhere"))[1]["code"] == (
        "EventBusNotExist"
    )


async def test_id_with_a_slash_is_found_by_its_encoded_path(world: worlds.World) -> None:
    await publish(world, event(1, id="a/b c"))
    status, answer = await world.native("GET", "/events/a%2Fb%20c/trace")
    assert (status, answer["id"]) == (200, "a/b c")


async def test_search_pages_and_narrows(world: worlds.World) -> None:
    await publish(world, event(1), event(2, source="bank"), event(3))
    status, answer = await world.native("GET", "/events", query="limit=2")
    assert (status, [one["id"] for one in answer["events"]]) == (200, ["e3", "e2"])
    _, answer = await world.native("GET", "/events", query="limit=2&token=" + answer["next"])
    assert ([one["id"] for one in answer["events"]], answer["next"]) == (["e1"], None)
    _, answer = await world.native("GET", "/events", query="source=bank")
    assert [one["id"] for one in answer["events"]] == ["e2"]
    assert (await world.native("GET", "/events", query="limit=0"))[0] == 400
    assert (await world.native("GET", "/events", query="colour=red"))[1]["field"] == "colour"


async def test_trace_shows_attempts_status_and_what_waits(world: worlds.World) -> None:
    await make_rule(world)
    world.receiver.answer = delivery.failed("down", 503, "busy", detail=b"come back")
    await publish(world, event())
    await world.settled("e1")
    _, answer = await world.native("GET", "/events/e1/trace")
    push = answer["steps"][-1]
    assert (push["rule"], push["target"], push["attempt"]) == ("orders", "hook", 1)
    assert (push["code"], push["status"], push["verdict"]) == (503, "[503]busy", "retry")
    assert push["wait_ms"] > 0


async def test_why_names_the_first_failing_field(world: worlds.World) -> None:
    await make_rule(world, '{"data":{"n":[7]}}')
    await publish(world, event())
    status, answer = await world.native("GET", "/events/e1/why", query="rule=orders")
    assert status == 200
    (verdict,) = answer["rules"]
    assert (verdict["rule"], verdict["matched_then"], verdict["matches_now"]) == (
        "orders",
        False,
        False,
    )
    assert "data.n" in verdict["because"]
    assert verdict["failure"]["path"] == "data.n"
    status, answer = await world.native("GET", "/events/e1/why", query="rule=none")
    assert answer["code"] == "EventRuleNotExisted"


async def test_replay_delivers_again(world: worlds.World) -> None:
    await make_rule(world)
    await publish(world, event())
    await world.settled("e1")
    status, answer = await world.native("POST", "/events/e1/replay", {"rule": "orders"})
    assert (status, answer["deliveries"]) == (200, 1)
    await world.settled("e1", 2)
    assert [message.event_id for message in world.receiver.seen] == ["e1", "e1"]


async def test_dead_letter_is_listed_read_and_sent_again(world: worlds.World) -> None:
    letter = await die(world)
    status, answer = await world.native("GET", f"/dead-letters/{letter}")
    assert (status, answer["event_id"], answer["attempts"]) == (200, "e1", 1)
    assert answer["event"]["data"] == {"n": 1}
    assert (await world.native("GET", "/dead-letters", query="rule=other"))[1]["dead_letters"] == []
    world.receiver.answer = delivery.delivered(200)
    status, answer = await world.native("POST", "/dead-letters/resend", {"ids": [letter]})
    assert (status, len(answer["trace_ids"])) == (200, 1)
    await world.settled("e1", 2)
    assert (await world.native("GET", "/dead-letters"))[1]["total"] == 0


@pytest.mark.parametrize(
    ("method", "path", "value", "status"),
    [
        ("GET", "/dead-letters/7", None, 404),
        ("POST", "/dead-letters/resend", {"ids": ["7"]}, 404),
        ("POST", "/dead-letters/resend", {"ids": []}, 400),
        ("POST", "/dead-letters/resend", {}, 400),
        ("POST", "/dead-letters/resend", [1], 400),
        ("GET", "/queues/none", None, 404),
        ("POST", "/queues/none/messages", {"body": "x"}, 404),
        ("DELETE", "/queues/none/messages", None, 404),
        ("DELETE", "/queues/none", None, 404),
        ("GET", "/frobnicate", None, 404),
        ("DELETE", "/status", None, 404),
    ],
)
async def test_refusals_are_one_flat_object(
    world: worlds.World, method: str, path: str, value: object, status: int
) -> None:
    got, answer = await world.native(method, path, value)
    assert got == status, answer
    assert {"code", "message", "request_id"} <= set(answer)


async def test_queue_is_made_filled_looked_into_purged_and_deleted(world: worlds.World) -> None:
    status, answer = await world.native("PUT", "/queues/q")
    assert (status, answer["name"], answer["messages"]) == (200, "q", 0)
    assert answer["endpoint"] == f"acs:mns:{worlds.REGION}:{worlds.ACCOUNT}:queues/q"
    for text in ("one", "two"):
        status, answer = await world.native("POST", "/queues/q/messages", {"body": text})
        assert answer["message_id"]
    _, answer = await world.native("GET", "/queues/q/messages", query="limit=1")
    assert ([one["body"] for one in answer["messages"]], answer["total"]) == (["one"], 2)
    _, answer = await world.native("GET", "/queues")
    assert [(one["name"], one["messages"]) for one in answer["queues"]] == [("q", 2)]
    assert (await world.native("DELETE", "/queues/q/messages"))[1] == {"purged": 2}
    assert (await world.native("GET", "/queues/q"))[1]["messages"] == 0
    assert (await world.native("DELETE", "/queues/q"))[1] == {"name": "q"}
    assert (await world.native("GET", "/queues/q"))[0] == 404


async def test_status_and_books_tell_the_state(world: worlds.World) -> None:
    await make_rule(world)
    await publish(world, event())
    await world.settled("e1")
    status, answer = await world.native("GET", "/status")
    assert status == 200
    assert (answer["version"], answer["account"], answer["region"]) == (
        "0",
        worlds.ACCOUNT,
        worlds.REGION,
    )
    assert (answer["buses"], answer["balanced"]) == (1, True)
    _, answer = await world.native("GET", "/books")
    assert answer["balanced"] is True
    assert [row["accepted"] for row in answer["rules"]] == [1]


async def test_compatibility_tells_every_field(world: worlds.World) -> None:
    _, answer = await world.native("GET", "/compatibility")
    rows = {(row["operation"], row["field"]): row for row in answer["rows"]}
    assert rows["PutTargets", ""]["role"] == "built"
    assert rows["AskLuma", ""]["role"] == "unsupported"
    echoed = rows["PutTargets", "Targets.DeadLetterQueue.VpcId"]
    assert (echoed["role"], bool(echoed["reason"])) == ("echoed", True)
    assert rows["GetEventBus", "EventBusName"]["role"] == "honoured"


async def test_unsigned_request_is_refused(world: worlds.World) -> None:
    reply = await support.ask(world.app, "GET", "/headrace/v1/status")
    assert (reply.status, json.loads(reply.body)["code"]) == (403, "MissingSignature")


async def make_function(world: worlds.World, name: str) -> None:
    code = inputs.Code(sha256="0" * 64, checksum="1", size=1)
    await world.services.catalog.create_function(
        worlds.ACCOUNT, inputs.FunctionInput(name, "python3.12", "index.handler", code)
    )


async def test_logs_of_a_function_are_read_by_invocation(world: worlds.World) -> None:
    await make_function(world, "shout")
    logs = world.services.logs
    assert logs is not None
    stream = f"{worlds.ACCOUNT}/function/shout"
    for number in (1, 2):
        logs.note(number, stream, f"r{number}", b"hello \xff", b'{"ms":1}')
    logs.note(1, stream + "2", "r1", b"another's", b"{}")
    _, answer = await world.native("GET", "/functions/shout/logs", query="request_id=r2")
    assert answer["lines"] == [
        {"at_ms": 2, "request_id": "r2", "kind": "log", "text": "hello \ufffd"},
        {"at_ms": 2, "request_id": "r2", "kind": "invocation", "record": {"ms": 1}},
    ]
    _, answer = await world.native("GET", "/functions/shout/logs", query="kind=log&limit=1")
    assert [line["request_id"] for line in answer["lines"]] == ["r2"]
    assert (await world.native("GET", "/functions/none/logs"))[1]["code"] == "FunctionNotFound"
    assert (await world.native("GET", "/functions/shout/logs", query="limit=0"))[0] == 400


# Live tail ------------------------------------------------------------------------------------


class Tail:
    """A client of the live tail, reading as the server sends."""

    def __init__(self, world: worlds.World, query: str = "", accept: str = "") -> None:
        self.lines: asyncio.Queue[bytes] = asyncio.Queue()
        self.gone = asyncio.Event()
        self.start: Any = None
        self._task = asyncio.create_task(self._run(world, query, accept))

    async def _run(self, world: worlds.World, query: str, accept: str) -> None:
        plain = world.app

        async def watched(scope: Any, receive: Any, send: Any) -> None:
            async def note(message: Any) -> None:
                if message["type"] == "http.response.start":
                    self.start = message
                else:
                    self.lines.put_nowait(message["body"])
                await send(message)

            await plain(scope, receive, note)

        world.app = watched
        signed = worlds.signature.sign_acs3(
            worlds.KEY.access_key_id,
            worlds.KEY.secret,
            method="GET",
            path="/headrace/v1/tail",
            query=query,
            headers={"host": worlds.HOST, "accept": accept},
            body=b"",
            date=worlds.iso(world.now),
            nonce="tail",
        )
        call = support.ask(
            watched, "GET", "/headrace/v1/tail", query=query, headers=signed, gone=self.gone
        )
        world.app = plain
        await call

    async def next(self) -> bytes:
        async with asyncio.timeout(10):
            return await self.lines.get()

    async def close(self) -> None:
        self.gone.set()
        async with asyncio.timeout(10):
            await self._task


async def test_tail_yields_events_as_they_come(world: worlds.World) -> None:
    tail = Tail(world)
    assert await tail.next() == b"\n"
    await publish(world, event(1), event(2))
    got = [json.loads(await tail.next()) for _ in range(2)]
    assert [(one["id"], one["event"]["data"]) for one in got] == [
        ("e1", {"n": 1}),
        ("e2", {"n": 2}),
    ]
    assert (b"content-type", b"application/x-ndjson") in tail.start["headers"]
    await tail.close()


async def test_tail_as_server_sent_events_with_a_pattern(world: worlds.World) -> None:
    tail = Tail(world, "pattern=%7B%22data%22%3A%7B%22n%22%3A%5B2%5D%7D%7D", "text/event-stream")
    assert (await tail.next()).startswith(b":")
    await publish(world, event(1), event(2))
    line = await tail.next()
    assert line.startswith(b"data: ")
    assert line.endswith(b"\n\n")
    assert json.loads(line[6:])["id"] == "e2"
    await tail.close()


async def test_silent_tail_sends_heartbeats(
    world: worlds.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "TAIL_HEARTBEAT_SECONDS", 0.0)
    tail = Tail(world)
    assert [await tail.next() for _ in range(3)] == [b"\n"] * 3
    await tail.close()


async def test_tail_that_is_left_frees_its_place(world: worlds.World) -> None:
    """More tails than may be open at once, one after the other."""
    for _ in range(70):
        tail = Tail(world)
        await tail.next()
        await tail.close()
        world.services.authenticator = worlds.authenticate.Authenticator(
            worlds.keys.Keyring([worlds.KEY]),
            world.services.clock,
            worlds.nonces.Nonces.in_memory(entries=64),
        )


async def test_tail_beyond_the_limit_is_429(
    world: worlds.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worlds.engine, "TAILS_MAX", 0)
    status, answer = await world.native("GET", "/tail")
    assert (status, answer["code"]) == (429, "TooManyRequests")


async def test_tail_of_a_missing_bus_or_with_a_bad_pattern_is_refused(
    world: worlds.World,
) -> None:
    assert (await world.native("GET", "/tail", query="bus=none"))[0] == 409
    assert (await world.native("GET", "/tail", query="pattern=%7B"))[0] == 409
    assert (await world.native("GET", "/tail", query="colour=red"))[0] == 400
