"""Real receivers on loopback for the senders: no mock stands between a sender and its socket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from headrace.core import delivery
from headrace.targets import egress, http

SECOND_US = 1_000_000


class RealClock:
    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def mono_us(self) -> int:
        return time.monotonic_ns() // 1_000


class Receiver:
    """An aiohttp server whose answer a test sets; it keeps what it was sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.peers: set[object] = set()
        self.answer: Callable[[web.Request], Awaitable[web.StreamResponse]] = self.accept
        self.port = 0

    async def accept(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="taken")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        self.peers.add(request.transport.get_extra_info("peername"))
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((request.method, headers, await request.read()))
        return await self.answer(request)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"


RawHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> RealClock:
    return RealClock()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


@pytest.fixture
async def raw_server() -> AsyncIterator[Callable[[RawHandler], Awaitable[int]]]:
    """Start servers that speak whatever bytes a test wants; returns the port of each."""
    servers: list[asyncio.Server] = []

    async def start(handler: RawHandler) -> int:
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        servers.append(server)
        return server.sockets[0].getsockname()[1]

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()


@pytest.fixture
async def client() -> AsyncIterator[http.HttpClient]:
    made = http.HttpClient(egress.Egress(allow_private=True))
    yield made
    await made.close()


def message(
    *,
    params: dict[str, str | None] | None = None,
    body: bytes = b'{"id":"e-1","source":"shop","type":"order"}',
    event_id: str = "e-1",
    attempt: int = 1,
    position: int = 7,
) -> delivery.Message:
    return delivery.Message(
        position=position,
        event_id=event_id,
        source="shop",
        type="order",
        attempt=attempt,
        account="1234",
        bus="default",
        rule="orders",
        target="t1",
        request_id="R-1",
        params={} if params is None else params,
        body=body,
    )


@pytest.fixture
def push(client: http.HttpClient, clock: RealClock) -> Callable[..., Awaitable[delivery.Outcome]]:
    """Send one message to a URL and return its outcome."""

    async def send(
        url: str, sent: delivery.Message | None = None, *, seconds: float = 5.0
    ) -> delivery.Outcome:
        sender = http.HttpSender(url, client, clock)
        deadline_us = clock.mono_us() + int(seconds * SECOND_US)
        outcomes = await sender.send([sent or message()], deadline_us)
        assert len(outcomes) == 1
        return outcomes[0]

    return send
