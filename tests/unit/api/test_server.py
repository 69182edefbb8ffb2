"""The ASGI server: bounds, request ids, errors in the route's envelope, clients that go away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import prometheus_client
import pytest

from headrace.api import bounds, http, probes, routes, server, traffic
from headrace.core import errors
from tests.unit.api import support

pytestmark = pytest.mark.anyio

LIMIT = 100


def app_of(
    face: http.Face, counts: traffic.Counts | None = None, refuse: http.Refusal = probes.refuse
) -> server.Server:
    table = routes.Routes([routes.Route("test", "/t/", face, refuse, LIMIT)])
    return server.Server(
        table,
        refuse=probes.refuse,
        random=support.CountingRandom(),
        clock=support.FixedClock(),
        counts=counts or traffic.Counts(),
    )


async def echo(request: http.Request) -> http.Answer:
    return http.json_response(
        {
            "method": request.method,
            "path": request.path,
            "raw_path": request.raw_path,
            "query": request.query,
            "headers": dict(request.headers),
            "body": request.body.decode(),
            "client": request.client,
            "id": request.request_id,
        }
    )


def failing(error: BaseException) -> http.Face:
    async def face(request: http.Request) -> http.Answer:
        raise error

    return face


def told(reply: support.Reply) -> Any:
    return msgspec.json.decode(reply.body)


async def test_face_sees_the_request_as_it_was_sent() -> None:
    reply = await support.ask(
        app_of(echo),
        "POST",
        "/t/a%20b%2Fc",
        query="x=1&y=%20",
        headers=[("A", "1"), ("a", "2")],
        body=b"hello",
    )
    said = told(reply)
    assert said["path"] == "/t/a b/c"
    assert said["raw_path"] == "/t/a%20b%2Fc"
    assert said["query"] == "x=1&y=%20"
    assert said["headers"]["a"] == "1,2"
    assert said["body"] == "hello"
    assert said["client"] == "10.1.2.3"


async def test_every_answer_carries_a_request_id_of_its_own() -> None:
    app = app_of(echo)
    replies = [await support.ask(app, "GET", path) for path in ("/t/a", "/t/b", "/nowhere")]
    ids = [reply.headers["x-acs-request-id"] for reply in replies]
    assert len(set(ids)) == 3
    assert told(replies[0])["id"] == ids[0]
    assert told(replies[2])["request_id"] == ids[2]


async def test_body_in_chunks_is_joined() -> None:
    reply = await support.ask(app_of(echo), "POST", "/t/", chunks=[b"one ", b"two ", b"three"])
    assert told(reply)["body"] == "one two three"


async def test_declared_length_over_the_limit_is_refused_before_the_face_sees_it() -> None:
    called: list[int] = []

    async def face(request: http.Request) -> http.Answer:
        called.append(1)
        return http.Response(200)

    body = b"x" * (LIMIT + 1)
    reply = await support.ask(app_of(face), "POST", "/t/", body=body)
    assert reply.status == 413
    assert reply.headers["connection"] == "close"
    assert told(reply)["code"] == "EntityTooLarge"
    assert called == []


async def test_body_without_length_is_cut_off_at_the_limit() -> None:
    reply = await support.ask(app_of(echo), "POST", "/t/", chunks=[b"x" * 60, b"x" * 60, b"x"])
    assert reply.status == 413


async def test_body_of_exactly_the_limit_is_taken() -> None:
    reply = await support.ask(app_of(echo), "POST", "/t/", body=b"x" * LIMIT)
    assert reply.status == 200


async def test_refused_body_is_never_held_whole() -> None:
    """What comes after the limit is dropped chunk by chunk, and only up to a bound."""
    read = 0

    async def receive() -> Any:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": b"x" * (1 << 20), "more_body": True}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "raw_path": b"/t/",
        "query_string": b"",
        "headers": [(b"transfer-encoding", b"chunked")],
        "client": None,
    }
    await app_of(echo)(scope, receive, send)
    assert sent[0]["status"] == 413
    assert read <= bounds.DISCARD_BYTES_MAX // (1 << 20) + 2


async def test_too_many_or_too_large_headers_are_refused() -> None:
    many = [(f"h{number}", "x") for number in range(bounds.HEADERS_MAX + 1)]
    large = [("h", "x" * bounds.HEADER_BYTES_MAX)]
    for headers in (many, large):
        reply = await support.ask(app_of(echo), "GET", "/t/", headers=headers)
        assert reply.status == 431
    reply = await support.ask(app_of(echo), "GET", "/t/", query="x" * bounds.TARGET_BYTES_MAX)
    assert reply.status == 431


async def test_slow_body_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "BODY_SECONDS_MAX", 0.0)
    parts = [{"type": "http.request", "body": b"x", "more_body": True}]

    async def receive() -> Any:
        return parts.pop() if parts else await asyncio.Event().wait()

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "raw_path": b"/t/",
        "query_string": b"",
        "headers": [(b"content-length", b"9")],
    }
    await app_of(echo)(scope, receive, send)
    assert sent[0]["status"] == 408


async def test_error_of_the_tree_is_rendered_by_the_route() -> None:
    def refuse(error: errors.HeadraceError, request_id: str) -> http.Response:
        return http.Response(error.status, f"{error.code}!{error.message}".encode())

    app = app_of(failing(errors.BusNotFound.named("b")), refuse=refuse)
    reply = await support.ask(app, "GET", "/t/")
    assert reply.status == 409
    assert reply.body == b"EventBusNotExist!The event bus [b] not existed!"


async def test_unexpected_failure_tells_the_caller_nothing_and_the_log_everything(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reply = await support.ask(app_of(failing(RuntimeError("the secret"))), "GET", "/t/")
    assert reply.status == 500
    assert b"the secret" not in reply.body
    assert told(reply)["code"] == "InternalError"
    assert "the secret" in caplog.text
    assert reply.headers["x-acs-request-id"] in caplog.text


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (errors.Throttled(), "1"),
        (errors.Unavailable(), "1"),
        (errors.StoreFull(), "10"),
        (errors.ReadOnly(), "10"),
        (errors.Draining(), "10"),
    ],
)
async def test_answers_to_come_back_later_say_when(
    error: errors.HeadraceError, seconds: str
) -> None:
    reply = await support.ask(app_of(failing(error)), "GET", "/t/")
    assert reply.headers["retry-after"] == seconds


async def test_unknown_address_is_404_and_unknown_method_405() -> None:
    async def face(request: http.Request) -> http.Answer:
        return http.Response(200)

    table = routes.Routes(
        [routes.Route("a", "/a", face, probes.refuse, 0, methods=frozenset({"GET"}))]
    )
    app = server.Server(
        table,
        refuse=probes.refuse,
        random=support.CountingRandom(),
        clock=support.FixedClock(),
        counts=traffic.Counts(),
    )
    assert (await support.ask(app, "GET", "/b")).status == 404
    wrong = await support.ask(app, "DELETE", "/a")
    assert wrong.status == 405
    assert "GET" in told(wrong)["message"]


async def test_client_that_leaves_in_the_middle_of_its_body_gets_no_answer_and_no_face() -> None:
    messages = [
        {"type": "http.request", "body": b"x", "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "raw_path": b"/t/",
        "query_string": b"",
        "headers": [(b"content-length", b"9")],
        "client": None,
    }
    await app_of(failing(AssertionError("the face was called")))(scope, receive, send)
    assert sent == []


async def test_face_can_wait_for_the_client_to_leave() -> None:
    gone = asyncio.Event()

    async def face(request: http.Request) -> http.Answer:
        gone.set()
        await request.disconnected()
        return http.Response(200, b"noticed")

    reply = await support.ask(app_of(face), "GET", "/t/", gone=gone)
    assert reply.body == b"noticed"


def _streaming(chunks: Callable[[], AsyncIterator[bytes]]) -> http.Face:
    async def face(request: http.Request) -> http.Answer:
        return http.Stream(chunks())

    return face


async def test_stream_is_sent_to_its_end() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    reply = await support.ask(app_of(_streaming(chunks)), "GET", "/t/")
    assert reply.body == b"ab"
    assert "content-length" not in reply.headers


async def test_stream_is_closed_when_the_client_leaves() -> None:
    gone = asyncio.Event()
    closed: list[str] = []

    async def chunks() -> AsyncIterator[bytes]:
        try:
            yield b"first"
            gone.set()
            await asyncio.Event().wait()
        finally:
            closed.append("closed")

    reply = await support.ask(app_of(_streaming(chunks)), "GET", "/t/", gone=gone)
    assert reply.body == b"first"
    assert closed == ["closed"]


async def test_failure_inside_a_stream_ends_the_connection() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"a"
        raise RuntimeError("broken source")

    with pytest.raises(RuntimeError, match="broken source"):
        await support.ask(app_of(_streaming(chunks)), "GET", "/t/")


async def test_counts_are_exported_by_route_and_status() -> None:
    counts = traffic.Counts()
    app = app_of(echo, counts)
    await support.ask(app, "GET", "/t/")
    await support.ask(app, "GET", "/t/")
    await support.ask(app, "GET", "/nowhere")
    registry = prometheus_client.CollectorRegistry()
    registry.register(counts)
    text = prometheus_client.generate_latest(registry).decode()
    assert 'headrace_http_requests_total{route="test",status="200"} 2.0' in text
    assert 'headrace_http_requests_total{route="none",status="404"} 1.0' in text
    assert 'headrace_http_seconds_count{route="test"} 2.0' in text


async def test_lifespan_is_answered() -> None:
    inbox = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[str] = []

    async def receive() -> Any:
        return inbox.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app_of(echo)({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_websocket_is_refused() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    await app_of(echo)({"type": "websocket"}, receive, send)
    assert sent == ["websocket.close"]


@pytest.mark.parametrize("path", ["*", "", "x", "//t/a"])
async def test_address_without_a_path_is_not_found(path: str) -> None:
    """`OPTIONS *` is lawful HTTP."""
    reply = await support.ask(app_of(echo), "OPTIONS", path)
    assert (reply.status, told(reply)["code"]) == (404, "NotFound")


async def test_body_that_never_begins_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "BODY_SECONDS_MAX", 0.05)
    reply = await support.ask(
        app_of(echo), "POST", "/t/a", headers={"content-length": "5"}, chunks=[]
    )
    assert (reply.status, told(reply)["code"]) == (408, "RequestTimeout")


async def test_bodies_that_arrive_in_pieces_share_one_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody has looked at a signature while a body is read: together they must not fill the
    memory, however small each is.
    """
    monkeypatch.setattr(bounds, "BODIES_BYTES_MAX", 50)
    gate = asyncio.Event()

    async def wait(request: http.Request) -> http.Answer:
        await gate.wait()
        return http.json_response(len(request.body))

    app = app_of(wait)
    first = asyncio.ensure_future(support.ask(app, "POST", "/t/a", chunks=[b"x" * 20, b"x" * 20]))
    await asyncio.sleep(0)
    second = await support.ask(app, "POST", "/t/a", chunks=[b"x" * 5, b"x" * 6])
    assert (second.status, told(second)["code"]) == (503, "ServiceUnavailable")
    assert second.headers["retry-after"]
    whole = asyncio.ensure_future(support.ask(app, "POST", "/t/a", body=b"x" * 60))
    gate.set()
    assert [told(await one) for one in (first, whole)] == [40, 60]
    again = await support.ask(app, "POST", "/t/a", chunks=[b"x" * 25, b"x" * 25])
    assert told(again) == 50
    assert app.bodies.taken == 0
