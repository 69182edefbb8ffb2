"""The process that the supervisor makes and waits for."""

from __future__ import annotations

import os
import sys

import pytest

from headrace.supervisor import worker


def test_what_dead_workers_left_behind_does_not_pile_up() -> None:
    """Where the supervisor is process 1 of a container, their children become its own."""
    left = [os.posix_spawn(sys.executable, [sys.executable, "-S", "-c", ""], {}) for _ in range(2)]
    for pid in left:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    worker._reap()
    for pid in left:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, 0)


def test_what_was_said_and_cannot_be_written_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as gone:
        gone.write("to nobody")
        monkeypatch.setattr(sys, "stdout", gone)
        worker.flush()
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), write)
