"""Targets of type `acs.fc.function`: a function of this server, run at once or by its own queue.

Decides what is called and what the answer means for the delivery. Never runs a function itself:
`invoke` is handed in, because bus, functions and targets meet only in `app.py`. An asynchronous
call is an ask to the bus, which appends it in the frame that settles this delivery.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from headrace.core import clock as clocks
from headrace.core import delivery, errors, limits


class Call(msgspec.Struct, frozen=True):
    """One invocation asked for by a delivery."""

    account: str
    function: str
    qualifier: str
    payload: bytes
    #: Logs and trace share it.
    request_id: str
    #: What the function may learn of the delivery: event id, rule, attempt.
    attributes: dict[str, str]
    #: 0 on the first attempt.
    retry_count: int


class Result(Protocol):
    """What `invoke` returns: functions.invocation.Invocation fits."""

    @property
    def payload(self) -> bytes: ...

    @property
    def error_type(self) -> str | None:
        """None when the function returned; else what FC says in x-fc-error-type."""
        ...


#: Runs the function and returns its result. Raises errors.HeadraceError when it could not be run.
#: Cancelled at the delivery's deadline.
Invoke = Callable[[Call], Awaitable[Result]]


class FunctionSender:
    """Calls the function that one target points at."""

    def __init__(
        self,
        function: str,
        qualifier: str,
        clock: clocks.Clock,
        *,
        asynchronous: bool,
        invoke: Invoke,
    ) -> None:
        self._function = function
        self._qualifier = qualifier
        self._clock = clock
        self._asynchronous = asynchronous
        self._invoke = invoke

    async def send(
        self, batch: Sequence[delivery.Message], deadline_us: int
    ) -> Sequence[delivery.Outcome]:
        return await asyncio.gather(*(self._send(message, deadline_us) for message in batch))

    async def close(self) -> None:
        """Instances belong to the pool, not to a target."""

    async def _send(self, message: delivery.Message, deadline_us: int) -> delivery.Outcome:
        payload = message.payload()
        if self._asynchronous:
            return self._forward(payload, message.request_id)
        call = Call(
            account=message.account,
            function=self._function,
            qualifier=self._qualifier,
            payload=payload,
            request_id=message.request_id,
            attributes=attributes(message),
            retry_count=message.attempt - 1,
        )
        return await run(self._invoke, call, self._clock, deadline_us)

    def _forward(self, payload: bytes, request_id: str) -> delivery.Outcome:
        if len(payload) > limits.INVOKE_ASYNC_BYTES_MAX:
            text = f"EntityTooLarge: more than {limits.INVOKE_ASYNC_BYTES_MAX} bytes"
            return delivery.failed("poisoned", 413, text)
        asked = delivery.Forward("function", self._function, payload, request_id)
        return delivery.Outcome(True, "ok", 202, "Accepted", forward=asked)


async def run(
    invoke: Invoke, call: Call, clock: clocks.Clock, deadline_us: int
) -> delivery.Outcome:
    """Run `call`, cut off at the deadline, and return what that means for the delivery."""
    wait_s = (deadline_us - clock.mono_us()) / 1_000_000
    try:
        async with asyncio.timeout(max(0.0, wait_s)):
            result = await invoke(call)
    except TimeoutError:
        return delivery.failed("down", 0, f"the function did not answer within {wait_s:.1f} s")
    except errors.HeadraceError as error:
        return not_run(error)
    return answered(result)


def attributes(message: delivery.Message) -> dict[str, str]:
    """Name the delivery to the function, as HTTP targets see it in X-Eventbridge-* headers."""
    return {
        "x-eventbridge-event-id": message.event_id,
        "x-eventbridge-event-source": message.source,
        "x-eventbridge-rule": message.rule,
        "x-eventbridge-attempt": str(message.attempt),
    }


def answered(result: Result) -> delivery.Outcome:
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
