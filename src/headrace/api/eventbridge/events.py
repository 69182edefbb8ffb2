"""Publishing, querying and tracing events: the operations of the control API.

What a stored event or a trace step looks like on the wire is here for both planes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from headrace.api import operations, paging, shapes
from headrace.api.eventbridge import access
from headrace.api.shapes import shape
from headrace.bus import accept, queries
from headrace.core import errors, event, limits

_TRACED = "{EventBusName, EventId, EventReceivedTime:i, EventSource, EventType}"
_TRACED_PAGE = "Events:[" + _TRACED + "], NextToken, Total:i"
_ENTRY = "{Data:any, DataContentType, DataSchema, Id*, Source*, SpecVersion, Subject, Time, Type*}"

#: Verdicts of deliveries that have not been tried, or went on under another position.
_UNSEEN = ("", "moved")
_NULL = b"null"


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    """One member of EventList; attributes are judged by `event.build`, the data keeps its text."""

    Id: Any = None
    Source: Any = None
    SpecVersion: Any = None
    Type: Any = None
    DataContentType: Any = None
    DataSchema: Any = None
    Subject: Any = None
    Time: Any = None
    Data: msgspec.Raw = msgspec.Raw(_NULL)


_read_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_read_entry = msgspec.json.Decoder(_Entry).decode
_read_text = msgspec.json.Decoder(str).decode


def entry_list(results: Sequence[accept.Accepted | errors.EventRefused]) -> dict[str, Any]:
    """The answer of PutEvents on both planes: one entry per event, in order."""
    entries: list[dict[str, str | None]] = []
    failed = 0
    for result in results:
        if isinstance(result, errors.EventRefused):
            failed += 1
            entries.append(
                {
                    "EventId": None,
                    "TraceId": None,
                    "ErrorCode": result.code,
                    "ErrorMessage": result.message,
                }
            )
        else:
            entries.append(
                {
                    "EventId": result.event_id,
                    "TraceId": result.trace_id,
                    "ErrorCode": None,
                    "ErrorMessage": None,
                }
            )
    return {"FailedEntryCount": failed, "EntryList": entries}


def _events(text: str, bounds: limits.Limits) -> list[event.Event | errors.EventRefused]:
    """Return one event or refusal for each entry of EventList.

    Raises InvalidInput, PayloadTooLarge.
    """
    size = len(text) if text.isascii() else len(text.encode())
    if size > bounds.request_bytes_max:  # the form around it is encoded and may be larger
        raise errors.PayloadTooLarge(
            f"EventList is larger than {bounds.request_bytes_max} bytes.",
            field="EventList",
            expected=bounds.request_bytes_max,
            got=size,
        )
    if size > bounds.request_values_max:
        event.check_values(text.encode("utf-8", "replace"), bounds)
    try:
        entries = _read_list(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise errors.InvalidInput(
            f"The parameter EventList is not a JSON array: {error}", field="EventList"
        ) from error
    if not entries:
        raise shapes.missing("EventList")
    most = bounds.request_events_max
    if len(entries) > most:
        raise errors.InvalidInput(
            f"A request may hold {most} events.",
            field="EventList",
            expected=most,
            got=len(entries),
        )
    return [_event(entry, number, bounds) for number, entry in enumerate(entries, 1)]


def _event(
    raw: msgspec.Raw, number: int, bounds: limits.Limits
) -> event.Event | errors.EventRefused:
    try:
        entry = _read_entry(raw)
        data = _data(bytes(entry.Data))
    except (msgspec.DecodeError, RecursionError) as error:
        message = f"EventList.{number} cannot be read: {error}"
        return errors.EventRefused(
            message, code="JsonAttributeInvalid", field=f"EventList.{number}"
        )
    fields = {
        "id": entry.Id,
        "source": entry.Source,
        "type": entry.Type,
        "specversion": "1.0" if entry.SpecVersion is None else entry.SpecVersion,
        "datacontenttype": entry.DataContentType,
        "dataschema": entry.DataSchema,
        "subject": entry.Subject,
        "time": entry.Time,
        "data": data,
    }
    try:
        return event.build(fields, bounds)
    except errors.EventRefused as refused:
        return refused.with_traceback(None)


def _data(text: bytes) -> msgspec.Raw | str | None:
    """Data as `event.build` takes it: a string decoded (it may be JSON itself), else its text."""
    if text == _NULL:
        return None
    return _read_text(text) if text.startswith(b'"') else msgspec.Raw(text)


async def _put(call: operations.Call) -> dict[str, Any]:
    results = await call.services.engine.publish(
        call.account,
        _events(call.args["EventList"], call.services.limits),
        bus=call.args["EventBusName"],
        addr=call.request.client,
    )
    return {"Data": entry_list(results)}


# Queries ----------------------------------------------------------


async def find(
    call: operations.Call, event_id: str, source: str | None = None
) -> queries.Stored | None:
    """The newest event of that id on the bus named by EventBusName. Raises BusNotFound."""
    bus: str = call.args["EventBusName"]
    call.services.catalog.get_bus(call.account, bus)
    return await call.services.engine.find_event(call.account, bus, event_id, source)


async def search(call: operations.Call) -> queries.Page:
    """One page of the events of a period. Raises BusNotFound, LimitInvalid, NextTokenInvalid."""
    args = call.args
    call.services.catalog.get_bus(call.account, args["EventBusName"])
    return await call.services.engine.search(
        call.account,
        args["EventBusName"],
        start_ms=args["StartTime"],
        stop_ms=args["EndTime"],
        source=args.get("EventSource"),
        type=args.get("EventType"),
        rule=args.get("MatchedRule"),
        subject=args.get("Subject"),
        limit=paging.limit_of(args, paging.LIMIT_DEFAULT),
        token=paging.token_of(args),
    )


async def steps(call: operations.Call) -> list[tuple[queries.Stored, queries.TraceStep]]:
    """The steps of the event named by EventId that have happened, each with the event; [] when it
    is not kept.
    """
    args = call.args
    kept = await find(call, args["EventId"])
    if kept is None:
        return []
    told = await call.services.engine.traces(call.account, kept.bus, kept.id)
    return [
        (kept, step) for step in told if step.action != "PushEvent" or step.verdict not in _UNSEEN
    ]


def traced(kept: queries.Stored) -> dict[str, Any]:
    return {
        "EventBusName": kept.bus,
        "EventId": kept.id,
        "EventSource": kept.source,
        "EventType": kept.type,
        "EventReceivedTime": kept.received_ms,
    }


def step_of(kept: queries.Stored, step: queries.TraceStep) -> dict[str, Any]:
    """One step with the fields its action has (eventbridge.md 4), numbers as numbers."""
    out: dict[str, Any] = {
        "Action": step.action,
        "ActionTime": step.at_ms,
        "EventBusName": kept.bus,
        "EventId": kept.id,
        "EventSource": kept.source,
    }
    if step.action == "PutEvent":
        out["ReceivedTime"] = step.at_ms
        return out
    out["RuleName"] = step.rule
    if step.action == "FilterEvent":
        out["RuleMatchingTime"] = step.at_ms
        return out
    out["Endpoint"] = step.endpoint
    out["NotifyTime"] = step.at_ms
    out["NotifyLatency"] = round(step.latency_ms)
    out["NotifyStatus"] = step.status
    return out


async def _query(call: operations.Call) -> dict[str, Any]:
    args = call.args
    kept = await find(call, args["EventId"], args["EventSource"])
    if kept is None:
        raise errors.EventNotFound(
            f"The event [{args['EventId']}] is not on the bus [{args['EventBusName']}].",
            field="EventId",
        )
    return {"Data": msgspec.Raw(kept.body)}


async def _traces(call: operations.Call) -> dict[str, Any]:
    shown = [step_of(kept, step) for kept, step in await steps(call)]
    for step in shown:
        for name in ("RuleMatchingTime", "NotifyLatency"):
            if name in step:
                step[name] = str(step[name])  # text here, numbers on the data plane
    return {"Data": shown}


async def _by_id(call: operations.Call) -> dict[str, Any]:
    kept = await find(call, call.args["EventId"], call.args.get("EventSource"))
    items = [] if kept is None else [traced(kept)]
    # A list around one page: so it is in every SDK.
    return {"Data": [paging.page("Events", items, None, len(items))]}


async def _by_period(call: operations.Call) -> dict[str, Any]:
    page = await search(call)
    return {
        "Data": paging.page("Events", [traced(kept) for kept in page.items], page.next, page.total)
    }


ROWS = (
    operations.Operation(
        "PutEvents",
        _put,
        "eventbridge:PutEvents",
        access.bus,
        shape("EventBusName*; EventList*~:[" + _ENTRY + "]"),
        shape("Data:{EntryList:[{ErrorCode, ErrorMessage, EventId, TraceId}], FailedEntryCount:i}"),
    ),
    operations.Operation(
        "QueryEvent",
        _query,
        "eventbridge:QueryEvent",
        access.bus,
        shape("EventBusName*; EventId*; EventSource*"),
        shape("Data:obj"),
    ),
    operations.Operation(
        "QueryEventTraces",
        _traces,
        "eventbridge:QueryEventTraces",
        access.bus,
        shape("EventBusName*; EventId*"),
        shape(
            "Data:[{Action, ActionTime:i, Endpoint, EventBusName, EventId, EventSource,"
            " NotifyLatency, NotifyStatus, NotifyTime:i, ReceivedTime:i, RuleMatchingTime,"
            " RuleName}]"
        ),
    ),
    operations.Operation(
        "QueryTracedEventByEventId",
        _by_id,
        "eventbridge:QueryTracedEventByEventId",
        access.bus,
        shape("EventBusName*; EventId*; EventSource"),
        shape("Data:[{" + _TRACED_PAGE + "}]"),
    ),
    operations.Operation(
        "QueryTracedEvents",
        _by_period,
        "eventbridge:QueryTracedEvents",
        access.bus,
        shape(
            "EndTime*:i; EventBusName*; EventSource; EventType; Limit:i; MatchedRule; NextToken;"
            " StartTime*:i; Subject"
        ),
        shape("Data:{" + _TRACED_PAGE + "}"),
    ),
)
