"""Delivery: from a durable frame to a settlement for every subscription it matched.

The dispatcher follows the journal (never the acknowledgement loop), keeps one lane per active
subscription and turns each outcome into the settlement that the retry policy asks for. What is open
is known to the ledger alone; losing this whole object loses nothing.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from headrace.bus import commit, lane, letters, slots
from headrace.bus import ledger as ledgers
from headrace.bus import subscription as subscriptions
from headrace.core import clock as clocks
from headrace.core import delivery, errors, retry, transform
from headrace.store import ports

log = logging.getLogger(__name__)

DELIVERED = ports.Verdict.DELIVERED

#: Bodies all lanes together may hold ready.
LOADED_BYTES_MAX = 256 * 1024 * 1024
#: Settlements written by one entry when many deliveries close at once.
DROP_CHUNK = 4096
#: Wait before a settlement that found no room is tried again.
FULL_WAIT_MS = 2_000


class Dispatcher:
    """All lanes of one shard."""

    def __init__(
        self,
        journal: ports.Journal,
        committer: commit.Committer,
        ledger: ledgers.Ledger,
        *,
        clock: clocks.Clock,
        random: clocks.Random,
        postbox: letters.Postbox,
        request_id: Callable[[], str],
    ) -> None:
        self.ledger = ledger
        self.clock = clock
        self.random = random
        self.loop = asyncio.get_running_loop()
        self.lanes: dict[int, lane.Lane] = {}
        self.slots = slots.Slots()
        self.loaded_bytes = 0
        self.stopping = False
        #: Subscriptions without a lane: their deliveries wait until someone takes them.
        self.passive: set[int] = set()
        #: The switch that holds a subscription's deliveries, "" for none.
        self.held_by: Callable[[subscriptions.Subscription], str] = lambda _: ""
        self._journal = journal
        self._committer = committer
        self._postbox = postbox
        self._request_id = request_id
        self._tasks: set[asyncio.Task[Any]] = set()
        #: Attempts that were answered in this turn of the loop.
        self._landed: list[lane.Flight] = []
        #: Lanes that are no more but for the attempts they had begun.
        self._ending: set[lane.Lane] = set()
        self._told_gone = False
        #: Set when nothing is being attempted any more; only `close` waits for it.
        self._calm: asyncio.Event | None = None
        committer.followers.append(self.follow)

    # -- subscriptions ----------------------------------------------------------------------------

    def subscribe(self, subscription: subscriptions.Subscription) -> None:
        """Add or replace; passive subscriptions have no lane."""
        if subscription.sender is None:
            return
        known = self.lanes.get(subscription.id)
        if known is not None:
            known.update(subscription)
            return
        state = self.ledger.deliveries(subscription.id)
        made = self.lanes[subscription.id] = lane.Lane(subscription, state, self)
        made.paused_by = self.held_by(subscription)
        made.resume()

    def unsubscribe(self, number: int) -> None:
        """Stop delivering; what is open stays open until someone drops it."""
        gone = self.lanes.pop(number, None)
        if gone is not None:
            gone.close()
            if gone.running:
                self._ending.add(gone)

    def drop(self, number: int, reason: ports.DropReason) -> int:
        """Close every open delivery of `number` but those being attempted; return how many there
        were."""
        gone = self.lanes.get(number)
        moving = gone.moving if gone is not None else frozenset[int]()
        if gone is not None:
            gone.deleted = True
        self.unsubscribe(number)
        self.passive.discard(number)
        positions = [p for p in self.ledger.deliveries(number).open if p not in moving]
        self._committer.settle_all(_dropped(positions[:DROP_CHUNK], number, reason))
        if len(positions) > DROP_CHUNK:
            self.spawn(self._drop_rest(positions, number, reason))
        return len(positions)

    async def _drop_rest(self, positions: list[int], number: int, reason: ports.DropReason) -> None:
        """A large backlog goes frame by frame; the next start drops what a crash leaves of it."""
        for start in range(DROP_CHUNK, len(positions), DROP_CHUNK):
            chunk = positions[start : start + DROP_CHUNK]
            await self._committer.append((), _dropped(chunk, number, reason))

    # -- following the journal --------------------------------------------------------------------

    def follow(self, frame: ports.Frame, last: ports.Position) -> None:
        """Offer every record of a durable frame to the lanes it matched."""
        position = int(last) - len(frame.events)
        lanes = self.lanes
        offered: dict[lane.Lane, None] = {}
        for record in frame.events:
            position += 1
            for number in record.matches:
                if number < 0:
                    continue
                if (taker := lanes.get(number)) is not None:
                    offered[taker] = None
                    try:
                        taker.offer(position, record)
                    except Exception:  # a bug here must not cost a delivery its turn
                        log.exception("lane %d missed %d; it reads it back", number, position)
                        taker.fall_behind(position)
                elif number not in self.passive:
                    self._drop_late(position, number, record)
        for taker in offered:
            taker.pump()

    def _drop_late(self, position: int, number: int, record: ports.Record) -> None:
        """Its rule, function or queue was deleted while the record was on its way to the disk."""
        reason = ports.DropReason.RULE_DELETED
        for known in self._postbox.addresses.values():
            if record.bus == known.queue_bus:
                reason = ports.DropReason.QUEUE_DELETED
            elif record.bus == known.async_bus:
                reason = ports.DropReason.FUNCTION_DELETED
        self._committer.settle_all(_dropped((position,), number, reason))

    async def fetch(self, positions: Sequence[int]) -> list[ports.Record | None]:
        if not positions:
            return []
        return await self._journal.fetch([ports.Position(position) for position in positions])

    @property
    def under_way(self) -> int:
        """Attempts that have begun and have no settlement yet."""
        return len(self._flying())

    def loaded_full(self) -> bool:
        return self.loaded_bytes >= LOADED_BYTES_MAX

    def remaining_ms(self, known: ledgers.Retry) -> int:
        """Wait left of a retry that was recorded earlier: a clock jump can neither fire nor freeze
        it.

        min(recorded due time, now + wait), see store.md §3.
        """
        if known.wait_ms < 0:
            return 0
        left = known.at_ms + known.wait_ms - self.clock.wall_ms()
        return max(0, min(left, known.wait_ms))

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            log.error("a delivery task failed", exc_info=fault)

    # -- one attempt ------------------------------------------------------------------------------

    def begin(self, flight: lane.Flight) -> None:
        """Render and send once. Never raises: whatever goes wrong is an outcome."""
        subscription = flight.lane.subscription
        sender = subscription.sender
        assert sender is not None, "a passive subscription has no lane"
        flight.began_us = now_us = self.clock.mono_us()
        try:
            message = letters.message(
                subscription, flight.position, flight.record.body, flight.attempt,
                self._request_id(),
            )  # fmt: skip
            deadline_us = now_us + subscription.attempt_us
            starter = flight.lane.starter
            if starter is not None:
                answered = functools.partial(self._land, flight)
                flight.way = starter.start(message, deadline_us, answered)
            else:
                flight.way = self.spawn(self._send(flight, sender, message, deadline_us))
        except transform.Failed as fault:
            self._land(flight, delivery.failed("poisoned", 0, f"transform failed: {fault}"))
        except Exception as fault:  # a sender with a bug must not lose the delivery
            self._land(flight, self._broken(subscription, fault))

    async def _send(
        self,
        flight: lane.Flight,
        sender: delivery.Sender,
        message: delivery.Message,
        deadline_us: int,
    ) -> None:
        try:
            outcome = (await sender.send((message,), deadline_us))[0]
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                self._lost(flight)
                raise
            # Not we were cancelled but something the sender waited for.
            outcome = delivery.failed("down", 0, "the attempt was cancelled")
        except Exception as fault:  # a sender with a bug must not lose the delivery
            outcome = self._broken(flight.lane.subscription, fault)
        self._land(flight, outcome)

    def _broken(
        self, subscription: subscriptions.Subscription, fault: Exception
    ) -> delivery.Outcome:
        log.exception("sender of %s/%s failed", subscription.rule, subscription.target)
        return delivery.failed("down", 0, f"{type(fault).__name__}: {fault}")

    def _land(self, flight: lane.Flight, outcome: delivery.Outcome) -> None:
        """An attempt was answered; all that land in one turn of the loop are settled together."""
        if flight.outcome is not None:
            return
        flight.outcome = outcome
        flight.latency_us = self.clock.mono_us() - flight.began_us
        self._landed.append(flight)
        if len(self._landed) == 1:
            self.loop.call_soon(self._settle_landed)

    def _settle_landed(self) -> None:
        landed, self._landed = self._landed, []
        facts: list[ports.Settlement] = []
        takers: dict[lane.Lane, None] = {}
        for flight in landed:
            takers[flight.lane] = None
            self._end(flight)
            if (fact := self._settled_by(flight)) is not None:
                facts.append(fact)
        try:
            if facts:
                self._committer.settle_all(facts)
        except errors.Unavailable as fault:
            self._unwritten(fault)
        self._serve_waiting()
        for taker in takers:
            taker.pump()
            self._left(taker)

    def _settled_by(self, flight: lane.Flight) -> ports.Settlement | None:
        """The settlement of a success; anything else is written at once, and gives None."""
        taker, outcome = flight.lane, flight.outcome
        assert outcome is not None, "a flight lands with its outcome"
        fact = ports.Settlement(
            ports.Position(flight.position), taker.subscription.id, DELIVERED,
            flight.attempt, flight.latency_us, outcome.code,
        )  # fmt: skip
        if outcome.kind == "ok":
            taker.stuck.discard(flight.position)
            if outcome.forward is None:
                return fact
        try:
            self._settle_otherwise(flight, outcome, fact)
        except Exception as fault:  # others that landed with it are settled all the same
            self._unwritten(fault)
        return None

    def _unwritten(self, fault: Exception) -> None:
        """The end of an attempt is in no frame; that the store is gone is told once."""
        if not self._committer.failed:
            log.error("the end of an attempt could not be written", exc_info=fault)
        elif not self._told_gone:
            self._told_gone = True
            log.error("%s: attempts that end now are made again after the next start", fault)

    def _lost(self, flight: lane.Flight) -> None:
        """An attempt was given up; its delivery stays open."""
        self._end(flight)
        self._left(flight.lane)
        self._serve_waiting()

    def _end(self, flight: lane.Flight) -> None:
        """An attempt is no longer under way."""
        if flight.lane.running.pop(flight.position, None) is not None:
            self.slots.shares.give_back(flight.lane.subscription.account, flight.units)

    def _serve_waiting(self) -> None:
        """Let lanes start what they had to wait with, in turn."""
        while (taker := self.slots.next()) is not None:
            taker.take_turn()

    def _left(self, taker: lane.Lane) -> None:
        if not taker.running:
            self._ending.discard(taker)
            if self._calm is not None and not self._flying():
                self._calm.set()

    def _flying(self) -> list[lane.Flight]:
        takers = (*self.lanes.values(), *self._ending)
        return [flight for taker in takers for flight in taker.running.values()]

    def _settle_otherwise(
        self, flight: lane.Flight, outcome: delivery.Outcome, fact: ports.Settlement
    ) -> None:
        """Write what the outcome means: a record asked for, a retry, or a dead letter, in the same
        frame as the settlement."""
        if outcome.kind == "ok":
            assert outcome.forward is not None, "a plain success is settled with the others"
            refused = self._forward(flight.lane, flight.position, outcome.forward, fact)
            if refused is None:
                return
            outcome = refused
            fact = msgspec.structs.replace(fact, code=outcome.code)
        self._fail(flight.lane, flight.position, flight.record, outcome, fact)

    def _forward(
        self, taker: lane.Lane, position: int, forward: delivery.Forward, fact: ports.Settlement
    ) -> delivery.Outcome | None:
        """Write what a sender asked for beside its settlement; return why that cannot be."""
        brought = self._postbox.forwarded(taker.subscription.account, forward, position)
        if brought is None:
            missing = f"the {forward.to} [{forward.name}] does not exist"
            return delivery.failed("down", 404, missing)
        try:
            self._write_both(taker, position, fact.attempt, brought, fact)
        except errors.PayloadTooLarge as fault:
            return delivery.failed("poisoned", 413, fault.message)
        return None

    def _fail(
        self,
        taker: lane.Lane,
        position: int,
        record: ports.Record,
        outcome: delivery.Outcome,
        fact: ports.Settlement,
    ) -> None:
        subscription, attempt = taker.subscription, fact.attempt
        detail = letters.detail(outcome)
        if taker.deleted:  # its rule was deleted while it was on its way
            self._committer.settle(_as(fact, ports.Verdict.DROPPED, ports.DropReason.RULE_DELETED))
            return
        wait_ms = None
        if outcome.kind != "poisoned":
            wait_ms = retry.next_wait_ms(subscription.policy, attempt, self.random)
        verdict = ports.Verdict.RETRY
        if subscription.block_on_error and (wait_ms is None or position in taker.stuck):
            # On disk too: the next life, and a copy, must stand at it as well.
            verdict = ports.Verdict.PARKED
            taker.stuck.add(position)
            wait_ms = subscription.policy.wait_ms_max
        if wait_ms is not None:
            wait_ms = max(wait_ms, outcome.after_ms or 0)
            self._committer.settle(_as(fact, verdict, fact.code, wait_ms=wait_ms, detail=detail))
            taker.again(position, attempt + 1, wait_ms)
            return
        taker.stuck.discard(position)  # an edit let it go
        letter = self._postbox.dead_letter(subscription, position, record, outcome, attempt)
        dead = _as(fact, ports.Verdict.DEAD, fact.code, detail=detail)
        self._write_both(taker, position, attempt, letter, dead)

    def _write_both(
        self,
        taker: lane.Lane,
        position: int,
        attempt: int,
        record: ports.Record,
        fact: ports.Settlement,
    ) -> None:
        """A settlement and the record it brings forth stand in one frame, or neither is written."""

        def written(done: asyncio.Future[int]) -> None:
            if done.cancelled() or not isinstance(done.exception(), errors.StoreFull):
                return
            self._later(taker, position, attempt)

        try:
            self._committer.submit((record,), (fact,)).add_done_callback(written)
        except errors.Throttled:
            self._later(taker, position, attempt)

    def _later(self, taker: lane.Lane, position: int, attempt: int) -> None:
        """There was no room for what came of an attempt: make it again, unless its rule is gone."""
        if taker.deleted:
            reason, number = ports.DropReason.RULE_DELETED, taker.subscription.id
            self._committer.settle_all(_dropped((position,), number, reason))
            return
        taker.again(position, attempt, FULL_WAIT_MS)

    # -- the end ----------------------------------------------------------------------------------

    async def close(self, grace_s: float) -> None:
        """Start nothing more, give running attempts `grace_s` to end; the rest stays open for the
        next start."""
        self.stopping = True
        for taker in self.lanes.values():
            taker.close()
        await self._calmed(grace_s)
        for flight in self._flying():
            if flight.way is not None and flight.outcome is None:
                flight.way.cancel()
        late = [task for task in self._tasks if not task.done()]
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        self._settle_landed()

    async def _calmed(self, grace_s: float) -> None:
        """Wait until no attempt runs and no work of ours is under way, at most `grace_s`."""
        self._calm = asyncio.Event()
        if self._flying():
            try:
                async with asyncio.timeout(grace_s):
                    await self._calm.wait()
            except TimeoutError:
                return
        pending = [task for task in self._tasks if not task.done()]
        if pending:
            await asyncio.wait(pending, timeout=grace_s)


def _dropped(
    positions: Sequence[int], number: int, reason: ports.DropReason
) -> list[ports.Settlement]:
    verdict, code = ports.Verdict.DROPPED, int(reason)
    return [
        ports.Settlement(ports.Position(position), number, verdict, code=code)
        for position in positions
    ]


def _as(
    fact: ports.Settlement,
    verdict: ports.Verdict,
    code: int,
    *,
    wait_ms: int = 0,
    detail: bytes = b"",
) -> ports.Settlement:
    return ports.Settlement(
        fact.position, fact.subscription, verdict, fact.attempt, fact.latency_us, int(code),
        wait_ms, detail,
    )  # fmt: skip
