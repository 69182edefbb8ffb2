"""Reading what happened: stored events, their traces, and why a rule did not match.

A trace is not written anywhere: it is the event's record and its settlements, told in the cloud's
three steps (PutEvent, FilterEvent, PushEvent). Read-only; never touches the ledger's state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from headrace.bus import accept, letters, routing, switchboard
from headrace.bus import ledger as ledgers
from headrace.core import errors, event, jsontext, pattern
from headrace.store import ports

#: Records one search looks at before it answers with a token to go on.
SEARCH_RECORDS_MAX = 20_000
#: Events of one id that a look-up tells apart.
SAME_ID_MAX = 64


class Stored(msgspec.Struct, frozen=True):
    """One event as it is kept."""

    position: int
    received_ms: int
    bus: str
    id: str
    source: str
    type: str
    body: bytes
    generation: int
    matches: tuple[int, ...]
    origin: int | None


class TraceStep(msgspec.Struct, frozen=True):
    """One step of an event: put into the bus, matched by a rule, or pushed to a target."""

    action: Literal["PutEvent", "FilterEvent", "PushEvent"]
    at_ms: int
    rule: str = ""
    target: str = ""
    endpoint: str = ""
    attempt: int = 0
    latency_ms: float = 0.0
    code: int = 0
    #: `[200]Ok`
    status: str = ""
    #: delivered | dead | dropped | retry | moved | parked; "" before the first attempt ended.
    verdict: str = ""
    wait_ms: int = 0
    detail: str = ""
    #: The switch that keeps the next attempt from starting.
    held_by: str = ""


class RuleVerdict(msgspec.Struct, frozen=True):
    """What one rule says of one event, and what became of it."""

    rule: str
    status: str
    #: Whether the rule matched when the event came (None: the rule was made or changed later).
    matched_then: bool | None
    matches_now: bool
    #: First failing field of the pattern, with expected and got; None when it matches.
    failure: pattern.Failure | None
    #: One sentence: the cause, and what to do.
    because: str
    deliveries: tuple[TraceStep, ...] = ()


class Page(msgspec.Struct, frozen=True):
    items: list[Stored]
    total: int
    next: str | None


class Queries:
    """The reading side of one shard's journal."""

    def __init__(
        self,
        journal: ports.Journal,
        registry: ports.Registry,
        router: routing.Routing,
        switches: switchboard.Switchboard,
    ) -> None:
        self._journal = journal
        self._registry = registry
        self._router = router
        self._switches = switches

    async def find_event(
        self, account: str, bus: str, event_id: str, source: str | None = None
    ) -> Stored | None:
        """The newest event of that id on the bus as it was accepted, or None."""
        history = await self._history(account, bus, event_id, source)
        return history[0] if history else None

    async def _history(
        self, account: str, bus: str, event_id: str, source: str | None
    ) -> list[Stored]:
        """The event as it was accepted, then every copy of it (carried, re-sent, replayed), oldest
        first."""
        number = self._registry.interned(f"{account}/bus/{bus}")
        if number is None:
            return []
        query = ports.EventQuery(number, 0, 1 << 62, key=event.key_of("", event_id))
        page = await self._journal.find(query, None, SAME_ID_MAX)
        kept = [stored(bus, found) for found in page.items]
        same = [one for one in kept if one.id == event_id and source in (None, one.source)]
        accepted = next((one for one in same if one.generation != ledgers.COPIED), None)
        if accepted is None:  # retention left only copies
            return sorted(same, key=lambda one: one.position)
        copies = [
            one
            for one in same
            if one.generation == ledgers.COPIED
            and one.source == accepted.source
            and one.position > accepted.position
        ]
        return [accepted, *sorted(copies, key=lambda one: one.position)]

    async def search(
        self,
        account: str,
        bus: str,
        *,
        start_ms: int,
        stop_ms: int,
        source: str | None = None,
        type: str | None = None,
        rule: str | None = None,
        subject: str | None = None,
        limit: int = 100,
        token: str | None = None,
    ) -> Page:
        """Events of a time range, newest first; `total` counts those of this page and before it
        looked past."""
        number = self._registry.interned(f"{account}/bus/{bus}")
        if number is None or limit < 1:
            return Page([], 0, None)
        subscribed = None
        if rule is not None:
            numbers = [
                -known.rule.number
                for known in self._router.rules(account, bus)
                if known.rule.name == rule
            ]
            if not numbers:
                return Page([], 0, None)
            subscribed = tuple(numbers)
        kinds = None
        if source is not None and type is not None:
            kind = self._registry.interned(accept.kind_name(account, source, type))
            kinds = (0,) if kind is None else (kind, 0)
        query = ports.EventQuery(number, start_ms, stop_ms, kinds=kinds, subscriptions=subscribed)
        items: list[Stored] = []
        looked = 0
        while looked < SEARCH_RECORDS_MAX:
            page = await self._journal.find(query, token, limit - len(items))
            looked += len(page.items)
            token = page.next
            for found in await self._told_once(page.items):
                kept = stored(bus, found)
                if _fits(kept, source, type, subject):
                    items.append(kept)
            if token is None or len(items) >= limit:
                break
        return Page(items, len(items), token)

    async def _told_once(self, found: Sequence[ports.Found]) -> list[ports.Found]:
        """Leave out copies of events that are still kept: a list shows an event once."""
        origins = [
            one.record.origin or ports.Position(0)
            for one in found
            if one.record.generation == ledgers.COPIED
        ]
        if not origins:
            return list(found)
        originals = dict(zip(origins, await self._journal.fetch(origins), strict=True))
        return [
            one
            for one in found
            if one.record.generation != ledgers.COPIED
            or originals[one.record.origin or ports.Position(0)] is None
        ]

    # -- trace ------------------------------------------------------------------------------------

    async def traces(self, account: str, bus: str, event_id: str) -> list[TraceStep]:
        """Every step of the newest event of that id, in time order; empty when it is not kept."""
        return await self._steps_of(await self._history(account, bus, event_id, None))

    async def _steps_of(self, history: Sequence[Stored]) -> list[TraceStep]:
        if not history:
            return []
        steps = [TraceStep("PutEvent", history[0].received_ms)]
        for kept in history:
            steps.extend(await self._steps(kept))
        return steps

    async def _steps(self, kept: Stored) -> list[TraceStep]:
        steps: list[TraceStep] = []
        for number in kept.matches:
            if number < 0:
                steps.append(
                    TraceStep("FilterEvent", kept.received_ms, rule=self.rule_name(-number))
                )
        attempts = await self._journal.settled(ports.Position(kept.position))
        steps.extend(self._push(attempted) for attempted in attempts)
        settled = {
            attempted.settlement.subscription: attempted.settlement for attempted in attempts
        }
        for number in kept.matches:
            if number > 0:
                steps.extend(self._waiting(kept, number, settled.get(number)))
        return steps

    def _push(self, attempted: ports.Attempted) -> TraceStep:
        fact = attempted.settlement
        rule, target, endpoint = self._whereto(fact.subscription)
        about = letters.read_detail(fact.detail)
        dropped = fact.verdict is ports.Verdict.DROPPED
        text = ports.DropReason(fact.code).name.lower() if dropped else about.text or "Ok"
        return TraceStep(
            "PushEvent", attempted.at_ms, rule, target, endpoint, fact.attempt,
            fact.latency_us / 1000, fact.code, f"[{fact.code}]{text}", fact.verdict.name.lower(),
            fact.wait_ms, about.head,
        )  # fmt: skip

    def _waiting(
        self, kept: Stored, number: int, last: ports.Settlement | None
    ) -> Iterator[TraceStep]:
        """Yield the attempt that is still to come: the first, or one that a switch holds."""
        held_by = self._switches.holding(number, kept.position)
        if last is not None and (not held_by or last.verdict.closes):
            return
        rule, target, endpoint = self._whereto(number)
        yield TraceStep(
            "PushEvent", kept.received_ms, rule, target, endpoint,
            attempt=0 if last is None else last.attempt + 1,
            status=f"[0]paused by switch {held_by}" if held_by else "[0]waiting", held_by=held_by,
        )  # fmt: skip

    def _whereto(self, number: int) -> tuple[str, str, str]:
        """(rule, target, endpoint) of a subscription, also of one that is gone."""
        known = self._router.subscriptions.get(number)
        if known is not None:
            return known.rule, known.target, known.endpoint
        parts = (self._registry.name_of(number) or "").split("/")
        if len(parts) >= 5:
            return parts[3], parts[4], ""
        return "/".join(parts[1:]), "", ""

    def rule_name(self, number: int) -> str:
        parts = (self._registry.name_of(number) or "").split("/")
        return parts[3] if len(parts) >= 4 else f"rule {number}"

    # -- why --------------------------------------------------------------------------------------

    async def why(
        self, account: str, bus: str, event_id: str, rule: str | None = None
    ) -> tuple[Stored, list[RuleVerdict]]:
        """Every rule's verdict on an event, with the first failing field. Raises: EventNotFound,
        RuleNotFound."""
        history = await self._history(account, bus, event_id, None)
        if not history:
            raise errors.EventNotFound(
                f"no event [{event_id}] is kept on bus [{bus}]",
                remedy="It never came here or retention removed it; see `headrace event tail`.",
            )
        kept = history[0]
        steps = await self._steps_of(history)
        rules = self._router.rules(account, bus)
        if rule is not None:
            rules = [routed for routed in rules if routed.rule.name == rule]
            if not rules:
                raise errors.RuleNotFound(
                    f"The event rule [{rule}] not existed!", field="RuleName", got=rule
                )
        fields = jsontext.decode(kept.body)
        circle = accept.in_circle(event.restore(kept.body))
        return kept, [_verdict(kept, routed, fields, steps, circle=circle) for routed in rules]


def _verdict(
    kept: Stored,
    routed: routing.Routed,
    fields: dict[str, object],
    steps: Sequence[TraceStep],
    *,
    circle: bool,
) -> RuleVerdict:
    rule = routed.rule
    explained = pattern.explain(routed.pattern, fields)
    then: bool | None = -rule.number in kept.matches
    if kept.generation == ledgers.COPIED:  # retention left the copy only: it tells of deliveries
        then = any(number in kept.matches for number in routed.numbers)
    if not then and kept.generation < routed.revision:
        then = None
    pushes = tuple(step for step in steps if step.action == "PushEvent" and step.rule == rule.name)
    failure = explained.failures[0] if explained.failures else None
    because = _because(rule, then, explained.matched, failure, pushes, circle=circle)
    return RuleVerdict(rule.name, rule.status, then, explained.matched, failure, because, pushes)


def _because(
    rule: routing.model.Rule,
    then: bool | None,
    now: bool,
    failure: pattern.Failure | None,
    pushes: Sequence[TraceStep],
    *,
    circle: bool,
) -> str:
    if then:
        return _delivered(rule, pushes)
    if circle:
        return "loop guard: the event was published again too often, so no rule may take it"
    if failure is not None and not now:
        hint = f" ({failure.hint})" if failure.hint else ""
        return f"{failure.path}: expected {failure.expected}, got {failure.got}{hint}"
    if rule.status == "DISABLE":
        return "the rule is disabled; enable it with `headrace rule enable`"
    return (
        "the rule was made or changed after the event came; `headrace event replay` sends it again"
    )


def _delivered(rule: routing.model.Rule, pushes: Sequence[TraceStep]) -> str:
    if not rule.targets:
        return "matched, and the rule has no target"
    last = {step.target: step for step in pushes}
    told = [f"{target}: {step.verdict or 'waiting'} {step.status}" for target, step in last.items()]
    return "matched; " + ("; ".join(told) if told else "its deliveries are gone")


def stored(bus: str, found: ports.Found) -> Stored:
    record = found.record
    about = letters.head(record.body)
    origin = None if record.origin is None else int(record.origin)
    return Stored(
        int(found.position), record.received_ms, bus, about.id, about.source, about.type,
        record.body, record.generation, record.matches, origin,
    )  # fmt: skip


def _fits(kept: Stored, source: str | None, type: str | None, subject: str | None) -> bool:
    if source is not None and kept.source != source:
        return False
    if type is not None and kept.type != type:
        return False
    if subject is None:
        return True
    return msgspec.json.decode(kept.body, type=_Subject).subject == subject


class _Subject(msgspec.Struct):
    subject: str | None = None
