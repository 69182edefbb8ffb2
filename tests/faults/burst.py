"""R14: ten times what the server can take, offered whatever becomes of it.

First the capacity: as many clients as are let in at once, each waiting for its answer. Then an open
load at ten times that rate. What is accepted must take at most twice as long as at capacity and be
delivered, all else must be told when to come back, and memory must stay bounded.

usage: ./dev faults burst [--full]
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.rig import harness, load, product
from headrace.api import bounds
from tests.faults import openload, pending, scaffold

SECONDS, SECONDS_FULL = 8, 60
FACTOR = 10
#: Events of one request: a burst of small requests is bound by what its own clients can send.
EVENTS, EVENT_BYTES = 100, 512
#: At capacity: requests of each of the clients.
WARM_UP, ROUNDS = 2, 12
#: Clients of the burst: each has one request under way.
CONNECTIONS = 600
RATIO_MAX, RSS_MB_MAX = 2.0, 400.0
#: How much of ten times the capacity must really have been offered, and how much of the capacity
#: must be left while nine of ten requests are refused.
OFFERED_MIN, KEPT_MIN = 0.9, 0.4
#: Of the first event of each request, the one that matches a rule.
ID = "r-{:09}"
DRAIN_S = 60.0
SAMPLE_S = 0.1
#: The answer to what was accepted may be late; one that never comes is a stall.
STALL_S_MAX = 5.0


class Figures(msgspec.Struct):
    """What one run saw."""

    clients_at_capacity: int = 0
    capacity_events_per_s: int = 0
    p99_ms_at_capacity: float = 0.0
    offered_events_per_s: int = 0
    accepted_events_per_s: int = 0
    p99_ms: float = 0.0
    p99_ratio: float = 0.0
    offered: int = 0
    accepted: int = 0
    refused: int = 0
    refused_p99_ms: float = 0.0
    #: Refusals that did not say when to come back, other answers, connections that broke.
    unsaid: int = 0
    other: int = 0
    broken: int = 0
    undelivered: int = 0
    rss_mb_before: float = 0.0
    rss_mb_more: float = 0.0
    slowest_s: float = 0.0


class Requests(Sequence[bytes]):
    """Signed requests of EVENTS events each; only the first of each has an id of its own.

    The heads are signed beforehand, the bodies put together when they are sent: all of a minute
    would be gigabytes.
    """

    def __init__(self, server: product.Product, first: int, count: int) -> None:
        events = [product.cloud_event(n, EVENT_BYTES, "default") for n in range(EVENTS)]
        events[0] |= {"id": ID.format(0), "source": "first"}
        body = json.dumps(events).encode()
        self._before, self._after = body.split(ID.format(0).encode())
        self._heads = [server.data_plane(body).partition(b"\r\n\r\n")[0] for _ in range(count)]
        self._first = first
        self.body_bytes = len(body)

    def __len__(self) -> int:
        return len(self._heads)

    def __getitem__(self, at: int) -> bytes:  # type: ignore[override]
        id = ID.format(self._first + at).encode()
        return b"%b\r\n\r\n%b%b%b" % (self._heads[at], self._before, id, self._after)


def at_capacity(server: product.Product, figures: Figures) -> float:
    """Return how many requests a second the server takes from as many clients as it lets in."""
    units = 1 + Requests(server, 0, 0).body_bytes // bounds.PUBLISHING_UNIT_BYTES
    clients = figures.clients_at_capacity = bounds.PUBLISHING_UNITS_MAX // units
    first = 0
    for rounds in (WARM_UP, ROUNDS):
        made = Requests(server, first, rounds * clients)
        outcome = load.run(server.host, server.port, made, connections=clients)
        if outcome.failures:
            raise SystemExit(f"refused at capacity: {outcome.first_failure}")
        first += len(made)
    figures.accepted = first
    figures.capacity_events_per_s = round(outcome.rate * EVENTS)
    figures.p99_ms_at_capacity = round(harness.percentile(outcome.latencies_ms, 0.99), 1)
    return outcome.rate


class Memory:
    """The most that the server's memory was, looked at while something else goes on."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.before_mb = self.most_mb = pending.rss_mb(pid)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(SAMPLE_S):
            self.most_mb = max(self.most_mb, pending.rss_mb(self._pid))


def burst(server: product.Product, rate: float, seconds: int, figures: Figures) -> set[str]:
    """Offer FACTOR times `rate`; note what became of it, and return what was accepted of it."""
    first = figures.accepted
    made = Requests(server, first, int(rate * FACTOR * seconds))
    with Memory(server.pid) as memory:
        outcome = openload.run(
            server.host, server.port, made, rate=rate * FACTOR, connections=CONNECTIONS
        )
    figures.rss_mb_before = round(memory.before_mb, 1)
    figures.rss_mb_more = round(memory.most_mb - memory.before_mb, 1)
    refused = outcome.taken_ms.get(503, []) + outcome.taken_ms.get(429, [])
    figures.offered = outcome.offered
    figures.offered_events_per_s = round(outcome.offered / outcome.seconds * EVENTS)
    figures.accepted = outcome.statuses[200]
    figures.accepted_events_per_s = round(outcome.statuses[200] / outcome.seconds * EVENTS)
    figures.refused = len(refused)
    figures.other = sum(outcome.statuses.values()) - figures.accepted - figures.refused
    figures.p99_ms = round(outcome.p99_ms(), 1)
    figures.p99_ratio = round(figures.p99_ms / figures.p99_ms_at_capacity, 2)
    figures.refused_p99_ms = round(harness.percentile(refused, 0.99), 1) if refused else 0.0
    figures.unsaid, figures.broken = outcome.unsaid, outcome.broken
    slowest = max((max(taken) for taken in outcome.taken_ms.values()), default=0.0)
    figures.slowest_s = round(slowest / 1000, 2)
    return {ID.format(number) for number in (*range(first), *(first + n for n in outcome.accepted))}


def undelivered(server: product.Product, notes: Path, accepted: set[str]) -> int:
    """Wait until nothing is open; return how many accepted events never reached their target."""
    deadline = time.monotonic() + DRAIN_S
    while time.monotonic() < deadline:
        books = server.call(server.signed("GET", "/headrace/v1/books"))
        if not sum(row["open"] for row in books["subscriptions"]):
            break
        threading.Event().wait(SAMPLE_S)
    return len(accepted - set(notes.read_text().split()))


def run(home: Path, seconds: int) -> Figures:
    figures = Figures()
    notes = home / "delivered"
    notes.touch()
    with scaffold.receiver(notes) as port, product.running() as server:
        target = f"http://127.0.0.1:{port}/"
        server.eventbridge(
            "CreateRule", EventBusName="default", RuleName="push",
            FilterPattern='{"source":["first"]}',
            EventTargets=[{"Id": "t", "Type": "http", "Endpoint": target}],
        )  # fmt: skip
        rate = at_capacity(server, figures)
        accepted = burst(server, rate, seconds, figures)
        figures.undelivered = undelivered(server, notes, accepted)
    return figures


def passed(figures: Figures) -> bool:
    zeros = (figures.unsaid, figures.other, figures.broken, figures.undelivered)
    return (
        not any(zeros)
        and figures.p99_ratio <= RATIO_MAX
        and figures.rss_mb_more <= RSS_MB_MAX
        and figures.offered_events_per_s >= OFFERED_MIN * FACTOR * figures.capacity_events_per_s
        and figures.accepted_events_per_s >= KEPT_MIN * figures.capacity_events_per_s
        and figures.refused > 0
        and figures.slowest_s <= STALL_S_MAX
    )


def main() -> int:
    """Print the figures as one line; 0 when they are good."""
    with tempfile.TemporaryDirectory(prefix="headrace-burst-") as home:
        figures = run(Path(home), SECONDS_FULL if "--full" in sys.argv else SECONDS)
    good = passed(figures)
    print(json.dumps({"bar": "burst", "figures": msgspec.to_builtins(figures), "pass": good}))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
