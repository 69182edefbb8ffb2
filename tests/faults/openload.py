"""An open load: requests are due at fixed times, whatever became of those before.

A closed loop waits with a slow server and hides what its clients would see; here the time of a
request begins when it is due, not when a connection was free to send it. Each connection has one
request under way; one that the server closes is opened again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Sequence
from typing import cast

import httptools
import msgspec
import uvloop

from bench.rig import harness

#: How often due requests are looked for.
TICK_S = 0.002
#: After the last one was due.
ANSWERS_S = 30.0


class Outcome(msgspec.Struct):
    """What became of all requests of one run."""

    offered: int = 0
    seconds: float = 0.0
    statuses: Counter[int] = msgspec.field(default_factory=Counter[int])
    #: From when they were due until their answer was whole, by status.
    taken_ms: dict[int, list[float]] = {}
    #: Number of each request that was answered 200, in the order of the answers.
    accepted: list[int] = []
    #: 429 and 503 that do not say when to come back.
    unsaid: int = 0
    #: Closed before the answer was whole, or never answered.
    broken: int = 0
    first_refusal: str = ""

    def p99_ms(self, status: int = 200) -> float:
        taken = self.taken_ms.get(status, [])
        return harness.percentile(taken, 0.99) if taken else float("inf")


class _Connection(asyncio.Protocol):
    def __init__(self, load: _Load) -> None:
        self._load = load
        self._number = -1
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._load.free.append(self)

    def send(self, number: int, due: float, raw: bytes) -> None:
        self._number, self._due = number, due
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._says_when = False
        self.transport.write(raw)

    def data_received(self, data: bytes) -> None:
        if self._number >= 0:
            self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after":
            self._says_when = True

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        said = (status, self._says_when, self._body)
        self._load.answered(self._number, self._due, *said)
        self._number = -1
        if self._parser.should_keep_alive():
            self._load.free.append(self)
        else:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._load.lost(self, under_way=self._number >= 0)


class _Load:
    def __init__(self, host: str, port: int, requests: Sequence[bytes], rate: float) -> None:
        self._address = (host, port)
        self._requests = requests
        self._rate = rate
        self.free: deque[_Connection] = deque()
        self.outcome = Outcome(taken_ms={}, accepted=[])
        self._closing = False
        self._under_way = 0
        #: Set when nothing is under way any more; only the end waits for it.
        self._calm: asyncio.Event | None = None
        self._opening: set[asyncio.Task[None]] = set()

    async def run(self, connections: int) -> Outcome:
        await asyncio.gather(*(self._open() for _ in range(connections)))
        began = time.perf_counter()
        sent, total = 0, len(self._requests)
        while sent < total:
            due = min(total, int((time.perf_counter() - began) * self._rate) + 1)
            while sent < due and self.free:
                self._under_way += 1
                at = began + sent / self._rate
                self.free.popleft().send(sent, at, self._requests[sent])
                sent += 1
            await asyncio.sleep(TICK_S)
            if time.perf_counter() - began > total / self._rate + ANSWERS_S:
                break
        self.outcome.offered = sent
        self.outcome.seconds = time.perf_counter() - began
        await self._ended()
        self.outcome.broken += self._under_way
        return self.outcome

    async def _ended(self) -> None:
        if self._under_way:
            self._calm = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWERS_S):
                    await self._calm.wait()
        self._closing = True
        while self.free:
            self.free.pop().transport.close()

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: _Connection(self), *self._address)

    def answered(self, number: int, due: float, status: int, says_when: bool, body: bytes) -> None:
        outcome = self.outcome
        self._one_less()
        outcome.statuses[status] += 1
        taken_ms = (time.perf_counter() - due) * 1000
        outcome.taken_ms.setdefault(status, []).append(taken_ms)
        if status == 200:
            outcome.accepted.append(number)
        elif not outcome.first_refusal:
            outcome.first_refusal = body.decode("utf-8", "replace")
        outcome.unsaid += status in (429, 503) and not says_when

    def _one_less(self) -> None:
        self._under_way -= 1
        if not self._under_way and self._calm is not None:
            self._calm.set()

    def lost(self, connection: _Connection, *, under_way: bool) -> None:
        if self._closing:
            return
        if under_way:
            self._one_less()
            self.outcome.broken += 1
        if connection in self.free:
            self.free.remove(connection)
        task = asyncio.get_running_loop().create_task(self._open())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)


def run(
    host: str, port: int, requests: Sequence[bytes], *, rate: float, connections: int
) -> Outcome:
    """Send all requests at `rate` a second over so many connections; return what became of them."""
    return uvloop.run(_Load(host, port, requests, rate).run(connections))
