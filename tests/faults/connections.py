"""R12: ten thousand idle keep-alive connections beside 200 busy ones, then more than the cap.

The busy ones publish one event after another, first alone, then beside the idle ones; new
connections are made meanwhile and asked for the health of the server. Then the cap is filled: what
comes on top must be told so at once, and be let in again when there is room.

usage: ./dev faults connections [--full]
"""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import sys
import threading
import time
from collections.abc import Iterator

import msgspec

from bench.rig import product
from headrace.api import bounds
from tests.faults import openload, pending

IDLE, IDLE_FULL = 2_000, 10_000
ACTIVE = 200
#: What the busy ones publish together, about a third of what the server can take.
RATE = 1_000
SECONDS, SECONDS_FULL = 2, 6
#: Runs of that length, before and beside the idle ones; the best of each counts, as a neighbour on
#: the machine only ever makes one slower.
RUNS, RUNS_FULL = 2, 4
#: What the bar allows.
RATIO_MAX, RSS_MB_MAX, CONNECTION_KB_MAX, ACCEPT_MS_MAX = 1.5, 400.0, 40.0, 100.0
REFUSED, REFUSED_MS_MAX = 50, 100.0
#: New connections while the others publish: how often.
PROBE_PAUSE_S = 0.05
ANSWER_S = 10.0
ASK = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
#: Clients of many addresses: one address has 28,000 ports.
ADDRESSES = 8


class Figures(msgspec.Struct):
    """What one run saw."""

    idle: int = 0
    active: int = ACTIVE
    p99_ms_alone: float = 0.0
    p99_ms: float = 0.0
    p99_ratio: float = 0.0
    rss_mb_alone: float = 0.0
    rss_mb_more: float = 0.0
    kb_per_connection: float = 0.0
    accepts: int = 0
    accept_ms_max: float = 0.0
    cap: int = 0
    #: Above the cap: how many were told so, and how long that took.
    refused: int = 0
    refused_ms_max: float = 0.0
    served_at_cap: bool = False
    taken_again: bool = False


class Client:
    """Connections of one process, opened one after another."""

    def __init__(self, server: product.Product) -> None:
        self._server = server
        self.held: list[socket.socket] = []

    def connect(self) -> socket.socket:
        source = f"127.0.0.{2 + len(self.held) % ADDRESSES}"
        address = (self._server.host, self._server.port)
        made = socket.create_connection(address, ANSWER_S, source_address=(source, 0))
        self.held.append(made)
        return made

    def drop(self, count: int) -> None:
        for _ in range(count):
            self.held.pop().close()


def asked(connection: socket.socket) -> bytes:
    """Send a request and return its answer."""
    connection.sendall(ASK)
    return answer(connection)


def answer(connection: socket.socket) -> bytes:
    """Read one answer; what there is of it when the server closes."""
    said = b""
    while piece := connection.recv(4096):
        said += piece
        head, ended, body = said.partition(b"\r\n\r\n")
        if ended and len(body) >= int(head.lower().split(b"content-length: ")[1].split()[0]):
            break
    return said


class Probe:
    """Makes a new connection every now and then, and takes the time until it is answered."""

    def __init__(self, server: product.Product) -> None:
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.took_ms: list[float] = []

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join(ANSWER_S)

    def _run(self) -> None:
        while not self._stop.wait(PROBE_PAUSE_S):
            client = Client(self._server)
            began = time.perf_counter()
            said = asked(client.connect())
            took_ms = (time.perf_counter() - began) * 1000
            client.drop(1)
            self.took_ms.append(took_ms if said.startswith(b"HTTP/1.1 200") else float("inf"))


def busy(server: product.Product, seconds: int, first: int) -> openload.Outcome:
    """Publish over ACTIVE connections at a steady rate."""
    made: list[bytes] = []
    for number in range(first, first + seconds * RATE):
        batch = [product.cloud_event(number, 512, "default")]
        made.append(server.data_plane(json.dumps(batch).encode()))
    outcome = openload.run(server.host, server.port, made, rate=RATE, connections=ACTIVE)
    if set(outcome.statuses) != {200} or outcome.broken:
        raise SystemExit(f"refused: {outcome.statuses} {outcome.first_refusal}")
    return outcome


def p99(server: product.Product, seconds: int, runs: range) -> float:
    """Return the p99 of the best of some runs."""
    return round(min(busy(server, seconds, n * seconds * RATE).p99_ms() for n in runs), 1)


def beside_idle(server: product.Product, figures: Figures, seconds: int, runs: int) -> Client:
    """Measure before and beside the idle connections; return those."""
    busy(server, 1, 0)  # what the first requests make is no connection's
    figures.p99_ms_alone = p99(server, seconds, range(1, 1 + runs))
    figures.rss_mb_alone = round(pending.rss_mb(server.pid), 1)
    client, probe = Client(server), Probe(server)
    for _ in range(figures.idle):
        assert asked(client.connect()).startswith(b"HTTP/1.1 200"), "an idle one was refused"
    more = pending.rss_mb(server.pid) - figures.rss_mb_alone
    figures.rss_mb_more = round(more, 1)
    figures.kb_per_connection = round(more * 1024 / figures.idle, 1)
    with probe.running():
        figures.p99_ms = p99(server, seconds, range(1 + runs, 1 + 2 * runs))
    figures.p99_ratio = round(figures.p99_ms / figures.p99_ms_alone, 2)
    figures.accepts = len(probe.took_ms)
    figures.accept_ms_max = round(max(probe.took_ms), 1)
    return client


def above_the_cap(client: Client, figures: Figures) -> None:
    """Fill the cap, come on top of it, make room, come again."""
    figures.cap = bounds.connections_max(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    while len(client.held) < figures.cap:
        client.connect()
    for _ in range(REFUSED):
        began = time.perf_counter()
        said = answer(client.connect()).lower()
        took_ms = (time.perf_counter() - began) * 1000
        figures.refused += said.startswith(b"http/1.1 503") and b"retry-after: " in said
        figures.refused_ms_max = round(max(figures.refused_ms_max, took_ms), 1)
    figures.served_at_cap = asked(client.held[0]).startswith(b"HTTP/1.1 200")
    client.drop(2 * REFUSED)
    figures.taken_again = any(
        asked(client.connect()).startswith(b"HTTP/1.1 200") for _ in range(REFUSED // 2)
    )


def passed(figures: Figures) -> bool:
    return (
        figures.p99_ratio <= RATIO_MAX
        and figures.rss_mb_more <= RSS_MB_MAX
        and figures.kb_per_connection <= CONNECTION_KB_MAX
        and 0 < figures.accept_ms_max <= ACCEPT_MS_MAX
        and figures.refused == REFUSED
        and figures.refused_ms_max <= REFUSED_MS_MAX
        and figures.served_at_cap
        and figures.taken_again
    )


def main() -> int:
    """Print the figures as one line; 0 when they are good."""
    full = "--full" in sys.argv
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    figures = Figures(idle=IDLE_FULL if full else IDLE)
    with product.running() as server:
        sizes = (SECONDS_FULL, RUNS_FULL) if full else (SECONDS, RUNS)
        client = beside_idle(server, figures, *sizes)
        above_the_cap(client, figures)
        client.drop(len(client.held))
    good = passed(figures)
    line = {"bar": "connections", "figures": msgspec.to_builtins(figures), "pass": good}
    print(json.dumps(line))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
