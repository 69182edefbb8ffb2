"""Bodies count as soon as they are waited for, whichever way they go; over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Literal

import pytest

from headrace.api import bodies, bounds, http, probes, routes
from tests.unit.api import sockets, support

pytestmark = pytest.mark.anyio


class Face:
    """Says how large a body was and how it ended; stands while `go` is not set."""

    def __init__(self) -> None:
        self.calls = 0
        self.counted: list[int] = []
        self.sum = bodies.Bodies()
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, request: http.Request) -> http.Response:
        assert type(request.body) is bytes
        self.calls += 1
        self.counted.append(self.sum.taken)
        await self.go.wait()
        return http.Response(200, b"%d %b" % (len(request.body), request.body[-2:]))


class Turnstile(asyncio.Event):
    """Lets one pass for each release."""

    def __init__(self, turns: asyncio.Semaphore) -> None:
        super().__init__()
        self._turns = turns

    async def wait(self) -> Literal[True]:
        return await self._turns.acquire()


@pytest.fixture
async def face() -> Face:
    return Face()


@pytest.fixture
async def port(face: Face) -> AsyncIterator[int]:
    table = [
        routes.Route("short", "/short", face, probes.refuse, 1 << 20, short=True),
        routes.Route("long", "/long", face, probes.refuse, 1 << 20),
    ]
    async with sockets.served(table) as running:
        face.sum = running.made.serve.bodies
        yield running.port
        face.go.set()


def head(size: int, path: bytes = b"short") -> bytes:
    return b"POST /%b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (path, size)


async def test_a_short_body_in_pieces_is_put_together_and_counts_until_it_is_answered(
    port: int, face: Face
) -> None:
    async with sockets.connected(port) as (reader, writer):
        writer.write(head(30))
        for number, piece in enumerate((b"a" * 10, b"b" * 10, b"c" * 10), 1):
            writer.write(piece)
            await support.until(lambda number=number: face.sum.taken == number * 10)
        status, _, body = await sockets.answer(reader)
        assert (status, body) == (200, b"30 cc")
        assert face.counted == [30]
        assert face.sum.taken == 0


@pytest.mark.parametrize("path", [b"short", b"long"])
async def test_a_body_that_comes_with_its_head_is_not_counted(
    port: int, face: Face, path: bytes
) -> None:
    async with sockets.connected(port) as (reader, writer):
        writer.write(head(10, path) + b"x" * 10)
        assert (await sockets.answer(reader))[0] == 200
        assert face.counted == [0]


@pytest.mark.parametrize("path", [b"short", b"long"])
async def test_a_body_that_finds_no_room_is_refused_and_its_connection_goes_on(
    port: int, face: Face, path: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "BODIES_BYTES_MAX", 15)
    async with sockets.connected(port) as (_, first), sockets.connected(port) as (reader, writer):
        first.write(head(30) + b"x" * 10)
        await support.until(lambda: face.sum.taken == 10)
        writer.write(head(30, path) + b"y" * 5)
        await support.until(lambda: face.sum.taken == 15)
        for piece in (b"y" * 5, b"y" * 20):  # what came before is let go of as well
            writer.write(piece)
            await support.until(lambda: face.sum.taken == 10)
        status, said, body = await sockets.answer(reader)
        assert (status, b"ServiceUnavailable" in body) == (503, True)
        assert "retry-after: 1\r\n" in said
        assert (face.calls, face.sum.taken) == (0, 10)
        writer.write(head(3, path) + b"abc")
        assert (await sockets.answer(reader))[0] == 200


async def test_a_client_that_leaves_in_the_middle_of_its_body_gives_its_room_back(
    port: int, face: Face
) -> None:
    for path in (b"short", b"long"):
        async with sockets.connected(port) as (_, writer):
            writer.write(head(30, path))
            await writer.drain()
            writer.write(b"x" * 10)
            await support.until(lambda: face.sum.taken == 10)
        await support.until(lambda: face.sum.taken == 0)
    assert face.calls == 0


async def test_a_body_that_does_not_come_in_time_gives_its_room_back(
    port: int, face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "BODY_SECONDS_MAX", 0.1)
    async with sockets.connected(port) as (reader, writer):
        writer.write(head(30) + b"x" * 10)
        await support.until(lambda: face.sum.taken == 10)
        assert (await sockets.answer(reader))[0] == 408
        await support.until(lambda: face.sum.taken == 0)


async def test_bodies_that_are_sent_ahead_count_until_their_turn(port: int, face: Face) -> None:
    face.go.clear()
    async with sockets.connected(port) as (reader, writer):
        writer.write(head(0) + head(10) + b"a" * 10 + head(5) + b"b" * 5)
        await support.until(lambda: face.sum.taken == 15)
        face.go.set()
        said = [await sockets.answer(reader) for _ in range(3)]
        assert [body for _, _, body in said] == [b"0 ", b"10 aa", b"5 bb"]
        assert face.sum.taken == 0


async def test_a_client_that_always_has_a_request_ahead_gives_back_what_was_answered(
    port: int, face: Face
) -> None:
    turns = asyncio.Semaphore(0)
    face.go = Turnstile(turns)
    async with sockets.connected(port) as (reader, writer):
        writer.write((head(10) + b"x" * 10) * 4)
        for answered in range(1, 20):
            turns.release()
            assert (await sockets.answer(reader))[0] == 200
            writer.write(head(10) + b"x" * 10)
            # The next one is worked on, at most three wait for it.
            await support.until(lambda answered=answered: face.calls > answered)
            assert face.sum.taken <= 30
        for _ in range(4):
            turns.release()
            assert (await sockets.answer(reader))[0] == 200
        assert face.sum.taken == 0


async def test_bodies_sent_ahead_that_find_no_room_end_the_connection(
    port: int, face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "BODIES_BYTES_MAX", 5)
    face.go.clear()
    async with sockets.connected(port) as (reader, writer):
        writer.write(head(0) + head(10) + b"a" * 10)
        assert await reader.read() == b""
        assert face.sum.taken == 0


async def test_only_so_many_requests_may_be_sent_ahead(port: int, face: Face) -> None:
    face.go.clear()
    async with sockets.connected(port) as (reader, writer):
        writer.write(head(0) * (bounds.PIPELINED_MAX + 1))
        writer.write(head(0))
        assert await reader.read() == b""
    face.go.set()
    async with sockets.connected(port) as (reader, writer):
        writer.write(head(0) * (bounds.PIPELINED_MAX + 1))
        for _ in range(bounds.PIPELINED_MAX + 1):
            assert (await sockets.answer(reader))[0] == 200


async def test_a_head_that_does_not_end_counts_beyond_what_most_need_and_gives_its_room_back(
    port: int, face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "HEAD_BYTES_FREE", 100)
    begun = b"POST /short HTTP/1.1\r\nx-long: "
    for rest in (b"", b"\r\n\r\n"):
        async with sockets.connected(port) as (reader, writer):
            writer.write(begun + b"x" * 200)
            await support.until(lambda: face.sum.taken == len(begun) + 200)
            writer.write(b"x" * 50)
            await support.until(lambda: face.sum.taken == len(begun) + 250)
            if rest:
                writer.write(rest)
                assert (await sockets.answer(reader))[0] == 200
                assert face.sum.taken == 0
        await support.until(lambda: face.sum.taken == 0)


async def test_a_head_that_finds_no_room_is_refused_and_its_connection_closed(
    port: int, face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "HEAD_BYTES_FREE", 100)
    monkeypatch.setattr(bounds, "BODIES_BYTES_MAX", 300)
    async with sockets.connected(port) as (_, first), sockets.connected(port) as (reader, writer):
        first.write(b"POST /short HTTP/1.1\r\nx: " + b"x" * 200)
        await support.until(lambda: face.sum.taken > 200)
        writer.write(b"POST /short HTTP/1.1\r\nx: " + b"x" * 200)
        status, said, _ = await sockets.answer(reader)
        assert (status, "retry-after: 1\r\n" in said) == (503, True)
        assert "x-acs-request-id: " in said
        assert await reader.read() == b""
    await support.until(lambda: face.sum.taken == 0)


async def test_trailers_that_do_not_end_count_until_their_request_is_whole(
    port: int, face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "HEAD_BYTES_FREE", 100)
    async with sockets.connected(port) as (reader, writer):
        begun = b"POST /long HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(begun + b"5\r\nabcde\r\n")
        await support.until(lambda: face.sum.taken == 5)
        writer.write(b"0\r\nx-trailer: " + b"x" * 200)
        await support.until(lambda: face.sum.taken > 200)
        writer.write(b"\r\n\r\n")
        assert (await sockets.answer(reader))[0] == 200
        assert face.sum.taken == 0


async def test_a_head_without_an_end_behind_a_request_that_takes_long_is_not_read_for_ever(
    face: Face,
) -> None:
    table = [routes.Route("short", "/short", face, probes.refuse, 1 << 20, short=True)]
    async with sockets.served(table) as running:
        face.go.clear()
        async with sockets.connected(running.port) as (reader, writer):
            writer.write(head(0))
            await support.until(lambda: face.calls == 1)
            writer.write(b"POST /short HTTP/1.1\r\nx: " + b"x" * (4 << 20))
            (its,) = running.living
            await support.until(lambda: not its.transport.is_reading())
            face.go.set()
            status, said, _ = await sockets.answer(reader)
            assert (status, "connection: close\r\n" in said) == (200, True)
