"""The load: many keep-alive connections that each send one prepared request after another.

Requests are signed before the clock starts, so the generator costs the shared machine little and
measures the server, not itself. Closed loop: a connection waits for its answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

import httptools
import msgspec
import uvloop


class Outcome(msgspec.Struct):
    """What one run of the load saw."""

    requests: int
    seconds: float
    latencies_ms: list[float]
    failures: int
    first_failure: str = ""

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


class _Connection(asyncio.Protocol):
    """One keep-alive connection; parses answers, sends the next request."""

    def __init__(
        self, requests: Iterator[bytes], outcome: Outcome, done: asyncio.Future[None]
    ) -> None:
        self._requests = requests
        self._outcome = outcome
        self._done = done
        self._sent = 0.0
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        outcome = self._outcome
        outcome.latencies_ms.append((time.perf_counter() - self._sent) * 1000)
        outcome.requests += 1
        if self._parser.get_status_code() >= 300:
            outcome.failures += 1
            outcome.first_failure = outcome.first_failure or self._body.decode("utf-8", "replace")
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(error or ConnectionError("the server closed the connection"))

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            if not self._done.done():
                self._done.set_result(None)
            self._transport.close()
            return
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._sent = time.perf_counter()
        self._transport.write(request)


def run(host: str, port: int, requests: Sequence[bytes], *, connections: int) -> Outcome:
    """Send all requests over `connections` connections; return when the last answer is in."""
    return uvloop.run(_run(host, port, requests, connections))


async def _run(host: str, port: int, requests: Sequence[bytes], connections: int) -> Outcome:
    loop = asyncio.get_running_loop()
    outcome = Outcome(0, 0.0, [], 0)
    shared = iter(requests)
    waits: list[asyncio.Future[None]] = []
    started = time.perf_counter()
    for _ in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        waits.append(done)
        await loop.create_connection(
            lambda done=done: _Connection(shared, outcome, done), host, port
        )
    await asyncio.gather(*waits)
    outcome.seconds = time.perf_counter() - started
    return outcome


def http_request(method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
    """The bytes of one request."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
