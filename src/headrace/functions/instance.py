"""One instance: the protocol with one sandboxed process, its deadline, its log and its end.

Owns one process from its spawn to its last trace. It reports what happened to a `Keeper` and
decides nothing: which request goes where is the pool's business. Nothing that comes out of the
process is trusted.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from typing import Literal, Protocol

from headrace.core import errors
from headrace.functions import frames, invocation, launcher, logs

#: The code must be loaded within this time; an initializer has its own on top.
LOAD_TIMEOUT_S = 10.0
#: How long the socket and the process may disagree on whether the instance lives.
FAREWELL_S = 0.2
#: A flood of output is read at this pace once its invocation is over the cap: one read each.
FLOOD_PAUSE_S = 0.001

_LOG_READS_MAX = 64

#: Told once how a request ended, or why it was not run. Must not raise.
Tell = Callable[[invocation.Invocation | errors.HeadraceError], None]

State = Literal["starting", "ready", "stopping", "gone"]


class Ticket:
    """One request on its way through queue and instance."""

    __slots__ = (
        "began_s", "call", "cold", "entry", "number", "output", "queued_us", "tell",
        "words",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        call: invocation.Call,
        words: bytes,
        entry: object,
        tell: Tell,
        queued_us: int,
    ) -> None:
        self.number = number
        self.call = call
        #: What its frame says of it, but for the deadline.
        self.words = words
        #: The deployment it is to run on; belongs to the service.
        self.entry = entry
        #: None once the caller has gone away.
        self.tell: Tell | None = tell
        self.queued_us = queued_us
        #: Loop time at which its handler began; None while it waits behind another one.
        self.began_s: float | None = None
        self.cold = False
        self.output: logs.Output | None = None


class Keeper(Protocol):
    """Who is told what happens to an instance."""

    def ready(self, instance: Instance, took_us: int) -> None: ...

    def answered(
        self,
        instance: Instance,
        ticket: Ticket,
        status: int,
        took_us: int,
        head: bytes,
        body: bytes,
    ) -> None: ...

    def overdue(self, instance: Instance, ticket: Ticket) -> None:
        """The deadline of `ticket` passed while others run on the instance; it takes no more
        requests.
        """
        ...

    def gone(self, instance: Instance, begun: list[Ticket], waiting: list[Ticket]) -> None:
        """The process has ended and everything it said has been reported. Nothing follows.

        begun: were running; waiting: had been sent and certainly not begun.
        """
        ...


class Instance:
    """The server's side of one process."""

    def __init__(
        self,
        number: int,
        identity: launcher.Identity,
        process: launcher.Process,
        keeper: Keeper,
        *,
        timeout_s: float,
        load_timeout_s: float,
        concurrency: int,
        start_frame: bytes,
    ) -> None:
        self.number = number
        self.id = identity.instance_id
        self.state: State = "starting"
        self.memory_kib = 0
        #: Error type and body the instance gave for not becoming ready; None while it has not
        #: spoken.
        self.failure: tuple[bytes, bytes] | None = None
        #: Why it was killed, when it was we who did.
        self.killed: Literal["overdue", "load", "broken", "stopped"] | None = None
        self.exit_status = 0
        self.served = 0
        self.was_ready = False
        self._process = process
        self._keeper = keeper
        self._loop = asyncio.get_running_loop()
        self._timeout_s = timeout_s
        self._concurrency = concurrency
        self._reader = frames.Reader()
        self._socket = process.socket
        #: False once the other side has closed: nothing more will come.
        self._connected = True
        #: False once a write failed. What the process said before can still be read.
        self._hears = True
        #: Frames for the end of this turn of the loop.
        self._posted: list[bytes] = []
        self._unsent: deque[memoryview] = deque()
        self._running: dict[int, Ticket] = {}
        #: Answered for with a timeout, while the process still runs them.
        self._overdue: dict[int, Ticket] = {}
        self._timer = self._loop.call_later(load_timeout_s, self._not_loaded)
        self._timer_armed = True
        self._splitter = logs.Splitter(identity.token)
        self._owner: Ticket | None = None
        #: Output that belongs to no invocation yet: of the start, of threads left behind. The next
        #: one gets it.
        self._carry: logs.Output | None = None
        self._log_open = True
        self._alive = True
        # Not a transport of asyncio: that forgets unread answers when a write fails, and requests
        # that had run would be taken for requests that had not begun.
        self._loop.add_reader(self._socket.fileno(), self._readable)
        self._loop.add_reader(process.log_descriptor, self._log_ready)
        self._loop.add_reader(process.life_descriptor, self._ended)
        self._write(start_frame)

    # -- what the service asks ------------------------------------------------------------------

    @property
    def running(self) -> int:
        return len(self._running)

    def send(self, ticket: Ticket, head: bytes, *, ahead: bool) -> None:
        """Send one request. `ahead`: others that were sent before run first, so its log needs a
        mark.
        """
        assert self.was_ready, f"{self.id} is {self.state}"
        number = ticket.number
        self._running[number] = ticket
        if not self._hears or self.killed is not None:
            return  # Its end is on the way; `gone` will name this ticket as one that has not begun.
        mark = ahead and self._concurrency == 1
        flags = frames.MARKED if mark else 0
        if not ahead:
            self._own(ticket)
        frame = frames.packed(frames.INVOKE, flags, number, head, ticket.call.payload)
        if mark:
            self._post(frame)
        elif self._write(frame):
            self._begin(ticket)

    def cancel(self, number: int) -> None:
        """Ask not to begin a request; one that runs is left to its end or its deadline."""
        if self.state == "ready" and number in self._running:
            self._write(frames.pack(frames.CANCEL, 0, number))

    def elapsed_us(self, ticket: Ticket) -> int:
        """How long a request has been running, as seen from here."""
        return 0 if ticket.began_s is None else int((self._loop.time() - ticket.began_s) * 1e6)

    def stop(self, pre_stop_s: float | None) -> None:
        """Let the process go: at once, or after its pre-stop hook and at the latest `pre_stop_s`
        from now.
        """
        if self.state in ("stopping", "gone"):
            return
        graceful = self.state == "ready" and self._hears
        self.state = "stopping"
        self._timer.cancel()
        if pre_stop_s is None or not graceful:
            self.kill("stopped")
            return
        self.killed = "stopped"
        self._write(frames.pack(frames.STOP, 0, 0))
        self._timer = self._loop.call_later(pre_stop_s, self._process.kill)

    def kill(self, why: Literal["overdue", "load", "broken", "stopped"]) -> None:
        """End the process now. `gone` is reported when it has really ended."""
        if self.killed is None:
            self.killed = why
        self._process.kill()

    # -- the socket -----------------------------------------------------------------------------

    def _post(self, data: bytes) -> None:
        """Send at the end of this turn of the loop, with all else that is posted: one system call.

        For requests that wait behind others: should the process die first, they have not begun.
        """
        self._posted.append(data)
        if len(self._posted) == 1:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        posted, self._posted = self._posted, []
        if posted and self._connected:
            self._write(b"".join(posted))

    def _write(self, data: bytes) -> bool:
        """Send, or keep for when there is room; False when the process cannot hear any more."""
        if self._posted:  # what was said first is heard first
            posted, self._posted = self._posted, []
            data = b"".join((*posted, data))
        if self._unsent:
            self._unsent.append(memoryview(data))
            return True
        sent = 0
        try:
            sent = self._socket.send(data) if self._hears else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._hears = False
        if self._hears and sent < len(data):
            self._unsent.append(memoryview(data)[sent:])
            self._loop.add_writer(self._socket.fileno(), self._writable)
        return self._hears

    def _writable(self) -> None:
        try:
            while self._unsent:
                sent = self._socket.send(self._unsent[0])
                if sent < len(self._unsent[0]):
                    self._unsent[0] = self._unsent[0][sent:]
                    return
                self._unsent.popleft()
        except BlockingIOError:
            return
        except OSError:
            self._hears = False
            self._unsent.clear()
        self._loop.remove_writer(self._socket.fileno())

    def _readable(self) -> None:
        try:
            count = self._socket.recv_into(self._reader.room())
        except BlockingIOError:
            return
        except OSError:
            count = 0  # It ended with requests unread. All it had said came before this.
        if not count:
            self._disconnect()
            return
        try:
            found = self._reader.filled(count)
            if found:
                # Once for all of them, and before any is forgotten: what a handler wrote, it wrote
                # before it answered, so the pipe holds it by now.
                self._read_log()
            for frame in found:
                self._take(*frame)
        except frames.Broken:
            self.kill("broken")
            self._disconnect()

    def _take(
        self,
        kind: int,
        flags: int,
        number: int,
        took_us: int,
        memory: int,
        head: bytes,
        body: bytes,
    ) -> None:
        self.memory_kib = max(self.memory_kib, memory)
        if kind == frames.RESULT:
            self._answer(number, flags, took_us, head, body)
        elif self.state == "stopping":
            return
        elif self.state != "starting":
            raise frames.Broken("READY or FAILED twice")
        elif kind == frames.READY:
            self._become_ready(took_us)
        else:
            self.failure = (head, body)

    def _disconnect(self) -> None:
        """Nothing more will be read."""
        if not self._connected:
            return
        self._connected = self._hears = False
        self._unsent.clear()
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        if self._alive:
            # It cannot be talked to; give it a moment to end by itself and keep its exit status.
            self._loop.call_later(FAREWELL_S, self._process.kill)
        else:
            self._finish()

    def _become_ready(self, took_us: int) -> None:
        self.state = "ready"
        self.was_ready = True
        self._timer.cancel()
        self._timer_armed = False
        self._keeper.ready(self, took_us)

    def _answer(self, number: int, status: int, took_us: int, head: bytes, body: bytes) -> None:
        if number not in self._running:
            if self._overdue.pop(number, None) is None:
                raise frames.Broken("an answer nobody waits for")
            return
        ticket = self._running[number]
        if ticket.began_s is None:
            raise frames.Broken("an answer out of turn")
        if self._concurrency == 1:
            self._begin_next()
        if self.killed == "overdue":
            return  # It answered after its time was up: the timeout stands.
        del self._running[number]
        # What it says it took counts only as far as we have seen time go by.
        took_us = min(took_us, self.elapsed_us(ticket))
        if self._owner is ticket:
            self._owner = None
        self.served += 1
        self._keeper.answered(self, ticket, status, took_us, head, body)
        if self._overdue and not self._running:
            self.kill("overdue")

    # -- deadlines ------------------------------------------------------------------------------

    def _begin_next(self) -> None:
        """One by one: with the answer to one request, the process takes up the one behind it."""
        if len(self._running) > 1:
            for ticket in self._running.values():
                if ticket.began_s is None:
                    self._begin(ticket)
                    return

    def _begin(self, ticket: Ticket) -> None:
        ticket.began_s = self._loop.time()
        if not self._timer_armed:
            self._arm(ticket.began_s + self._timeout_s)

    def _arm(self, at_s: float) -> None:
        """One timer per instance, moved on when it fires: a timer per request would cost more than
        the request.
        """
        self._timer = self._loop.call_at(at_s, self._check_deadline)
        self._timer_armed = True

    def _check_deadline(self) -> None:
        self._timer_armed = False
        if self.state != "ready":
            return
        now_s = self._loop.time()
        for ticket in list(self._running.values()):
            if ticket.began_s is None:
                break
            due_s = ticket.began_s + self._timeout_s
            if due_s > now_s:
                self._arm(due_s)
                return
            if self._concurrency == 1 or len(self._running) == 1:
                self.kill("overdue")
                return
            self._give_up(ticket)

    def _give_up(self, ticket: Ticket) -> None:
        """Others still run in this process: answer for this one, and end the process when they are
        done.
        """
        self._read_log()
        del self._running[ticket.number]
        self._overdue[ticket.number] = ticket
        if self._owner is ticket:
            self._owner = None
        self._keeper.overdue(self, ticket)

    def _not_loaded(self) -> None:
        self._timer_armed = False
        if self.state == "starting":
            self.kill("load")

    # -- the log --------------------------------------------------------------------------------

    def _log_ready(self) -> None:
        self._read_log()
        owner = self._owner
        output = self._carry if owner is None else owner.output
        if self._log_open and output is not None and output.flooded:
            # Read a flood slowly: the writer waits, the loop has time for others.
            self._loop.remove_reader(self._process.log_descriptor)
            self._loop.call_later(FLOOD_PAUSE_S, self._log_again)

    def _log_again(self) -> None:
        if self._log_open and self.state != "gone":
            self._loop.add_reader(self._process.log_descriptor, self._log_ready)

    def _read_log(self) -> bool:
        """Read once; a pipe holds no more than one read takes. False when there was nothing."""
        if not self._log_open:
            return False
        try:
            data = os.read(self._process.log_descriptor, frames.READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._log_open = False
            self._loop.remove_reader(self._process.log_descriptor)
            return False
        for piece in self._splitter.feed(data):
            if isinstance(piece, int):
                self._own(self._running.get(piece))
            else:
                self._keep(piece)
        return True

    def _keep(self, data: bytes) -> None:
        owner = self._owner
        if owner is not None:
            if owner.output is None:
                owner.output = logs.Output()
            owner.output.add(data)
            return
        if self._carry is None:
            self._carry = logs.Output()
        self._carry.add(data)

    def _own(self, ticket: Ticket | None) -> None:
        """Output from here on is of `ticket`, which also gets what was nobody's."""
        self._owner = ticket
        if ticket is not None and ticket.output is None and self._carry is not None:
            ticket.output, self._carry = self._carry, None

    def take_carry(self) -> logs.Output | None:
        """The output that belongs to no invocation: what a start that failed has said."""
        carry, self._carry = self._carry, None
        return carry

    # -- the end --------------------------------------------------------------------------------

    def _ended(self) -> None:
        """The process is no more. What it sent may still be in the socket: wait for its end too."""
        self._loop.remove_reader(self._process.life_descriptor)
        self._alive = False
        self.exit_status = self._process.reap()
        if self._connected:
            # Only without a sandbox may another process still hold the socket: do not wait for it.
            self._loop.call_later(FAREWELL_S, self._disconnect)
        else:
            self._finish()

    def _finish(self) -> None:
        if self.state == "gone":
            return
        self.state = "gone"
        self._timer.cancel()
        for _ in range(_LOG_READS_MAX):
            if not self._read_log():
                break
        rest = self._splitter.flush()
        if rest:
            self._keep(rest)
        if self._log_open:
            self._loop.remove_reader(self._process.log_descriptor)
            self._log_open = False
        self._process.release()
        tickets = list(self._running.values())
        self._running.clear()
        begun = [ticket for ticket in tickets if ticket.began_s is not None]
        waiting = [ticket for ticket in tickets if ticket.began_s is None]
        self._keeper.gone(self, begun, waiting)
