"""Shares: how one bounded thing is divided among the accounts that want it at the same moment.

Pure. One account alone may have all of it. When several compete, each gets at least its share, all
parts equal: who comes into a full house is let in up to its share, and who holds more gets nothing
new until it is back at its own. So nothing that was granted is taken away, and no part lies idle.
"""

from __future__ import annotations


class Shares:
    """One thing, `most` units of it; that may be made less for a while."""

    __slots__ = ("_all_most", "_by", "most", "taken")

    def __init__(self, most: int) -> None:
        self.most = most
        self._all_most = 2 * most
        self.taken = 0
        self._by: dict[str, int] = {}

    def allows(self, account: str, amount: int) -> bool:
        """True when `account` may have `amount` more now.

        All together never have more than twice what there is, but for this: an account that has
        nothing gets one thing, however large.
        """
        if self.taken + amount <= self.most:
            return True
        mine = self._by.get(account, 0)
        if not mine:
            return True
        return mine + amount <= self.share(account) and self.taken + amount <= self._all_most

    def take(self, account: str, amount: int) -> None:
        self.taken += amount
        self._by[account] = self._by.get(account, 0) + amount

    def give_back(self, account: str, amount: int) -> None:
        """Only what was taken."""
        left = self._by[account] - amount
        assert left >= 0, f"{account} gives back more than it has"
        self.taken -= amount
        if left:
            self._by[account] = left
        else:
            del self._by[account]

    def taken_by(self, account: str) -> int:
        return self._by.get(account, 0)

    def share(self, account: str) -> int:
        """What `account` may have in any case, beside those that have something now."""
        return max(1, self.most // (len(self._by) + (account not in self._by)))

    def contended(self, account: str) -> bool:
        """True when others have something of it, too."""
        return len(self._by) > (account in self._by)
