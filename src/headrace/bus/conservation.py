"""The two conservation laws, read off the ledger: what `/metrics` exports and an operator looks at.

The recount that checks them from the rows is `store/sqlite/recount.py`; it shares nothing with
this.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from headrace.bus import ledger as ledgers


class SubscriptionBooks(msgspec.Struct, frozen=True):
    """Law 1: enqueued + carried_in = delivered + dead + dropped + moved_out + open."""

    subscription: int
    name: str
    enqueued: int
    carried_in: int
    delivered: int
    dead: int
    dropped: int
    moved_out: int
    open: int
    retried: int
    stray: int
    #: Zero, or deliveries appeared or vanished.
    balance: int
    #: Open deliveries whose last attempt failed.
    failing: int = 0


class RuleBooks(msgspec.Struct, frozen=True):
    """Law 2: accepted while enabled = matched + filtered."""

    rule: int
    name: str
    accepted: int
    matched: int
    filtered: int
    #: Zero, or the rule matched more than its bus accepted.
    balance: int


class Books(msgspec.Struct, frozen=True):
    subscriptions: list[SubscriptionBooks]
    rules: list[RuleBooks]

    @property
    def balanced(self) -> bool:
        return not any(row.balance for row in (*self.subscriptions, *self.rules))


def books(ledger: ledgers.Ledger, name_of: Callable[[int], str | None]) -> Books:
    """Both laws for everything the ledger knows."""
    return Books(
        [_subscription(state, name_of) for state in ledger.subscriptions.values()],
        [
            _rule(number, account, bus.accepted, name_of)
            for bus in ledger.buses.values()
            for number, account in bus.rules.items()
        ],
    )


def _subscription(
    state: ledgers.Deliveries, name_of: Callable[[int], str | None]
) -> SubscriptionBooks:
    return SubscriptionBooks(
        state.subscription, name_of(state.subscription) or "", state.enqueued, state.carried_in,
        state.delivered, state.dead, sum(state.dropped.values()), state.moved_out,
        len(state.open), state.retried, state.stray, state.balance, len(state.retries),
    )  # fmt: skip


def _rule(
    number: int,
    account: ledgers.RuleAccount,
    bus_accepted: int,
    name_of: Callable[[int], str | None],
) -> RuleBooks:
    accepted = account.accepted(bus_accepted)
    filtered = accepted - account.matched
    return RuleBooks(
        number, name_of(number) or "", accepted, account.matched, max(0, filtered), min(0, filtered)
    )
