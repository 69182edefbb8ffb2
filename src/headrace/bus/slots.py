"""Slots: how many attempts of all lanes may be under way at once, and whose turn it is.

Up to the bound everybody starts what it likes; nothing is looked at but the sum. Past it a lane
waits, and what becomes free goes to the account that has the least, its lanes in turn. An account
below its share does not wait until there are twice as many, nor a lane that has nothing under way
until there are half as many more: a target that hangs stops no other one. Pure but for the lanes it
is handed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from headrace.core import shares

if TYPE_CHECKING:
    from headrace.bus import lane

#: Attempts of all lanes under way at once, in units: one for each attempt and one more for each
#: SLOT_BYTES of its event. Past it deliveries wait in their lanes, fairly.
SLOTS_MAX = 2_048
SLOT_BYTES: Final = 64 * 1024


class Slots:
    """The attempts under way of one shard."""

    def __init__(self, most: int = SLOTS_MAX) -> None:
        self.shares = shares.Shares(most)
        #: Lanes that would start something, by account, each in the order of its turns.
        self._waiting: dict[str, dict[lane.Lane, None]] = {}
        #: Those of them that had nothing under way when they came.
        self._firsts: dict[lane.Lane, None] = {}

    @property
    def crowded(self) -> bool:
        """True while lanes wait: then nobody starts before `may_start` says so."""
        return bool(self._waiting) or self.shares.taken >= self.shares.most

    def may_start(self, taker: lane.Lane) -> bool:
        """True when `taker` need not wait; else it is called when its turn comes."""
        if not self.crowded:
            return True
        account = taker.subscription.account
        if self.shares.may_exceed(account, first=not taker.running):
            return True
        self._waiting.setdefault(account, {}).setdefault(taker)
        if not taker.running:
            self._firsts.setdefault(taker)
        return False

    def next(self) -> lane.Lane | None:
        """The lane whose turn it is, while there is room, its account is below its share, or it has
        nothing under way; it has to wait again for more.
        """
        if not self._waiting:
            return None
        account = min(self._waiting, key=self.shares.taken_by)
        units = self.shares
        if units.taken < units.most or units.may_exceed(account, first=False):
            taker = next(iter(self._waiting[account]))
        else:
            found = self._next_first()
            if found is None:
                return None
            taker = found
        self.forget(taker)
        return taker

    def _next_first(self) -> lane.Lane | None:
        while self._firsts:
            taker = next(iter(self._firsts))
            if taker.running:  # it got a turn of another kind since
                del self._firsts[taker]
            elif self.shares.may_exceed(taker.subscription.account, first=True):
                return taker
            else:
                return None
        return None

    def forget(self, taker: lane.Lane) -> None:
        """The lane waits no more; what it has under way ends by itself."""
        self._firsts.pop(taker, None)
        lanes = self._waiting.get(taker.subscription.account)
        if lanes is not None and taker in lanes:
            del lanes[taker]
            if not lanes:
                del self._waiting[taker.subscription.account]
