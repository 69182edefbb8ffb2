"""R21: backups of a server under load, each restored to a server that says and holds the same.

A producer of its own publishes signed requests and keeps a ledger that is fsynced before it counts
an acknowledgement; rules are edited and functions deployed all the while. Meanwhile the command
backs the directory up, incrementally, again and again. Each backup is restored on an empty
directory and a server is started on it: every resource reads the same through both APIs, what was
being edited is one of the edits of that time and whole, every event that was acknowledged before
the backup began is there, none that was never sent, and the books balance by a recount. What a
backup adds to the latency of a publish is measured beside it.

usage: ./dev faults backup [--full]
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from bench.rig import product
from headrace import doctor
from tests.faults import kill9, scaffold

ROUNDS, ROUNDS_FULL = 3, 12
RATE, RATE_FULL = 200, 1_000
IN_FLIGHT = 32
#: Published before the load: enough for two sealed segments in the full run.
BEFORE, BEFORE_FULL = 2_000, 280_000
PAUSE_S, PAUSE_S_FULL = 1.0, 5.0
#: R21: what a backup may add to the p99 of a publish.
ADDED_S_MAX = 1.0
BATCH = 500
FIXED = 5


class Figures(msgspec.Struct):
    """What one run saw."""

    rounds: int = 0
    sent: int = 0
    acked: int = 0
    edits: int = 0
    #: Events of all restored servers, and of them those acknowledged before their backup began.
    restored: int = 0
    due: int = 0
    lost: int = 0
    phantom: int = 0
    resources: int = 0
    differ: int = 0
    first_s: float = 0.0
    again_s_max: float = 0.0
    bytes_first: int = 0
    bytes_again_max: int = 0
    publish_p99_ms: float = 0.0
    publish_p99_ms_in_backup: float = 0.0
    problems: list[str] = []


class Probe(threading.Thread):
    """Publishes one event after the other and notes how long each took, and when."""

    def __init__(self, server: product.Product) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._ending = threading.Event()
        #: (began, took), seconds.
        self.taken: list[tuple[float, float]] = []

    def run(self) -> None:
        number = 0
        while not self._ending.wait(0.01):
            number += 1
            event = event_of(number, 200, "default", "probe")
            raw = self._server.data_plane(json.dumps([event]).encode())
            began = time.monotonic()
            self._server.text(raw)
            self.taken.append((began, time.monotonic() - began))

    def stop(self) -> None:
        self._ending.set()
        self.join(30)

    def p99_ms(self, spans: list[tuple[float, float]], *, inside: bool) -> float:
        """Return the 99th percentile of those that began inside (or outside) the spans."""
        taken = sorted(
            took
            for began, took in self.taken
            if any(start <= began <= stop for start, stop in spans) == inside
        )
        return round(taken[len(taken) * 99 // 100] * 1000, 1) if taken else 0.0


class Run:
    """One server, its load and its backups. `kill9.Editor` edits through it."""

    def __init__(self, home: Path, rounds: int, rate: int, before: int, pause_s: float) -> None:
        self.home = home
        self.data = home / "data"
        self.ready = home / "ready.json"
        self.dest = home / "backup"
        self.ledger = home / "ledger"
        self.figures = Figures()
        self._rounds, self._rate, self._before, self._pause_s = rounds, rate, before, pause_s
        self._spans: list[tuple[float, float]] = []
        self.editing = kill9.Editor(self)

    def run(self) -> Figures:
        with scaffold.receiver(self.home / "delivered") as target:
            process = start(self.data, self.ready, self.home / "server.log")
            try:
                self._under_load(target)
            finally:
                process.terminate()
                process.wait(60)
        self._recount(self.data, "the server")
        return self.figures

    def _under_load(self, target: int) -> None:
        server = product.read(self.ready)
        self._wire(server, target)
        fill(server, self._before)
        arguments = (str(self.ready), str(self.ledger), str(self._rate), str(IN_FLIGHT))
        probe = Probe(server)
        with scaffold.process("producer.py", *arguments) as producer:
            self.editing.begin()
            probe.start()
            for number in range(self._rounds):
                threading.Event().wait(self._pause_s)
                self._round(server, number)
                scaffold.show("backup", f"backup {number + 1} of {self._rounds}")
            probe.stop()
            self.editing.end()
            scaffold.order(producer, {"stop": True})
            told = scaffold.answer(producer)
        figures = self.figures
        figures.sent, figures.acked = told["sent"], told["acked"]
        figures.edits = self.editing.made
        figures.problems += self.editing.problems[:5]
        figures.publish_p99_ms = probe.p99_ms(self._spans, inside=False)
        figures.publish_p99_ms_in_backup = probe.p99_ms(self._spans, inside=True)

    def _wire(self, server: product.Product, port: int) -> None:
        """Resources of every kind, and messages that wait on a queue."""
        server.eventbridge("CreateEventBus", EventBusName="orders", Description="a bus")
        server.deploy("fixed", "def handler(event, context):\n    return b'fixed'\n", timeout=30)
        server.call(server.signed("PUT", "/headrace/v1/queues/waiting"))
        for bus, name, pattern, target in (
            ("default", "push", {"source": ["faults"]}, http(port)),
            ("orders", "keep", {"source": ["fixed"]}, queue(server, "waiting")),
        ):
            server.eventbridge(
                "CreateRule", EventBusName=bus, RuleName=name, Description=name,
                FilterPattern=json.dumps(pattern), EventTargets=[target],
            )  # fmt: skip
        events = [event_of(number, 100, "orders", "fixed") for number in range(FIXED)]
        server.call(server.data_plane(json.dumps(events).encode()))
        trigger = {
            "triggerName": "on-order", "triggerType": "eventbridge",
            "triggerConfig": json.dumps(
                {"triggerEnable": True, "eventRuleFilterPattern": '{"source":["nobody"]}',
                 "eventSourceConfig": {"eventSourceType": "Default"}}
            ),
        }  # fmt: skip
        body = json.dumps(trigger).encode()
        server.call(server.signed("POST", "/2023-03-30/functions/fixed/triggers", body))
        self.editing.create(server)

    # -- one backup --------------------------------------------------------------------------------

    def _round(self, server: product.Product, number: int) -> None:
        figures = self.figures
        wanted = resources(server)
        acked, _ = self.editing.counts()
        due = scaffold.ledger_ids(self.ledger, "a")
        began = time.monotonic()
        told = command("backup", str(self.dest), "--data", str(self.data), "--incremental")
        self._spans.append((began, time.monotonic()))
        took = round(time.monotonic() - began, 2)
        _, sent = self.editing.counts()
        if number == 0:
            figures.first_s, figures.bytes_first = took, told["bytes_copied"]
        else:
            figures.again_s_max = max(figures.again_s_max, took)
            figures.bytes_again_max = max(figures.bytes_again_max, told["bytes_copied"])
        checked = command("restore", str(self.dest), "--dry-run")
        assert checked["whole"], checked
        new = self.home / f"restored-{number}"
        command("restore", str(self.dest), "--data", str(new))
        self._compare(new, wanted, acked, sent)
        self._count(new, due)
        figures.rounds += 1
        shutil.rmtree(new)

    def _compare(
        self, new: Path, wanted: dict[str, Any], acked: dict[str, int], sent: dict[str, int]
    ) -> None:
        """Start a server on the restored directory and ask it through both APIs."""
        ready = self.home / "restored.json"
        process = start(new, ready, self.home / "restored.log")
        try:
            server = product.read(ready)
            found = resources(server)
            self.editing.check(server, acked, sent)
        finally:
            process.terminate()
            process.wait(60)
        self.figures.resources = len(wanted)
        for name in sorted(wanted.keys() | found.keys()):
            if wanted.get(name) != found.get(name):
                self.figures.differ += 1
                text = f"{name}: {wanted.get(name)} before, {found.get(name)} restored"
                self.figures.problems.append(text[:500])

    def _count(self, new: Path, due: set[str]) -> None:
        stored = set(scaffold.stored_ids(new))
        self.figures.restored += len(stored)
        self.figures.due += len(due)
        self.figures.lost += len(due - stored)
        self.figures.phantom += len(stored - scaffold.ledger_ids(self.ledger, "s"))
        self._recount(new, new.name)

    def _recount(self, path: Path, whose: str) -> None:
        report = doctor.check(path)
        self.figures.problems += [f"{whose}: {text}" for text in report.problems[:5]]


# -- what both servers are asked -------------------------------------------------------------------


def resources(server: product.Product) -> dict[str, Any]:
    """Return name → what an API says of it, of everything that nobody edits meanwhile."""
    found: dict[str, Any] = {}
    buses = server.eventbridge("ListEventBuses")["Data"]["EventBuses"]
    for bus in buses:
        found[f"bus {bus['EventBusName']}"] = bus
        listed = server.eventbridge("ListRules", EventBusName=bus["EventBusName"])["Data"]["Rules"]
        for name in sorted(rule["RuleName"] for rule in listed):
            rule = server.eventbridge(
                "GetRule", EventBusName=bus["EventBusName"], RuleName=name
            )["Data"]  # fmt: skip
            if name != "edited":
                found[f"rule {name}"] = rule
    functions = _get(server, "/2023-03-30/functions")["functions"]
    for function in functions:
        name = function["functionName"]
        triggers = _get(server, f"/2023-03-30/functions/{name}/triggers")["triggers"]
        found[f"triggers of {name}"] = triggers
        if name != "edited":
            found[f"function {name}"] = _get(server, f"/2023-03-30/functions/{name}")
            path = f"/2023-03-30/functions/{name}/invocations"
            said = server.text(server.signed("POST", path, b"{}", action="InvokeFunction"))
            found[f"code of {name}"] = said.decode()
    for one in _get(server, "/headrace/v1/queues")["queues"]:
        messages = _get(server, f"/headrace/v1/queues/{one['name']}/messages")
        assert messages["total"] == FIXED, messages
        found[f"queue {one['name']}"] = (one, messages)
    return found


def _get(server: product.Product, path: str) -> Any:
    return server.call(server.signed("GET", path))


def http(port: int) -> dict[str, Any]:
    return {"Id": "t", "Type": "http", "Endpoint": f"http://127.0.0.1:{port}/"}


def queue(server: product.Product, name: str) -> dict[str, Any]:
    endpoint = f"acs:mns:cn-hangzhou:{server.account}:queues/{name}"
    constant = {"ResourceKey": "queue", "Form": "CONSTANT", "Value": name}
    body = {"ResourceKey": "Body", "Form": "ORIGINAL"}
    return {"Id": "q", "Type": "acs.mns.queue", "Endpoint": endpoint, "ParamList": [constant, body]}


def event_of(number: int, size: int, bus: str, source: str) -> dict[str, object]:
    return {
        "id": f"{source}-{number}", "source": source, "type": "faults:Event",
        "specversion": "1.0", "aliyuneventbusname": bus, "data": {"filler": "x" * size},
    }  # fmt: skip


def fill(server: product.Product, events: int) -> None:
    """Publish events that no rule takes, as fast as one connection does."""
    for first in range(0, events, BATCH):
        batch = [
            event_of(number, 700, "default", "before")
            for number in range(first, min(first + BATCH, events))
        ]
        server.call(server.data_plane(json.dumps(batch).encode()))


# -- processes and files ---------------------------------------------------------------------------


def start(data: Path, ready: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a server that says nothing to us but its ready file; return once it is there."""
    ready.unlink(missing_ok=True)
    arguments = ["up", "--port", "0", "--data", str(data), "--ready-file", str(ready)]
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "headrace", *arguments], stdout=file, stderr=file,
            start_new_session=True, cwd=product.ROOT,
        )  # fmt: skip
    pause = threading.Event()
    while not ready.exists():
        if process.poll() is not None:
            raise SystemExit(f"the server did not start; see {log}")
        pause.wait(0.02)
    return process


def command(*arguments: str) -> Any:
    """Run one command of the command line; return what it says as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "headrace", *arguments, "-o", "json"],
        capture_output=True, text=True, check=False, cwd=product.ROOT, env=os.environ,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"headrace {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def passed(figures: Figures) -> bool:
    zero = (figures.lost, figures.phantom, figures.differ, len(figures.problems))
    added_ms = figures.publish_p99_ms_in_backup - figures.publish_p99_ms
    return (
        not any(zero)
        and figures.due > 0
        and figures.edits > 0
        and figures.resources >= 8
        and added_ms <= ADDED_S_MAX * 1000
    )


def main(rounds: int | None = None, *, full: bool = False) -> int:
    """Print the figures as one line; 0 when they are good."""
    full = full or "--full" in sys.argv
    home = scaffold.new_home("backup")
    figures = Run(
        home,
        rounds or (ROUNDS_FULL if full else ROUNDS),
        RATE_FULL if full else RATE,
        BEFORE_FULL if full else BEFORE,
        PAUSE_S_FULL if full else PAUSE_S,
    ).run()
    return scaffold.report("backup", figures, home, good=passed(figures))


if __name__ == "__main__":
    sys.exit(main())
