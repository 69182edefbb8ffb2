"""The compiled rules of every bus: numbered, immutable snapshots that `accept` matches against.

Follows the catalog's change feed synchronously, so a rule that was answered matches the next event.
Owns which subscriptions exist; the dispatcher owns their deliveries. A snapshot is compiled when
the first event needs it, so a thousand edits in a row cost one compilation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from headrace.bus import commit, deliver, letters
from headrace.bus import ledger as ledgers
from headrace.bus import subscription as subscriptions
from headrace.core import delivery, pattern, retry, transform
from headrace.resources import catalog as catalogs
from headrace.resources import editing, model, settings
from headrace.store import ports, refusing

#: Distinct sets of matching rules whose match tuples a plan remembers.
MATCH_SETS_MAX = 10_000
#: Rule snapshots of one bus whose marks are kept for the recount.
SNAPSHOT_MARKS_MAX = 64

SenderOf = Callable[[str, model.Rule, model.Target], delivery.Sender]


class Plan:
    """What one bus matches against; immutable once an event was matched."""

    __slots__ = (
        "_members",
        "_sets",
        "bus",
        "generation",
        "has_rules",
        "match",
        "reads_data",
        "snapshot",
    )

    def __init__(self, bus: int, generation: int, rules: Sequence[Routed]) -> None:
        enabled = [routed for routed in rules if routed.rule.status == "ENABLE"]
        matcher = pattern.Matcher((routed.rule.number, routed.pattern) for routed in enabled)
        self.bus = bus
        self.generation = generation
        self.match: Callable[[Mapping[str, Any]], list[int]] = matcher.match
        self.reads_data = matcher.reads_data
        self.has_rules = bool(enabled)
        self.snapshot = ledgers.RuleSnapshot(
            enabled=tuple(routed.rule.number for routed in enabled),
            living=tuple(routed.rule.number for routed in rules),
        )
        self._members = {routed.rule.number: routed.numbers for routed in enabled}
        self._sets: dict[tuple[int, ...], tuple[int, ...]] = {}

    def matches(self, rules: Sequence[int]) -> tuple[int, ...]:
        """The match set to record: the rules' numbers negated, then the subscriptions of their
        targets."""
        key = tuple(rules)
        known = self._sets.get(key)
        if known is None:
            if len(self._sets) >= MATCH_SETS_MAX:
                self._sets.clear()
            numbers = [-rule for rule in key]
            for rule in key:
                numbers.extend(self._members[rule])
            known = self._sets[key] = tuple(sorted(numbers))
        return known


class Routed(msgspec.Struct, frozen=True):
    """One rule with its compiled pattern."""

    rule: model.Rule
    pattern: pattern.Pattern
    #: Registry revision that wrote the rule last: from this generation on it matches as it is.
    revision: int

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(target.subscription for target in self.rule.targets)


class Routing:
    """Every bus's rules, and the subscriptions they and the functions and queues compile to."""

    def __init__(
        self,
        catalog: catalogs.Catalog,
        registry: ports.Registry,
        dispatcher: deliver.Dispatcher,
        committer: commit.Committer,
        postbox: letters.Postbox,
        *,
        sender_of: SenderOf,
        call_sender: Callable[[str, model.Function], delivery.Sender],
        call_policy: Callable[[str, model.Function], retry.RetryPolicy],
    ) -> None:
        self._catalog = catalog
        self._registry = registry
        self._dispatcher = dispatcher
        self._committer = committer
        self._postbox = postbox
        self._sender_of = sender_of
        self._call_sender = call_sender
        self._call_policy = call_policy
        self._rules: dict[tuple[str, str], dict[str, Routed]] = {}
        self._generations: dict[tuple[str, str], int] = {}
        self._plans: dict[tuple[str, str], Plan] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self._marks: dict[int, list[str]] = {}
        self._start = 0
        #: Live subscriptions by number.
        self.subscriptions: dict[int, subscriptions.Subscription] = {}
        #: Deliveries dropped because their rule, function or queue was deleted, since the start.
        self.dropped = 0

    # -- start ------------------------------------------------------------------------------------

    def open(self, revision: int, marks: Mapping[str, bytes]) -> None:
        """Compile all that exists and follow every change from here on."""
        self._start = revision
        for name in sorted(filter(_is_rules_mark, marks), key=_generation_of):
            bus = int(name.split("/")[1])
            self._marks.setdefault(bus, []).append(name)
        for queue in self._catalog.walk(editing.QUEUE):
            self._queue(queue.account, None, queue.record)
        for function in self._catalog.walk(editing.FUNCTION):
            self._function(function.account, None, function.record)
        for rule in self._catalog.walk(editing.RULE):
            self._rule(rule.account, None, rule.record, rule.revision)
        self._catalog.on_change(self._changed)

    def orphans(self, ledger: ledgers.Ledger) -> list[int]:
        """Subscriptions with open deliveries that nothing in the catalog stands for (a crash
        mid-delete)."""
        passive = self._dispatcher.passive
        return [
            number
            for number, state in ledger.subscriptions.items()
            if state.open and number not in self.subscriptions and number not in passive
        ]

    # -- reading ----------------------------------------------------------------------------------

    def current(self, account: str, bus: str) -> Plan:
        """The current snapshot of a bus whose number is known; its mark goes ahead of its first
        event."""
        made = self._plans.get((account, bus))
        if made is None:
            rules = list(self._rules.get((account, bus), {}).values())
            generation = self._generations.get((account, bus), self._start)
            made = Plan(self._numbers[account, bus], generation, rules)
            self._plans[account, bus] = made
            self._write_mark(made)
        return made

    def reads_data(self, account: str, bus: str) -> bool:
        """True when the rules of a bus look beyond an event's attributes."""
        return self.is_numbered(account, bus) and self.current(account, bus).reads_data

    def rules(self, account: str, bus: str) -> list[Routed]:
        return list(self._rules.get((account, bus), {}).values())

    def is_numbered(self, account: str, bus: str) -> bool:
        return (account, bus) in self._numbers

    async def number(self, account: str, bus: str) -> int:
        """The interned number of a bus, allotted on first use."""
        number = self._numbers.get((account, bus))
        if number is None:
            with refusing.refused():
                number = await self._registry.intern(f"{account}/bus/{bus}")
            self._numbers[account, bus] = number
        return number

    def _write_mark(self, plan: Plan) -> None:
        name = f"{ledgers.RULES_MARK}{plan.bus}/{plan.generation}"
        kept = self._marks.setdefault(plan.bus, [])
        if name not in kept:
            kept.append(name)
        self._committer.mark(name, msgspec.msgpack.encode(plan.snapshot))
        while len(kept) > SNAPSHOT_MARKS_MAX:
            self._committer.mark(kept.pop(0), None)

    # -- following the catalog --------------------------------------------------------------------

    def _changed(self, changes: Sequence[editing.Changed]) -> None:
        for change in changes:
            before, after = change.before, change.after
            known = after if after is not None else before
            if isinstance(known, model.Rule):
                self._rule(
                    change.account, _as(model.Rule, before), _as(model.Rule, after), change.revision
                )
            elif isinstance(known, model.Function):
                self._function(
                    change.account, _as(model.Function, before), _as(model.Function, after)
                )
            elif isinstance(known, model.Queue):
                self._queue(change.account, _as(model.Queue, before), _as(model.Queue, after))

    def _rule(
        self, account: str, before: model.Rule | None, after: model.Rule | None, revision: int
    ) -> None:
        known = after or before
        assert known is not None, "a change has a before or an after"
        key = (account, known.bus)
        rules = self._rules.setdefault(key, {})
        if after is None:
            rules.pop(known.name, None)
        else:
            rules[after.name] = Routed(after, pattern.compile(after.pattern), revision)
        self._generations[key] = max(revision, self._generations.get(key, self._start))
        self._plans.pop(key, None)
        new = {target.subscription: target for target in (after.targets if after else ())}
        old = {target.subscription for target in (before.targets if before else ())}
        for number in old - new.keys():
            self._drop(number, ports.DropReason.RULE_DELETED)
        for target in new.values():
            assert after is not None
            self._subscribe(self._compile(account, after, target))

    def _function(
        self, account: str, before: model.Function | None, after: model.Function | None
    ) -> None:
        if before is not None and (
            after is None or after.async_subscription != before.async_subscription
        ):
            self._drop(before.async_subscription, ports.DropReason.FUNCTION_DELETED)
        if after is None:
            assert before is not None, "a change has a before or an after"
            self._postbox.calls.pop((account, before.name), None)
        else:
            self._postbox.calls[account, after.name] = after.async_subscription
            self._subscribe(
                subscriptions.Subscription(
                    id=after.async_subscription,
                    account=account,
                    bus="",
                    rule=f"async/{after.name}",
                    target=after.name,
                    endpoint=f"function/{after.name}",
                    sender=self._call_sender(account, after),
                    policy=self._call_policy(account, after),
                    attempt_us=subscriptions.CALL_US,
                )
            )

    def _queue(self, account: str, before: model.Queue | None, after: model.Queue | None) -> None:
        if after is not None:
            self._postbox.queues[account, after.name] = after.subscription
            self._dispatcher.passive.add(after.subscription)
        elif before is not None:
            self._postbox.queues.pop((account, before.name), None)
            self._drop(before.subscription, ports.DropReason.QUEUE_DELETED)

    def _subscribe(self, made: subscriptions.Subscription) -> None:
        self.subscriptions[made.id] = made
        self._dispatcher.subscribe(made)

    def _drop(self, number: int, reason: ports.DropReason) -> None:
        self.subscriptions.pop(number, None)
        self.dropped += self._dispatcher.drop(number, reason)

    def _compile(
        self, account: str, rule: model.Rule, target: model.Target
    ) -> subscriptions.Subscription:
        dead = target.dead_letter
        return subscriptions.Subscription(
            id=target.subscription,
            account=account,
            bus=rule.bus,
            rule=rule.name,
            target=target.id,
            endpoint=target.endpoint or target.type,
            sender=self._sender_of(account, rule, target),
            policy=retry.policy(target.retry or "BACKOFF_RETRY"),
            params=tuple(
                (param.key.lower(), transform.compile(param.form, param.value, param.template))
                for param in target.params
            ),
            block_on_error=target.errors == "NONE",
            attempt_us=_attempt_us(target),
            concurrency=target.concurrency or subscriptions.CONCURRENCY_DEFAULT,
            dead_letter_queue=None if dead is None else dead.arn.rsplit("/", 1)[-1],
        )


def _is_rules_mark(name: str) -> bool:
    return name.startswith(ledgers.RULES_MARK)


def _generation_of(name: str) -> int:
    return int(name.rsplit("/", 1)[1])


def _attempt_us(target: model.Target) -> int:
    """A function ends by its own timeout; anything else has the default bound."""
    if target.type == settings.FUNCTION_TARGET:
        return subscriptions.CALL_US
    return subscriptions.ATTEMPT_US_DEFAULT


T = TypeVar("T")


def _as(kind: type[T], record: object) -> T | None:
    """The record as what the feed says it is; None stays None."""
    assert record is None or isinstance(record, kind), f"{record!r} is no {kind.__name__}"
    return record
