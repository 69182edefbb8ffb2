"""R7: one target takes 30 s for each event; nine others must not notice.

The events of a steady load take turns among ten types, each with a rule and a target of its own.
The rule of the slow target is there in every other stretch, so that a drift of the machine cancels
out. The nine are as quick as without it, the server's memory stays bounded, the backlog is on disk.
Then a crowd of slow targets comes, more than there are connections for, and after it one more fast
target: it gets its events all the same. In the end the slow ones answer at once: everything
acknowledged arrives, and the books balance.

usage: ./dev faults slowtarget [--full]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from bench.rig import harness, product
from headrace import doctor
from tests.faults import scaffold

#: Kinds of events: those of the fast targets, of which the last comes late; those of the slow.
FAST = 9
LATE, SLOW = FAST - 1, FAST
KINDS = FAST + 1
SLOW_S = 30.0
#: What an event of the slow target holds: a backlog in memory would show.
SLOW_BYTES = 16_000
#: Short stretches at CI size show a target that takes others along, not a fifth more or less.
RATIO_MAX, RATIO_MAX_CI = 1.2, 2.0
#: Kinds of events: of the fast targets, the last of which comes late; then those of the slow ones.
CROWD = 60
#: The late target gets at least this part of its events while the crowd stands.
LATE_MIN = 0.7
MEMORY_MB_MAX = 100.0
DRAIN_S_MAX = 300.0


class Size(msgspec.Struct, frozen=True):
    """How large a run is."""

    rate: int
    in_flight: int
    warm_s: float
    #: Pairs of a stretch without and a stretch with the slow target, and how long each is.
    pairs: int
    stretch_s: float
    #: The last stretch with it, in which its backlog grows.
    grow_s: float
    late_s: float
    ratio_max: float


CI = Size(300, 10, 1.5, 3, 1.5, 0.0, 2.0, RATIO_MAX_CI)
FULL = Size(1_000, 20, 8.0, 11, 6.0, 45.0, 10.0, RATIO_MAX)


class Figures(scaffold.Figures):
    """What one run saw; times from sending an event to its arrival at a fast target."""

    events_per_s: int = 0
    sent: int = 0
    acked: int = 0
    delivered: int = 0
    fast_p99_ms_without: float = 0.0
    fast_p99_ms_with: float = 0.0
    #: Median of the pairs.
    ratio: float = 0.0
    late_delivered: int = 0
    late_expected: int = 0
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
        numbers = (str(FAST), str(1 + CROWD), str(SLOW_S))
        targets = scaffold.process("paced.py", str(self.notes), *numbers)
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
        for number, port in enumerate(ports[: FAST - 1]):
            rule(server, f"to-{number}", number, port)
        load = (str(size.rate), str(size.in_flight), str(KINDS), str(SLOW_BYTES))
        ready = str(self.home / "ready.json")
        with scaffold.process("producer.py", ready, str(self.ledger), *load) as producer:
            rule(server, "late", LATE, ports[LATE])
            time.sleep(size.warm_s)
            self.pairs(server, ports)
            self.crowd(server, ports)
            scaffold.order(producer, {"stop": True})
            told = scaffold.answer(producer)
        figures.sent, figures.acked = told["sent"], told["acked"]
        scaffold.order(paced, {"release": True})
        scaffold.wait(lambda: scaffold.open_deliveries(server) == 0, DRAIN_S_MAX)
        figures.open = scaffold.open_deliveries(server)

    def pairs(self, server: product.Product, ports: list[int]) -> None:
        """The same load without and with the slow target, in turn."""
        figures = self.figures
        figures.memory_mb_before = most_mb = memory_mb(server.pid)
        without: list[float] = []
        beside: list[float] = []
        for number in range(self.size.pairs):
            if number:
                remove(server, "slow")
            without.append(self.p99())
            rule(server, "slow", SLOW, ports[SLOW])
            beside.append(self.p99())
            most_mb = max(most_mb, memory_mb(server.pid))
            scaffold.show("slowtarget", f"p99 {without[-1]:.1f} ms, beside it {beside[-1]:.1f} ms")
        time.sleep(self.size.grow_s)
        figures.backlog = scaffold.open_deliveries(server)
        figures.backlog_mb = round(figures.backlog * SLOW_BYTES / 1e6, 1)
        figures.memory_mb_more = round(
            max(most_mb, memory_mb(server.pid)) - figures.memory_mb_before, 1
        )
        figures.fast_p99_ms_without = round(statistics.median(without), 2)
        figures.fast_p99_ms_with = round(statistics.median(beside), 2)
        ratios = [b / a for a, b in zip(without, beside, strict=True)]
        figures.ratio = round(statistics.median(ratios), 3)

    def crowd(self, server: product.Product, ports: list[int]) -> None:
        """More slow targets than there are connections for; then a fast one that is new."""
        remove(server, "late")
        for number, port in enumerate(ports[SLOW + 1 :]):
            rule(server, f"crowd-{number}", SLOW, port)
        # Each of them has ten deliveries under way after as many events of their kind.
        time.sleep(2 + 10 * KINDS / self.size.rate)
        rule(server, "late-again", LATE, ports[LATE])
        before = len(self.arrived(LATE))
        time.sleep(self.size.late_s)
        self.figures.late_delivered = len(self.arrived(LATE)) - before
        self.figures.late_expected = int(self.size.rate / KINDS * self.size.late_s)

    def arrived(self, number: int) -> list[str]:
        lines = self.notes.read_text().rpartition("\n")[0].splitlines()
        return [line for line in lines if line.split()[1] == str(number)]

    def p99(self) -> float:
        """Let it run for a stretch; return in milliseconds what 99 % of the events to fast targets
        arrive within."""
        start = self.notes.stat().st_size
        time.sleep(self.size.stretch_s)
        with self.notes.open("rb") as file:
            file.seek(start)
            lines = file.read().rpartition(b"\n")[0].decode().splitlines()
        rows = [line.split() for line in lines]
        took = [int(row[2]) / 1000 for row in rows if len(row) == 3 and int(row[1]) < FAST]
        return harness.percentile(took, 0.99) if took else float("inf")

    def count(self, data: Path) -> None:
        """Every acknowledged event is in the files, and at its target if it had one then."""
        figures = self.figures
        acked = scaffold.ledger_ids(self.ledger, "a")
        figures.lost = len(acked - set(scaffold.stored_ids(data)))
        delivered = {line.split()[0] for line in self.notes.read_text().splitlines()}
        figures.delivered = len(delivered)
        fast = {id for id in acked if int(id.rpartition("-")[2]) % KINDS < LATE}
        if missing := fast - delivered:
            figures.problems.append(f"{len(missing)} acknowledged events never arrived")
        figures.problems += doctor.check(data).problems[:3]


def rule(server: product.Product, name: str, kind: int, port: int) -> None:
    target = {
        "Id": "t", "Type": "http", "Endpoint": f"http://127.0.0.1:{port}/",
        "PushRetryStrategy": "EXPONENTIAL_DECAY_RETRY",
    }  # fmt: skip
    server.eventbridge(
        "CreateRule", EventBusName="default", RuleName=name,
        FilterPattern=json.dumps({"type": [f"faults:Event{kind}"]}), EventTargets=[target],
    )  # fmt: skip


def remove(server: product.Product, name: str) -> None:
    server.eventbridge("DeleteRule", EventBusName="default", RuleName=name)


def memory_mb(pid: int) -> float:
    """Return what a process holds of memory now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def passed(figures: Figures, size: Size) -> bool:
    zeros = (figures.lost, figures.open, len(figures.problems), figures.exit_code)
    return (
        not any(zeros)
        and 0 < figures.ratio <= size.ratio_max
        and figures.memory_mb_more <= MEMORY_MB_MAX
        and figures.backlog > 0
        and figures.late_delivered >= LATE_MIN * figures.late_expected
    )


def main() -> int:
    """Print the figures as one line; 0 when they are good."""
    home = scaffold.new_home("slowtarget")
    size = FULL if "--full" in sys.argv else CI
    figures = Run(home, size).run()
    return scaffold.report("slowtarget", figures, home, good=passed(figures, size))


if __name__ == "__main__":
    sys.exit(main())
