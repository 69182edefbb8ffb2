"""The short way of small requests, over a real socket: the same answers, bounds and order."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn

from headrace.api import bounds, http, probes, routes, server, shortcut, traffic
from headrace.api import connection as connections
from headrace.core import errors
from tests.unit.api import support
from tests.unit.api.test_uvicorn import answer, connection

pytestmark = pytest.mark.anyio

LIMIT = 1 << 20
KEEP_ALIVE_S = 0.4


class Faces:
    """One face on two routes: `/short` may go the short way, `/long` never does."""

    def __init__(self) -> None:
        self.requests: list[http.Request] = []
        self.go = asyncio.Event()
        self.go.set()
        self.headers: tuple[tuple[bytes, bytes], ...] = ()

    async def __call__(self, request: http.Request) -> http.Response:
        self.requests.append(request)
        await self.go.wait()
        if request.query == "fail":
            raise RuntimeError("a secret of somebody")
        if request.query == "refuse":
            raise errors.InvalidInput("no", field="x")
        if request.query == "close":
            raise errors.PayloadTooLarge("no")
        return http.Response(200, request.body or request.path.encode(), headers=self.headers)


@pytest.fixture
async def faces() -> Faces:
    return Faces()


@pytest.fixture
async def running(faces: Faces) -> AsyncIterator[uvicorn.Server]:
    table = routes.Routes(
        [
            routes.Route("short", "/short/", faces, probes.refuse, LIMIT, short=True),
            routes.Route("small", "/small", faces, probes.refuse, 3, short=True),
            routes.Route("long", "/long/", faces, probes.refuse, LIMIT),
        ]
    )
    app = server.Server(
        table,
        refuse=probes.refuse,
        random=support.CountingRandom(),
        clock=support.FixedClock(),
        counts=traffic.Counts(),
    )
    bounded = connections.bounded(app, probes.refuse, support.CountingRandom())
    config = uvicorn.Config(
        app, log_level="error", access_log=False, http=bounded, timeout_keep_alive=KEEP_ALIVE_S
    )  # type: ignore[arg-type]
    running = uvicorn.Server(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        task = asyncio.create_task(running.serve(sockets=[listening]))
        await support.until(lambda: running.started)
        yield running
        faces.go.set()
        running.should_exit = True
        await task


@pytest.fixture
async def port(running: uvicorn.Server) -> int:
    return int(running.servers[0].sockets[0].getsockname()[1])


@pytest.fixture
def shorts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of all requests that went the short way."""
    seen: list[str] = []
    finish = server.Server.finish

    async def noted(self: server.Server, begun: shortcut.Shortcut) -> http.Response:
        seen.append(begun.request.path)
        return await finish(self, begun)

    monkeypatch.setattr(server.Server, "finish", noted)
    return seen


def post(path: str, body: bytes = b"", *lines: bytes) -> bytes:
    more = b"".join(line + b"\r\n" for line in lines)
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nX-Twice: a\r\nX-Twice: b\r\n" % path.encode()
    return head + more + b"content-length: %d\r\n\r\n" % len(body) + body


def lines_of(head: str) -> set[str]:
    """The header lines of an answer, without what differs from one to the next."""
    return {
        line for line in head.split("\r\n") if not line.startswith(("x-acs-request-id", "date"))
    }


@pytest.mark.parametrize("rest", ["a%20b", "x?refuse", "x?fail", "x?close", "x?a=1&b"])
async def test_both_ways_answer_alike(
    port: int, faces: Faces, shorts: list[str], rest: str
) -> None:
    told: list[tuple[int, set[str], bytes]] = []
    for way in ("short", "long"):
        async with connection(port) as (reader, writer):
            writer.write(post(f"/{way}/{rest}", b"{}", b"X-Acs-Name: \xfc "))
            status, head, body = await answer(reader)
            told.append((status, lines_of(head), body.split(b'"request_id"')[0]))
            assert "x-acs-request-id: " in head
            assert "date: " in head
    assert told[0] == told[1]
    assert len(shorts) == 1
    short, long = faces.requests
    assert (short.method, short.query, short.body) == (long.method, long.query, long.body)
    assert short.path.replace("short", "long") == long.path
    assert short.raw_path.replace("short", "long") == long.raw_path
    assert dict(short.headers) == dict(long.headers)
    assert short.client == long.client == "127.0.0.1"


async def test_body_may_arrive_in_pieces(port: int, faces: Faces, shorts: list[str]) -> None:
    body = bytes(range(256)) * 512
    request = post("/short/x", body)
    async with connection(port) as (reader, writer):
        for start in range(0, len(request), 4001):
            writer.write(request[start : start + 4001])
            await writer.drain()
        status, _, told = await answer(reader)
    assert (status, told) == (200, body)
    assert shorts == ["/short/x"]


async def test_requests_sent_ahead_are_answered_in_order(port: int, shorts: list[str]) -> None:
    async with connection(port) as (reader, writer):
        writer.write(b"".join(post("/short/x", b"%d" % number) for number in range(20)))
        bodies = [(await answer(reader))[2] for _ in range(20)]
    assert bodies == [b"%d" % number for number in range(20)]
    assert shorts == ["/short/x"]  # the others had to wait, and go the long way


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /short/x HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /short/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST http://x/short/x HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
        b"POST /long/x HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
        post("/short/x", b"x" * (bounds.SHORT_BODY_BYTES_MAX + 1)),
    ],
    ids=["get", "chunked", "absolute", "route", "large"],
)
async def test_what_is_not_small_and_plain_goes_the_long_way(
    port: int, faces: Faces, shorts: list[str], request_bytes: bytes
) -> None:
    async with connection(port) as (reader, writer):
        writer.write(request_bytes)
        assert (await answer(reader))[0] == 200
    assert (len(faces.requests), shorts) == (1, [])


async def test_body_above_the_bound_of_its_route_is_refused(port: int, faces: Faces) -> None:
    async with connection(port) as (reader, writer):
        writer.write(post("/small", b"1234"))
        status, head, body = await answer(reader)
    assert (status, b"EntityTooLarge" in body, faces.requests) == (413, True, [])
    assert "connection: close" in head


async def test_body_that_does_not_come_is_not_waited_for(
    port: int, faces: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "BODY_SECONDS_MAX", 0.1)
    async with connection(port) as (reader, writer):
        writer.write(post("/short/x", b"12345")[:-2])
        status, head, body = await answer(reader)
        assert (status, b"RequestTimeout" in body) == (408, True)
        assert "connection: close" in head
        assert await reader.read() == b""
    assert faces.requests == []


async def test_client_that_leaves_in_the_middle_of_its_body_reaches_no_face(
    port: int, running: uvicorn.Server, faces: Faces
) -> None:
    async with connection(port) as (_, writer):
        writer.write(post("/short/x", b"12345")[:-2])
        await writer.drain()
    await support.until(lambda: not running.server_state.connections)
    assert faces.requests == []


async def test_client_that_leaves_before_its_answer_harms_nobody(
    port: int, running: uvicorn.Server, faces: Faces
) -> None:
    faces.go.clear()
    async with connection(port) as (_, writer):
        writer.write(post("/short/x"))
        await support.until(lambda: bool(faces.requests))
    await support.until(lambda: not running.server_state.connections)
    faces.go.set()
    await support.until(lambda: not running.server_state.tasks)
    async with connection(port) as (reader, writer):
        writer.write(post("/short/x"))
        assert (await answer(reader))[0] == 200


@pytest.mark.parametrize("lines", [(b"connection: close",), ()])
async def test_connection_is_closed_when_the_client_wants_it(
    port: int, lines: tuple[bytes, ...]
) -> None:
    async with connection(port) as (reader, writer):
        writer.write(post("/short/x", b"", *lines))
        _, head, _ = await answer(reader)
        assert ("connection: close" in head) is bool(lines)
        if lines:
            assert await reader.read() == b""
        else:
            writer.write(post("/short/x"))
            assert (await answer(reader))[0] == 200


async def test_idle_connection_is_closed_after_its_time_and_not_before(port: int) -> None:
    clock = asyncio.get_running_loop().time
    async with connection(port) as (reader, writer):
        for _ in range(3):  # each answer starts the time anew
            writer.write(post("/short/x"))
            await answer(reader)
            answered = clock()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(KEEP_ALIVE_S / 2):
                    assert await reader.read(1) != b"", "closed too early"
        assert await reader.read() == b""
        assert clock() - answered >= KEEP_ALIVE_S * 0.9


async def test_stop_waits_for_the_answer(port: int, running: uvicorn.Server, faces: Faces) -> None:
    faces.go.clear()
    async with connection(port) as (reader, writer):
        writer.write(post("/short/x", b"kept"))
        await support.until(lambda: bool(faces.requests))
        running.should_exit = True
        (only,) = running.server_state.connections
        await support.until(lambda: not only.cycle.keep_alive)
        faces.go.set()
        status, head, body = await answer(reader)
        assert (status, body) == (200, b"kept")
        assert "connection: close" in head


async def test_no_header_can_be_smuggled_into_an_answer(port: int, faces: Faces) -> None:
    faces.headers = ((b"x-told", b"a\r\nset-cookie: b"),)
    async with connection(port) as (reader, writer):
        writer.write(post("/short/x"))
        assert await reader.read() == b""  # nothing of it is sent


async def test_head_behind_another_request_is_judged_as_strictly_as_any(
    port: int, faces: Faces
) -> None:
    lines = [b"x-%d: %b" % (number, b"y" * 1000) for number in range(110)]
    assert sum(map(len, lines)) > bounds.HEADER_BYTES_MAX
    large = post("/short/x", b"", *lines)
    async with connection(port) as (reader, writer):
        # Neither what comes with the first request nor what comes later is too much by itself.
        writer.write(post("/short/x", b"a") + large[:60_000])
        assert (await answer(reader))[0] == 200
        writer.write(large[60_000:])
        status, head, _ = await answer(reader)
    assert (status, "connection: close" in head, len(faces.requests)) == (431, True, 1)


async def test_half_a_head_behind_another_request_is_not_waited_for(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "HEAD_SECONDS_MAX", 0.1)
    async with connection(port) as (reader, writer):
        writer.write(post("/short/x", b"a") + b"POST /short/y HT")
        assert (await answer(reader))[0] == 200
        status, _, body = await answer(reader)
        assert (status, b"RequestTimeout" in body) == (408, True)
        assert await reader.read() == b""


@pytest.mark.parametrize("way", ["short", "long"])
async def test_what_cannot_be_understood_does_not_cost_a_request_before_it_its_answer(
    port: int, running: uvicorn.Server, faces: Faces, way: str
) -> None:
    faces.go.clear()
    async with connection(port) as (reader, writer):
        writer.write(post(f"/{way}/x", b"{}") + b"no request at all\r\n\r\n")
        await support.until(lambda: bool(faces.requests))
        (only,) = running.server_state.connections
        await support.until(lambda: not only.cycle.keep_alive)  # all was read
        faces.go.set()
        status, head, body = await answer(reader)
        assert (status, body) == (200, b"{}")
        assert "connection: close" in head
        assert await reader.read() == b""


async def test_requests_sent_ahead_are_all_answered_before_the_connection_is_closed(
    port: int, faces: Faces
) -> None:
    faces.go.clear()
    async with connection(port) as (reader, writer):
        writer.write(post("/short/1") + post("/long/2") + post("/short/3") + b"garbage\r\n\r\n")
        await support.until(lambda: bool(faces.requests))
        faces.go.set()
        bodies = [(await answer(reader))[2] for _ in range(3)]
        assert bodies == [b"/short/1", b"/long/2", b"/short/3"]
        assert await reader.read() == b""


async def test_idle_connection_keeps_nothing_of_its_last_request(
    port: int, running: uvicorn.Server
) -> None:
    async with connection(port) as (reader, writer):
        writer.write(post("/short/x", b"large"))
        assert (await answer(reader))[0] == 200
        (only,) = running.server_state.connections
        assert only.cycle is None
        writer.write(post("/short/x", b"again"))
        assert (await answer(reader))[2] == b"again"


async def test_nothing_is_written_on_a_lost_connection_whatever_was_sent_ahead(
    port: int, running: uvicorn.Server, faces: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing on a closed transport is an error for some event loops."""
    rendered: list[http.Response] = []
    monkeypatch.setattr(shortcut, "rendered", lambda given, *_, **__: rendered.append(given))
    faces.go.clear()
    async with connection(port) as (reader, writer):
        writer.write(post("/short/x") + post("/short/x"))
        await support.until(lambda: bool(faces.requests))
        (lost,) = running.server_state.connections
        lost.transport.close()
        assert await reader.read() == b""
        (task,) = running.server_state.tasks
        faces.go.set()
        await task
    assert rendered == []
