"""Answers kept for ClientToken: a repeated request gets the first one's answer and acts once.

Kept in memory for ten minutes: after a restart a repeat acts again. Failures are not kept, so they
can be retried.
Must never keep an answer across accounts.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from headrace.api import bounds
from headrace.core import errors

if TYPE_CHECKING:
    from headrace.core import clock


class TokenReused(errors.InvalidInput):
    """The ClientToken was used with other parameters."""

    code = "IdempotentParameterMismatch"


class _Kept:
    __slots__ = ("answer", "given", "until_us")

    def __init__(self, given: bytes, answer: asyncio.Future[Any], until_us: int) -> None:
        self.given = given
        self.answer = answer
        self.until_us = until_us


class Answers:
    """Answers by (account, operation, token), oldest dropped first."""

    def __init__(self, clock: clock.Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str, str], _Kept] = OrderedDict()

    async def once(
        self, key: tuple[str, str, str], given: bytes, act: Callable[[], Awaitable[Any]]
    ) -> Any:
        """Return act()'s result, or the one kept for `key`; concurrent repeats wait for the first.

        Raises: TokenReused when `given` differs from the first request's, and whatever `act`
        raises.
        """
        self._forget()
        kept = self._kept.get(key)
        if kept is not None:
            if kept.given != given:
                raise TokenReused(field="ClientToken", got=key[2])
            return await asyncio.shield(kept.answer)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        until_us = self._clock.mono_us() + bounds.IDEMPOTENT_MS * 1000
        self._kept[key] = _Kept(given, future, until_us)
        try:
            answer = await act()
        except BaseException as error:
            self._kept.pop(key, None)
            future.set_exception(_told(error))
            future.exception()  # read here: that nobody else waited is not worth a warning
            raise
        future.set_result(answer)
        return answer

    def _forget(self) -> None:
        now = self._clock.mono_us()
        while self._kept:
            oldest = next(iter(self._kept))
            overfull = len(self._kept) > bounds.IDEMPOTENT_ANSWERS_MAX
            if self._kept[oldest].until_us > now and not overfull:
                return
            del self._kept[oldest]


def _told(error: BaseException) -> Exception:
    """What the waiting repeats are told; a cancellation belongs to the first caller alone."""
    if isinstance(error, Exception):
        return error
    return errors.Unavailable("The first request with this ClientToken was given up; repeat it.")
