"""Clients that do not read what they asked for are cut off, those that read slowly are not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from headrace.api import bounds, http, probes, routes
from tests.unit.api import sockets, support

pytestmark = pytest.mark.anyio

#: More than the system takes in for both sides.
SIZE = 32 << 20


class Faces:
    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def large(self, request: http.Request) -> http.Response:
        close = ((b"connection", b"close"),) if request.query == "close" else ()
        return http.Response(200, b"x" * SIZE, headers=close)

    async def stream(self, request: http.Request) -> http.Answer:
        return http.Stream(self._chunks())

    async def _chunks(self) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 65_536
        finally:
            self.closed.set()


@pytest.fixture
async def faces() -> Faces:
    return Faces()


@pytest.fixture
async def server(faces: Faces, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[sockets.Served]:
    monkeypatch.setattr(bounds, "READ_SECONDS_MAX", 0.2)
    table = [
        routes.Route("short", "/short", faces.large, probes.refuse, 0, short=True),
        routes.Route("long", "/long", faces.large, probes.refuse, 0),
        routes.Route("stream", "/stream", faces.stream, probes.refuse, 0),
    ]
    async with sockets.served(table) as made:
        yield made


async def client(port: int) -> socket.socket:
    """A client that reads only when it is told to, and holds little itself."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.setblocking(False)
    await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
    return made


async def read_to_the_end(reading: socket.socket) -> int:
    """Return how much comes before the connection ends, one way or the other."""
    size = 0
    try:
        while piece := await asyncio.get_running_loop().sock_recv(reading, 1 << 20):
            size += len(piece)
    except ConnectionResetError:
        return size
    return size


@pytest.mark.parametrize("target", ["short", "short?close", "long", "long?close", "stream"])
async def test_a_client_that_does_not_read_its_answer_is_cut_off(
    server: sockets.Served, faces: Faces, target: str
) -> None:
    reading = await client(server.port)
    with reading:
        reading.send(b"POST /%b HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n" % target.encode())
        await support.until(lambda: len(server.living) == 1)
        await support.until(lambda: not server.living)
        assert await read_to_the_end(reading) < SIZE
        if target == "stream":
            await faces.closed.wait()


async def test_a_client_that_reads_slowly_gets_all_of_it(
    server: sockets.Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "READ_BYTES_MIN", 64 * 1024)
    loop = asyncio.get_running_loop()
    with socket.create_connection(("127.0.0.1", server.port)) as reading:
        reading.setblocking(False)
        reading.send(b"POST /short?close HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
        size, began = 0, loop.time()
        while piece := await loop.sock_recv(reading, 1 << 20):
            size += len(piece)
            turn = asyncio.Event()
            # A second in all, five times the time to look.
            loop.call_at(began + size / SIZE, turn.set)
            await turn.wait()
        assert size > SIZE
