"""Accept: from validated CloudEvents to records in the next frame, one awaited commit per request.

Per event: choose the bus, stamp the attributes the cloud adds, match against the bus's snapshot.
Bad entries fail one by one; good ones go on. Nothing is acknowledged before its frame is durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from headrace.bus import commit, letters, routing
from headrace.core import clock as clocks
from headrace.core import errors, event
from headrace.resources import catalog as catalogs
from headrace.store import ports, refusing

#: An event that came back this often has run in a circle: it is kept, and matches nothing.
HOPS_MAX = 16
#: Extension that counts how often an event of ours was published again.
HOPS = "headracehops"
#: Digits of a count of rounds; what a client writes there is not trusted.
HOPS_DIGITS_MAX = 6
#: (source, type) pairs that get a number of their own; later ones share 0 and are found by
#: scanning.
KINDS_MAX = 100_000
#: Of a large request, what is decoded before others have their turn.
READ_AT_ONCE_BYTES = 64 * 1024


class Accepted(msgspec.Struct, frozen=True):
    """One stored event: `position` is its place in the journal, `trace_id` names its trace."""

    event_id: str
    trace_id: str
    position: int


#: Its place in the answer, the event, its bus.
_Stamped: TypeAlias = tuple[int, event.Event, str]
#: Stands in an answer until the event is durable.
_UNSTORED = Accepted("", "", 0)


class Accepter:
    """The entry of one shard."""

    def __init__(
        self,
        catalog: catalogs.Catalog,
        registry: ports.Registry,
        router: routing.Routing,
        committer: commit.Committer,
        clock: clocks.Clock,
        *,
        region: str,
    ) -> None:
        self._catalog = catalog
        self._registry = registry
        self._router = router
        self._committer = committer
        self._clock = clock
        self._region = region
        self._kinds: dict[tuple[str, str, str], int] = {}

    async def publish(
        self,
        account: str,
        entries: Sequence[event.Event | errors.EventRefused],
        *,
        bus: str | None,
        addr: str,
    ) -> list[Accepted | errors.EventRefused]:
        """Store what can be stored; answer entry by entry, in order.

        bus: the bus of the request (RPC, CloudEvents), or None: each event names its own.
        Raises: errors.StoreFull, errors.Throttled, errors.BusNotFound (only when `bus` is given).
        """
        if bus is not None:
            self._catalog.get_bus(account, bus)
        answers: list[Accepted | errors.EventRefused] = []
        now_ms = self._clock.wall_ms()
        stamped: list[_Stamped] = []
        published = letters.iso(now_ms)
        names: dict[object, str] = {}
        for entry in entries:
            if isinstance(entry, errors.EventRefused):
                answers.append(entry)
                continue
            given = entry.extensions.get("aliyuneventbusname") if bus is None else bus
            name = names.get(given) if type(given) is str else None
            if name is None:
                try:
                    name = names[given] = bus or self._bus_named(account, given)
                except errors.EventRefused as refusal:
                    answers.append(refusal)
                    continue
            _count_hop(entry, account)
            event.stamp(
                entry, account=account, region=self._region, bus=name,
                publish_addr=addr, publish_time=published,
            )  # fmt: skip
            stamped.append((len(answers), entry, name))
            answers.append(_UNSTORED)
        if len(stamped) > 1:
            await self._read_ahead(account, stamped)
        if stamped:
            await self._store(account, stamped, now_ms, answers)
        return answers

    async def _read_ahead(self, account: str, stamped: Sequence[_Stamped]) -> None:
        """Decode what rules will read of a large request bit by bit: matching all of it must happen
        in one go, and others wait meanwhile.
        """
        if sum([len(marked.data_raw or b"") for _, marked, _ in stamped]) <= READ_AT_ONCE_BYTES:
            return
        size = 0
        for _, marked, name in stamped:
            if self._router.reads_data(account, name):
                marked.fields()
                size += len(marked.data_raw or b"")
            if size > READ_AT_ONCE_BYTES:
                size = 0
                await asyncio.sleep(0)

    async def _store(
        self,
        account: str,
        stamped: Sequence[_Stamped],
        now_ms: int,
        answers: list[Accepted | errors.EventRefused],
    ) -> None:
        kinds: list[int] = []
        for _, marked, name in stamped:  # whatever must be allotted is allotted before matching
            kind = self._kinds.get((account, marked.source, marked.type))
            if kind is None:
                kind = await self._intern(account, marked.source, marked.type)
            kinds.append(kind)
            if not self._router.is_numbered(account, name):
                await self._router.number(account, name)
        records = [
            self._record(account, name, marked, kind, now_ms)
            for kind, (_, marked, name) in zip(kinds, stamped, strict=True)
        ]
        places = iter(stamped)
        # A large request takes several frames. All are queued before the first is awaited: nothing
        # matched against later rules may stand before them.
        queued = [
            (part, self._committer.submit(part, size=size)) for part, size in commit.parts(records)
        ]
        for part, written in queued:
            first = await written
            for position, (index, marked, _) in zip(
                range(first, first + len(part)), places, strict=False
            ):
                answers[index] = Accepted(marked.id, f"{position:016X}", position)

    def _record(
        self, account: str, bus: str, marked: event.Event, kind: int, now_ms: int
    ) -> ports.Record:
        """Match `marked` against the rules of its bus as they are now."""
        plan = self._router.current(account, bus)
        matched: tuple[int, ...] = ()
        if plan.has_rules and not in_circle(marked):
            matched = plan.matches(
                plan.match(marked.fields() if plan.reads_data else marked.attributes())
            )
        key = event.key_of("", marked.id)
        return ports.Record(plan.bus, now_ms, kind, key, plan.generation, matched, marked.body())

    def _bus_named(self, account: str, name: object) -> str:
        if not isinstance(name, str) or not name:
            raise errors.EventRefused(
                "the event names no bus", code="EventBusEmpty", field="aliyuneventbusname"
            )
        try:
            self._catalog.get_bus(account, name)
        except errors.BusNotFound as missing:
            raise errors.EventRefused(
                missing.message, code=missing.code, field="aliyuneventbusname", got=name
            ) from missing
        return name

    async def _intern(self, account: str, source: str, kind: str) -> int:
        if len(self._kinds) >= KINDS_MAX:
            return 0
        with refusing.refused():
            number = await self._registry.intern(kind_name(account, source, kind))
        self._kinds[account, source, kind] = number
        return number


def kind_name(account: str, source: str, kind: str) -> str:
    return f"{account}/kind/{source}\x00{kind}"


def in_circle(entry: event.Event) -> bool:
    """The loop guard: was this event published again too often?"""
    hops = entry.extensions.get(HOPS)
    return isinstance(hops, int) and hops > HOPS_MAX


def _count_hop(entry: event.Event, account: str) -> None:
    """Count one more round when an event that we stamped before is published again."""
    stamps = entry.extensions
    if "aliyunpublishtime" not in stamps or stamps.get("aliyunaccountid") != account:
        return
    hops = str(stamps.get(HOPS, 0))
    counted = hops.isascii() and hops.isdigit() and len(hops) <= HOPS_DIGITS_MAX
    stamps[HOPS] = (int(hops) if counted else 0) + 1
