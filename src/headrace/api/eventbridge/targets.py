"""Targets of rules: the operations of the control API."""

from __future__ import annotations

from typing import Any

from headrace.api import operations, paging
from headrace.api.eventbridge import access, arguments
from headrace.api.shapes import shape
from headrace.resources import inputs

_LISTED = (
    "{ConcurrentConfig:{Concurrency:i}, Endpoint, ErrorsTolerance, EventBusName, Id, "
    + arguments.PARAM_LIST
    + ", RuleName, Type}"
)


async def put_targets(call: operations.Call) -> dict[str, Any]:
    """Create or update by Id, on both planes; refused entries are listed, others take effect."""
    args = call.args
    refused = await call.services.catalog.put_targets(
        call.account,
        args["EventBusName"],
        args["RuleName"],
        arguments.targets_from(args["Targets"]),
    )
    return arguments.errors_of(refused)


async def delete_targets(call: operations.Call) -> dict[str, Any]:
    """Delete by Id, on both planes."""
    args = call.args
    refused = await call.services.catalog.delete_targets(
        call.account, args["EventBusName"], args["RuleName"], args.get("TargetIds", [])
    )
    return arguments.errors_of(refused)


async def _put(call: operations.Call) -> dict[str, Any]:
    return {"Data": await put_targets(call)}


async def _delete(call: operations.Call) -> dict[str, Any]:
    return {"Data": await delete_targets(call)}


def listed(call: operations.Call) -> inputs.Listing[inputs.PlacedTarget]:
    """The page of targets asked for, on both planes."""
    args = call.args
    return call.services.catalog.list_targets(
        call.account,
        bus=args.get("EventBusName"),
        rule=args.get("RuleName"),
        arn=args.get("Arn"),
        limit=paging.limit_of(args, paging.LIMIT_RESOURCES),
        token=paging.token_of(args),
    )


async def _list(call: operations.Call) -> dict[str, Any]:
    page = listed(call)
    items: list[dict[str, Any]] = []
    for placed in page.items:
        item = arguments.target_entry(placed.target)
        del item["PushRetryStrategy"]  # ListTargets has no such field, in contrast to GetRule
        item["ErrorsTolerance"] = placed.target.errors or "ALL"
        item["EventBusName"] = placed.bus
        item["RuleName"] = placed.rule
        items.append(item)
    return {"Data": paging.page("Targets", items, page.next, page.total)}


ROWS = (
    operations.Operation(
        "PutTargets",
        _put,
        "eventbridge:PutTargets",
        access.rule,
        shape(
            "EventBusName*; RuleName*; Targets*:[" + arguments.TARGET + "]",
            arguments.target_notes("Targets"),
        ),
        shape("Data:{" + arguments.ERROR_ENTRIES + "}"),
        mutates=True,
    ),
    operations.Operation(
        "DeleteTargets",
        _delete,
        "eventbridge:DeleteTargets",
        access.rule,
        shape("EventBusName*; RuleName*; TargetIds:[s]"),
        shape("Data:{" + arguments.ERROR_ENTRIES + "}"),
        mutates=True,
    ),
    operations.Operation(
        "ListTargets",
        _list,
        "eventbridge:ListTargets",
        access.rule,
        shape("Arn; EventBusName; Limit:i; NextToken; RuleName"),
        shape("Data:{NextToken, Targets:[" + _LISTED + "], Total:i}"),
    ),
)
