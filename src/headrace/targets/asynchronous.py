"""The sender behind a function's asynchronous queue: runs the function with what it was sent.

Owns nothing but the way from a queued call to `begin`; retries and dead letters belong to the
queue's subscription like those of any other target.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import msgspec

from headrace.core import calling, delivery
from headrace.core import clock as clocks
from headrace.targets import function


class CallSender:
    """Runs queued calls of one function."""

    def __init__(self, name: str, clock: clocks.Clock, *, begin: calling.Begin) -> None:
        self._name = name
        self._caller = function.Caller(begin, clock)

    async def send(
        self, batch: Sequence[delivery.Message], deadline_us: int
    ) -> Sequence[delivery.Outcome]:
        return await function.waited(self, batch, deadline_us)

    def start(
        self, message: delivery.Message, deadline_us: int, answered: delivery.Answered
    ) -> delivery.Attempt | None:
        """See `delivery.Starter`."""
        try:
            payload = payload_of(message.body)
        except ValueError as error:
            answered(delivery.failed("poisoned", 0, f"not an asynchronous call: {error}"))
            return None
        call = calling.Call(
            account=message.account,
            function=self._name,
            payload=payload,
            # The id the caller was told: logs, trace and answer share it, over every try.
            request_id=message.event_id,
            retry_count=message.attempt - 1,
        )
        return self._caller.start(call, deadline_us, answered)

    async def close(self) -> None:
        """Instances belong to the pool."""


class _Waiting(msgspec.Struct):
    """The member of a queued call's record that matters here."""

    data_base64: str


def payload_of(body: bytes) -> bytes:
    """Return the bytes a queued call carries. Raises: ValueError."""
    try:
        waiting = msgspec.json.decode(body, type=_Waiting)
        return base64.b64decode(waiting.data_base64, validate=True)
    except (msgspec.DecodeError, binascii.Error) as error:
        raise ValueError(str(error)) from error
