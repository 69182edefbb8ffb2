"""Run a Python program under a wall clock that can be set while it runs.

What the program reads of the wall clock through the module `time` is the machine's plus what a
shared file says, from the very next reading on; the monotonic clock and all waiting stay real. All
of the server reads it so (`datetime.now` is forbidden there), and so do the HTTP server and client
it uses and the logging. A preloaded libfaketime would reach C code as well, but it also takes over
the timed waits of threads, by which the interpreter switches between them: the same load then costs
several times the CPU, and a busy loop could no longer be told from it.

usage: jumping.py WALL_FILE (-m MODULE | SCRIPT) ARGUMENTS
"""

from __future__ import annotations

import mmap
import runpy
import struct
import sys
import time
from pathlib import Path

_OFFSET = struct.Struct("<q")
SECOND_NS = 1_000_000_000


class Wall:
    """How far the wall clock of some processes is ahead of the machine's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            path.write_bytes(_OFFSET.pack(0))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _OFFSET.size)

    @property
    def ahead_ns(self) -> int:
        return _OFFSET.unpack_from(self._shared)[0]

    @property
    def ahead_s(self) -> float:
        return self.ahead_ns / SECOND_NS

    def set(self, ahead_s: float) -> None:
        """Set the clock so far ahead of the machine's, behind it when negative."""
        self._shared[:] = _OFFSET.pack(round(ahead_s * SECOND_NS))

    def now(self) -> float:
        return time.time() + self.ahead_s

    @property
    def command(self) -> list[str]:
        """What stands before `-m MODULE` or the script."""
        return [sys.executable, __file__, str(self.path)]


def take_over(wall: Wall) -> None:
    """Let the module `time` say what the wall says."""
    real_ns, gmtime, localtime, strftime = (
        time.time_ns, time.gmtime, time.localtime, time.strftime
    )  # fmt: skip

    def now() -> float:
        return (real_ns() + wall.ahead_ns) / SECOND_NS

    time.time_ns = lambda: real_ns() + wall.ahead_ns
    time.time = now
    time.gmtime = lambda seconds=None: gmtime(now() if seconds is None else seconds)
    time.localtime = lambda seconds=None: localtime(now() if seconds is None else seconds)
    time.strftime = lambda text, at=None: strftime(text, localtime(now()) if at is None else at)


def main() -> None:
    take_over(Wall(Path(sys.argv[1])))
    del sys.argv[:2]
    if sys.argv[0] == "-m":
        del sys.argv[0]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
