"""R1: kill -9 of the whole process group, again and again, under load and during edits.

A producer of its own sends 1,000 events/s with 64 requests in flight and keeps a ledger that is
fsynced before it counts an acknowledgement. Half of the kills come while all requests of a burst
are under way, half at its first acknowledgement. Meanwhile rules are edited and functions deployed.
After every kill the server must be ready again within the bound, no edit half made; at the end
every acknowledged event is stored, nothing is stored that was never sent, and the books balance by
an independent recount.

usage: ./dev faults kill9 [--ci | --full]
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import msgspec

from bench.rig import product
from headrace import doctor
from tests.faults import scaffold

ROUNDS, ROUNDS_CI, ROUNDS_FULL = 30, 10, 50
RATE, IN_FLIGHT = 1_000, 64
READY_S_MAX = 2.0
DRAIN_S_MAX = 120.0


class Figures(msgspec.Struct):
    """What one run saw."""

    rounds: int = 0
    sent: int = 0
    acked: int = 0
    stored: int = 0
    lost: int = 0
    phantom: int = 0
    stored_twice: int = 0
    delivered: int = 0
    delivered_twice: int = 0
    #: At the kills that do not wait for an acknowledgement.
    in_flight_min: int = 1 << 30
    kills_at_first_ack: int = 0
    ready_s_max: float = 0.0
    edits: int = 0
    edits_torn: int = 0
    open: int = 0
    problems: list[str] = []


class Run:
    """One data directory through many lives."""

    def __init__(self, home: Path, rounds: int, seed: int) -> None:
        self.home = home
        self.ready = home / "ready.json"
        self.data = home / "data"
        self.rounds = rounds
        self.random = random.Random(seed)
        self.figures = Figures()
        self.server: subprocess.Popen[str] | None = None
        self.port = "0"
        self.editing = Editor(self)

    # -- the server --------------------------------------------------------------------------------

    def start(self) -> None:
        self.ready.unlink(missing_ok=True)
        started = time.monotonic()
        command = [
            sys.executable, "-m", "headrace", "up", "--port", self.port, "--data", str(self.data),
            "--ready-file", str(self.ready),
        ]  # fmt: skip
        log = (self.home / "server.log").open("ab")
        self.server = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
            cwd=product.ROOT,
        )  # fmt: skip
        assert self.server.stdout is not None
        for line in self.server.stdout:
            if "http://" in line:
                break
        else:
            raise SystemExit(f"the server did not start; see {self.home}/server.log")
        took = time.monotonic() - started
        if self.figures.rounds:
            self.figures.ready_s_max = max(self.figures.ready_s_max, took)
        self.port = str(product.read(self.ready).port)

    def stop(self) -> None:
        assert self.server is not None
        self.server.terminate()
        self.server.wait(60)

    # -- the run -----------------------------------------------------------------------------------

    def run(self) -> Figures:
        notes = self.home / "delivered"
        with scaffold.receiver(notes) as target:
            self.start()
            self.wire(target)
            ledger = self.home / "ledger"
            rate = (str(RATE), str(IN_FLIGHT))
            with scaffold.process("producer.py", str(self.ready), str(ledger), *rate) as it:
                self.lives(it)
                self.finish(it)
            self.drain()
            self.stop()
        self.count(ledger, notes)
        return self.figures

    def wire(self, port: int) -> None:
        """One rule to the receiver, one trigger on a function; what the edits will change."""
        server = product.read(self.ready)
        server.deploy("faults", "def handler(event, context):\n    return b'ok'\n")
        target = {"Id": "t", "Type": "http", "Endpoint": f"http://127.0.0.1:{port}/"}
        server.eventbridge(
            "CreateRule", EventBusName="default", RuleName="push",
            FilterPattern='{"source":["faults"]}', EventTargets=[target],
        )  # fmt: skip
        self.editing.create(server)

    def lives(self, producer: subprocess.Popen[str]) -> None:
        for _ in range(self.rounds):
            self.editing.begin()
            threading.Event().wait(self.random.uniform(0.5, 3.0))
            assert self.server is not None
            # Every other kill comes when the first of a burst is acknowledged: what was said too
            # early is lost then; the others find all requests of a burst under way.
            at_first = self.figures.rounds % 2 == 1
            scaffold.order(producer, {"kill": self.server.pid, "at_first_ack": at_first})
            killed = scaffold.answer(producer)["killed"]
            if at_first:
                self.figures.kills_at_first_ack += 1
            else:
                self.figures.in_flight_min = min(self.figures.in_flight_min, killed)
            self.server.wait()
            self.editing.end()
            self.figures.rounds += 1
            self.start()
            self.editing.check(product.read(self.ready))
            scaffold.show("kill9", f"life {self.figures.rounds} of {self.rounds}")

    def finish(self, producer: subprocess.Popen[str]) -> None:
        scaffold.order(producer, {"stop": True})
        told = scaffold.answer(producer)
        self.figures.sent, self.figures.acked = told["sent"], told["acked"]

    def drain(self) -> None:
        """Give every delivery the time to be closed."""
        server = product.read(self.ready)
        scaffold.drain(server, DRAIN_S_MAX)
        self.figures.open = scaffold.open_deliveries(server)

    # -- the count ---------------------------------------------------------------------------------

    def count(self, ledger: Path, notes: Path) -> None:
        figures = self.figures
        sent, acked = scaffold.ledger_ids(ledger, "s"), scaffold.ledger_ids(ledger, "a")
        stored = Counter(scaffold.stored_ids(self.data))
        figures.stored = len(stored)
        figures.lost = len(acked - stored.keys())
        figures.phantom = len(stored.keys() - sent)
        figures.stored_twice = sum(number - 1 for number in stored.values())
        delivered = Counter(notes.read_text().split())
        figures.delivered = len(delivered)
        figures.delivered_twice = sum(number - 1 for number in delivered.values())
        undelivered = len(stored.keys() - delivered.keys())
        report = doctor.check(self.data)
        figures.problems = [*report.problems[:5], *self.editing.problems[:5]]
        if undelivered:
            figures.problems.append(f"{undelivered} stored events never reached their target")
        figures.edits, figures.edits_torn = self.editing.made, len(self.editing.problems)


class Editor(threading.Thread):
    """Edits one rule and one function in turn; every answer is a promise."""

    def __init__(self, run: Run) -> None:
        super().__init__(daemon=True)
        self._run = run
        self._go = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        #: What each record said: last acknowledged, last attempted.
        self._acked = {"rule": 0, "function": 0}
        self._sent = {"rule": 0, "function": 0}
        self.made = 0
        self.problems: list[str] = []

    def create(self, server: product.Product) -> None:
        server.eventbridge(
            "CreateRule", EventBusName="default", RuleName="edited", Description="0",
            FilterPattern='{"source":["nobody"]}',
        )  # fmt: skip
        server.deploy("edited", "def handler(event, context):\n    return b'0'\n", description="0")
        trigger = {
            "triggerName": "t", "triggerType": "eventbridge",
            "triggerConfig": json.dumps(
                {"triggerEnable": True, "eventRuleFilterPattern": '{"source":["nobody"]}',
                 "eventSourceConfig": {"eventSourceType": "Default"}}
            ),
        }  # fmt: skip
        self._fc(server, "POST", "/2023-03-30/functions/edited/triggers", trigger)
        self.start()

    def begin(self) -> None:
        self._go.set()

    def end(self) -> None:
        self._go.clear()
        self._idle.wait(30)

    def run(self) -> None:
        while True:
            self._go.wait()
            self._idle.clear()
            # A refused connection or a cut answer: the server was killed under the edit.
            with contextlib.suppress(OSError, ValueError, SystemExit, EOFError):
                self._edit(product.read(self._run.ready))
            self._idle.set()

    def _edit(self, server: product.Product) -> None:
        number = self._sent["rule"] + 1
        self._sent["rule"] = number
        server.eventbridge(
            "UpdateRule", EventBusName="default", RuleName="edited", Description=str(number),
            FilterPattern=json.dumps({"source": [f"nobody-{number}"]}),
        )  # fmt: skip
        self._acked["rule"] = number
        number = self._sent["function"] + 1
        self._sent["function"] = number
        source = f"def handler(event, context):\n    return b'{number}'\n"
        body = {"description": str(number), "code": {"zipFile": product.zipped(source)}}
        self._fc(server, "PUT", "/2023-03-30/functions/edited", body)
        self._acked["function"] = number
        self.made += 2

    def counts(self) -> tuple[dict[str, int], dict[str, int]]:
        """What each record said last: acknowledged, attempted."""
        return dict(self._acked), dict(self._sent)

    def check(
        self,
        server: product.Product,
        acked: dict[str, int] | None = None,
        sent: dict[str, int] | None = None,
    ) -> None:
        """Each record is one of the attempted ones, not older than acknowledged.

        acked, sent: as they were at another time, for a server that stands for that time.
        """
        acked, sent = acked or self._acked, sent or self._sent
        rule = server.eventbridge("GetRule", EventBusName="default", RuleName="edited")["Data"]
        number = int(rule["Description"])
        self._fits("rule", number, acked, sent)
        if number and json.loads(rule["FilterPattern"]) != {"source": [f"nobody-{number}"]}:
            self.problems.append(f"rule edit {number} is half made: {rule}")
        function = self._fc(server, "GET", "/2023-03-30/functions/edited", None)
        self._fits("function", int(function["description"]), acked, sent)
        path = "/2023-03-30/functions/edited/invocations"
        said = server.text(server.signed("POST", path, b"{}", action="InvokeFunction"))
        if said != function["description"].encode():
            self.problems.append(f"function {function['description']} runs the code of {said!r}")
        views = self._fc(server, "GET", "/2023-03-30/functions/edited/triggers", None)["triggers"]
        if [view["triggerName"] for view in views] != ["t"]:
            self.problems.append(f"triggers after a kill: {views}")

    def _fits(self, what: str, number: int, acked: dict[str, int], sent: dict[str, int]) -> None:
        if not acked[what] <= number <= sent[what]:
            self.problems.append(
                f"{what}: acknowledged {acked[what]}, sent {sent[what]}, found {number}"
            )

    def _fc(
        self, server: product.Product, method: str, path: str, body: object
    ) -> dict[str, object]:
        raw = b"" if body is None else json.dumps(body).encode()
        return server.call(server.signed(method, path, raw))


def passed(figures: Figures) -> bool:
    zero = (figures.lost, figures.phantom, figures.edits_torn, len(figures.problems), figures.open)
    return (
        not any(zero)
        and figures.acked > 0
        and figures.in_flight_min >= 50
        and figures.ready_s_max <= READY_S_MAX
    )


def main(rounds: int | None = None, seed: int = 0) -> int:
    if rounds is None:
        rounds = {"--ci": ROUNDS_CI, "--full": ROUNDS_FULL}.get("".join(sys.argv[1:]), ROUNDS)
    home = scaffold.new_home("kill9")
    figures = Run(home, rounds, seed).run()
    return scaffold.report("kill9", figures, home, good=passed(figures))


if __name__ == "__main__":
    sys.exit(main())
