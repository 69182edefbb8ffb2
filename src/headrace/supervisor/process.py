"""The supervisor's loop: a worker that serves, signals, and operators who ask for an upgrade.

One thread and no event loop: it forks. A step that waits, waits; signals that come meanwhile are
answered after it. Must never touch the data but through a worker.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Generator, MutableMapping
from pathlib import Path
from types import FrameType
from typing import Final

import msgspec

import headrace
from headrace import channel, serve, settings
from headrace.store import ports
from headrace.store.sqlite import directory
from headrace.supervisor import control, handover, restarting
from headrace.supervisor import worker as workers

log = logging.getLogger(__name__)

#: A worker that does not answer requests for so long after its start has failed. A million open
#: deliveries take less than a second (`./dev faults pending`).
READY_S_MAX: Final = 300.0
#: A change of format may have to write everything anew.
FINALIZE_S_MAX: Final = 24 * 3600.0
#: Time beyond its own limits after which a worker that should leave is killed.
LEAVE_EXTRA_S: Final = 60.0

Announce = Callable[[serve.Ready, bool], None]


class Supervisor:
    """One run of `headrace up` on a data directory."""

    def __init__(
        self,
        config: settings.Settings,
        *,
        environ: MutableMapping[str, str],
        work: workers.Work,
        announce: Announce,
    ) -> None:
        """announce: told of each worker that answers, and whether it is the first."""
        assert config.data is not None, "what is in memory ends with its process"
        self._config = config
        self._data: Path = config.data
        self._environ = environ
        self._work = work
        self._announce = announce
        self._pauses = restarting.Pauses()
        self._connections: list[int] = []
        self._asker: control.Asker | None = None
        self._stopping = False
        #: A worker has answered requests: it is worth another try.
        self._served = False
        #: Since when no worker takes requests, on the monotonic clock.
        self._gap_began_s = 0.0
        self._came_from: list[str] = []

    def run(self) -> int:
        """Supervise until a signal or a worker's own end; return the exit code.

        Raises: errors.HeadraceError, store.ports.StoreError, OSError when it cannot start.
        """
        serve.take_descriptors()  # it holds all idle connections while workers change
        with contextlib.ExitStack() as stack:
            self._signals = stack.enter_context(_signals())
            kept = handover.found(self._environ)
            if kept is None:
                self._begin(stack)
                self._start()
                return self._supervise()
            self._take_over(stack, kept)
            if kept.worker is None:
                self._come_back(kept)
                return self._supervise()
            code = self._relieve(kept)
            return self._supervise() if code is None else code

    # -- the start --------------------------------------------------------------------------------

    def _begin(self, stack: contextlib.ExitStack) -> None:
        self._lock = directory.take_lock(self._data)
        stack.callback(lambda: os.close(self._lock))
        self._listener = stack.enter_context(serve.bind(self._config))
        self._lock = _above(self._lock, self._listener.fileno())
        stack.callback(serve.forget_ready, self._config)  # a worker that is killed does not
        self._control = stack.enter_context(control.listen(self._data))

    def _take_over(self, stack: contextlib.ExitStack, kept: handover.Kept) -> None:
        self._listener = stack.enter_context(socket.socket(fileno=kept.listener))
        self._lock = kept.lock
        stack.callback(lambda: os.close(self._lock))
        stack.callback(serve.forget_ready, self._config)
        self._control = stack.enter_context(
            control.listen(self._data)
            if kept.control is None
            else socket.socket(fileno=kept.control)
        )
        self._connections = kept.connections
        self._came_from = kept.came_from
        if kept.asker is not None:
            self._asker = control.Asker(socket.socket(fileno=kept.asker))
        if kept.worker is not None and kept.channel is not None:
            self._worker = workers.Worker(
                kept.worker, channel.Channel.adopt(kept.channel), ready=True
            )

    def _come_back(self, kept: handover.Kept) -> None:
        """The version that was tried did not start: go on as before."""
        self._gap_began_s = time.monotonic()
        self._start()
        if self._until_ready():
            self._answer(
                control.Answer(
                    f"{kept.failed}; version {headrace.__version__} goes on", done=True, ok=False,
                    remedy="See the log of the server.", version=headrace.__version__,
                )
            )  # fmt: skip

    def _start(self, *, finalize: bool = False) -> None:
        private = [self._control, *self._signals]
        if self._asker is not None:
            private.append(self._asker.connection)
        self._worker = workers.Worker.start(
            self._work, self._listener, self._connections, finalize=finalize, private=private
        )

    # -- the loop ---------------------------------------------------------------------------------

    def _supervise(self) -> int:
        while True:
            with selectors.DefaultSelector() as selector:
                selector.register(self._signals[0], selectors.EVENT_READ, self._signalled)
                selector.register(self._worker.life, selectors.EVENT_READ, self._ended)
                selector.register(self._worker.channel, selectors.EVENT_READ, self._heard)
                selector.register(self._control, selectors.EVENT_READ, self._asked)
                happened = [key.data for key, _ in selector.select()]
            # What a worker said comes before its end.
            for react in (self._signalled, self._heard, self._asked, self._ended):
                if react in happened:
                    code = react()
                    if code is not None:
                        return code
                    if react is self._asked:
                        break  # the worker may be another one now

    def _signalled(self) -> None:
        if _wants_stop(self._signals[0]):
            self._stopping = True
            self._worker.tell(signal.SIGTERM)

    def _heard(self) -> None:
        heard = self._worker.channel.hear()
        if heard is not None and heard.word == channel.READY:
            self._ready(heard.body, first=True)

    def _ready(self, body: bytes, *, first: bool) -> None:
        self._worker.ready = self._served = True
        self._close_connections()
        self._announce(msgspec.json.decode(body, type=serve.Ready), first)
        if self._stopping:  # it was the one before that was told
            self._worker.tell(signal.SIGTERM)

    def _ended(self) -> int | None:
        """The worker is gone: start another if it died, else end as it did."""
        lived_s = time.monotonic() - self._worker.began_s
        code = self._worker.wait()
        if self._stopping and code == -signal.SIGTERM:
            return 0  # it had not begun
        if self._stopping or code >= 0 or not self._served:
            return code if code >= 0 else 128 - code
        pause_s = self._pauses.after(lived_s)
        log.error(
            "the server process was killed by %s after %.0f s; it starts again in %.1f s",
            signal.Signals(-code).name, lived_s, pause_s,
        )  # fmt: skip
        if self._stopped_within(pause_s):
            return 0
        self._start()
        self._until_ready()
        return None

    def _stopped_within(self, pause_s: float) -> bool:
        """Wait; True as soon as somebody wants the server to stop."""
        ends_s = time.monotonic() + pause_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._signals[0], selectors.EVENT_READ)
            while (left_s := ends_s - time.monotonic()) > 0 and not self._stopping:
                if selector.select(left_s):
                    self._stopping = _wants_stop(self._signals[0])
        return self._stopping

    def _until_ready(self, seconds: float = READY_S_MAX) -> bool:
        """Wait until the new worker answers requests; False when it ends instead."""
        heard = self._hear(seconds)
        if heard is None or heard.word != channel.READY:
            return False
        self._ready(heard.body, first=False)
        return True

    def _hear(self, seconds: float) -> channel.Heard | None:
        """Wait for a word of the worker; None at its end, which comes when it says nothing."""
        ends_s = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._worker.channel, selectors.EVENT_READ)
            selector.register(self._signals[0], selectors.EVENT_READ, self._signalled)
            while (left_s := ends_s - time.monotonic()) > 0:
                ready = [key.data for key, _ in selector.select(left_s)]
                if self._signalled in ready:
                    self._signalled()
                if None in ready:
                    return self._worker.channel.hear()
        log.critical("the server process says nothing for %.0f s: it is killed", seconds)
        self._worker.tell(signal.SIGKILL)
        return None

    # -- an upgrade -------------------------------------------------------------------------------

    def _asked(self) -> int | None:
        connection, _ = self._control.accept()
        asker = control.Asker(connection)
        try:
            asked = asker.hear()
        except (OSError, ValueError, msgspec.MsgspecError) as fault:
            asker.tell(control.Answer(f"This is no question: {fault}", done=True, ok=False))
            asker.close()
            return None
        self._asker = asker
        try:
            if self._stopping:
                raise handover.Refused("the server is told to stop")
            if not self._worker.ready:
                raise handover.Refused("the server is still starting", remedy="Ask again soon.")
            if asked.finalize:
                return self._finalize(asked)
            self._upgrade(asked)
        except handover.Refused as refused:
            self._answer(
                control.Answer(refused.message, done=True, ok=False, remedy=refused.remedy)
            )
        return None

    def _answer(self, answer: control.Answer) -> None:
        if self._asker is not None:
            self._asker.tell(answer)
            if answer.done:
                self._asker.close()
                self._asker = None

    def _upgrade(self, asked: control.Ask) -> None:
        """Become another program; the worker goes on meanwhile.

        Raises: handover.Refused.
        """
        program = asked.program or handover.this_program()
        next = handover.describe(program, sys.argv[1:])
        handover.check(next, self._format())
        self._answer(control.Answer(f"version {next.version} starts", version=next.version))
        self._become(
            program,
            handover.Kept(
                handover.PROTOCOL, self._listener.fileno(), self._lock,
                worker=self._worker.pid, channel=self._worker.channel.fileno(),
                drain_s=asked.drain_s, came_from=handover.this_program(),
            ),
        )  # fmt: skip

    def _format(self) -> int:
        """Raises: handover.Refused."""
        try:
            return directory.format_of(self._data)
        except (ports.StoreError, OSError) as fault:
            raise handover.Refused(str(fault), remedy="See `headrace doctor`.") from fault

    def _become(self, program: list[str], kept: handover.Kept) -> None:
        """Raises: handover.Refused when the program cannot be run, and everything is as before."""
        if self._asker is not None:
            kept.asker = self._asker.connection.fileno()
        kept.control = self._control.fileno()
        environ = {**self._environ, handover.VARIABLE: str(handover.leave(kept))}
        # A signal between the two programs would end the process with its default action.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        if self._stopping or _wants_stop(self._signals[0]):
            # One that came before, too, is held back until the next program looks.
            signal.raise_signal(signal.SIGTERM)
        workers.flush()
        try:
            os.execve(program[0], [*program, *sys.argv[1:]], environ)
        except OSError as fault:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
            raise handover.Refused(f"{program[0]} cannot be run: {fault}") from fault

    def _relieve(self, kept: handover.Kept) -> int | None:
        """This program has begun: let the old worker go, and serve with one of our own.

        Return the exit code when the old one has ended for a reason of its own.
        Raises: handover.Refused when this program does not start and the one before is gone.
        """
        code = self._let_go(kept.drain_s)
        if code > 0:
            return code
        self._start()
        if self._until_ready():
            self._taken_over()
            return None
        if self._stopping:
            return None
        failed = f"version {headrace.__version__} does not start"
        if not self._came_from:
            self._answer(control.Answer(failed, done=True, ok=False))
            return None  # its exit code becomes ours
        self._worker.wait()
        back = handover.Kept(
            handover.PROTOCOL, self._listener.fileno(), self._lock,
            connections=self._connections, failed=failed,
        )  # fmt: skip
        log.critical("%s: back to %s", failed, self._came_from[0])
        self._become(self._came_from, back)

    def _finalize(self, asked: control.Ask) -> int | None:
        """Bring the data directory to the newest format, between two workers.

        Return the exit code when the first has ended for a reason of its own.
        Raises: handover.Refused.
        """
        found = self._format()
        if found == directory.FORMAT:
            raise handover.Refused(f"the data directory has format {found}, there is no newer one")
        code = self._let_go(asked.drain_s)
        if code > 0:
            return code
        self._start(finalize=True)
        if self._until_ready(FINALIZE_S_MAX):
            self._taken_over()
            return None
        if self._stopping:
            return None
        self._worker.wait()
        self._start()
        self._until_ready()
        raise handover.Refused(
            f"the format stays {directory.format_of(self._data)}: a step failed",
            remedy="See the log of the server.",
        )

    def _let_go(self, drain_s: float) -> int:
        """End the worker, keep the connections that nobody waits on, return its exit code.

        Above 0 it has given up, and no other may try: a store whose sync failed is not opened
        again.
        """
        self._answer(control.Answer("what runs comes to its end"))
        self._gap_began_s = 0.0
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has died meanwhile
            self._worker.channel.tell(channel.LEAVE, str(drain_s).encode())
        while heard := self._hear(2 * drain_s + LEAVE_EXTRA_S):
            if heard.word == channel.PAUSED:
                self._gap_began_s = time.monotonic()
            elif heard.word == channel.KEPT:
                self._connections.extend(heard.descriptors)
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self._worker.channel.tell(channel.TAKEN)
        self._gap_began_s = self._gap_began_s or time.monotonic()  # it died without a word
        code = self._worker.wait()
        if code > 0:
            text = f"the server process has ended with code {code}"
            self._answer(
                control.Answer(text, done=True, ok=False, remedy="See the log of the server.")
            )
        return code

    def _taken_over(self) -> None:
        gap_s = time.monotonic() - self._gap_began_s
        self._answer(
            control.Answer(
                f"version {headrace.__version__} serves", done=True, gap_s=round(gap_s, 3),
                version=headrace.__version__,
            )
        )  # fmt: skip

    def _close_connections(self) -> None:
        """The worker has them: ours would keep them open for ever."""
        for one in self._connections:
            os.close(one)
        self._connections = []


_STOPS: Final = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def _signals() -> Generator[tuple[socket.socket, socket.socket]]:
    """Yield a pair; the numbers of signals to stop can be read from its first end."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    before = {number: signal.signal(number, _noted) for number in _STOPS}
    waking = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    # The program before us holds them back.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    try:
        yield ours, theirs
    finally:
        signal.set_wakeup_fd(waking)
        for number, handler in before.items():
            signal.signal(number, handler)
        ours.close()
        theirs.close()


def _noted(_number: int, _frame: FrameType | None) -> None:
    """It is read from the socket; a signal without a handler wakes nobody."""


def _wants_stop(signals: socket.socket) -> bool:
    """True when a signal to stop has come since this was asked last."""
    try:
        return any(number in _STOPS for number in signals.recv(64))
    except BlockingIOError:
        return False


def _above(descriptor: int, other: int) -> int:
    """Return the descriptor under a number above `other`, and close the first.

    A process that dies closes its descriptors in order: whoever gets the lock finds the port free.
    """
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, other + 1)
    os.close(descriptor)
    return moved
