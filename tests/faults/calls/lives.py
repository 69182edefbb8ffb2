"""One short life of the scripted process with one fault, and what is wrong after it."""

from __future__ import annotations

import multiprocessing
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.faults.calls import judging, scripted, tracing

#: From the gate to the end of the process; what takes longer hangs.
HANG_S = 5.0
#: From the fork to the gate, on a machine with much else to do.
BORN_S_MAX = 30.0
#: A file system in memory is as good: what a disk does is what the tracer says.
MEMORY = Path("/dev/shm")


class Outcome(msgspec.Struct):
    """What one life showed."""

    fault: str
    injected: int = 0
    code: int | None = None
    seconds: float = 0.0
    acked: int = 0
    hung: bool = False
    problems: list[str] = []
    #: When nothing was made to fail: the most calls of a kind that one thread made.
    calls: dict[str, int] = {}


class Nursery:
    """Starts scripted processes quickly: one parent has imported everything and forks."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        # Each child runs the script that was started once more; what that imports is there already.
        self._context.set_forkserver_preload(
            ["tests.faults.calls.served", "concurrent.futures.process", "httptools"]
        )
        self._place = str(MEMORY) if MEMORY.is_dir() else None

    def live(self, fault: tracing.Fault | None, seed: int, short_at: int = 0) -> Outcome:
        """Run one life; keep its files only when something is wrong."""
        home = Path(tempfile.mkdtemp(prefix="headrace-calls-", dir=self._place))
        outcome = self._run(home, fault, seed, short_at)
        if not outcome.problems:
            shutil.rmtree(home)
        else:
            outcome.problems.append(f"kept in {home}")
        return outcome

    def _run(self, home: Path, fault: tracing.Fault | None, seed: int, short_at: int) -> Outcome:
        data, log = home / "data", home / "strace.log"
        told = scripted.Told(str(data), seed, short_at)
        outcome = Outcome(str(fault or f"short write at {short_at}"), problems=[], calls={})
        gate, inner_gate = socket.socketpair()
        ledger, inner_ledger = socket.socketpair()
        process = self._context.Process(
            target=scripted.main, args=(told, inner_gate, inner_ledger), daemon=True
        )
        process.start()
        inner_gate.close()
        inner_ledger.close()
        assert process.pid is not None
        ledger.settimeout(BORN_S_MAX)
        here = ledger.recv(len(b"here\n"))
        assert here == b"here\n", f"the child said {here!r} and not that it is at the gate"
        with gate, ledger, tracing.attached(process.pid, log, [fault] if fault else []) as tracer:
            started = time.monotonic()
            gate.send(b"g")
            messages = list(_lines(ledger, started + HANG_S))
            process.join(max(0.0, started + HANG_S - time.monotonic()))
            outcome.hung = process.is_alive()
            outcome.seconds = round(time.monotonic() - started, 2)
            process.kill()
            process.join(HANG_S)
            if process.is_alive():  # its death waits for its tracer
                tracing.end(tracer)
                process.join()
        outcome.code = process.exitcode
        (home / "ledger").write_text("\n".join(messages) + "\n")
        outcome.calls = {} if fault else counted(log)
        return _judged(outcome, tracing.read(log), judging.ledger_of(messages), data, fault)


def _judged(
    outcome: Outcome,
    seen: list[tracing.Seen],
    books: judging.Ledger,
    data: Path,
    fault: tracing.Fault | None,
) -> Outcome:
    outcome.acked = len(books.acked)
    outcome.injected = sum(event.kind == "failed" for event in seen)
    if outcome.hung:
        outcome.problems.append(f"hangs: no end within {HANG_S} s")
    outcome.problems += judging.order(seen, books.writer)
    if fault is not None:
        outcome.problems += judging.endings(seen, books, fault, outcome.code or 0)
    elif outcome.code != 0 or len(books.acked) != scripted.PUBLISHES:
        outcome.problems.append(f"exit {outcome.code}, {len(books.acked)} acknowledged")
        outcome.problems += books.unexpected
    outcome.problems += judging.files(data, books)
    return outcome


def _lines(ledger: socket.socket, deadline: float) -> Iterator[str]:
    """Yield the messages until the other side is gone or time is up."""
    rest = b""
    while True:
        ledger.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            part = ledger.recv(65_536)
        except TimeoutError:
            return
        if not part:
            return
        *whole, rest = (rest + part).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)


def counted(log: Path) -> dict[str, int]:
    """Return, per call, the most any one thread made of it."""
    made: dict[tuple[str, str], int] = {}
    for line in log.read_text(errors="replace").splitlines():
        words = line.split(None, 2)
        call = words[2].split("(")[0] if len(words) == 3 else ""
        if call in tracing.TRACED:
            made[words[0], call] = made.get((words[0], call), 0) + 1
    most: dict[str, int] = {}
    for (_, call), number in made.items():
        most[call] = max(most.get(call, 0), number)
    return most
