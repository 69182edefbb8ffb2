"""Targets of type `acs.fc.function`: a function of this server, run at once or by its own queue.

Decides what is called and what the answer means for the delivery. Never runs a function itself:
`begin` is handed in, because bus, functions and targets meet only in `app.py`. An asynchronous
call is an ask to the bus, which appends it in the frame that settles this delivery.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence

from headrace.core import calling, delivery, errors, limits
from headrace.core import clock as clocks


class Run:
    """One call under way."""

    __slots__ = ("_answered", "_caller", "abandon", "deadline_us", "wait_us")

    def __init__(
        self, caller: Caller, answered: delivery.Answered, deadline_us: int, wait_us: int
    ) -> None:
        self._caller = caller
        self._answered = answered
        self.deadline_us = deadline_us
        self.wait_us = wait_us
        #: None until the call has begun.
        self.abandon: calling.Abandon | None = None

    def told(self, result: calling.Result | errors.HeadraceError) -> None:
        """Pass on how the call ended."""
        if self._caller.forget(self):
            refused = isinstance(result, errors.HeadraceError)
            self._answered(not_run(result) if refused else answered(result))

    def cancel(self) -> None:
        """Give the call up."""
        if self._caller.forget(self) and self.abandon is not None:
            self.abandon()

    def cut_off(self) -> None:
        """The deadline has passed: give the call up and say so."""
        if self._caller.forget(self):
            if self.abandon is not None:
                self.abandon()
            text = f"the function did not answer within {self.wait_us / 1e6:.1f} s"
            self._answered(delivery.failed("down", 0, text))


class Caller:
    """The calls of one sender, each cut off at its deadline by the one timer they share."""

    def __init__(self, begin: calling.Begin, clock: clocks.Clock) -> None:
        self._begin = begin
        self._clock = clock
        self._running: set[Run] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._due_us = 0

    def start(
        self, call: calling.Call, deadline_us: int, answered: delivery.Answered
    ) -> delivery.Attempt:
        """Begin `call`; `answered` is told once what it means for the delivery."""
        wait_us = max(0, deadline_us - self._clock.mono_us())
        run = Run(self, answered, deadline_us, wait_us)
        self._running.add(run)
        if self._timer is None or deadline_us < self._due_us:
            self._arm(deadline_us, wait_us)
        try:
            run.abandon = self._begin(call, run.told)
        except errors.HeadraceError as error:
            run.told(error)
        return run

    def forget(self, run: Run) -> bool:
        """Let go of a call; False when that has been done already."""
        if run not in self._running:
            return False
        self._running.remove(run)
        if not self._running and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return True

    def _arm(self, due_us: int, wait_us: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due_us = due_us
        self._timer = asyncio.get_running_loop().call_later(wait_us / 1e6, self._check)

    def _check(self) -> None:
        """Cut off what is due; the timer moves on to the next one."""
        self._timer = None
        now_us = self._clock.mono_us()
        for run in [run for run in self._running if run.deadline_us <= now_us]:
            run.cut_off()
        if self._running:
            due_us = min(run.deadline_us for run in self._running)
            self._arm(due_us, max(0, due_us - now_us))


class FunctionSender:
    """Calls the function that one target points at."""

    def __init__(
        self,
        function: str,
        qualifier: str,
        clock: clocks.Clock,
        *,
        asynchronous: bool,
        begin: calling.Begin,
    ) -> None:
        self._function = function
        self._qualifier = qualifier
        self._asynchronous = asynchronous
        self._caller = Caller(begin, clock)

    async def send(
        self, batch: Sequence[delivery.Message], deadline_us: int
    ) -> Sequence[delivery.Outcome]:
        return await waited(self, batch, deadline_us)

    def start(
        self, message: delivery.Message, deadline_us: int, answered: delivery.Answered
    ) -> delivery.Attempt | None:
        """See `delivery.Starter`."""
        payload = message.payload()
        if self._asynchronous:
            answered(self._forward(payload, message.request_id))
            return None
        call = calling.Call(
            message.account,
            self._function,
            payload,
            message.request_id,
            self._qualifier,
            attributes=attributes(message),
            retry_count=message.attempt - 1,
        )
        return self._caller.start(call, deadline_us, answered)

    async def close(self) -> None:
        """Instances belong to the pool, not to a target."""

    def _forward(self, payload: bytes, request_id: str) -> delivery.Outcome:
        if len(payload) > limits.INVOKE_ASYNC_BYTES_MAX:
            text = f"EntityTooLarge: more than {limits.INVOKE_ASYNC_BYTES_MAX} bytes"
            return delivery.failed("poisoned", 413, text)
        asked = delivery.Forward("function", self._function, payload, request_id)
        return delivery.Outcome(True, "ok", 202, "Accepted", forward=asked)


async def waited(
    starter: delivery.Starter, batch: Sequence[delivery.Message], deadline_us: int
) -> Sequence[delivery.Outcome]:
    """Start each message and wait for all outcomes, in order."""
    loop = asyncio.get_running_loop()
    outcomes: list[asyncio.Future[delivery.Outcome]] = []
    attempts: list[delivery.Attempt | None] = []
    for message in batch:
        outcome: asyncio.Future[delivery.Outcome] = loop.create_future()
        outcomes.append(outcome)
        attempts.append(starter.start(message, deadline_us, functools.partial(_set, outcome)))
    try:
        return [await outcome for outcome in outcomes]
    finally:
        for attempt, outcome in zip(attempts, outcomes, strict=True):
            if attempt is not None and (outcome.cancelled() or not outcome.done()):
                attempt.cancel()


def _set(waiting: asyncio.Future[delivery.Outcome], outcome: delivery.Outcome) -> None:
    if not waiting.done():  # else its caller was cancelled in this very turn
        waiting.set_result(outcome)


def attributes(message: delivery.Message) -> dict[str, str]:
    """Name the delivery to the function, as HTTP targets see it in X-Eventbridge-* headers."""
    return {
        "x-eventbridge-event-id": message.event_id,
        "x-eventbridge-event-source": message.source,
        "x-eventbridge-rule": message.rule,
        "x-eventbridge-attempt": str(message.attempt),
    }


def answered(result: calling.Result) -> delivery.Outcome:
    """Translate a run. A function's error is retried by the rule's strategy."""
    if result.error_type is None:
        return delivery.delivered(200, detail=result.payload)
    return delivery.failed("down", 200, result.error_type, detail=result.payload)


def not_run(error: errors.HeadraceError) -> delivery.Outcome:
    """Translate a refusal to run.

    A missing function or a refused access is retried too: the configuration may be put right
    meanwhile. A payload the function could never take is not.
    """
    text = f"{error.code}: {error.message}"[:500]
    if isinstance(error, errors.Throttled):
        return delivery.failed("throttled", error.status, text)
    if isinstance(error, errors.PayloadTooLarge):
        return delivery.failed("poisoned", error.status, text)
    return delivery.failed("down", error.status, text)
