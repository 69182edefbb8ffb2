"""What the rows have in common: processes beside the server, waiting, what is left, the last line.

Owns no attack and no bar, and must never decide whether a row passed.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import apsw
import msgspec

from bench.rig import product

HERE = Path(__file__).parent


class Figures(msgspec.Struct):
    """What each row counts that publishes to a server and looks at its files afterwards."""

    #: Acknowledged, and not in the files.
    lost: int = 0
    #: Of the server at its end.
    exit_code: int | None = None
    problems: list[str] = []


# ---------------------------------------------------------------- processes beside the server


@contextlib.contextmanager
def process(
    script: str, *arguments: str, python: Sequence[str] = (sys.executable,)
) -> Iterator[subprocess.Popen[str]]:
    """A script of this folder in a group of its own: the kills do not reach it.

    python: the command that runs it.
    """
    it = subprocess.Popen(
        [*python, str(HERE / script), *arguments], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=product.ROOT,
    )  # fmt: skip
    try:
        yield it
    finally:
        it.terminate()
        it.wait()


@contextlib.contextmanager
def receiver(notes: Path) -> Iterator[int]:
    """A target that notes the id of each event it is given, a line each; yields its port."""
    with process("receiver.py", str(notes)) as it:
        assert it.stdout is not None
        yield int(it.stdout.readline())


def order(process: subprocess.Popen[str], message: dict[str, object]) -> None:
    """Tell the producer what to do next."""
    assert process.stdin is not None
    process.stdin.write(json.dumps(message) + "\n")
    process.stdin.flush()


def answer(process: subprocess.Popen[str]) -> dict[str, int]:
    """Return what the producer counted. Raises: SystemExit when it is gone."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit("the producer ended by itself")
    return json.loads(line)


# ---------------------------------------------------------------- waiting


def wait(done: Callable[[], bool], seconds: float) -> None:
    """Return once it is done, or time is up: the figures then say what is missing."""
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        threading.Event().wait(0.1)


def open_deliveries(server: product.Product) -> int:
    """Return how many deliveries the books of the server have open."""
    books = server.call(server.signed("GET", "/headrace/v1/books"))
    return sum(row["open"] for row in books["subscriptions"])


def drain(server: product.Product, seconds: float) -> None:
    """Let every delivery be closed, or time be up."""
    wait(lambda: open_deliveries(server) == 0, seconds)


# ---------------------------------------------------------------- what is left


def logged_errors(log: Path) -> list[str]:
    """Return the lines of a server's log that tell of an error."""
    lines = log.read_text(errors="replace").splitlines()
    return [line[:160] for line in lines if " ERROR " in line or "Traceback" in line]


def ledger_ids(ledger: Path, kind: str) -> set[str]:
    """Return the ids that the producer's ledger has by now as sent ("s") or acknowledged ("a")."""
    whole = ledger.read_text().rpartition("\n")[0]
    return {line[2:] for line in whole.splitlines() if line.startswith(f"{kind} ")}


def stored_ids(data: Path) -> list[str]:
    """Straight from the files: no code of the product stands between."""
    found: list[str] = []
    for path in sorted((data / "shard-0000").glob("*.seg")):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        for (body,) in connection.execute("SELECT body FROM event WHERE generation >= 0"):
            event = json.loads(body)
            if event.get("source") == "faults":
                found.append(event["id"])
        connection.close()
    return found


# ---------------------------------------------------------------- the last line


def new_home(bar: str) -> Path:
    """Return a new folder for the data and the logs of one run."""
    return Path(tempfile.mkdtemp(prefix=f"headrace-{bar}-"))


def show(bar: str, text: str) -> None:
    """Say to people how far it is."""
    print(f"{bar}: {text}", file=sys.stderr, flush=True)


def report(bar: str, figures: msgspec.Struct, home: Path, *, good: bool) -> int:
    """Print the figures as one line; remove the folder when they are good. Result: exit code."""
    print(json.dumps({"bar": bar, "figures": msgspec.to_builtins(figures), "pass": good}))
    if good:
        shutil.rmtree(home)
    else:
        show(bar, f"data and logs are kept in {home}")
    return 0 if good else 1
