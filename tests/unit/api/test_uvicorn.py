"""The application under uvicorn, over a real socket: what an ASGI client in memory cannot show."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn

from headrace.api import bounds, http, probes, routes, server, traffic
from headrace.api import connection as connections
from tests.unit.api import support

pytestmark = pytest.mark.anyio

LIMIT = 1 << 20


class Faces:
    def __init__(self) -> None:
        self.calls = 0
        self.left = asyncio.Event()
        self.headers: dict[bytes, bytes] = {}

    async def count(self, request: http.Request) -> http.Answer:
        self.calls += 1
        self.headers = dict(request.raw_headers)
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
    bounded = connections.bounded(app, probes.refuse, support.CountingRandom())
    config = uvicorn.Config(app, log_level="error", access_log=False, http=bounded)
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


HEAD = b"GET /count HTTP/1.1\r\nhost: x\r\n"


@pytest.mark.parametrize("piece", [b"x-a: " + b"a" * 5000 + b"\r\n", b"a" * 5000])
async def test_head_that_does_not_end_is_cut_off(port: int, faces: Faces, piece: bytes) -> None:
    """Nobody has signed anything yet: it must not fill the memory."""
    async with connection(port) as (reader, writer):
        writer.write(HEAD + b"x-b: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(8 * bounds.HEAD_BYTES_MAX // len(piece)):
                writer.write(piece)
                await writer.drain()
        with contextlib.suppress(ConnectionError):
            status, head, body = await answer(reader)
            assert (status, b"RequestHeaderFieldsTooLarge" in body) == (431, True)
            assert "connection: close" in head
            assert "x-acs-request-id: " in head
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    assert faces.calls == 0


async def test_what_is_sent_after_a_body_is_no_header(port: int, faces: Faces) -> None:
    async with connection(port) as (reader, writer):
        writer.write(
            b"POST /count HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
            b"1\r\na\r\n0\r\nce-id: forged\r\n\r\n"
        )
        status, _, body = await answer(reader)
        assert (status, body) == (200, b"1")
    assert b"ce-id" not in faces.headers


async def test_endless_trailers_are_cut_off(port: int, faces: Faces) -> None:
    async with connection(port) as (reader, writer):
        writer.write(
            b"POST /count HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
        )
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                writer.write(b"x-a: " + b"a" * 20_000 + b"\r\n")
                await writer.drain()
            assert await reader.read() == b""
    assert faces.calls == 0


@pytest.mark.parametrize("sent", [b"", b"GET /co", HEAD, b"\r\n"])
async def test_head_that_does_not_come_is_not_waited_for(
    port: int, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "HEAD_SECONDS_MAX", 0.1)
    for earlier in (b"", HEAD + b"\r\n"):
        async with connection(port) as (reader, writer):
            if earlier:
                writer.write(earlier)
                await answer(reader)
            if earlier and not sent:
                continue  # that is uvicorn's keep-alive
            writer.write(sent)
            said = await reader.read()
            assert said == b"" or b" 408 " in said.split(b"\r\n")[0]


async def test_slow_answer_is_not_cut_off_by_the_next_request(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "HEAD_SECONDS_MAX", 0.05)
    async with connection(port) as (reader, writer):
        writer.write(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\nGET /co")
        await reader.readuntil(b"first\r\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await reader.read(1)


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"POST /count HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n",
        b"POST /count HTTP/1.1\r\nhost: x\r\ntransfer-encoding: nonsense\r\n\r\nx",
    ],
)
async def test_what_is_no_http_gets_the_envelope_too(port: int, sent: bytes) -> None:
    async with connection(port) as (reader, writer):
        writer.write(sent)
        status, head, body = await answer(reader)
        assert (status, b"InvalidArgument" in body) == (400, True)
        assert "x-acs-request-id: " in head
