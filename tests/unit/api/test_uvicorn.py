"""The application under uvicorn, over a real socket: what an ASGI client in memory cannot show."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn

from headrace.api import http, probes, routes, server, traffic
from tests.unit.api import support

pytestmark = pytest.mark.anyio

LIMIT = 1 << 20


class Faces:
    def __init__(self) -> None:
        self.calls = 0
        self.left = asyncio.Event()

    async def count(self, request: http.Request) -> http.Answer:
        self.calls += 1
        return http.Response(200, str(len(request.body)).encode())

    async def stream(self, request: http.Request) -> http.Answer:
        return http.Stream(self._chunks())

    async def _chunks(self) -> AsyncIterator[bytes]:
        try:
            yield b"first"
            await asyncio.Event().wait()
        finally:
            self.left.set()

    async def wait(self, request: http.Request) -> http.Answer:
        await request.disconnected()
        self.left.set()
        return http.Response(200)


@pytest.fixture
async def faces() -> Faces:
    return Faces()


@pytest.fixture
async def port(faces: Faces) -> AsyncIterator[int]:
    table = routes.Routes(
        [
            routes.Route("count", "/count", faces.count, probes.refuse, LIMIT),
            routes.Route("stream", "/stream", faces.stream, probes.refuse, 0),
            routes.Route("wait", "/wait", faces.wait, probes.refuse, 0),
        ]
    )
    app = server.Server(
        table,
        refuse=probes.refuse,
        random=support.CountingRandom(),
        clock=support.FixedClock(),
        counts=traffic.Counts(),
    )
    config = uvicorn.Config(app, log_level="error", access_log=False, http="httptools")
    running = uvicorn.Server(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        task = asyncio.create_task(running.serve(sockets=[listening]))
        yield listening.getsockname()[1]
        running.should_exit = True
        running.force_exit = True
        await task


@contextlib.asynccontextmanager
async def connection(
    port: int,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(20):
            yield reader, writer
    finally:
        writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, str, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.split("content-length: ")[1].split("\r\n")[0])
    return int(head.split()[1]), head, await reader.readexactly(length)


async def test_connection_is_kept_for_the_next_request(port: int) -> None:
    async with connection(port) as (reader, writer):
        for size in (0, 5, LIMIT):
            writer.write(
                b"POST /count HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size
                + b"x" * size
            )
            status, head, body = await answer(reader)
            assert (status, body) == (200, str(size).encode())
            assert "x-acs-request-id: " in head


async def test_client_that_sends_too_much_still_reads_why(port: int, faces: Faces) -> None:
    size = 8 * LIMIT
    async with connection(port) as (reader, writer):
        writer.write(b"POST /count HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size)
        for _ in range(8):
            writer.write(b"x" * LIMIT)
            await writer.drain()
        status, head, body = await answer(reader)
        assert status == 413
        assert "connection: close" in head
        assert b"EntityTooLarge" in body
        assert await reader.read() == b""
    assert faces.calls == 0


async def test_client_that_asks_before_sending_too_much_is_told_at_once(port: int) -> None:
    """Nothing is read of a body that only waits for our word."""
    async with connection(port) as (reader, writer):
        writer.write(
            b"POST /count HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n"
            % (8 * LIMIT)
        )
        status, _, _ = await answer(reader)
        assert status == 413


async def test_chunked_body_is_cut_off_at_the_limit(port: int, faces: Faces) -> None:
    async with connection(port) as (reader, writer):
        writer.write(b"POST /count HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(3):
            writer.write(b"%x\r\n" % LIMIT + b"x" * LIMIT + b"\r\n")
        writer.write(b"0\r\n\r\n")
        status, _, _ = await answer(reader)
        assert status == 413
    assert faces.calls == 0


async def test_face_and_stream_notice_that_the_client_left(port: int, faces: Faces) -> None:
    for path in (b"/wait", b"/stream"):
        faces.left.clear()
        async with connection(port) as (reader, writer):
            writer.write(b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n" % path)
            await writer.drain()
            if path == b"/stream":
                await reader.readuntil(b"first")
        async with asyncio.timeout(20):
            await faces.left.wait()
