"""R16: twenty minutes of 500 events/s, 50 invocations/s and configuration churn.

Memory must not grow after the first minutes (one straight line through all samples), descriptors
must stay flat, nothing may fail and nothing be logged as an error. At the end everything that was
acknowledged is there, delivered, and the books balance by a recount.

usage: ./dev faults soak [--ci | --full] [--seconds N]
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from bench.rig import product
from headrace import doctor
from tests.faults import pending, scaffold

SECONDS, SECONDS_CI = 20 * 60, 60
EVENTS_PER_S, IN_FLIGHT = 500, 32
INVOCATIONS_PER_S, CALLERS = 50, 5
CHURN_PER_S = 2
#: Caches fill and the interpreter settles; what grows after that grows for ever.
SETTLED_S = 5 * 60
SLOPE_MB_MAX = 1.0
#: Connections come and go; a leak is a line, not a step.
DESCRIPTORS_SPREAD_MAX = 24
#: A short run says nothing of memory.
SLOPE_SECONDS_MIN = 10 * 60
#: What the load may be short of its rate.
RATE_PART_MIN = 0.9
DRAIN_S_MAX = 60.0


class Figures(scaffold.Figures):
    """What one run saw."""

    seconds: int = 0
    acked: int = 0
    acked_per_s: float = 0.0
    invoked: int = 0
    invoked_per_s: float = 0.0
    edits: int = 0
    failures: int = 0
    rss_mb_start: float = 0.0
    rss_mb_end: float = 0.0
    #: Per 10 minutes, after the fifth; None in a run too short to tell.
    rss_slope_mb: float | None = None
    descriptors_start: int = 0
    descriptors_end: int = 0
    log_errors: int = 0
    undelivered: int = 0


class Sample(msgspec.Struct):
    at_s: float
    rss_mb: float
    descriptors: int


class Load:
    """Threads that call and edit at a steady rate, and count what failed."""

    def __init__(self, server: product.Product) -> None:
        self._server = server
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.invoked = self.edits = 0
        self.failures: list[str] = []

    def start(self) -> None:
        jobs = [(self._caller, INVOCATIONS_PER_S / CALLERS)] * CALLERS
        for job, rate in (*jobs, (self._editor, CHURN_PER_S)):
            thread = threading.Thread(target=self._steadily, args=(job(), rate), daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _steadily(self, job: Iterator[None], rate: float) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            due = max(due + 1 / rate, time.monotonic() - 1)
            self._stop.wait(max(0.0, due - time.monotonic()))
            try:
                next(job)
            except (OSError, http.client.HTTPException, SystemExit) as fault:
                with self._lock:
                    self.failures.append(f"{type(fault).__name__}: {fault}"[:200])
                return

    def _caller(self) -> Iterator[None]:
        """Invoke over one connection that is kept."""
        server = self._server
        path = "/2023-03-30/functions/soaked/invocations"
        connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
        with contextlib.closing(connection):
            while True:
                raw = server.signed("POST", path, b'{"n":1}', action="InvokeFunction")
                status, said = product.exchange(connection, raw)
                if status != 200 or said != b'{"n":1}':
                    raise SystemExit(f"invocation: {status} {said[:100]!r}")
                with self._lock:
                    self.invoked += 1
                yield

    def _editor(self) -> Iterator[None]:
        """Make a rule, change it, remove it; deploy a function anew now and then."""
        server, number = self._server, 0
        while True:
            number += 1
            name = {"EventBusName": "default", "RuleName": f"churn-{number % 5}"}
            pattern = json.dumps({"source": [f"nobody-{number}"]})
            for action, more in (
                ("CreateRule", {"FilterPattern": pattern}),
                ("UpdateRule", {"Description": str(number)}),
                ("DeleteRule", {}),
            ):
                server.eventbridge(action, **name, **more)
                self.edits += 1
                yield
            if number % 10 == 0:
                source = f"def handler(event, context):\n    return event  # {number}\n"
                body = {"code": {"zipFile": product.zipped(source)}}
                path = "/2023-03-30/functions/soaked"
                server.call(server.signed("PUT", path, json.dumps(body).encode()))
                self.edits += 1
                yield


def sampled(pid: int, seconds: int, told: Callable[[Sample], None]) -> list[Sample]:
    """Look at the process once a second."""
    samples: list[Sample] = []
    started = time.monotonic()
    while (at_s := time.monotonic() - started) < seconds:
        descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        samples.append(Sample(at_s, pending.rss_mb(pid), descriptors))
        told(samples[-1])
        threading.Event().wait(1.0)
    return samples


def slope(points: list[tuple[float, float]]) -> float:
    """Return the slope of the straight line nearest to the points (least squares)."""
    assert len(points) >= 2, "a line needs two points"
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    above = sum((x - mean_x) * (y - mean_y) for x, y in points)
    return above / sum((x - mean_x) ** 2 for x, _ in points)


def run(home: Path, seconds: int) -> Figures:
    """Load one server for so long, then count."""
    figures = Figures(seconds=seconds)
    data, ready, notes = home / "data", home / "ready.json", home / "delivered"
    ledger = home / "ledger"
    with scaffold.receiver(notes) as port:
        with (home / "server.log").open("wb") as log:
            process = product.start(data, ready, log=log)
        server = product.read(ready)
        wire(server, f"http://127.0.0.1:{port}/")
        load = Load(server)
        rate = (str(EVENTS_PER_S), str(IN_FLIGHT))
        with scaffold.process("producer.py", str(ready), str(ledger), *rate) as producer:
            load.start()
            samples = sampled(server.pid, seconds, _tell)
            load.stop()
            scaffold.order(producer, {"stop": True})
            figures.acked = scaffold.answer(producer)["acked"]
        scaffold.drain(server, DRAIN_S_MAX)
        process.terminate()
        figures.exit_code = process.wait(60)
    _take(figures, samples, load)
    _count(figures, home, ledger, notes)
    return figures


def wire(server: product.Product, target: str) -> None:
    server.deploy("soaked", "def handler(event, context):\n    return event\n")
    server.eventbridge(
        "CreateRule", EventBusName="default", RuleName="push",
        FilterPattern='{"source":["faults"]}',
        EventTargets=[{"Id": "t", "Type": "http", "Endpoint": target}],
    )  # fmt: skip


def _take(figures: Figures, samples: list[Sample], load: Load) -> None:
    figures.acked_per_s = round(figures.acked / figures.seconds, 1)
    figures.invoked, figures.edits = load.invoked, load.edits
    figures.invoked_per_s = round(load.invoked / figures.seconds, 1)
    figures.failures = len(load.failures)
    figures.problems += load.failures[:3]
    # The first instance, the first connections: the second quarter is the start.
    early = samples[len(samples) // 4]
    figures.rss_mb_start, figures.rss_mb_end = round(early.rss_mb, 1), round(samples[-1].rss_mb, 1)
    figures.descriptors_start, figures.descriptors_end = early.descriptors, samples[-1].descriptors
    if figures.seconds >= SLOPE_SECONDS_MIN:
        points = [(one.at_s / 600, one.rss_mb) for one in samples if one.at_s >= SETTLED_S]
        figures.rss_slope_mb = round(slope(points), 2)


def _count(figures: Figures, home: Path, ledger: Path, notes: Path) -> None:
    wrong = scaffold.logged_errors(home / "server.log")
    figures.log_errors = len(wrong)
    figures.problems += wrong[:3]
    stored = set(scaffold.stored_ids(home / "data"))
    figures.lost = len(scaffold.ledger_ids(ledger, "a") - stored)
    figures.undelivered = len(stored - set(notes.read_text().split()))
    figures.problems += doctor.check(home / "data").problems[:3]


def passed(figures: Figures) -> bool:
    zeros = (
        figures.failures, figures.log_errors, figures.lost, figures.undelivered,
        len(figures.problems), figures.exit_code,
    )  # fmt: skip
    return (
        not any(zeros)
        and figures.acked_per_s >= RATE_PART_MIN * EVENTS_PER_S
        and figures.invoked_per_s >= RATE_PART_MIN * INVOCATIONS_PER_S
        and figures.edits > 0
        and figures.descriptors_end - figures.descriptors_start <= DESCRIPTORS_SPREAD_MAX
        and (figures.rss_slope_mb is None or figures.rss_slope_mb <= SLOPE_MB_MAX)
    )


def _tell(sample: Sample) -> None:
    if round(sample.at_s) % 60 == 0:
        told = f"{sample.at_s:.0f} s, {sample.rss_mb:.0f} MB, {sample.descriptors} descriptors"
        scaffold.show("soak", told)


def main(arguments: list[str] | None = None) -> int:
    """Print the figures as one line; 0 when they are good."""
    parser = argparse.ArgumentParser(prog="./dev faults soak")
    parser.add_argument("--ci", action="store_true", help=f"{SECONDS_CI} s: errors, descriptors")
    parser.add_argument("--full", action="store_true", help=f"{SECONDS} s, as without an option")
    parser.add_argument("--seconds", type=int)
    given = parser.parse_args(arguments)
    home = scaffold.new_home("soak")
    figures = run(home, given.seconds or (SECONDS_CI if given.ci else SECONDS))
    return scaffold.report("soak", figures, home, good=passed(figures))


if __name__ == "__main__":
    sys.exit(main())
