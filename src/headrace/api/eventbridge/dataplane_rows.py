"""The operations of the data plane: flat answers over the same work as the control API's.

Times of traced events are text here and numbers there, empty tokens are "" here and absent there:
so the two
SDKs have them (eventbridge.md 0.1, 1.11).
"""

from __future__ import annotations

from typing import Any

from headrace.api import operations, paging
from headrace.api.eventbridge import access, arguments, buses, events, rules, targets
from headrace.api.shapes import shape
from headrace.core import errors, event
from headrace.resources import model

_BUS = "{EventBusName, EventBusARN, Description, CreateTimestamp:i, Tags:map}"
_RULE = (
    "EventBusName, RuleARN, RuleName, Description, Status, FilterPattern, Targets:["
    + arguments.TARGET_ENTRY
    + "], Ctime:i, Mtime:i, Tags:map"
)
_TRACED = (
    "TracedEvents:[{EventReceivedTime, EventSource, EventId, EventBusName, EventType}],"
    " NextToken, Total:i"
)
_STEP = (
    "{ResourceOwnerId, Action, EventId, EventBusName, ActionTime, EventSource, ReceivedTime:i,"
    " RuleName, RuleMatchingTime:i, NotifyLatency:i, NotifyTime:i, Endpoint, NotifyStatus}"
)
_RULE_NAMES = "EventBusName*; RuleName*"


class MixedBuses(errors.InvalidInput):
    """The events of one request must name one event bus."""

    code = "PutEventsRequestMoreThanOneEventBus"


def _flat(page: dict[str, Any]) -> dict[str, Any]:
    """A page as this plane has it: NextToken is always there."""
    return {"NextToken": "", **page}


# Events ----------------------------------------------------------


async def _put_events(call: operations.Call) -> dict[str, Any]:
    entries = event.parse_batch(call.request.body, call.services.limits)
    named = {
        entry.extensions.get("aliyuneventbusname")
        for entry in entries
        if not isinstance(entry, errors.EventRefused)
    }
    named.discard(None)  # refused one by one, with EventBusEmpty
    if len(named) > 1:
        raise MixedBuses(field="aliyuneventbusname", got=sorted(map(str, named)))
    results = await call.services.engine.publish(
        call.account, entries, bus=None, addr=call.request.client
    )
    return events.entry_list(results)


async def _traces(call: operations.Call) -> dict[str, Any]:
    shown: list[dict[str, Any]] = []
    for kept, step in await events.steps(call):
        entry = events.step_of(kept, step)
        entry["ActionTime"] = str(entry["ActionTime"])
        entry["ResourceOwnerId"] = call.account
        shown.append(entry)
    return {"EventTraceList": shown}


def _traced(kept: Any) -> dict[str, Any]:
    entry = events.traced(kept)
    entry["EventReceivedTime"] = str(entry["EventReceivedTime"])
    return entry


async def _by_id(call: operations.Call) -> dict[str, Any]:
    kept = await events.find(call, call.args["EventId"], call.args.get("EventSource"))
    items = [] if kept is None else [_traced(kept)]
    return _flat(paging.page("TracedEvents", items, None, len(items)))


async def _by_period(call: operations.Call) -> dict[str, Any]:
    page = await events.search(call)
    return _flat(
        paging.page("TracedEvents", [_traced(kept) for kept in page.items], page.next, page.total)
    )


async def _by_ids(call: operations.Call) -> dict[str, Any]:
    args = call.args
    paging.limit_of({"Limit": len(args["EventIds"])}, 0)
    found: dict[str, str] = {}
    for event_id in args["EventIds"]:
        kept = await events.find(call, event_id, args.get("EventSourceName"))
        if kept is not None:
            found[event_id] = kept.body.decode()
    return {"EventMap": found, "EventBusName": args["EventBusName"]}


# Buses ----------------------------------------------------------


def _bus_of(call: operations.Call, bus: model.EventBus) -> dict[str, Any]:
    return buses.bus_of(call, bus) | {"Tags": bus.tags}


async def _get_bus(call: operations.Call) -> dict[str, Any]:
    return _bus_of(call, call.services.catalog.get_bus(call.account, call.args["EventBusName"]))


async def _list_buses(call: operations.Call) -> dict[str, Any]:
    page = buses.listed(call)
    items = [_bus_of(call, bus) for bus in page.items]
    return _flat(paging.page("EventBuses", items, page.next, page.total))


async def _delete_bus(call: operations.Call) -> dict[str, Any]:
    await call.services.catalog.delete_bus(call.account, call.args["EventBusName"])
    return {}


# Rules and targets ----------------------------------------------------------


def _rule_of(call: operations.Call, rule: model.Rule) -> dict[str, Any]:
    return {
        "EventBusName": rule.bus,
        "RuleARN": rules.arn_of(call, rule),
        "RuleName": rule.name,
        "Description": rule.description,
        "Status": rule.status,
        "FilterPattern": rule.pattern,
        "Targets": [arguments.target_entry(target) for target in rule.targets],
        "Ctime": rule.created_ms,
        "Mtime": rule.modified_ms,
        "Tags": rule.tags,
    }


async def _create_rule(call: operations.Call) -> dict[str, Any]:
    rule = await call.services.catalog.create_rule(
        call.account, call.args["EventBusName"], rules.rule_input(call.args, "Targets")
    )
    return {"RuleARN": rules.arn_of(call, rule)}


async def _update_rule(call: operations.Call) -> dict[str, Any]:
    await rules.update(call)
    return {}


async def _get_rule(call: operations.Call) -> dict[str, Any]:
    args = call.args
    rule, _ = call.services.catalog.get_rule(call.account, args["EventBusName"], args["RuleName"])
    return _rule_of(call, rule)


async def _list_rules(call: operations.Call) -> dict[str, Any]:
    page = rules.listed(call)
    items = [_rule_of(call, rule) for rule in page.items]
    return _flat(paging.page("Rules", items, page.next, page.total))


async def _delete_rule(call: operations.Call) -> dict[str, Any]:
    args = call.args
    await call.services.catalog.delete_rule(call.account, args["EventBusName"], args["RuleName"])
    return {}


async def _enable_rule(call: operations.Call) -> dict[str, Any]:
    await rules.set_status(call, "ENABLE")
    return {}


async def _disable_rule(call: operations.Call) -> dict[str, Any]:
    await rules.set_status(call, "DISABLE")
    return {}


async def _list_targets(call: operations.Call) -> dict[str, Any]:
    page = targets.listed(call)
    return {"Targets": [arguments.target_entry(placed.target) for placed in page.items]}


async def _test_pattern(call: operations.Call) -> dict[str, Any]:
    return {"Result": rules.matches(call.args)}


def _row(
    name: str,
    handler: operations.Handler,
    resource: operations.Resource,
    params: str,
    answer: str = "",
    *,
    action: str = "",
    raw_body: bool = False,
) -> operations.Operation:
    """One row; `action` where the control API's twin has another name."""
    return operations.Operation(
        name,
        handler,
        "eventbridge:" + (action or name[0].upper() + name[1:]),
        resource,
        shape(params),
        shape(answer),
        path="/openapi/" + name,
        raw_body=raw_body,
    )


ROWS = (
    _row(
        "putEvents",
        _put_events,
        access.every_bus,
        "Events*:[{id*, source*, specversion, type*, datacontenttype, dataschema, subject, time,"
        " extensions:map, data:any, data_base64, aliyuneventbusname}]",
        "FailedEntryCount:i, EntryList:[{EventId, TraceId, ErrorCode, ErrorMessage}]",
        raw_body=True,
    ),
    _row(
        "createEventBus",
        buses.create_bus,
        access.bus,
        "EventBusName*; Description; Tags:map",
        "EventBusARN",
    ),
    _row("deleteEventBus", _delete_bus, access.bus, "EventBusName*"),
    _row("getEventBus", _get_bus, access.bus, "EventBusName*", _BUS.strip("{}")),
    _row(
        "listEventBuses",
        _list_buses,
        access.every_bus,
        "NamePrefix; Limit:i; NextToken",
        "EventBuses:[" + _BUS + "], NextToken, Total:i",
    ),
    _row(
        "createRule",
        _create_rule,
        access.rule,
        "EventBusName*; Description; RuleName*; Status; FilterPattern; Targets*:["
        + arguments.TARGET_ENTRY
        + "]; Tags:map",
        "RuleARN",
    ),
    _row("deleteRule", _delete_rule, access.rule, _RULE_NAMES),
    _row("disableRule", _disable_rule, access.rule, _RULE_NAMES),
    _row("enableRule", _enable_rule, access.rule, _RULE_NAMES),
    _row("getRule", _get_rule, access.rule, _RULE_NAMES, _RULE),
    _row(
        "listRules",
        _list_rules,
        access.bus,
        "EventBusName*; RuleNamePrefix; Limit:i; NextToken",
        "NextToken, Rules:[{" + _RULE + "}], Total:i",
    ),
    _row(
        "updateRule",
        _update_rule,
        access.rule,
        "EventBusName*; RuleName*; Description; Status; FilterPattern; Tags:map",
    ),
    _row(
        "createTargets",
        targets.put_targets,
        access.rule,
        "EventBusName*; RuleName*; Targets*:[" + arguments.TARGET_ENTRY + "]",
        arguments.ERROR_ENTRIES,
        action="PutTargets",
    ),
    _row(
        "deleteTargets",
        targets.delete_targets,
        access.rule,
        "EventBusName*; RuleName*; TargetIds*:[s]",
        arguments.ERROR_ENTRIES,
    ),
    _row(
        "listTargets",
        _list_targets,
        access.rule,
        "EventBusName*; RuleName*; Limit:i",
        "Targets:[" + arguments.TARGET_ENTRY + "]",
    ),
    _row(
        "testEventPattern",
        _test_pattern,
        operations.anything,
        "Event*; EventPattern*",
        "Result:b",
    ),
    _row(
        "queryEventTraces",
        _traces,
        access.bus,
        "EventBusName*; EventId*",
        "EventTraceList:[" + _STEP + "]",
    ),
    _row(
        "queryEventByEventId",
        _by_id,
        access.bus,
        "EventBusName*; EventSource; EventId*",
        _TRACED,
        action="QueryTracedEventByEventId",
    ),
    _row(
        "queryEventsByPeriod",
        _by_period,
        access.bus,
        "EventBusName*; EventSource; StartTime*:i; EndTime*:i; Limit:i; NextToken; EventType;"
        " MatchedRule",
        _TRACED,
        action="QueryTracedEvents",
    ),
    _row(
        "queryEventsByEventIds",
        _by_ids,
        access.bus,
        "EventBusName*; EventSourceName; EventIds*:[s]",
        "EventMap:map, EventBusName",
        action="QueryEvent",
    ),
)
