"""R7: one target takes 30 s for each event; nine others must not notice.

The events of a steady load take turns among ten types, each with a rule and a target of its own.
First the rule of the slow target is not there; then it is, and its backlog grows. The nine are as
quick as before, the server's memory stays bounded, the backlog is on disk. In the end the slow
target answers at once: everything acknowledged arrives, and the books balance.

usage: ./dev faults slowtarget [--full]
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench.rig import harness, product
from headrace import doctor
from tests.faults import scaffold

FAST = 9
SLOW_S = 30.0
#: What an event of the slow target holds: a backlog in memory would show.
SLOW_BYTES = 16_000
RATIO_MAX = 1.2
MEMORY_MB_MAX = 100.0
DRAIN_S_MAX = 240.0
#: A window this long has a p99 of its own; the figure is the median of the windows'.
WINDOW_S = 1.0


class Size(msgspec.Struct, frozen=True):
    """How large a run is."""

    rate: int
    in_flight: int
    warm_s: float
    before_s: float
    with_s: float


CI = Size(rate=300, in_flight=10, warm_s=1.5, before_s=5.0, with_s=6.0)
FULL = Size(rate=1_000, in_flight=20, warm_s=5.0, before_s=20.0, with_s=40.0)


class Figures(scaffold.Figures):
    """What one run saw; times from sending an event to its arrival at a fast target."""

    events_per_s: int = 0
    sent: int = 0
    acked: int = 0
    delivered: int = 0
    fast_p99_ms_before: float = 0.0
    fast_p99_ms_with: float = 0.0
    ratio: float = 0.0
    #: Of all events of the stretch together.
    fast_p99_ms_all_before: float = 0.0
    fast_p99_ms_all_with: float = 0.0
    memory_mb_before: float = 0.0
    memory_mb_more: float = 0.0
    backlog: int = 0
    backlog_mb: float = 0.0
    open: int = 0


class Run:
    """One server, ten targets."""

    def __init__(self, home: Path, size: Size) -> None:
        self.home = home
        self.size = size
        self.notes = home / "delivered"
        self.ledger = home / "ledger"
        self.figures = Figures(events_per_s=size.rate)

    def run(self) -> Figures:
        data, ready = self.home / "data", self.home / "ready.json"
        targets = scaffold.process("paced.py", str(self.notes), str(FAST), str(SLOW_S))
        with targets as paced, (self.home / "server.log").open("wb") as log:
            assert paced.stdout is not None
            ports: list[int] = json.loads(paced.stdout.readline())
            process = product.start(data, ready, log=log)
            try:
                self.attack(product.read(ready), ports, paced)
                process.terminate()
                self.figures.exit_code = process.wait(60)
            finally:
                process.kill()
                process.wait()
        self.count(data)
        return self.figures

    def attack(
        self, server: product.Product, ports: list[int], paced: subprocess.Popen[str]
    ) -> None:
        size, figures = self.size, self.figures
        for number, port in enumerate(ports[:FAST]):
            rule(server, number, port)
        load = (str(size.rate), str(size.in_flight), str(FAST + 1), str(SLOW_BYTES))
        ready = str(self.home / "ready.json")
        with scaffold.process("producer.py", ready, str(self.ledger), *load) as producer:
            time.sleep(size.warm_s)
            before = self.stretch(size.before_s)
            figures.memory_mb_before = memory_mb(server.pid)
            rule(server, FAST, ports[FAST])
            most_mb = figures.memory_mb_before
            during: list[tuple[float, float]] = []
            for _ in range(4):
                during += self.stretch(size.with_s / 4)
                most_mb = max(most_mb, memory_mb(server.pid))
            figures.backlog = scaffold.open_deliveries(server)
            scaffold.order(producer, {"stop": True})
            told = scaffold.answer(producer)
        figures.sent, figures.acked = told["sent"], told["acked"]
        figures.memory_mb_more = round(most_mb - figures.memory_mb_before, 1)
        figures.backlog_mb = round(figures.backlog * SLOW_BYTES / 1e6, 1)
        self.judge(before, during)
        scaffold.order(paced, {"release": True})
        scaffold.wait(lambda: scaffold.open_deliveries(server) == 0, DRAIN_S_MAX)
        figures.open = scaffold.open_deliveries(server)

    def stretch(self, seconds: float) -> list[tuple[float, float]]:
        """Let it run; return of each event that arrived at a fast target (second, milliseconds)."""
        start = self.notes.stat().st_size
        arrived: list[tuple[float, float]] = []
        ended = time.monotonic() + seconds
        at = start
        while time.monotonic() < ended:
            time.sleep(WINDOW_S / 10)
            second = time.monotonic()
            with self.notes.open("rb") as file:
                file.seek(at)
                text = file.read().rpartition(b"\n")[0]
            at += len(text) + bool(text)
            for line in text.decode().splitlines():
                _, number, took_us = line.split()
                if int(number) < FAST:
                    arrived.append((second, int(took_us) / 1000))
        return arrived

    def judge(self, before: list[tuple[float, float]], during: list[tuple[float, float]]) -> None:
        figures = self.figures
        figures.fast_p99_ms_before = round(middle(before), 2)
        figures.fast_p99_ms_with = round(middle(during), 2)
        figures.ratio = round(figures.fast_p99_ms_with / figures.fast_p99_ms_before, 3)
        for name, stretch in (("before", before), ("with", during)):
            p99 = harness.percentile([took for _, took in stretch], 0.99)
            setattr(figures, f"fast_p99_ms_all_{name}", round(p99, 2))

    def count(self, data: Path) -> None:
        """Every acknowledged event is in the files, and at its target if it had one then."""
        figures = self.figures
        acked = scaffold.ledger_ids(self.ledger, "a")
        figures.lost = len(acked - set(scaffold.stored_ids(data)))
        delivered = {line.split()[0] for line in self.notes.read_text().splitlines()}
        figures.delivered = len(delivered)
        fast = {id for id in acked if int(id.rpartition("-")[2]) % (FAST + 1) < FAST}
        if missing := fast - delivered:
            figures.problems.append(f"{len(missing)} acknowledged events never arrived")
        figures.problems += doctor.check(data).problems[:3]


def rule(server: product.Product, number: int, port: int) -> None:
    target = {
        "Id": "t", "Type": "http", "Endpoint": f"http://127.0.0.1:{port}/",
        "PushRetryStrategy": "EXPONENTIAL_DECAY_RETRY",
    }  # fmt: skip
    server.eventbridge(
        "CreateRule", EventBusName="default", RuleName=f"to-{number}",
        FilterPattern=json.dumps({"type": [f"faults:Event{number}"]}), EventTargets=[target],
    )  # fmt: skip


def memory_mb(pid: int) -> float:
    """Return what a process holds of memory now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def middle(arrived: list[tuple[float, float]]) -> float:
    """Return the median of the windows' 99th percentiles: a hiccup of the machine is not a slow
    target, one that takes the fast ones along is there in all windows."""
    p99s = sorted(harness.percentile(window, 0.99) for window in windows(arrived))
    return p99s[len(p99s) // 2] if p99s else float("inf")


def windows(arrived: list[tuple[float, float]]) -> Iterator[list[float]]:
    held: dict[int, list[float]] = {}
    for second, took_ms in arrived:
        held.setdefault(int(second / WINDOW_S), []).append(took_ms)
    yield from (window for window in held.values() if len(window) >= 50)


def passed(figures: Figures) -> bool:
    zeros = (figures.lost, figures.open, len(figures.problems), figures.exit_code)
    return (
        not any(zeros)
        and 0 < figures.ratio <= RATIO_MAX
        and figures.memory_mb_more <= MEMORY_MB_MAX
        and figures.backlog > 0
    )


def main() -> int:
    """Print the figures as one line; 0 when they are good."""
    home = scaffold.new_home("slowtarget")
    figures = Run(home, FULL if "--full" in sys.argv else CI).run()
    return scaffold.report("slowtarget", figures, home, good=passed(figures))


if __name__ == "__main__":
    sys.exit(main())
