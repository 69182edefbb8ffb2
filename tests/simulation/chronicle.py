"""An account of the journal of its own: every frame, told to it when it is durable.

Shares no code with the ledger: plain sets and counts. Checks what a frame may say (attempt numbers,
who may close what, letters, copies) and what the ledger must have made of all of them.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from headrace.bus import ledger as ledgers
from headrace.store import ports

if TYPE_CHECKING:
    from tests.simulation import world as worlds

V = ports.Verdict


class Life:
    """One delivery as the journal tells it."""

    __slots__ = ("attempt", "closed", "position", "root", "subscription")

    def __init__(self, position: int, subscription: int, root: int, attempt: int) -> None:
        self.position = position
        self.subscription = subscription
        #: Position of the original; a carried copy goes on with its attempts.
        self.root = root
        #: Of the last settlement.
        self.attempt = attempt
        self.closed: ports.Verdict | None = None


class Tally:
    """What the ledger should say of one subscription."""

    def __init__(self) -> None:
        self.open: set[int] = set()
        self.counts: Counter[str] = Counter()


class Chronicle:
    """All durable frames of one run."""

    def __init__(self, world: worlds.World) -> None:
        self._world = world
        self.lives: dict[tuple[int, int], Life] = {}
        self.tallies: dict[int, Tally] = {}
        self.accepted: Counter[int] = Counter()
        #: rule number -> events accepted while it was enabled, and matched.
        self.enabled: Counter[int] = Counter()
        self.matched: Counter[int] = Counter()
        #: event id -> position, of what was accepted (no copies).
        self.events: dict[str, int] = {}
        self.frames = 0
        self.last = 0

    def durable(self, frame: ports.Frame, last: ports.Position) -> None:
        """A frame has reached the disk."""
        check = self._world.history.check
        self.frames += 1
        first = int(last) - len(frame.events) + 1
        check(first > self.last + 1 - (self.last == 0), "positions ascend", first, self.last)
        self.last = int(last)
        moved = {
            (int(f.position), f.subscription) for f in frame.settlements if f.verdict is V.MOVED
        }
        for at, record in enumerate(frame.events):
            self._record(first + at, record, moved)
        for fact in frame.settlements:
            self._fact(fact)
        self._check_brought(frame, moved)

    # -- events -------------------------------------------------------------------

    def _record(self, position: int, record: ports.Record, moved: set[tuple[int, int]]) -> None:
        if record.generation != ledgers.COPIED:
            self._accepted(position, record)
        origin = int(record.origin or 0)
        for number in record.matches:
            if number < 0:
                continue
            tally = self.tally(number)
            known = self.lives.get((origin, number)) if (origin, number) in moved else None
            carried = known is not None and known.closed is None
            tally.counts["carried_in" if carried else "enqueued"] += 1
            tally.open.add(position)
            root, attempt = (known.root, known.attempt) if known and carried else (position, 0)
            self.lives[position, number] = Life(position, number, root, attempt)

    def _accepted(self, position: int, record: ports.Record) -> None:
        world = self._world
        head = msgspec.json.decode(record.body)
        event_id = head["id"]
        world.history.check(
            event_id not in self.events, "an event is stored once", event_id, position
        )
        self.events[event_id] = position
        self.accepted[record.bus] += 1
        enabled, matched, numbers = world.rulebook.expected(record.generation, head)
        for rule in enabled:
            self.enabled[rule] += 1
        for rule in matched:
            self.matched[rule] += 1
        expected = tuple(sorted([*(-rule for rule in matched), *numbers]))
        world.history.check(
            expected == record.matches,
            "an event goes to whom its rules say", event_id, expected, record.matches,
        )  # fmt: skip
        world.clients.stored(event_id, position, record.generation)

    def tally(self, number: int) -> Tally:
        tally = self.tallies.get(number)
        if tally is None:
            tally = self.tallies[number] = Tally()
        return tally

    # -- settlements --------------------------------------------------------------

    def _fact(self, fact: ports.Settlement) -> None:
        check, at = self._world.history.check, (int(fact.position), fact.subscription)
        life = self.lives.get(at)
        if life is None:
            check(False, "only deliveries are settled", at, fact.verdict.name)
            return
        tally = self.tally(fact.subscription)
        if life.closed is not None:
            # A delete drops what was open when it came; an answer may be on its way to the disk.
            # And retention moves what is on its way for a rule that is gone.
            gone = V.DROPPED in (fact.verdict, life.closed) or not self._is_living(life)
            check(gone, "a closed delivery stays closed", at, life.closed, fact.verdict)
            tally.counts["stray"] += 1
            return
        if fact.verdict in (V.DELIVERED, V.DEAD, V.RETRY, V.PARKED):
            expected = life.attempt + 1
            check(fact.attempt == expected, "attempts count up by one", at, fact.attempt, expected)
            self._world.watch.settled(life, fact)
            life.attempt = fact.attempt
        if fact.verdict in (V.RETRY, V.PARKED):
            tally.counts["retried"] += 1
            return
        self._close(life, fact, tally)

    def _is_living(self, life: Life) -> bool:
        return self._world.rulebook.is_living(life.subscription)

    def _close(self, life: Life, fact: ports.Settlement, tally: Tally) -> None:
        life.closed = fact.verdict
        if fact.verdict is not V.MOVED:
            self._world.watch.closed(life)
        tally.open.discard(life.position)
        if fact.verdict is V.DROPPED:
            tally.counts[f"dropped {fact.code}"] += 1
            if fact.code in (ports.DropReason.RULE_DELETED, ports.DropReason.FUNCTION_DELETED):
                words = (life.position, life.subscription)
                gone = not self._is_living(life)
                self._world.history.check(gone, "only what was deleted is dropped", *words)
        else:
            tally.counts[fact.verdict.name] += 1

    def _check_brought(self, frame: ports.Frame, moved: set[tuple[int, int]]) -> None:
        """Letters, queue messages and calls stand in the frame of the settlement that brings them,
        one for each."""
        bus_of, watch = self._world.bus_number, self._world.watch
        internal = {bus_of(name) for name in ("~dead", "~queues", "~async")}
        expected = Counter[tuple[int, int]]()
        resent: set[int] = set()
        for fact in frame.settlements:
            position = int(fact.position)
            if fact.verdict is V.DEAD:
                expected[position, bus_of("~dead")] += 1
            elif fact.verdict is V.DELIVERED and (brings := watch.brought(fact)):
                expected[position, bus_of(brings)] += 1
            elif fact.verdict is V.DROPPED and fact.code == ports.DropReason.RESENT:
                resent.add(position)
        found = Counter(
            (int(record.origin), record.bus)
            for record in frame.events
            if record.bus in internal and record.origin is not None
            and record.origin not in resent
            and not any((record.origin, number) in moved for number in record.matches)
        )  # fmt: skip
        check = self._world.history.check
        check(expected == found, "a verdict brings forth one record", expected, found)

    # -- comparing ----------------------------------------------------------------

    def compare(self, ledger: ledgers.Ledger) -> None:
        """The ledger says what the frames say, for every subscription, bus and rule."""
        check = self._world.history.check
        for number in self.tallies.keys() | ledger.subscriptions.keys():
            told, kept = self.tally(number), ledger.deliveries(number)
            check(told.open == set(kept.open), "the ledger knows what is open", number,
                  sorted(told.open ^ set(kept.open))[:5])  # fmt: skip
            expected = told.counts
            found = Counter(
                enqueued=kept.enqueued, carried_in=kept.carried_in, DELIVERED=kept.delivered,
                DEAD=kept.dead, MOVED=kept.moved_out, retried=kept.retried, stray=kept.stray,
            ) + Counter({f"dropped {code}": n for code, n in kept.dropped.items()})  # fmt: skip
            check(+expected == +found, "the ledger counts what was written", number, expected,
                  found)  # fmt: skip
        for bus, account in ledger.buses.items():
            check(account.accepted == self.accepted[bus], "accepted events are counted", bus,
                  account.accepted, self.accepted[bus])  # fmt: skip
            for rule, kept_rule in account.rules.items():
                found_rule = (kept_rule.accepted(account.accepted), kept_rule.matched)
                expected_rule = (self.enabled[rule], self.matched[rule])
                check(found_rule == expected_rule, "every rule's account is right", rule,
                      found_rule, expected_rule)  # fmt: skip
