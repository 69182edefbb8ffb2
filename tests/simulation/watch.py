"""What is watched at every attempt: its number, its time, its right to be made at all.

Owns the observed outcomes that verdicts must rest on. Must never change what is sent or answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from headrace.bus import subscription as subscriptions
from headrace.core import delivery, retry
from headrace.resources import model
from headrace.store import ports
from tests.simulation import network

if TYPE_CHECKING:
    from tests.simulation import chronicle
    from tests.simulation import world as worlds

#: Rounding of waits to milliseconds and of times to microseconds.
SLACK_S = 0.005


class Terms(msgspec.Struct):
    """What a subscription was promised, as its newest configuration says."""

    label: str
    policy: retry.RetryPolicy
    concurrency: int = subscriptions.CONCURRENCY_DEFAULT
    blocks: bool = False
    #: How often it was configured.
    edits: int = 0


class Token(msgspec.Struct):
    """One attempt under way."""

    number: int
    position: int
    root: int
    attempt: int
    life: int


class Ended(msgspec.Struct):
    """An attempt that failed, and the earliest moment for the next."""

    attempt: int
    life: int
    next_s: float
    edits: int
    steps: int


class Watch:
    """All attempts of one run."""

    def __init__(self, world: worlds.World) -> None:
        self._world = world
        self.terms: dict[int, Terms] = {}
        self.running: dict[int, dict[int, int]] = {}
        #: subscription -> deliveries it stands at, and since when.
        self.stuck: dict[int, dict[int, float]] = {}
        self.attempts = 0
        self._ended: dict[tuple[int, int], Ended] = {}
        #: Exhausted, by what is durable: (root, subscription).
        self._stood: set[tuple[int, int]] = set()
        self._exhausted: set[tuple[int, int, int]] = set()
        self._outcomes: dict[tuple[int, int, int], delivery.Outcome] = {}
        #: Delivered, and not yet told by the journal: (position, subscription) -> when.
        self.unsettled: dict[tuple[int, int], float] = {}

    def new_life(self) -> None:
        """What ran is gone, and so are outcomes that nobody wrote down."""
        self.running.clear()
        self.unsettled.clear()
        self.stuck = {}
        for root, number in self._stood:
            if self.terms[number].blocks:
                self.stuck.setdefault(number, {})[root] = 0.0

    def configure(self, number: int, made: Terms) -> None:
        before = self.terms.get(number)
        made.edits = before.edits + 1 if before else 0
        self.terms[number] = made
        if not made.blocks:
            self.stuck.pop(number, None)

    # -- an attempt ---------------------------------------------------------------

    def begins(self, number: int, message: delivery.Message) -> Token:
        world, position = self._world, message.position
        check, terms = world.history.check, self.terms[number]
        life = world.chronicle.lives.get((position, number))
        self.attempts += 1
        name = f"{terms.label}@{position}#{message.attempt}"
        check(life is not None, "only what is durable is delivered", name)
        root = life.root if life else position
        world.history.note("attempt", name, message.event_id)
        if life is not None:
            check(life.closed is None, "no attempt after a final verdict", name, life.closed)
            self._check_number(name, life, message.attempt)
        running = self.running.setdefault(number, {})
        check(position not in running, "one attempt at a time", name)
        running[position] = message.attempt
        most = terms.concurrency
        check(len(running) <= most, "concurrency is kept", name, len(running), most)
        # What was let go in the very moment may still begin.
        stuck = {at for at, since in self.stuck.get(number, {}).items() if since < world.now_s()}
        check(not stuck or root in stuck, "a blocked target skips nothing", name, stuck)
        self._check_time(name, number, root, message.attempt)
        return Token(number, position, root, message.attempt, world.shard.lives)

    def _check_number(self, name: str, life: chronicle.Life, attempt: int) -> None:
        legal = {life.attempt + 1}
        ended = self._ended.get((life.root, life.subscription))
        if ended is not None and ended.life == self._world.shard.lives:
            legal.add(ended.attempt + 1)  # its settlement may still be on the way to the disk
        self._world.history.check(
            attempt in legal, "attempts are numbered one by one", name, sorted(legal)
        )

    def _check_time(self, name: str, number: int, root: int, attempt: int) -> None:
        ended = self._ended.get((root, number))
        if ended is None or ended.attempt + 1 != attempt:
            return
        world = self._world
        if ended.edits != self.terms[number].edits:
            return  # an edit may let go what stands
        if ended.life != world.shard.lives and ended.steps != world.steps:
            return  # over a restart only the wall is there to tell the time
        now_s = world.now_s()
        check = world.history.check
        check(now_s >= ended.next_s - SLACK_S, "no retry before its time", name,
              f"{ended.next_s - now_s:.3f} s early")  # fmt: skip

    def ends(self, token: Token, outcome: delivery.Outcome) -> None:
        world, number = self._world, token.number
        if token.life != world.shard.lives:
            return
        terms = self.terms[number]
        name = f"{terms.label}@{token.position}#{token.attempt}"
        world.history.note("answer", name, outcome.kind, outcome.code)
        self.running[number].pop(token.position, None)
        self._outcomes[token.position, number, token.attempt] = outcome
        at = (token.root, number)
        if outcome.kind == "ok":
            self.stuck.get(number, {}).pop(token.root, None)
            if outcome.forward is None:  # else it may want room that there is none of
                self.unsettled[token.position, number] = world.now_s()
            self._ended.pop(at, None)
            return
        shortest = shortest_ms(terms.policy, token.attempt)
        exhausted = outcome.kind == "poisoned" or shortest is None
        if exhausted and terms.blocks and self._world.is_live(number):
            self.stuck.setdefault(number, {})[token.root] = world.now_s()
            self._exhausted.add((token.root, number, token.attempt))
            shortest = terms.policy.wait_ms_max
        if shortest is not None:
            wait_s = max(shortest, outcome.after_ms or 0) / 1000
            self._ended[at] = Ended(
                token.attempt, token.life, world.now_s() + wait_s, terms.edits, world.steps
            )

    # -- what the journal says of it ----------------------------------------------

    def settled(self, life: chronicle.Life, fact: ports.Settlement) -> None:
        check, terms = self._world.history.check, self.terms[life.subscription]
        name = f"{terms.label}@{life.position}#{fact.attempt}"
        outcome = self._outcomes.get((life.position, life.subscription, fact.attempt))
        self.unsettled.pop((life.position, life.subscription), None)
        if outcome is None:
            check(False, "a verdict rests on an attempt", name, fact.verdict.name)
            return
        went_well = outcome.kind == "ok"
        if fact.verdict is ports.Verdict.DELIVERED:
            check(went_well, "delivered is what a target took", name, outcome)
            return
        refused = went_well and outcome.forward is not None
        check(not went_well or refused, "what a target took is delivered", name, fact)
        if (life.root, life.subscription, fact.attempt) in self._exhausted:
            self._stood.add((life.root, life.subscription))

    def brought(self, fact: ports.Settlement) -> str:
        """The bus on which a delivered message brings something forth, "" for none."""
        outcome = self._outcomes.get((int(fact.position), fact.subscription, fact.attempt))
        forward = None if outcome is None else outcome.forward
        return "" if forward is None else {"queue": "~queues", "function": "~async"}[forward.to]

    def closed(self, life: chronicle.Life) -> None:
        """Whatever the verdict, nobody stands at it any more."""
        self.unsettled.pop((life.position, life.subscription), None)
        self._stood.discard((life.root, life.subscription))
        self.stuck.get(life.subscription, {}).pop(life.root, None)

    def check_unsettled(self, patience_s: float) -> None:
        """What a target took is written down soon."""
        now_s = self._world.now_s()
        for (position, number), at_s in self.unsettled.items():
            label = self.terms[number].label
            on_its_way = self._world.shard.engine.committer.is_settling(position, number)
            self._world.history.check(
                on_its_way or now_s - at_s <= patience_s, "what a target took is settled",
                f"{label}@{position}", f"{now_s - at_s:.1f} s ago",
            )  # fmt: skip


class Observed:
    """A sender with the watch beside it."""

    def __init__(self, inner: delivery.Sender, watch: Watch, number: int) -> None:
        self._inner = inner
        self._watch = watch
        self._number = number

    async def send(
        self, batch: Sequence[delivery.Message], deadline_us: int
    ) -> Sequence[delivery.Outcome]:
        token = self._watch.begins(self._number, batch[0])
        try:
            outcomes = await self._inner.send(batch, deadline_us)
        except network.SenderBug:
            self._watch.ends(token, delivery.failed("down", 0, "SenderBug: "))
            raise
        self._watch.ends(token, outcomes[0])
        return outcomes

    async def close(self) -> None:
        await self._inner.close()


class ObservedStarter(Observed):
    """The same for a sender that tells its outcome instead of returning it."""

    def __init__(self, inner: delivery.Starter, watch: Watch, number: int) -> None:
        super().__init__(inner, watch, number)  # type: ignore[arg-type]
        self._starter = inner

    def start(
        self, message: delivery.Message, deadline_us: int, answered: delivery.Answered
    ) -> delivery.Attempt | None:
        token = self._watch.begins(self._number, message)

        def told(outcome: delivery.Outcome) -> None:
            self._watch.ends(token, outcome)
            answered(outcome)

        return self._starter.start(message, deadline_us, told)


def observed(inner: delivery.Sender, watch: Watch, number: int) -> delivery.Sender:
    """`inner` with the watch beside it, called the way the bus would call it alone."""
    if isinstance(inner, delivery.Starter):
        return ObservedStarter(inner, watch, number)
    return Observed(inner, watch, number)


def shortest_ms(policy: retry.RetryPolicy, attempt: int) -> int | None:
    """The shortest wait before retry `attempt`, written anew from the documentation."""
    if attempt > policy.retries_max:
        return None
    if policy.growth == "random":
        return 10_000
    return min(1_000 * 2 ** (attempt - 1), policy.wait_ms_max)


def terms_of(rule: model.Rule, target: model.Target) -> Terms:
    policy = retry.DECAY if target.retry == "EXPONENTIAL_DECAY_RETRY" else retry.BACKOFF
    return Terms(
        f"{rule.name}/{target.id}", policy, target.concurrency or 10, target.errors == "NONE"
    )  # fmt: skip


def call_terms(called: model.Function) -> Terms:
    return Terms(f"async/{called.name}", retry.asynchronous(3))
