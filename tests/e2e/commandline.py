"""The command line as a user has it: real processes, a home of their own, a server they started."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

#: What any one command may take on a busy machine.
SECONDS_MAX = 60
#: Times a command is asked again before a state that must come has not come.
TRIES = 100
_numbers = itertools.count()


class Result(NamedTuple):
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[list[str]]:
        """The words of each line of a table."""
        return [line.split() for line in self.out.splitlines()]


class Shell:
    """A user with an empty home and a working directory."""

    def __init__(self, home: Path, **environ: str) -> None:
        self.home = home
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        self.environ = {**kept, "HOME": str(home), "LANG": "C.UTF-8", **environ}

    def run(self, *arguments: str, stdin: str = "", **environ: str) -> Result:
        """Run one command to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "headrace", *arguments],
            input=stdin.encode(), capture_output=True, cwd=self.home, timeout=SECONDS_MAX,
            env={**self.environ, **environ}, check=False,
        )  # fmt: skip
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    def ok(self, *arguments: str, stdin: str = "") -> Result:
        """Run one command that must succeed."""
        result = self.run(*arguments, stdin=stdin)
        assert result.code == 0, result
        return result

    def until(self, wanted: Callable[[Result], bool], *arguments: str) -> Result:
        """Run a command again and again until its result is what must come."""
        result = self.run(*arguments)
        for _ in range(TRIES):
            if wanted(result):
                return result
            result = self.run(*arguments)
        raise AssertionError(f"never came: {result}")

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command that goes on."""
        return subprocess.Popen(
            [sys.executable, "-m", "headrace", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.home, env=self.environ,
        )  # fmt: skip


class Server:
    """`headrace up`, started and waited for."""

    def __init__(self, shell: Shell, *arguments: str) -> None:
        self.ready_file = shell.home / f"ready-{next(_numbers)}.json"
        self._process = shell.start(
            "up", "--port", "0", "--ready-file", str(self.ready_file), *arguments
        )
        assert self._process.stdout is not None
        #: What it said when it was ready; the last line names an address to try.
        self.announced = ""
        while "/healthz" not in self.announced:
            line = self._process.stdout.readline().decode()
            if not line:
                out, err = self._process.communicate(timeout=SECONDS_MAX)
                raise AssertionError(f"did not start: {self.announced}{out!r}{err!r}")
            self.announced += line
        self.ready = json.loads(self.ready_file.read_text())
        self.url: str = self.ready["url"]

    def tell(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def hang_up(self) -> None:
        """Listen no more to what it says."""
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.stdout = None

    def stop(self, number: signal.Signals = signal.SIGTERM) -> Result:
        """Tell the server to end, and return how it did."""
        self.tell(number)
        return self.ended()

    def ended(self) -> Result:
        """Wait for its end."""
        out, err = self._process.communicate(timeout=SECONDS_MAX)
        return Result(self._process.returncode, (out or b"").decode(), err.decode())
