"""The gate: how many publishing requests are worked on at once, and whose.

What is let in waits for nothing but its turn and the disk, so their number is what the slowest of
them waits for. What finds the gate full is told so at once, before anybody looked at its signature:
that is what keeps a burst cheap. Owns that decision; must never let a request wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from headrace.api import bounds, http
from headrace.core import clock as clocks
from headrace.core import errors, shares

#: Account and units of one request that is worked on.
Entered: TypeAlias = tuple[str, int]


class Busy(errors.Unavailable):
    """The server works on as many publishing requests as it takes."""

    remedy = "Send it again after the pause that Retry-After names; publish in larger batches."


class Gate:
    """Publishing requests under way."""

    def __init__(self, account_of: Callable[[http.Request], str], clock: clocks.Clock) -> None:
        """account_of: whose request it claims to be, unproven; "" when it does not say."""
        self._account_of = account_of
        self._clock = clock
        #: While a burst lasts: when the last request was refused.
        self._refused_us: int | None = None
        self.shares = shares.Shares(bounds.PUBLISHING_UNITS_MAX)
        self.refused = 0

    def enter(self, request: http.Request, body_bytes: int) -> Entered:
        """Let a request begin; hand what this returns to `leave`. Raises: Busy, errors.ShareUsed
        (others want the server, too).
        """
        if self._refused_us is not None:
            self._look_for_its_end(self._refused_us)
        units = 1 + body_bytes // bounds.PUBLISHING_UNIT_BYTES
        account = self._account_of(request)
        if not self.shares.allows(account, units):
            self.refused += 1
            self._refused_us = self._clock.mono_us()
            self.shares.most = bounds.PUBLISHING_UNITS_IN_BURST_MAX
            raise self._refusal(account)
        self.shares.take(account, units)
        return account, units

    def leave(self, entered: Entered) -> None:
        self.shares.give_back(*entered)

    def _look_for_its_end(self, refused_us: int) -> None:
        if self._clock.mono_us() - refused_us > bounds.PUBLISHING_BURST_MS * 1000:
            self._refused_us = None
            self.shares.most = bounds.PUBLISHING_UNITS_MAX

    def _refusal(self, account: str) -> errors.HeadraceError:
        if not self.shares.contended(account):
            return Busy()
        return errors.ShareUsed.of("publishing", self.shares.share(account), "requests in progress")
