"""The bus as faces see it: publish, read, explain, re-send. One engine owns one shard.

Opens the journal, replays the ledger, follows the catalog and runs the sweeps; every verb below
delegates to the module that owns it. Nothing here decides anything.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from headrace.bus import (
    accept,
    commit,
    conservation,
    deadletters,
    deliver,
    letters,
    queries,
    queues,
    retention,
    routing,
    switchboard,
)
from headrace.bus import ledger as ledgers
from headrace.core import clock as clocks
from headrace.core import delivery, errors, event, names, retry
from headrace.resources import catalog as catalogs
from headrace.resources import model
from headrace.store import ports

log = logging.getLogger(__name__)

#: How often retention looks.
SWEEP_S = 60.0
#: Events a live tail holds for a slow reader before it skips (and says so).
TAIL_EVENTS_MAX = 1000
#: And their bytes; one event it holds in any case.
TAIL_BYTES_MAX = 8 * 1024 * 1024
#: Live tails at a time.
TAILS_MAX = 64
#: Retries of an asynchronous invocation when nothing is configured (fc.md §6).
ASYNC_ATTEMPTS = 3


class Wiring(msgspec.Struct, frozen=True):
    """What the engine is handed from outside its layer; `app.py` fills it."""

    sender_of: routing.SenderOf
    call_sender: Callable[[str, model.Function], delivery.Sender]
    #: Called once when the store can take no more writes: the process should exit.
    broken: Callable[[BaseException], None]


class TailSkipped(msgspec.Struct, frozen=True):
    """A live tail lost this many events because its reader was slow."""

    events: int


class Tail:
    """One live reader of a bus; a slow one loses the oldest events and is told how many."""

    def __init__(self, name: str, bus: int, among: set[Tail]) -> None:
        self.bus = bus
        self._name = name
        self._among = among
        self._feed: asyncio.Queue[tuple[int, ports.Record]] = asyncio.Queue(TAIL_EVENTS_MAX)
        self._bytes = 0
        self._skipped = 0

    def __aiter__(self) -> Tail:
        return self

    async def __anext__(self) -> queries.Stored | TailSkipped:
        if self._skipped:
            skipped, self._skipped = self._skipped, 0
            return TailSkipped(skipped)
        position, record = await self._feed.get()
        self._bytes -= len(record.body)
        return queries.stored(self._name, ports.Found(ports.Position(position), record))

    def put(self, position: int, record: ports.Record) -> None:
        size = len(record.body)
        while self._feed.full() or (self._bytes + size > TAIL_BYTES_MAX and self._feed.qsize()):
            _, lost = self._feed.get_nowait()
            self._bytes -= len(lost.body)
            self._skipped += 1
        self._feed.put_nowait((position, record))
        self._bytes += size

    def close(self) -> None:
        self._among.discard(self)


class Engine:
    """One shard of the bus."""

    def __init__(
        self,
        journal: ports.Journal,
        registry: ports.Registry,
        catalog: catalogs.Catalog,
        *,
        clock: clocks.Clock,
        random: clocks.Random,
        region: str,
        wiring: Wiring,
        keep: retention.Keep | None = None,
    ) -> None:
        self._journal = journal
        self._registry = registry
        self._catalog = catalog
        self._clock = clock
        self._random = random
        self._region = region
        self._wiring = wiring
        self._keep = keep or retention.Keep()
        self._sweeper: asyncio.Task[None] | None = None
        self._opened = False
        self._tails: set[Tail] = set()
        self.ledger = ledgers.Ledger()
        self.postbox = letters.Postbox(clock, random)

    # -- life -------------------------------------------------------------------------------------

    async def open(self, accounts: Sequence[str], revision: int) -> None:
        """Recover the ledger, compile the rules, start delivering."""
        opened = await self._journal.open()
        self.ledger = ledgers.Ledger.load(opened.state)
        async for replayed in self._journal.replay(opened.at):
            self.ledger.apply(replayed.frame, replayed.last)
        written = [segment.written_ms for segment in await self._journal.segments()]
        self._wire(next((at_ms for at_ms in reversed(written) if at_ms), 0))
        for account in accounts:
            await self.postbox.open(account, self._registry)
            self.dispatcher.passive.add(self.postbox.addresses[account].dead_subscription)
        self.committer.start()
        self._opened = True
        self.switchboard.open()
        self.router.open(revision, opened.marks)
        for number in self.router.orphans(self.ledger):
            dropped = self.dispatcher.drop(number, ports.DropReason.RULE_DELETED)
            log.warning("dropped %d deliveries of a subscription that is gone", dropped)
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep(), name="retention")

    def _wire(self, newest_ms: int) -> None:
        self.committer = commit.Committer(
            self._journal, self.ledger, self._clock, broken=self._wiring.broken,
            newest_ms=newest_ms,
        )  # fmt: skip
        self.dispatcher = deliver.Dispatcher(
            self._journal, self.committer, self.ledger, clock=self._clock, random=self._random,
            postbox=self.postbox, request_id=self._request_id,
        )  # fmt: skip
        self.committer.followers.append(self._feed_tails)
        self.switchboard = switchboard.Switchboard(self._catalog, self.dispatcher)
        self.router = routing.Routing(
            self._catalog, self._registry, self.dispatcher, self.committer, self.postbox,
            sender_of=self._wiring.sender_of, call_sender=self._wiring.call_sender,
            call_policy=lambda _account, _function: retry.asynchronous(ASYNC_ATTEMPTS),
        )  # fmt: skip
        self.accepter = accept.Accepter(
            self._catalog, self._registry, self.router, self.committer, self._clock,
            region=self._region,
        )  # fmt: skip
        self.queries = queries.Queries(self._journal, self._registry, self.router, self.switchboard)
        self.dead_letters = deadletters.DeadLetters(
            self._journal, self.ledger, self.committer, self.postbox, self.router
        )
        self.queues = queues.Queues(self._journal, self.ledger, self.committer, self.postbox)
        self.retention = retention.Retention(
            self._journal, self.ledger, self.committer, self.dispatcher, self.postbox,
            self._clock, self._keep,
        )  # fmt: skip

    def snapshot(self) -> tuple[ports.Position, bytes]:
        """The ledger as it is after its last frame; the journal asks for it when it starts a new
        segment."""
        return self.ledger.last, self.ledger.dump()

    async def wind_down(self, grace_s: float) -> None:
        """Start no more deliveries and give those that run `grace_s` to end; what is published
        still becomes durable, and is delivered by the next to open the journal."""
        await self.dispatcher.close(grace_s)

    async def close(self, grace_s: float = 10.0) -> None:
        """Let running attempts end, write what waits, save the ledger."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        try:
            if self._opened:
                await self.dispatcher.close(grace_s)
                await self.committer.close()
                await self._save()
        finally:
            await self._journal.close()

    async def _save(self) -> None:
        """Keep the ledger; without it the next start replays a little more."""
        if not self.ledger.last or self.committer.failed:
            return
        try:
            await self._journal.save(*self.snapshot())
        except ports.StoreError as fault:
            log.warning("the ledger could not be saved at the end: %s", fault)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                await self.retention.sweep()
            except (errors.StoreFull, errors.Throttled):
                log.warning("retention has no room to carry open deliveries forward; trying again")
            except Exception:  # whatever it was, a disk without retention fills up
                log.exception("a sweep of retention failed; trying again")

    def _request_id(self) -> str:
        return names.function_request_id(self._clock, self._random)

    # -- publishing -------------------------------------------------------------------------------

    def publish(
        self,
        account: str,
        entries: Sequence[event.Event | errors.EventRefused],
        *,
        bus: str | None,
        addr: str,
    ) -> Coroutine[Any, Any, list[accept.Accepted | errors.EventRefused]]:
        """See `accept.Accepter.publish`."""
        return self.accepter.publish(account, entries, bus=bus, addr=addr)

    async def enqueue_call(
        self, account: str, function: model.Function, payload: bytes, *, request_id: str
    ) -> int:
        """Take an asynchronous invocation: durable on return, delivered with retries. Returns its
        position."""
        record = self.postbox.call(account, function.name, payload, request_id, None)
        return await self.committer.append((record,))

    async def replay(
        self, account: str, bus: str, event_id: str, *, rule: str | None = None
    ) -> int:
        """Deliver a kept event again to the targets its rules have now; return how many deliveries
        that makes.

        Raises: errors.EventNotFound, errors.RuleNotFound.
        """
        kept, verdicts = await self.queries.why(account, bus, event_id, rule)
        matching = {verdict.rule for verdict in verdicts if verdict.matches_now}
        numbers = sorted(
            number
            for routed in self.router.rules(account, bus)
            if routed.rule.name in matching
            for number in routed.numbers
        )
        record = (await self._journal.fetch([ports.Position(kept.position)]))[0]
        if record is None:
            raise errors.EventNotFound(f"the event [{event_id}] is not kept any more")
        if numbers:
            await self.committer.append((self.postbox.copy(record, tuple(numbers), kept.position),))
        return len(numbers)

    # -- reading ----------------------------------------------------------------------------------

    async def find_event(
        self, account: str, bus: str, event_id: str, source: str | None = None
    ) -> queries.Stored | None:
        """See `queries.Queries.find_event`."""
        return await self.queries.find_event(account, bus, event_id, source)

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
    ) -> queries.Page:
        """See `queries.Queries.search`."""
        return await self.queries.search(
            account, bus, start_ms=start_ms, stop_ms=stop_ms, source=source, type=type,
            rule=rule, subject=subject, limit=limit, token=token,
        )  # fmt: skip

    async def traces(self, account: str, bus: str, event_id: str) -> list[queries.TraceStep]:
        """See `queries.Queries.traces`."""
        return await self.queries.traces(account, bus, event_id)

    async def why(
        self, account: str, bus: str, event_id: str, rule: str | None = None
    ) -> tuple[queries.Stored, list[queries.RuleVerdict]]:
        """See `queries.Queries.why`."""
        return await self.queries.why(account, bus, event_id, rule)

    # -- live -------------------------------------------------------------------------------------

    async def tail(self, account: str, bus: str) -> Tail:
        """Follow a bus from this call on; the caller closes it. Raises: errors.Throttled."""
        if len(self._tails) >= TAILS_MAX:
            raise errors.Throttled(f"{TAILS_MAX} live tails are open already")
        number = await self.router.number(account, bus)
        tail = Tail(bus, number, self._tails)
        self._tails.add(tail)
        return tail

    def _feed_tails(self, frame: ports.Frame, last: ports.Position) -> None:
        first = int(last) - len(frame.events) + 1
        for tail in self._tails:
            for offset, record in enumerate(frame.events):
                if record.bus == tail.bus and record.generation != ledgers.COPIED:
                    tail.put(first + offset, record)

    # -- the books --------------------------------------------------------------------------------

    def books(self) -> conservation.Books:
        """Both conservation laws as the ledger has them."""
        return conservation.books(self.ledger, self._registry.name_of)

    async def usage(self) -> ports.Usage:
        return await self._journal.usage()
