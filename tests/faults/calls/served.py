"""A real server whose calls fail while it answers signed requests.

Events are published one after another and a rule is edited now and then; each acknowledgement is in
a ledger, fsynced, before it counts. Must never take a request for acknowledged that has no 200.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import msgspec

from bench.rig import product
from tests.faults import scaffold
from tests.faults.calls import judging, lives, tracing

#: What strikes in turn; later servers are struck later in their lives.
FAULTS = (
    tracing.Fault("fdatasync", "error=EIO", 9),
    tracing.Fault("pwrite64", "error=ENOSPC", 25),
    tracing.Fault("pwrite64", "error=EIO", 40),
    tracing.Fault("fdatasync", "error=ENOSPC", 20),
    tracing.Fault("pwrite64", "retval=0", 60),
    tracing.Fault("fdatasync", "error=EIO", 30, True),
)
LATER = 5
REQUESTS = 60
#: From the failure to the end of the process: what waits may be answered, nothing may hang.
END_S_MAX = 5.0
#: A background thread needs a moment to say that its sync failed.
SLACK_S = 0.1


class Asked(msgspec.Struct):
    """One publish: when it was sent, and whether it was answered with 200."""

    id: str
    sent_s: float
    acked: bool = False
    status: int = 0


def live(fault: tracing.Fault, turn: int) -> lives.Outcome:
    """Run one server with one fault; keep its files only when something is wrong."""
    fault = msgspec.structs.replace(fault, at=fault.at + turn // len(FAULTS) * LATER)
    home = Path(tempfile.mkdtemp(prefix="headrace-served-"))
    outcome = _Server(home, fault).run()
    if outcome.problems:
        outcome.problems.append(f"kept in {home}")
    else:
        shutil.rmtree(home)
    return outcome


class _Server:
    """One life of a server."""

    def __init__(self, home: Path, fault: tracing.Fault) -> None:
        self._home = home
        self._data = home / "data"
        self._log = home / "strace.log"
        self._fault = fault
        self._outcome = lives.Outcome(f"server: {fault}", problems=[], calls={})
        self._asked: list[Asked] = []
        self._books = judging.Ledger(ready=True)

    def run(self) -> lives.Outcome:
        ready = self._home / "ready.json"
        with scaffold.receiver(self._home / "delivered") as port:
            with (self._home / "server.log").open("wb") as log:
                process = product.start(self._data, ready, log=log)
            server = product.read(ready)
            server.eventbridge(
                "CreateRule", EventBusName="default", RuleName="push", Description="0",
                FilterPattern='{"source":["faults"]}',
                EventTargets=[{"Id": "t", "Type": "http", "Endpoint": f"http://127.0.0.1:{port}/"}],
            )  # fmt: skip
            with tracing.attached(server.pid, self._log, [self._fault]) as tracer:
                started = time.monotonic()
                with (self._home / "ledger").open("w") as ledger:
                    self._load(server, ledger)
                self._end(process, tracer)
                self._outcome.seconds = round(time.monotonic() - started, 2)
        self._judge(server.account)
        return self._outcome

    # -- load --------------------------------------------------------------------------------------

    def _load(self, server: product.Product, ledger: TextIO) -> None:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=END_S_MAX)
        for number in range(REQUESTS):
            asked = Asked(f"e-{number}", time.time())
            self._asked.append(asked)
            try:
                self._publish(connection, server, asked)
                if asked.acked:
                    ledger.write(f"a {asked.id}\n")
                    ledger.flush()
                    os.fsync(ledger.fileno())
                if number % 15 == 7:
                    self._edit(server, number)
            except TimeoutError:
                self._outcome.problems.append(f"request {number}: no answer in {END_S_MAX} s")
                break
            except (OSError, http.client.HTTPException):
                break  # the server is gone
        connection.close()

    def _publish(
        self, connection: http.client.HTTPConnection, server: product.Product, asked: Asked
    ) -> None:
        event = {
            "id": asked.id, "source": "faults", "type": "faults:Event", "specversion": "1.0",
            "aliyuneventbusname": "default", "data": {"filler": "x" * 700},
        }  # fmt: skip
        raw = server.data_plane(json.dumps([event]).encode())
        head, _, body = raw.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        connection.request("POST", "/openapi/putEvents", body=body, headers=headers)
        answer = connection.getresponse()
        said = answer.read()
        asked.status = answer.status
        asked.acked = answer.status == 200 and json.loads(said)["FailedEntryCount"] == 0
        if answer.status == 500:
            self._outcome.problems.append(f"{asked.id}: 500 {said[:200]!r}")

    def _edit(self, server: product.Product, number: int) -> None:
        self._books.edits_sent.append(number)
        try:
            server.eventbridge(
                "UpdateRule", EventBusName="default", RuleName="push", Description=str(number)
            )
        except SystemExit as refused:
            if ": 500 " in str(refused):
                self._outcome.problems.append(str(refused))
        else:
            self._books.edits_acked.append(number)

    # -- end ---------------------------------------------------------------------------------------

    def _end(self, process: subprocess.Popen[str], tracer: subprocess.Popen[bytes]) -> None:
        """Ask a server that goes on to end; one that failed ends by itself."""
        failed = next(self._failed_syncs(), None)
        try:
            if failed is None:
                process.terminate()
                process.wait(30)
            else:
                process.wait(END_S_MAX)
        except subprocess.TimeoutExpired:
            self._outcome.hung = True
            self._outcome.problems.append("the server did not end")
            process.kill()
            tracing.end(tracer)  # the death of a worker waits for its tracer
            process.wait()
        assert process.stdout is not None
        process.stdout.close()
        self._outcome.code = process.returncode

    def _failed_syncs(self) -> Iterator[tracing.Seen]:
        """Syncs of the log that failed, as far as the tracer has written them down."""
        # The request that the failure was about is answered after it; its line is there.
        threading.Event().wait(SLACK_S)
        for event in tracing.read(self._log):
            if judging.is_of_the_log(event) and not event.ok:
                yield event

    def _judge(self, account: str) -> None:
        outcome, books = self._outcome, self._books
        seen = tracing.read(self._log)
        outcome.injected = min(1, sum(event.kind == "failed" for event in seen))
        books.sent = {number: [asked.id] for number, asked in enumerate(self._asked)}
        books.acked = {number for number, asked in enumerate(self._asked) if asked.acked}
        outcome.acked = len(books.acked)
        for failed in list(self._failed_syncs())[:1]:
            late = [a.id for a in self._asked if a.acked and a.sent_s > failed.at_s + SLACK_S]
            if late:
                outcome.problems.append(f"acknowledged after a failed sync: {late}")
            if outcome.code != judging.scripted.EXIT_BROKEN:
                outcome.problems.append(f"a failed sync, and exit {outcome.code}")
        passing = self._fault.what in judging.PASSING and self._fault.call == "pwrite64"
        if passing and (outcome.code != 0 or len(books.acked) < REQUESTS - 2):
            outcome.problems.append(
                f"{self._fault.what} ended the writing: exit {outcome.code},"
                f" {len(books.acked)} of {REQUESTS} acknowledged"
            )
        outcome.problems += judging.files(self._data, books, account)
