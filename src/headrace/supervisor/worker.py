"""One server process, as its supervisor sees it: forked, listened to, waited for.

It dies with its supervisor, whatever happens to that one: two of them must never work on one data
directory. Must never be made by a process that has threads.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from headrace import channel, serve

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG: Final = 1

#: Serves with what it is lent; returns the exit code, errors told.
Work = Callable[[serve.Lent], int]


class Worker:
    """A child, or one taken over from the program before."""

    def __init__(self, pid: int, end: channel.Channel, *, ready: bool) -> None:
        self.pid = pid
        self.channel = end
        self.life = os.pidfd_open(pid)
        self.ready = ready
        self.began_s = time.monotonic()

    @classmethod
    def start(
        cls,
        work: Work,
        listener: socket.socket,
        connections: list[int],
        *,
        finalize: bool,
        private: Sequence[socket.socket],
    ) -> Worker:
        """Fork a worker. In the child this never returns.

        private: what the child must not hold.
        """
        _reap()
        here, there = channel.Channel.pair()
        parent = os.getpid()
        # What both share stays shared: a collection would write to every page.
        gc.freeze()
        pid = os.fork()
        if pid:
            there.close()
            return cls(pid, here, ready=False)
        here.close()
        for one in private:
            one.close()
        _live(work, serve.Lent(listener, connections, there, parent, finalize))

    def tell(self, number: signal.Signals) -> None:
        signal.pidfd_send_signal(self.life, number)

    def wait(self) -> int:
        """Wait for its end; return its exit code, negative for the signal that ended it."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self.life)
        self.channel.close()
        return os.waitstatus_to_exitcode(status)


def _reap() -> None:
    """Take leave of what dead workers left behind: where we are process 1, that is ours to do.

    No worker lives when the next is made.
    """
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def flush() -> None:
    """Write out what was said; whoever listened may have gone."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()


def _live(work: Work, lent: serve.Lent) -> NoReturn:
    code = 1
    try:
        _die_with(lent.supervisor)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        code = work(lent)
    except BaseException:
        log.exception("the server process ends")
    finally:
        flush()
        # Not the way out of the supervisor, whose frames are below us.
        os._exit(code)


def _die_with(parent: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        os._exit(1)
