"""Shares: how one bounded thing is divided among the accounts that want it at the same moment.

Pure. One account alone may have all of it. When several compete, each gets at least its share, all
parts equal: who comes into a full house is let in up to its share, and who holds more gets nothing
new until it is back at its own. So nothing that was granted is taken away, and no part lies idle.
While there is only one account, nothing is kept but the sum.
"""

from __future__ import annotations


class Shares:
    """One thing, `most` units of it; that may be made less for a while."""

    __slots__ = ("_all_most", "_by", "_firsts_most", "_sole", "most", "taken")

    def __init__(self, most: int) -> None:
        self.most = most
        self._all_most = 2 * most
        #: What is the first of its kind must leave the rest to accounts below their share.
        self._firsts_most = most + (most + 1) // 2
        self.taken = 0
        #: The only account so far, None for none; and what each has once there are several.
        self._sole: str | None = None
        self._by: dict[str, int] | None = None

    def allows(self, account: str, amount: int) -> bool:
        """True when `account` may have `amount` more now.

        All together never have more than twice what there is, but for this: an account that has
        nothing gets one thing, however large.
        """
        if not amount or self.taken + amount <= self.most:
            return True
        mine = self.taken_by(account)
        if not mine:
            return True
        return mine + amount <= self.share(account) and self.taken + amount <= self._all_most

    def may_exceed(self, account: str, *, first: bool) -> bool:
        """True when `account` may have one thing more although there is none left.

        first: it is the first of its kind, as a target's only attempt: those that hang must not
        stop it. An account that has nothing gets one, as in `allows`.
        """
        if self.contended(account):
            mine = self.taken_by(account)
            if not mine:
                return True
            if mine < self.share(account):
                return self.taken < self._all_most
        return first and self.taken < self._firsts_most

    def take(self, account: str, amount: int) -> None:
        if not amount:
            return
        self.taken += amount
        if self._by is None:
            if account == self._sole:
                return
            if self._sole is None:
                self._sole = account
                return
            had = self.taken - amount
            self._by = {self._sole: had} if had else {}
        self._by[account] = self._by.get(account, 0) + amount

    def give_back(self, account: str, amount: int) -> None:
        """Only what was taken."""
        if not amount:
            return
        self.taken -= amount
        assert self.taken >= 0, "more was given back than taken"
        if self._by is None:
            return
        left = self._by[account] - amount
        assert left >= 0, f"{account} gives back more than it has"
        if left:
            self._by[account] = left
        else:
            del self._by[account]

    def taken_by(self, account: str) -> int:
        if self._by is None:
            return self.taken if account == self._sole else 0
        return self._by.get(account, 0)

    def share(self, account: str) -> int:
        """What `account` may have in any case, beside those that have something now."""
        return max(1, self.most // (self._others(account) + 1))

    def contended(self, account: str) -> bool:
        """True when others have something of it, too."""
        return self._others(account) > 0

    def _others(self, account: str) -> int:
        if self._by is None:
            return int(self.taken > 0 and account != self._sole)
        return len(self._by) - (account in self._by)
