"""Looking at events: search, one event, its trace, why a rule did or did not take it, replay, live
tail.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from headrace.api import bounds, http, operations
from headrace.api.shapes import shape
from headrace.bus import engine as engines
from headrace.bus import queries
from headrace.core import errors, jsontext, limits, names, pattern

_encode = msgspec.json.Encoder().encode
_STORED = "bus, id, source, type, received_ms:i, trace_id, event:any"
_STEP = (
    "{action, at_ms:i, rule, target, endpoint, attempt:i, latency_ms:f, code:i, status, verdict,"
    " wait_ms:i, detail, held_by}"
)


def _bus(call: operations.Call) -> str:
    name: str = call.args.get("bus", "*")
    return names.bus_arn(call.services.region, call.account, name)


def event_of(kept: queries.Stored) -> dict[str, Any]:
    return {
        "bus": kept.bus,
        "id": kept.id,
        "source": kept.source,
        "type": kept.type,
        "received_ms": kept.received_ms,
        "trace_id": f"{kept.position:016X}",
        "event": msgspec.Raw(kept.body),
    }


async def _found(call: operations.Call) -> queries.Stored:
    """The event named by id: on the bus given, else on the first bus that keeps it. Raises
    EventNotFound.
    """
    args = call.args
    catalog = call.services.catalog
    if "bus" in args:
        catalog.get_bus(call.account, args["bus"])
        return await _on(call, args["bus"])
    token: str | None = None
    while True:
        page = catalog.list_buses(call.account, limit=limits.PAGE_ITEMS_MAX, token=token)
        for bus in page.items:
            kept = await call.services.engine.find_event(
                call.account, bus.name, args["id"], args.get("source")
            )
            if kept is not None:
                return kept
        token = page.next
        if token is None:
            raise _not_found(args["id"], "any bus")


async def _on(call: operations.Call, bus: str) -> queries.Stored:
    kept = await call.services.engine.find_event(
        call.account, bus, call.args["id"], call.args.get("source")
    )
    if kept is None:
        raise _not_found(call.args["id"], f"the bus [{bus}]")
    return kept


def _not_found(event_id: str, where: str) -> errors.EventNotFound:
    return errors.EventNotFound(
        f"No event [{event_id}] is kept on {where}.",
        field="id",
        remedy="It never came in, or retention removed it; watch with `headrace event tail`.",
    )


async def _search(call: operations.Call) -> dict[str, Any]:
    args = call.args
    bus: str = args.get("bus", "default")
    call.services.catalog.get_bus(call.account, bus)
    limit: int = args.get("limit", limits.PAGE_ITEMS_MAX)
    if not 1 <= limit <= limits.PAGE_ITEMS_MAX:
        raise errors.LimitInvalid(field="limit", got=limit)
    page = await call.services.engine.search(
        call.account,
        bus,
        start_ms=args.get("start_ms", 0),
        stop_ms=args.get("stop_ms", 1 << 62),
        source=args.get("source"),
        type=args.get("type"),
        rule=args.get("rule"),
        subject=args.get("subject"),
        limit=limit,
        token=args.get("token") or None,
    )
    return {"events": [event_of(kept) for kept in page.items], "next": page.next}


async def _get(call: operations.Call) -> dict[str, Any]:
    return event_of(await _found(call))


async def _trace(call: operations.Call) -> dict[str, Any]:
    kept = await _found(call)
    steps = await call.services.engine.traces(call.account, kept.bus, kept.id)
    return event_of(kept) | {"steps": steps}


async def _why(call: operations.Call) -> dict[str, Any]:
    kept = await _found(call)
    _, verdicts = await call.services.engine.why(
        call.account, kept.bus, kept.id, call.args.get("rule")
    )
    return event_of(kept) | {"rules": verdicts}


async def _replay(call: operations.Call) -> dict[str, Any]:
    kept = await _found(call)
    deliveries = await call.services.engine.replay(
        call.account, kept.bus, kept.id, rule=call.args.get("rule")
    )
    return {"bus": kept.bus, "id": kept.id, "deliveries": deliveries}


# Live tail ----------------------------------------------------------


async def _tail(call: operations.Call) -> http.Stream:
    args = call.args
    bus: str = args.get("bus", "default")
    call.services.catalog.get_bus(call.account, bus)
    wanted = pattern.compile(args["pattern"]) if args.get("pattern") else None
    live = await call.services.engine.tail(call.account, bus)
    if "text/event-stream" in call.request.headers.get("accept", ""):
        return http.Stream(
            _lines(live, wanted, b"data: %b\n\n", b": waiting\n\n"),
            content_type=b"text/event-stream",
            headers=((b"cache-control", b"no-store"),),
        )
    return http.Stream(
        _lines(live, wanted, b"%b\n", b"\n"), headers=((b"cache-control", b"no-store"),)
    )


async def _lines(
    live: engines.Tail,
    wanted: pattern.Pattern | None,
    frame: bytes,
    heartbeat: bytes,
) -> AsyncIterator[bytes]:
    """Yield a heartbeat once the tail listens, one framed line per event, heartbeats between."""
    waiting: asyncio.Future[Any] | None = None
    wait_s = 0.0
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(anext(live))
            done, _ = await asyncio.wait((waiting,), timeout=wait_s)
            wait_s = bounds.TAIL_HEARTBEAT_SECONDS
            if not done:
                yield heartbeat
                continue
            line = _line(waiting.result(), wanted)
            waiting = None
            if line is not None:
                yield frame % line
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        live.close()


def _line(
    item: queries.Stored | engines.TailSkipped, wanted: pattern.Pattern | None
) -> bytes | None:
    if isinstance(item, engines.TailSkipped):
        return _encode({"skipped": item.events})
    if wanted is not None and not wanted.matches(jsontext.decode(item.body)):
        return None
    return _encode(event_of(item))


ROWS = (
    operations.Operation(
        "SearchEvents",
        _search,
        "headrace:SearchEvents",
        _bus,
        shape("bus; start_ms:i; stop_ms:i; source; type; rule; subject; limit:i; token"),
        shape("events:[{" + _STORED + "}], next"),
        methods=("GET",),
        path="/headrace/v1/events",
    ),
    operations.Operation(
        "GetEvent",
        _get,
        "headrace:GetEvent",
        _bus,
        shape("id*; bus; source"),
        shape(_STORED),
        methods=("GET",),
        path="/headrace/v1/events/{id}",
    ),
    operations.Operation(
        "TraceEvent",
        _trace,
        "headrace:TraceEvent",
        _bus,
        shape("id*; bus; source"),
        shape(_STORED + ", steps:[" + _STEP + "]"),
        methods=("GET",),
        path="/headrace/v1/events/{id}/trace",
    ),
    operations.Operation(
        "ExplainEvent",
        _why,
        "headrace:ExplainEvent",
        _bus,
        shape("id*; bus; source; rule"),
        shape(
            _STORED
            + ", rules:[{rule, status, matched_then:b, matches_now:b, failure:any, because,"
            + " deliveries:["
            + _STEP
            + "]}]"
        ),
        methods=("GET",),
        path="/headrace/v1/events/{id}/why",
    ),
    operations.Operation(
        "ReplayEvent",
        _replay,
        "headrace:ReplayEvent",
        _bus,
        shape("id*; bus; source; rule"),
        shape("bus, id, deliveries:i"),
        path="/headrace/v1/events/{id}/replay",
    ),
    operations.Operation(
        "TailEvents",
        _tail,
        "headrace:TailEvents",
        _bus,
        shape("bus; pattern"),
        shape(_STORED + ", skipped:i"),
        methods=("GET",),
        path="/headrace/v1/tail",
    ),
)
