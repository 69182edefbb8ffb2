"""Turns of the event loop: how much work that came in begins before the sockets are looked at
again.

Everything that is ready in one turn runs before the loop reads the next byte or accepts the next
connection. So what is large begins a few at a time, in the order in which it came; nothing of it is
refused here, and what is small and few notices nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from headrace.api import bounds


class Turns:
    """The requests of one loop that have come and not begun."""

    def __init__(self) -> None:
        self._left = bounds.TURN_UNITS_MAX
        self._waiting: deque[tuple[Callable[[], None], int]] = deque()
        self._armed = False

    def may_begin(self, units: int) -> bool:
        """True when so much may begin in this turn; it is counted then."""
        if self._waiting or self._left <= 0:
            return False
        self._left -= units
        if not self._armed:
            self._arm()
        return True

    def wait(self, begin: Callable[[], None], units: int) -> None:
        """Call `begin` when its turn has come."""
        self._waiting.append((begin, units))

    def _arm(self) -> None:
        self._armed = True
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        """A turn is over: what waits begins, and is run in the next one."""
        self._armed = False
        self._left = bounds.TURN_UNITS_MAX
        while self._waiting and self._left > 0:
            begin, units = self._waiting.popleft()
            self._left -= units
            begin()
        if self._left < bounds.TURN_UNITS_MAX:
            self._arm()
