"""R5: somebody else fills the disk under a running server, and frees it again.

The data directory is a small file system of its own, in a mount namespace of the server. While it
is full, publishes and edits are refused with 507 or 503 and a code; reads, deletes and the
acknowledgements of deliveries go on. When there is room again the server goes on by itself. At the
end everything acknowledged is there and nothing that was refused.

usage: ./dev faults diskfull [--full]
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.rig import harness, product
from headrace import doctor
from tests.faults import scaffold

#: The table of nonces takes 64 of it at the start.
SIZE_MB = 128
BEFORE, WHILE_FULL, AFTER = 100, 150, 50
ROUNDS, ROUNDS_FULL = 1, 10
BACK_S_MAX = 5.0
DRAIN_S_MAX = 60.0
REFUSALS = (503, 507)


class Figures(scaffold.Figures):
    """What one run saw."""

    rounds: int = 0
    acked: int = 0
    refused: int = 0
    refused_without_code: int = 0
    accepted_while_full: int = 0
    edits_refused: int = 0
    reads_failed: int = 0
    purged_while_full: int = 0
    other_answers: int = 0
    back_s_max: float = 0.0
    refused_and_stored: int = 0
    delivered: int = 0


class Run:
    """One server on a small disk."""

    def __init__(self, server: product.Product, place: Path) -> None:
        self.figures = Figures()
        self._server = server
        self._filler = place / "filler"
        self._number = 0
        self.acked: set[str] = set()
        self.refused: set[str] = set()

    def round(self) -> None:
        """Fill the disk, see what is refused and what goes on, free it, wait for normal."""
        self.publish(BEFORE)
        before = self.figures.refused
        fill(self._filler)
        acked = len(self.acked)
        self.publish(WHILE_FULL // 2)
        self._go_on()
        self.publish(WHILE_FULL // 2)
        self.figures.accepted_while_full += len(self.acked) - acked
        if self.figures.refused == before:
            self.figures.problems.append("the disk was full and nothing was refused")
        self._filler.unlink()
        self._come_back()
        self.publish(AFTER)
        self.figures.rounds += 1

    def publish(self, events: int) -> None:
        """Publish one by one; sort what was answered."""
        for _ in range(events):
            id = f"e-{self._number}"
            self._number += 1
            event = {
                "id": id, "source": "faults", "type": "faults:Event", "specversion": "1.0",
                "aliyuneventbusname": "default", "data": {"filler": "x" * 4_000},
            }  # fmt: skip
            status, body = self._server.ask(self._server.data_plane(json.dumps([event]).encode()))
            if status == 200 and json.loads(body)["FailedEntryCount"] == 0:
                self.acked.add(id)
                self.figures.acked += 1
            elif status in REFUSALS:
                self.refused.add(id)
                self.figures.refused += 1
                self.figures.refused_without_code += not _code(body)
            else:
                self._other(status, body)

    def _go_on(self) -> None:
        """What must work on a full disk: reads and deletes; edits are refused in words."""
        server = self._server
        native = "/headrace/v1"
        for path in (f"{native}/books", f"{native}/queues/kept/messages?limit=5"):
            status, _ = server.ask(server.signed("GET", path))
            self.figures.reads_failed += status != 200
        status, body = server.ask(server.signed("DELETE", f"{native}/queues/kept/messages"))
        if status == 200:
            self.figures.purged_while_full += json.loads(body)["purged"]
        else:
            self._other(status, body)
        edit = "/?EventBusName=default&RuleName=push&Description=edited"
        raw = server.signed("POST", edit, action="UpdateRule", version="2020-04-01")
        status, body = server.ask(raw)
        if status in REFUSALS and _code(body):
            self.figures.edits_refused += 1
        elif status != 200:  # it may fit into what is left
            self._other(status, body)

    def _come_back(self) -> None:
        """Publish until it is taken again."""
        freed, acked = time.monotonic(), len(self.acked)
        while len(self.acked) == acked and time.monotonic() - freed < 2 * BACK_S_MAX:
            self.publish(1)
            threading.Event().wait(0.05)
        back_s = round(time.monotonic() - freed, 2)
        self.figures.back_s_max = max(self.figures.back_s_max, back_s)

    def _other(self, status: int, body: bytes) -> None:
        self.figures.other_answers += 1
        if len(self.figures.problems) < 5:
            self.figures.problems.append(f"{status}: {body[:160].decode(errors='replace')}")


def _code(body: bytes) -> str:
    """Return the error code of an answer; both APIs have one, each with its own case."""
    try:
        said: dict[str, Any] = json.loads(body)
    except ValueError:
        return ""
    return said.get("Code") or said.get("code") or ""


def fill(path: Path) -> None:
    """Write until not a byte is left."""
    block = bytes(1 << 20)
    with path.open("wb", buffering=0) as file:
        while len(block) >= 512:
            try:
                file.write(block)
            except OSError:
                block = block[: len(block) // 2]


@contextlib.contextmanager
def small_disk(home: Path) -> Iterator[tuple[product.Product, Path, subprocess.Popen[str]]]:
    """A server whose data lies on a file system of its own; the path leads there from outside."""
    mount, ready = home / "disk", home / "ready.json"
    mount.mkdir()
    up = [
        sys.executable, "-m", "headrace", "up", "--port", "0", "--data", str(mount / "data"),
        "--ready-file", str(ready), "--account-id", "1000000000000001",
    ]  # fmt: skip
    script = f'mount -t tmpfs -o size={SIZE_MB}m tmpfs "$0" && exec "$@"'
    root = [] if os.geteuid() == 0 else ["--map-root-user"]
    pair = {"HEADRACE_ACCESS_KEY_ID": "faults", "HEADRACE_ACCESS_KEY_SECRET": secrets.token_hex(16)}
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            ["unshare", *root, "--mount", "sh", "-c", script, str(mount), *up],
            stdout=subprocess.PIPE, stderr=log, text=True, cwd=product.ROOT,
            env={**os.environ, **pair},
        )  # fmt: skip
    try:
        harness.wait_for_line(process, "http://")
        told = json.loads(ready.read_text())
        server = product.Product(
            told["host"], told["port"], told["worker_pid"], told["account"], *pair.values(),
            data=str(mount / "data"),
        )  # fmt: skip
        # Held open, the file system outlives the server that mounted it.
        held = os.open(f"/proc/{told['pid']}/root{mount}", os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield server, Path(f"/proc/self/fd/{held}"), process
        finally:
            os.close(held)
    finally:
        process.kill()
        process.wait()


def run(home: Path, rounds: int) -> Figures:
    """Some rounds on one server, then the count."""
    notes = home / "delivered"
    with scaffold.receiver(notes) as port, small_disk(home) as (server, place, process):
        _wire(server, port)
        it = Run(server, place)
        for number in range(rounds):
            it.round()
            scaffold.show(
                "diskfull", f"round {number + 1} of {rounds}: {it.figures.refused} refused"
            )
        scaffold.wait(lambda: _is_drained(server), DRAIN_S_MAX)
        process.terminate()
        it.figures.exit_code = process.wait(30)
        # The socket of the supervisor is no file that could be copied.
        shutil.copytree(place / "data", home / "data", ignore=shutil.ignore_patterns("control"))
    _count(it, home / "data", notes)
    return it.figures


def _wire(server: product.Product, port: int) -> None:
    server.call(server.signed("PUT", "/headrace/v1/queues/kept"))
    params = [
        {"ResourceKey": "queue", "Form": "CONSTANT", "Value": "kept"},
        {"ResourceKey": "Body", "Form": "ORIGINAL"},
    ]
    queue = {
        "Id": "q", "Type": "acs.mns.queue", "Endpoint": _endpoint(server), "ParamList": params
    }  # fmt: skip
    push = {"Id": "t", "Type": "http", "Endpoint": f"http://127.0.0.1:{port}/"}
    for name, target in (("push", push), ("kept", queue)):
        server.eventbridge(
            "CreateRule", EventBusName="default", RuleName=name,
            FilterPattern='{"source":["faults"]}', EventTargets=[target],
        )  # fmt: skip


def _endpoint(server: product.Product) -> str:
    return server.call(server.signed("GET", "/headrace/v1/queues/kept"))["endpoint"]


def _is_drained(server: product.Product) -> bool:
    """Whether nothing is open but the messages of the queue."""
    kept = server.call(server.signed("GET", "/headrace/v1/queues/kept"))["messages"]
    return scaffold.open_deliveries(server) <= kept


def _count(it: Run, data: Path, notes: Path) -> None:
    figures = it.figures
    stored = set(scaffold.stored_ids(data))
    delivered = set(notes.read_text().split())
    figures.lost = len(it.acked - stored)
    figures.refused_and_stored = len(it.refused & stored)
    figures.delivered = len(delivered)
    figures.problems += doctor.check(data).problems[:5]
    if undelivered := it.acked - delivered:
        figures.problems.append(f"{len(undelivered)} acknowledged events never arrived")


def passed(figures: Figures) -> bool:
    zeros = (
        figures.lost, figures.refused_and_stored, figures.refused_without_code,
        figures.reads_failed, figures.other_answers, len(figures.problems), figures.exit_code,
    )  # fmt: skip
    return (
        not any(zeros)
        and figures.refused > 0
        and figures.purged_while_full > 0
        and figures.back_s_max <= BACK_S_MAX
    )


def main() -> int:
    """Print the figures as one line; 0 when they are good."""
    rounds = ROUNDS_FULL if "--full" in sys.argv else ROUNDS
    home = scaffold.new_home("diskfull")
    figures = run(home, rounds)
    return scaffold.report("diskfull", figures, home, good=passed(figures))


if __name__ == "__main__":
    sys.exit(main())
