"""How many connections a server takes, and what one above that is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from headrace.api import bounds, http, probes, routes
from tests.unit.api import sockets, support

pytestmark = pytest.mark.anyio

GET = b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n"


async def hello(request: http.Request) -> http.Answer:
    return http.Response(200, b"hello")


def serve(connections_max: int) -> contextlib.AbstractAsyncContextManager[sockets.Served]:
    table = [routes.Route("hello", "/hello", hello, probes.refuse, 0)]
    return sockets.served(table, connections_max=connections_max)


@contextlib.asynccontextmanager
async def full(
    port: int, count: int
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """So many connections that have had an answer and are kept."""
    async with contextlib.AsyncExitStack() as held:
        for _ in range(count):
            reader, writer = await held.enter_async_context(sockets.connected(port))
            writer.write(GET)
            assert (await sockets.answer(reader))[0] == 200
        yield reader, writer


async def test_a_connection_above_the_cap_is_told_when_to_come_back_and_is_closed() -> None:
    async with serve(3) as (port, _, _), full(port, 3), sockets.connected(port) as (reader, _):
        status, head, body = await sockets.answer(reader)
        assert (status, b"ServiceUnavailable" in body) == (503, True)
        assert "retry-after: 1\r\n" in head
        assert "connection: close\r\n" in head
        assert "x-acs-request-id: " in head
        assert await reader.read() == b""


async def test_a_client_above_the_cap_that_sends_its_request_at_once_reads_why() -> None:
    """A socket that is closed with something unread is reset, and the answer may be lost."""
    async with serve(1) as (port, _, _), full(port, 1), sockets.connected(port) as (reader, writer):
        writer.write(GET)
        await writer.drain()
        assert (await sockets.answer(reader))[0] == 503


async def test_those_below_the_cap_are_served_while_others_are_turned_away() -> None:
    async with serve(2) as (port, _, _), full(port, 2) as (reader, writer):
        for _ in range(20):
            async with sockets.connected(port) as (turned, _):
                assert (await sockets.answer(turned))[0] == 503
            writer.write(GET)
            assert (await sockets.answer(reader))[0] == 200


async def test_a_connection_that_closes_makes_room_for_another() -> None:
    async with serve(1) as (port, _, _):
        for _ in range(3):
            async with full_again(port), sockets.connected(port) as (reader, _):
                assert (await sockets.answer(reader))[0] == 503


@contextlib.asynccontextmanager
async def full_again(port: int) -> AsyncIterator[None]:
    """The only connection there may be, once the server has noticed that the last one went."""
    for _ in range(1_000):
        async with sockets.connected(port) as (reader, writer):
            writer.write(GET)
            if (await sockets.answer(reader))[0] == 200:
                yield
                return
    pytest.fail("no room, though nobody is connected")


async def test_one_that_was_turned_away_and_stays_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds, "TURNED_AWAY_SECONDS_MAX", 0.05)
    async with serve(1) as (port, made, _), full(port, 1), sockets.connected(port) as (reader, _):
        assert (await sockets.answer(reader))[0] == 503
        assert len(made.away) == 1
        await support.until(lambda: not made.away)


async def test_only_so_many_are_waited_for_to_read_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "TURNED_AWAY_MAX", 2)
    async with serve(1) as (port, made, _), full(port, 1), contextlib.AsyncExitStack() as held:
        for _ in range(5):
            reader, _ = await held.enter_async_context(sockets.connected(port))
            assert (await sockets.answer(reader))[0] == 503
        assert len(made.away) == 2


@pytest.mark.parametrize(
    ("descriptors", "connections_allowed"),
    [
        (1 << 60, bounds.CONNECTIONS_MAX),
        (bounds.CONNECTIONS_MAX + bounds.DESCRIPTORS_KEPT, bounds.CONNECTIONS_MAX),
        (8_192, 8_192 - bounds.DESCRIPTORS_KEPT),
        (1_024, 512),
        (1, 1),
    ],
)
def test_descriptors_are_left_for_everything_else(
    descriptors: int, connections_allowed: int
) -> None:
    assert bounds.connections_max(descriptors) == connections_allowed
