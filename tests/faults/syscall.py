"""R3: the Nth system call fails, for every N: EIO, ENOSPC, EINTR, writes of nothing or of a half.

A tracer (strace) lets one call of a running process fail, then the directory is opened again. Most
lives are of a process that runs a short script on the store and the bus (`calls/scripted.py`), some
of a real server under signed requests (`calls/served.py`). After each: all that was acknowledged is
there, nothing else is, the books balance by a recount; no acknowledgement came after or without a
sync of its own; a failed sync ended the writing; missing room did not; nothing hung.

usage: ./dev faults syscall [--full] [--seed N] [--show CALL:WHAT:N]
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor

import msgspec

from tests.faults.calls import lives, served, tracing

INJECTIONS, INJECTIONS_FULL = 300, 2_000
SERVERS, SERVERS_FULL = 4, 40
#: (call, how it fails, and at every later call too)
KINDS = (
    ("pwrite64", "error=EIO", False),
    ("pwrite64", "error=ENOSPC", False),
    ("pwrite64", "error=EINTR", False),
    ("pwrite64", "retval=0", False),
    ("pwrite64", "error=ENOSPC", True),
    ("fdatasync", "error=EIO", False),
    ("fdatasync", "error=ENOSPC", False),
    ("fdatasync", "error=EINTR", False),
    ("fdatasync", "error=EIO", True),
    ("fsync", "error=EIO", False),
    ("write", "error=EIO", False),
    ("write", "error=ENOSPC", False),
    ("write", "error=EINTR", False),
    ("rename", "error=EIO", False),
    ("rename", "error=ENOSPC", False),
    ("openat", "error=EIO", False),
    ("openat", "error=ENOSPC", False),
    ("openat", "error=EINTR", False),
    ("ftruncate", "error=EIO", False),
    ("unlink", "error=EIO", False),
)
#: Lives whose writes are cut short for real, and how far apart.
SHORT_STEP = 7
#: Lives at the same time.
AT_ONCE = 2
#: Several threads of one life reach their Nth call: injections a life, about.
PER_LIFE = 1.4


class Figures(msgspec.Struct):
    """What one run saw."""

    injections: int = 0
    lives: int = 0
    servers: int = 0
    short_writes: int = 0
    by_error: dict[str, int] = {}
    acked: int = 0
    problems: int = 0
    hung: int = 0
    seconds_max: float = 0.0
    first_problems: list[str] = []

    def take(self, outcome: lives.Outcome, error: str) -> None:
        self.lives += 1
        self.injections += outcome.injected
        self.by_error[error] = self.by_error.get(error, 0) + outcome.injected
        self.acked += outcome.acked
        self.hung += outcome.hung
        self.seconds_max = max(self.seconds_max, outcome.seconds)
        if outcome.problems:
            self.problems += 1
            show(f"{outcome.fault}: {'; '.join(outcome.problems)}")
            self.first_problems = [*self.first_problems, f"{outcome.fault}: {outcome.problems[0]}"]
            del self.first_problems[5:]


def faults(calls: dict[str, int], share: float) -> Iterator[tracing.Fault]:
    """Yield faults spread over a life: `share` of all places where a call can fail.

    calls: the most calls of a kind that one thread makes.
    """
    for call, what, on in KINDS:
        places = calls.get(call, 0)
        wanted = max(1, round(places * share)) if places else 0
        for turn in range(wanted):
            yield tracing.Fault(call, what, 1 + turn * places // wanted, on)


def run(injections: int, servers: int, seed: int) -> Figures:
    """Fail calls until there were `injections`, then let servers fail."""
    figures = Figures(by_error={}, first_problems=[])
    # Processes and not threads: of two threads that wait for children, one can take the exit code
    # of the other's.
    with ProcessPoolExecutor(AT_ONCE, multiprocessing.get_context("spawn")) as pool:
        clean = pool.submit(_live, None, seed).result()
        figures.take(clean, "none")
        show(f"a life makes {clean.calls}")
        every = sum(clean.calls.get(call, 0) for call, _, _ in KINDS)
        while figures.injections < injections and not figures.hung:
            share = min(1.0, (injections - figures.injections) / every / PER_LIFE)
            _pass(figures, pool, clean.calls, share, seed)
            seed += 1
    for number in range(servers):
        outcome = served.live(served.FAULTS[number % len(served.FAULTS)], number)
        figures.servers += 1
        figures.take(outcome, "served")
        show(f"server {number + 1} of {servers}: {outcome.fault}, {outcome.acked} acknowledged")
    return figures


def _pass(figures: Figures, pool: Executor, calls: dict[str, int], share: float, seed: int) -> None:
    planned = list(faults(calls, share))
    lived = pool.map(functools.partial(_live, seed=seed), planned)
    for number, (fault, outcome) in enumerate(zip(planned, lived, strict=True)):
        # A call that fails for ever is one fault.
        outcome.injected = min(outcome.injected, 1) if fault.on else outcome.injected
        figures.take(outcome, fault.what.partition("=")[2].replace("0", "nothing written"))
        if number % 50 == 49:
            show(f"{figures.injections} injections in {figures.lives} lives")
    short = range(1, calls["pwrite64"], max(SHORT_STEP, round(SHORT_STEP / share)))
    for outcome in pool.map(functools.partial(_live, None, seed), short):
        figures.short_writes += 1
        figures.take(outcome, "cut short")


def _live(fault: tracing.Fault | None, seed: int, short_at: int = 0) -> lives.Outcome:
    """Run one life, in a process of the pool."""
    return _nursery().live(fault, seed, short_at)


@functools.cache
def _nursery() -> lives.Nursery:
    return lives.Nursery()


def passed(figures: Figures, injections: int) -> bool:
    wanted = {"EIO", "ENOSPC", "EINTR", "nothing written"}
    return (
        figures.injections >= injections
        and figures.problems == 0
        and figures.hung == 0
        and figures.short_writes > 0
        and wanted <= figures.by_error.keys()
    )


def main(arguments: list[str] | None = None) -> int:
    """Print the figures as one line; 0 when they are good."""
    given = _parse(arguments)
    if not tracing.is_there():
        print(json.dumps({"bar": "syscall", "figures": {"left_out": "no strace"}, "pass": False}))
        return 1
    if given.show:
        call, what, at = given.show.split(":")
        fault = tracing.Fault(call, what, int(at.rstrip("+")), at.endswith("+"))
        print(lives.Nursery().live(fault, given.seed))
        return 0
    injections = INJECTIONS_FULL if given.full else INJECTIONS
    started = time.monotonic()
    figures = run(injections, SERVERS_FULL if given.full else SERVERS, given.seed)
    good = passed(figures, injections)
    line = {**msgspec.to_builtins(figures), "seconds": round(time.monotonic() - started)}
    print(json.dumps({"bar": "syscall", "figures": line, "pass": good}))
    return 0 if good else 1


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev faults syscall")
    parser.add_argument("--full", action="store_true", help=f"{INJECTIONS_FULL} injections")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", help="one life with one fault, e.g. fdatasync:error=EIO:7")
    return parser.parse_args(arguments)


def show(text: str) -> None:
    print(f"syscall: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
