"""The application under uvicorn on a real socket, and clients that speak bytes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

import uvicorn

from headrace.api import bounds, probes, routes, server, traffic
from headrace.api import connection as connections
from tests.unit.api import support


class Served(NamedTuple):
    """A running server."""

    port: int
    #: The class of its connections, and those that live.
    made: type[connections.Connection]
    living: set[Any]


@contextlib.asynccontextmanager
async def served(
    table: Sequence[routes.Route], *, connections_max: int = bounds.CONNECTIONS_MAX
) -> AsyncIterator[Served]:
    """Serve these routes."""
    app = server.Server(
        routes.Routes(table),
        refuse=probes.refuse,
        random=support.CountingRandom(),
        clock=support.FixedClock(),
        counts=traffic.Counts(),
    )
    bounded = connections.bounded(
        app, probes.refuse, support.CountingRandom(), connections_max=connections_max
    )
    running = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, http=bounded))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1024)
        task = asyncio.create_task(running.serve(sockets=[listening]))
        try:
            living = running.server_state.connections
            yield Served(listening.getsockname()[1], bounded, living)
        finally:
            running.should_exit = True
            running.force_exit = True
            await task


@contextlib.asynccontextmanager
async def connected(
    port: int,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """One client; whatever it waits for takes 20 seconds at most."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(20):
            yield reader, writer
    finally:
        writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, str, bytes]:
    """Read one answer: status, head in lower case, body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.split("content-length: ")[1].split("\r\n")[0])
    return int(head.split()[1]), head, await reader.readexactly(length)
