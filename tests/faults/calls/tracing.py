"""strace on a running process: which call fails when, and what was seen, in order.

The log is read back as events: a call that was made to fail, a sync that returned, a message that
was told. Must never judge; that is `judging`.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

#: What a store asks of a file system, and how it tells others (sendto).
TRACED = (
    "write", "pwrite64", "fdatasync", "fsync", "rename", "renameat2", "openat", "ftruncate",
    "unlink", "sendto",
)  # fmt: skip
SYNCS = ("fdatasync", "fsync")
ATTACH_S_MAX = 5.0

_LINE = re.compile(r"(\d+) +(\d+\.\d+) (.*)")
_CALL = re.compile(r"(\w+)\((.*)")
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)")
_PATH = re.compile(r"<(/[^>]*)>")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')


class Fault(msgspec.Struct, frozen=True):
    """One way to fail: `what` as strace takes it (error=EIO, retval=0), at the Nth call of a
    thread; `on`: and at every later one."""

    call: str
    what: str
    at: int
    on: bool = False

    @property
    def expression(self) -> str:
        return f"inject={self.call}:{self.what}:when={self.at}{'+' if self.on else ''}"

    def __str__(self) -> str:
        return f"{self.call} {self.what} at {self.at}{' and on' if self.on else ''}"


class Seen(msgspec.Struct, frozen=True):
    """One event of the log."""

    thread: int
    at_s: float
    kind: Literal["sync", "told", "failed"]
    #: A sync that failed is also `kind` failed, as an event of its own, first.
    ok: bool = True
    call: str = ""
    path: str = ""
    text: str = ""


def is_there() -> bool:
    return shutil.which("strace") is not None


@contextlib.contextmanager
def attached(pid: int, log: Path, faults: Sequence[Fault]) -> Iterator[subprocess.Popen[bytes]]:
    """Trace a process and its threads to its end; `faults` strike from now on."""
    command = ["strace", "-f", "-qq", "-y", "-ttt", "-s", "200", "-o", str(log)]
    command += ["-e", f"trace={','.join(TRACED)}", "-e", "signal=none"]
    for fault in faults:
        command += ["-e", fault.expression]
    tracer = subprocess.Popen([*command, "-p", str(pid)], stderr=subprocess.PIPE)
    try:
        _wait_attached(pid, tracer)
        yield tracer
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            tracer.wait(5)
        end(tracer)
        assert tracer.stderr is not None
        tracer.stderr.close()


def end(tracer: subprocess.Popen[bytes]) -> None:
    """Let the traced process go, whatever the tracer is doing."""
    tracer.kill()
    tracer.wait()


def _wait_attached(pid: int, tracer: subprocess.Popen[bytes]) -> None:
    status = Path(f"/proc/{pid}/status")
    deadline = time.monotonic() + ATTACH_S_MAX
    while "TracerPid:\t0\n" in status.read_text():
        if tracer.poll() is not None or time.monotonic() > deadline:
            end(tracer)  # what it says ends with it
            assert tracer.stderr is not None
            raise SystemExit(f"strace did not attach: {tracer.stderr.read().decode()}")
        threading.Event().wait(0.001)


def read(log: Path) -> list[Seen]:
    """Return what happened, in the order in which it was over."""
    seen: list[Seen] = []
    begun: dict[int, str] = {}
    for line in log.read_text(errors="replace").splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        thread, at_s, rest = int(found[1]), float(found[2]), found[3]
        if rest.endswith("<unfinished ...>"):
            begun[thread] = rest.removesuffix("<unfinished ...>")
            continue
        resumed = _RESUMED.match(rest)
        if resumed is not None:
            rest = begun.pop(thread, f"{resumed[1]}(") + resumed[2]
        seen += _events(thread, at_s, rest)
    return seen


def _events(thread: int, at_s: float, text: str) -> Iterator[Seen]:
    called = _CALL.match(text)
    if called is None:
        return
    call, rest = called[1], called[2]
    path = _path_of(call, rest)
    injected = "(INJECTED)" in rest
    if injected:
        yield Seen(thread, at_s, "failed", ok=False, call=call, path=path)
    if call in SYNCS:
        yield Seen(thread, at_s, "sync", ok=rest.rstrip().endswith("= 0"), call=call, path=path)
    if call == "sendto" and not injected:
        for message in _TEXT.findall(rest)[:1]:
            if message.endswith("\\n"):
                yield Seen(thread, at_s, "told", text=message.removesuffix("\\n"))


def _path_of(call: str, rest: str) -> str:
    if call in ("openat", "rename", "renameat2", "unlink"):
        names = _TEXT.findall(rest)
        return names[-1] if names else ""
    found = _PATH.search(rest)
    return found[1] if found else ""
