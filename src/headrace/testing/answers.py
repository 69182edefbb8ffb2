"""What a simulated receiver answers, and what that means for the delivery.

Owns the way from a Python callable to an outcome, by the rules of the real HTTP target. Must never
decide about a retry: the bus does.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from headrace.core import clock as clocks
from headrace.core import delivery


class Answer(msgspec.Struct, frozen=True):
    """What a receiver says when a bare status is not enough."""

    status: int = 200
    #: Retry-After in seconds.
    retry_after_s: int | None = None
    body: str = ""


#: Takes the event (or what its transform made of it); returns a status, an `Answer`, or anything
#: else for 200. What it raises is a receiver that failed: 500. May be `async`: its waiting takes
#: virtual time, and is cut off at the deadline of an attempt.
Receiver = Callable[[Any], object | Awaitable[object]]


class ReceiverSender:
    """Delivers to a callable."""

    def __init__(self, receiver: Receiver, clock: clocks.Clock) -> None:
        self._receiver = receiver
        self._clock = clock

    async def send(
        self, batch: Sequence[delivery.Message], deadline_us: int
    ) -> Sequence[delivery.Outcome]:
        return [await self._send(message, deadline_us) for message in batch]

    async def close(self) -> None:
        """Nothing is held."""

    async def _send(self, message: delivery.Message, deadline_us: int) -> delivery.Outcome:
        wait_s = (deadline_us - self._clock.mono_us()) / 1_000_000
        try:
            async with asyncio.timeout(wait_s):
                said = self._receiver(shown(message.payload()))
                if inspect.isawaitable(said):
                    said = await said
        except TimeoutError:
            return delivery.failed("down", 0, f"no complete answer within {wait_s:.1f} s")
        except Exception as fault:  # the code under test failed: the attempt did, the bus goes on
            return delivery.failed("down", 500, f"{type(fault).__name__}: {fault}")
        return outcome_of(said, self._clock)


def shown(payload: bytes) -> Any:
    """Return a payload as a receiver's framework would: decoded JSON, else text."""
    try:
        return msgspec.json.decode(payload)
    except msgspec.DecodeError:
        return payload.decode("utf-8", "replace")


def outcome_of(said: object, clock: clocks.Clock) -> delivery.Outcome:
    """Translate an answer as the HTTP target does."""
    if isinstance(said, bool) or not isinstance(said, int | Answer):
        return delivery.delivered(200)
    answer = said if isinstance(said, Answer) else Answer(said)
    # The HTTP client comes along with it, so it is loaded by the first who needs it.
    from headrace.targets import http

    after = None if answer.retry_after_s is None else str(answer.retry_after_s)
    return http.classify(answer.status, after, answer.body.encode(), clock)
