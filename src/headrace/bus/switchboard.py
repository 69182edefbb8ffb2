"""The red switches in force: which lane may start a delivery, which request is refused.

Follows the catalog synchronously, so a switch works from the moment it was answered. Looks at the
switches when one is turned and leaves what that means where it is needed: a word on each lane, one
flag for requests. Must never be asked for each event, and never touches a delivery: what is held
keeps its attempts and its time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import msgspec

from headrace.bus import deliver
from headrace.bus import subscription as subscriptions
from headrace.core import errors
from headrace.resources import catalog as catalogs
from headrace.resources import editing, model, switches

log = logging.getLogger(__name__)


class Board(msgspec.Struct, frozen=True):
    """What all switches together say."""

    pause_all: bool = False
    read_only: bool = False
    drain: bool = False
    accounts: frozenset[str] = frozenset()
    #: (account, name of the subscription).
    targets: frozenset[tuple[str, str]] = frozenset()

    def holding(self, account: str, name: str) -> str:
        """Return the switch that keeps the deliveries of a subscription from starting, "" for
        none; the widest one if there are several.
        """
        if self.drain:
            return "drain"
        if self.pause_all:
            return "pause-all"
        if account in self.accounts:
            return switches.name_of("pause-account", account)
        if (account, name) in self.targets:
            return switches.name_of("pause-target", name)
        return ""


def board_of(found: Iterable[model.Switch]) -> Board:
    """Return what the switches that are on mean."""
    on = [switch for switch in found if switch.on]
    kinds = {switch.kind for switch in on}
    return Board(
        "pause-all" in kinds,
        "read-only" in kinds,
        "drain" in kinds,
        frozenset(switch.of for switch in on if switch.kind == "pause-account"),
        frozenset((switch.account, switch.of) for switch in on if switch.kind == "pause-target"),
    )


class Switchboard:
    """The switches of one server, applied to the lanes of one shard."""

    def __init__(self, catalog: catalogs.Catalog, dispatcher: deliver.Dispatcher) -> None:
        self._catalog = catalog
        self._dispatcher = dispatcher
        self.board = Board()
        #: Some requests are refused: looked at for each, so it is an attribute and no question.
        self.closed = False
        #: Every switch that is remembered, on or off.
        self.known: list[model.Switch] = []
        dispatcher.held_by = self.held_by

    def open(self) -> None:
        """Read the switches, before any lane is made, and follow them from here on."""
        self._read()
        for switch in self.on:
            name, flip = switches.name_of(switch.kind, switch.of), switch.flips[-1]
            log.warning("the switch %s is on, by %s: %s", name, flip.by, flip.reason or "no reason")
        self._catalog.on_change(self._changed)

    @property
    def on(self) -> list[model.Switch]:
        return [switch for switch in self.known if switch.on]

    def held_by(self, subscription: subscriptions.Subscription) -> str:
        """Return the switch that holds the deliveries of a subscription, "" for none."""
        return self.board.holding(subscription.account, subscription.name)

    def holding(self, number: int, position: int) -> str:
        """Return the switch that holds this delivery; "" when none does or it is under way."""
        taker = self._dispatcher.lanes.get(number)
        return "" if taker is None or position in taker.running else taker.paused_by

    def refuse_changes(self) -> None:
        """Raises: errors.ReadOnly while nothing may be changed from outside."""
        if self.board.read_only:
            raise errors.ReadOnly

    def refuse_calls(self) -> None:
        """Raises: errors.Draining while no invocation may begin."""
        if self.board.drain:
            raise errors.Draining

    def _changed(self, changes: Sequence[editing.Changed]) -> None:
        if not any(change.kind == editing.SWITCH.name for change in changes):
            return
        self._read()
        for taker in self._dispatcher.lanes.values():
            taker.hold(self.held_by(taker.subscription))

    def _read(self) -> None:
        self.known = self._catalog.switches()
        self.board = board_of(self.known)
        self.closed = self.board.read_only or self.board.drain
