"""Connections that outlive the server: given away when nothing of a request is unanswered."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn

from headrace.api import bounds, http, probes, routes, server, traffic
from headrace.api import connection as connections
from tests.unit.api import support
from tests.unit.api.test_shortcut import Faces, post
from tests.unit.api.test_uvicorn import answer, connection

pytestmark = pytest.mark.anyio

LIMIT = 1 << 20
LARGE = 4 << 20


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


class Home:
    """A server that gives its connections away."""

    def __init__(self, faces: Faces) -> None:
        async def large(_: http.Request) -> http.Response:
            return http.Response(200, b"x" * LARGE)

        table = routes.Routes(
            [
                routes.Route("short", "/short/", faces, probes.refuse, LIMIT, short=True),
                routes.Route("long", "/long/", faces, probes.refuse, LIMIT),
                routes.Route("large", "/large", large, probes.refuse, LIMIT),
            ]
        )
        app = server.Server(
            table, refuse=probes.refuse, random=support.CountingRandom(),
            clock=support.FixedClock(), counts=traffic.Counts(),
        )  # fmt: skip
        self.kept: list[int] = []
        self.bounded = connections.bounded(app, probes.refuse, support.CountingRandom())
        config = uvicorn.Config(app, log_level="error", access_log=False, http=self.bounded)  # type: ignore[arg-type]
        self.server = uvicorn.Server(config)
        self._listening = socket.socket()
        self._listening.bind(("127.0.0.1", 0))
        self._listening.listen()
        self.port = int(self._listening.getsockname()[1])
        self._task = asyncio.create_task(self.server.serve(sockets=[self._listening]))

    async def connected(self, number: int = 1) -> None:
        await support.until(lambda: len(self.server.server_state.connections) == number)

    def leave(self) -> None:
        self.bounded.keep = self.kept.append
        self.server.should_exit = True

    async def end(self) -> None:
        self.server.should_exit = True
        await self._task


@pytest.fixture
async def faces() -> Faces:
    return Faces()


@pytest.fixture
async def home(faces: Faces) -> AsyncIterator[Home]:
    home = Home(faces)
    await support.until(lambda: home.server.started)
    yield home
    faces.go.set()
    await home.end()
    for one in home.kept:
        os.close(one)


@contextlib.contextmanager
def taken(home: Home) -> AsyncIterator[socket.socket]:  # type: ignore[misc]
    """The one connection that was given away, as the next server has it."""
    (descriptor,) = home.kept
    home.kept.clear()
    with socket.socket(fileno=descriptor) as taken:
        taken.setblocking(False)
        yield taken


async def next_answers(
    home: Home, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, unread: bytes
) -> None:
    """The client goes on, and whoever took the connection hears it, from the first byte on."""
    loop = asyncio.get_running_loop()
    with taken(home) as theirs:
        writer.write(b"more")
        got = b""
        while len(got) < len(unread) + 4:
            got += await loop.sock_recv(theirs, 100)
        assert got == unread + b"more"
        await loop.sock_sendall(theirs, b"from the next")
        assert await reader.readexactly(13) == b"from the next"


@pytest.mark.parametrize("way", ["short", "long", None])
async def test_an_idle_connection_is_given_away(home: Home, way: str | None) -> None:
    async with connection(home.port) as (reader, writer):
        await home.connected()
        if way is not None:
            writer.write(post(f"/{way}/x", b"{}"))
            assert (await answer(reader))[0] == 200
        home.leave()
        await home.end()
        await next_answers(home, reader, writer, b"")


@pytest.mark.parametrize("way", ["short", "long"])
async def test_a_request_under_way_is_answered_first(home: Home, faces: Faces, way: str) -> None:
    faces.go.clear()
    async with connection(home.port) as (reader, writer):
        writer.write(post(f"/{way}/x", b"{}"))
        await support.until(lambda: bool(faces.requests))
        home.leave()
        await support.until(lambda: not home.server.servers[0].is_serving())
        assert not home.kept
        faces.go.set()
        status, head, body = await answer(reader)
        assert (status, body) == (200, b"{}")
        assert "connection: close" not in head
        await home.end()
        await next_answers(home, reader, writer, b"")


async def test_half_a_request_is_waited_for(home: Home, faces: Faces) -> None:
    request = post("/short/x", b"{}")
    async with connection(home.port) as (reader, writer):
        writer.write(request[:30])
        await home.connected()
        await support.until(lambda: _some(home)._strays > 0)
        home.leave()
        await support.until(lambda: _some(home)._leaving)
        assert not home.kept
        writer.write(request[30:])
        assert (await answer(reader))[0] == 200
        await home.end()
        await next_answers(home, reader, writer, b"")


@pytest.mark.parametrize("way", ["short", "long", "head"])
async def test_half_a_request_is_not_waited_for_long(
    home: Home, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(bounds, "LEAVE_PARTIAL_SECONDS_MAX", 0.05)
    request = post("/short/x" if way == "head" else f"/{way}/x", b"{}")
    async with connection(home.port) as (reader, writer):
        writer.write(request[:30] if way == "head" else request[:-1])
        await home.connected()
        one = _some(home)
        await support.until(lambda: bool(one._strays if way == "head" else one.cycle))
        home.leave()
        assert (await answer(reader))[0] == 408
        assert await reader.read() == b""
    await home.end()
    assert not home.kept


async def test_requests_sent_ahead_are_answered_by_the_one_who_read_them(
    home: Home, faces: Faces
) -> None:
    faces.go.clear()
    async with connection(home.port) as (reader, writer):
        writer.write(post("/short/1", b"1") + post("/long/2", b"2") + post("/short/3", b"3"))
        await support.until(lambda: bool(faces.requests))
        home.leave()
        await support.until(lambda: _some(home)._leaving)
        faces.go.set()
        assert [(await answer(reader))[2] for _ in range(3)] == [b"1", b"2", b"3"]
        await home.end()
        await next_answers(home, reader, writer, b"")


async def test_an_answer_is_written_out_before_the_connection_goes(home: Home) -> None:
    async with connection(home.port) as (reader, writer):
        writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await home.connected()
        await support.until(lambda: _some(home).cycle is not None)
        home.leave()
        status, _, body = await answer(reader)
        assert (status, len(body)) == (200, LARGE)
        await home.end()
        await next_answers(home, reader, writer, b"")


async def test_what_comes_after_it_left_is_for_the_next(home: Home) -> None:
    async with connection(home.port) as (reader, writer):
        await home.connected()
        home.leave()
        await support.until(lambda: bool(home.kept))
        writer.write(b"early ")
        await writer.drain()
        await home.end()
        await next_answers(home, reader, writer, b"early ")


async def test_a_client_that_wants_to_close_is_closed(home: Home, faces: Faces) -> None:
    faces.go.clear()
    async with connection(home.port) as (reader, writer):
        writer.write(post("/short/x", b"{}", b"Connection: close"))
        await support.until(lambda: bool(faces.requests))
        home.leave()
        faces.go.set()
        assert (await answer(reader))[0] == 200
        assert await reader.read() == b""
    await home.end()
    assert not home.kept


async def test_without_descriptors_left_it_waits_for_one_and_is_served(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = 0

    def none_left(_: int) -> int:
        nonlocal tried
        tried += 1
        raise OSError(24, "Too many open files")

    async with connection(home.port) as (reader, writer):
        await home.connected()
        with monkeypatch.context() as without:
            without.setattr(os, "dup", none_left)
            home.leave()
            await support.until(lambda: tried > 1)
            writer.write(post("/short/x", b"{}"))
            assert (await answer(reader))[0] == 200
            assert not home.kept
        await home.end()
        await next_answers(home, reader, writer, b"")


@pytest.mark.parametrize("framing", ["Content-Length: 8", "Transfer-Encoding: chunked"])
async def test_the_rest_of_a_body_that_nobody_waited_for_is_no_request_of_the_next(
    home: Home, framing: str
) -> None:
    chunked = "chunked" in framing
    async with connection(home.port) as (reader, writer):
        await home.connected()
        writer.write(f"PUT /nowhere HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode())
        assert (await answer(reader))[0] == 404  # before its body is there
        home.leave()
        await support.until(lambda: _some(home)._leaving)
        assert not home.kept
        writer.write(b"8\r\nGET / HT\r\n0\r\n\r\n" if chunked else b"GET / HT")
        await home.end()
        await next_answers(home, reader, writer, b"")


async def test_a_connection_of_the_process_before_is_idle_and_no_new_one(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "HEAD_SECONDS_MAX", 0.01)
    here, there = socket.socketpair()
    with here:
        loop = asyncio.get_running_loop()

        def adopting() -> asyncio.Protocol:
            state = home.server.server_state
            protocol = home.bounded(home.server.config, state, app_state={})
            protocol.adopted = True
            return protocol

        await loop.connect_accepted_socket(adopting, there)
        assert _some(home)._deadline is None
        idle = _some(home)._idle
        assert idle is not None
        assert idle.when() - loop.time() > 1


def _some(home: Home) -> connections.Connection:
    (one,) = home.server.server_state.connections
    assert isinstance(one, connections.Connection)
    return one
