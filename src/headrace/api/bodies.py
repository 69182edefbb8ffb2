"""The memory that the bodies and long heads of all requests take while they arrive, signed or not.

A body that arrives with its head costs nothing here: it is worked on at once. Any other counts from
its first byte, whichever way its request goes. Must never count what was only announced: a client
could take all room with a few words.
"""

from __future__ import annotations

from headrace.api import bounds
from headrace.core import errors


class BodiesTooMany(errors.Unavailable):
    """Too many large requests are being read at once."""

    remedy = "Send it again after a short pause."


class Bodies:
    """What all of them together have taken, in bytes."""

    __slots__ = ("taken",)

    def __init__(self) -> None:
        self.taken = 0


class Share:
    """What one request, or all that one client sent ahead, has of it."""

    __slots__ = ("_all", "_mine")

    def __init__(self, bodies: Bodies) -> None:
        self._all = bodies
        self._mine = 0

    def add(self, more: int) -> bool:
        """Note that `more` bytes have come; False when there is no room for them."""
        if self._all.taken + more > bounds.BODIES_BYTES_MAX:
            return False
        self._mine += more
        self._all.taken += more
        return True

    def raise_to(self, size: int) -> bool:
        """Note that it is `size` bytes by now; False when there is no room for them."""
        return size <= self._mine or self.add(size - self._mine)

    def release(self) -> None:
        self._all.taken -= self._mine
        self._mine = 0
