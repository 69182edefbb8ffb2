"""The delivery state as one pure state machine: `apply(frame)` and nothing else changes it.

Open deliveries, retries, counters and the account of each rule are all derived from durable frames,
so recovery is snapshot + replay and the same code runs on every engine. Never does I/O, never reads
a clock.

Two laws hold after every frame (store.md §4) and `conservation` checks them:
  1. per subscription: enqueued + carried_in = delivered + dead + dropped + moved_out + open;
  2. per rule: accepted while enabled = matched + filtered, where filtered is derived, never
    counted.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from pyroaring import BitMap64

from headrace.store import ports

# Names of their own: an enumeration looks its members up anew each time.
DELIVERED, MOVED = ports.Verdict.DELIVERED, ports.Verdict.MOVED

#: Marks under this prefix carry the rules of one snapshot: `rules/<bus>/<generation>`.
RULES_MARK = "rules/"
#: Generation of a record that was not matched but copied: carry-forward, re-send, dead letter,
#: queue message.
COPIED = -1


class RuleSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """Value of a rules mark: which rules matched events of a generation, and which exist at all."""

    enabled: tuple[int, ...]
    living: tuple[int, ...]


class Retry(msgspec.Struct, array_like=True):
    """A delivery that failed and is due again `wait_ms` after `at_ms` (wall clock of its frame)."""

    attempt: int
    at_ms: int
    #: -1: parked.
    wait_ms: int

    @property
    def parked(self) -> bool:
        return self.wait_ms < 0


class Deliveries(msgspec.Struct):
    """All deliveries of one subscription: the open ones as a bitmap, the closed ones as counts."""

    subscription: int
    #: Positions of open deliveries.
    open: BitMap64
    retries: dict[int, Retry]
    enqueued: int = 0
    carried_in: int = 0
    delivered: int = 0
    dead: int = 0
    dropped: dict[int, int] = {}
    moved_out: int = 0
    #: Failed attempts that were followed by another one.
    retried: int = 0
    #: Closings of deliveries that were not open (at-least-once: an answer after the close); never
    #: negative law 1.
    stray: int = 0

    @property
    def balance(self) -> int:
        """Law 1: zero, or deliveries appeared or vanished."""
        closed = self.delivered + self.dead + sum(self.dropped.values()) + self.moved_out
        return self.enqueued + self.carried_in - closed - len(self.open)


class RuleAccount(msgspec.Struct):
    """Law 2 of one rule: how many events its bus accepted while it was enabled, and how many it
    matched."""

    accepted_before: int = 0
    #: The bus's `accepted` when the current enabled span began; None while disabled.
    since: int | None = None
    matched: int = 0

    def accepted(self, bus_accepted: int) -> int:
        span = 0 if self.since is None else bus_accepted - self.since
        return self.accepted_before + span


class BusAccount(msgspec.Struct):
    """Law 2 of one bus."""

    accepted: int = 0
    generation: int = -1
    rules: dict[int, RuleAccount] = {}


class Ledger:
    """State of one shard. Not thread-safe: the committer's loop applies, others read on the same
    loop."""

    def __init__(self) -> None:
        self.last: ports.Position = ports.Position(0)
        self.subscriptions: dict[int, Deliveries] = {}
        self.buses: dict[int, BusAccount] = {}
        self._snapshots: dict[tuple[int, int], RuleSnapshot] = {}
        self._split: dict[tuple[int, ...], tuple[tuple[int, ...], tuple[Deliveries, ...]]] = {}

    # -- reading ----------------------------------------------------------------------------------

    def deliveries(self, subscription: int) -> Deliveries:
        """Return the state of `subscription`, made empty on first use."""
        state = self.subscriptions.get(subscription)
        if state is None:
            state = Deliveries(subscription, BitMap64(), {}, dropped={})
            self.subscriptions[subscription] = state
        return state

    def open_after(self, subscription: int, after: int) -> Iterator[int]:
        """Yield open positions of `subscription` greater than `after`, ascending."""
        state = self.subscriptions.get(subscription)
        if state is None or not state.open:
            return iter(())
        return state.open.iter_equal_or_larger(after + 1)

    def pending(self) -> int:
        """How many deliveries are open in all."""
        return sum(len(state.open) for state in self.subscriptions.values())

    # -- changing ---------------------------------------------------------------------------------

    def apply(self, frame: ports.Frame, last: ports.Position) -> None:
        """Take one durable frame into the state; `last` is what the journal returned for it."""
        assert last > self.last, f"frame ends at {last}, the ledger is at {self.last}"
        for name, value in frame.marks.items():
            self._mark(name, value)
        moved = _moves(frame)
        position = int(last) - len(frame.events)
        for record in frame.events:
            position += 1
            self._open(record, position, moved)
        known = self.subscriptions
        for fact in frame.settlements:
            state = known.get(fact.subscription)
            position = fact.position
            if (
                fact.verdict is DELIVERED
                and state is not None
                and not state.retries
                and position in state.open
            ):  # nearly all of them
                state.open.discard(position)
                state.delivered += 1
            else:
                self._settle(fact, frame.at_ms)
        self.last = last

    def _open(self, record: ports.Record, position: int, moved: frozenset[tuple[int, int]]) -> None:
        bus = self.buses.get(record.bus)
        if bus is None:
            bus = self.buses[record.bus] = BusAccount(rules={})
        rules, states = self._parts(record.matches)
        if record.generation != COPIED:
            self._accept(record, bus, rules)
        for state in states:
            origin = int(record.origin or 0)
            if moved and (origin, state.subscription) in moved and origin in state.open:
                self._carry(state, origin, position)
            else:
                state.enqueued += 1
            state.open.add(position)

    def _accept(self, record: ports.Record, bus: BusAccount, rules: tuple[int, ...]) -> None:
        if record.generation != bus.generation:
            self._turn(record.bus, bus, record.generation)
        bus.accepted += 1
        for rule in rules:
            account = bus.rules.get(rule)
            if account is not None:
                account.matched += 1

    def _carry(self, state: Deliveries, old: int, new: int) -> None:
        """A copy keeps the attempts its original had made."""
        state.carried_in += 1
        retry = state.retries.get(old)
        if retry is not None:
            state.retries[new] = retry

    def _settle(self, fact: ports.Settlement, at_ms: int) -> None:
        state = self.deliveries(fact.subscription)
        position = int(fact.position)
        verdict = fact.verdict
        if position not in state.open:
            state.stray += 1
            return
        if not verdict.closes:
            state.retried += 1
            wait_ms = fact.wait_ms if verdict is ports.Verdict.RETRY else -1
            state.retries[position] = Retry(fact.attempt, at_ms, wait_ms)
            return
        state.open.discard(position)
        if state.retries:
            state.retries.pop(position, None)
        _count(state, verdict, fact.code)

    def _parts(self, matches: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[Deliveries, ...]]:
        """Split a match set into rule numbers (kept negative in it) and delivery states; cached."""
        parts = self._split.get(matches)
        if parts is None:
            if len(self._split) > SPLIT_CACHE_MAX:
                self._split.clear()
            rules = tuple(-number for number in matches if number < 0)
            states = tuple(self.deliveries(number) for number in matches if number > 0)
            parts = self._split[matches] = (rules, states)
        return parts

    # -- law 2 ------------------------------------------------------------------------------------

    def _mark(self, name: str, value: bytes | None) -> None:
        if not name.startswith(RULES_MARK) or value is None:
            return
        bus, generation = name[len(RULES_MARK) :].split("/")
        self._snapshots[int(bus), int(generation)] = msgspec.msgpack.decode(
            value, type=RuleSnapshot
        )

    def _turn(self, number: int, bus: BusAccount, generation: int) -> None:
        """The first event of a new rule snapshot: close the spans of what is off, open what is
        on."""
        bus.generation = generation
        snapshot = self._snapshots.pop((number, generation), None)
        if snapshot is None:  # internal buses have no rules
            return
        living, enabled = set(snapshot.living), set(snapshot.enabled)
        for rule in [rule for rule in bus.rules if rule not in living]:
            del bus.rules[rule]
        for rule, account in bus.rules.items():
            if rule not in enabled and account.since is not None:
                account.accepted_before += bus.accepted - account.since
                account.since = None
        for rule in enabled:
            account = bus.rules.setdefault(rule, RuleAccount())
            if account.since is None:
                account.since = bus.accepted
        for stale in [key for key in self._snapshots if key[0] == number and key[1] < generation]:
            del self._snapshots[stale]

    # -- snapshots --------------------------------------------------------------------------------

    def dump(self) -> bytes:
        """Serialise the whole state; `load` of it equals replay from zero."""
        return msgspec.msgpack.encode(
            _Image(
                last=int(self.last),
                subscriptions=[_pack(state) for state in self.subscriptions.values()],
                buses=self.buses,
                snapshots=[(*key, value) for key, value in self._snapshots.items()],
            )
        )

    @classmethod
    def load(cls, image: bytes | None) -> Ledger:
        """Return the ledger that was dumped (an empty one for None)."""
        ledger = cls()
        if image is None:
            return ledger
        read = msgspec.msgpack.decode(image, type=_Image)
        ledger.last = ports.Position(read.last)
        ledger.subscriptions = {row.subscription: _unpack(row) for row in read.subscriptions}
        ledger.buses = read.buses
        ledger._snapshots = {(bus, generation): rules for bus, generation, rules in read.snapshots}
        return ledger


#: Distinct match sets whose parts are remembered; past it the cache starts anew.
SPLIT_CACHE_MAX = 10_000


class _Row(msgspec.Struct, array_like=True):
    subscription: int
    open: bytes
    retries: dict[int, Retry]
    counts: tuple[int, int, int, int, int, int, int]
    dropped: dict[int, int]


class _Image(msgspec.Struct):
    last: int
    subscriptions: list[_Row]
    buses: dict[int, BusAccount]
    snapshots: list[tuple[int, int, RuleSnapshot]]


def _pack(state: Deliveries) -> _Row:
    counts = (
        state.enqueued, state.carried_in, state.delivered, state.dead,
        state.moved_out, state.retried, state.stray,
    )  # fmt: skip
    return _Row(state.subscription, state.open.serialize(), state.retries, counts, state.dropped)


def _unpack(row: _Row) -> Deliveries:
    enqueued, carried_in, delivered, dead, moved_out, retried, stray = row.counts
    return Deliveries(
        row.subscription, BitMap64.deserialize(row.open), row.retries, enqueued, carried_in,
        delivered, dead, row.dropped, moved_out, retried, stray,
    )  # fmt: skip


def _count(state: Deliveries, verdict: ports.Verdict, code: int) -> None:
    if verdict is ports.Verdict.DELIVERED:
        state.delivered += 1
    elif verdict is ports.Verdict.DEAD:
        state.dead += 1
    elif verdict is ports.Verdict.MOVED:
        state.moved_out += 1
    else:
        state.dropped[code] = state.dropped.get(code, 0) + 1


def _moves(frame: ports.Frame) -> frozenset[tuple[int, int]]:
    """The (position, subscription) pairs this frame moves elsewhere."""
    return frozenset(
        [
            (int(fact.position), fact.subscription)
            for fact in frame.settlements
            if fact.verdict is MOVED
        ]
    )
