"""Rules and the pattern tester: the operations of the control API."""

from __future__ import annotations

from typing import Any

from headrace.api import http, operations, paging, parameters
from headrace.api.eventbridge import access, arguments
from headrace.api.shapes import shape
from headrace.core import errors, names, pattern
from headrace.resources import inputs, model

_LISTED_TARGET = "{Endpoint, ErrorsTolerance, Id, PushSelector, Type}"
_SHOWN_TARGET = (
    "{ConcurrentConfig:{Concurrency:i}, "
    + arguments.DEAD_LETTER_QUEUE
    + ", DetailMap:obj, Endpoint, ErrorsTolerance, Id, "
    + arguments.PARAM_LIST
    + ","
    " PushRetryStrategy, PushSelector, Type}"
)


def rule_input(args: dict[str, Any], targets: str) -> inputs.RuleInput:
    """A new rule from the arguments of CreateRule; `targets` names the list parameter."""
    return inputs.RuleInput(
        name=args["RuleName"],
        pattern=args.get("FilterPattern", "{}"),
        description=args.get("Description", ""),
        status=args.get("Status"),
        targets=arguments.targets_from(args.get(targets, [])),
        tags=args.get("Tags", {}),
    )


def arn_of(call: operations.Call, rule: model.Rule) -> str:
    return names.rule_arn(call.services.region, call.account, rule.bus, rule.name)


def matches(args: dict[str, Any]) -> bool:
    """TestEventPattern on both planes. Raises PatternInvalid, InvalidInput."""
    compiled = pattern.compile(args["EventPattern"])
    return compiled.matches(parameters.json_object(args["Event"], "Event"))


async def set_status(call: operations.Call, status: str) -> None:
    args = call.args
    await call.services.catalog.update_rule(
        call.account, args["EventBusName"], args["RuleName"], inputs.RulePatch(status=status)
    )


def _rule_of(call: operations.Call, rule: model.Rule) -> dict[str, Any]:
    return {
        "EventBusName": rule.bus,
        "RuleName": rule.name,
        "RuleARN": arn_of(call, rule),
        "Description": rule.description,
        "FilterPattern": rule.pattern,
        "Status": rule.status,
        "CreatedTimestamp": rule.created_ms,
    }


def _listed_target(target: model.Target) -> dict[str, Any]:
    return {
        "Id": target.id,
        "Type": target.type,
        "Endpoint": target.endpoint,
        "ErrorsTolerance": target.errors or "ALL",
        "PushSelector": arguments.selector_of(target),
    }


async def _create(call: operations.Call) -> dict[str, Any]:
    args = call.args
    rule = await call.services.catalog.create_rule(
        call.account, args["EventBusName"], rule_input(args, "EventTargets")
    )
    return {"Data": {"RuleARN": arn_of(call, rule)}}


async def update(call: operations.Call) -> None:
    """UpdateRule on both planes: what is absent stays as it is."""
    args = call.args
    patch = inputs.RulePatch(
        pattern=args.get("FilterPattern"),
        description=args.get("Description"),
        status=args.get("Status"),
        tags=args.get("Tags"),
    )
    await call.services.catalog.update_rule(
        call.account, args["EventBusName"], args["RuleName"], patch
    )


async def _update(call: operations.Call) -> dict[str, Any]:
    await update(call)
    return {"Data": True}


async def _get(call: operations.Call) -> dict[str, Any]:
    args = call.args
    rule, _ = call.services.catalog.get_rule(call.account, args["EventBusName"], args["RuleName"])
    targets = [arguments.target_of(target) for target in rule.targets]
    return {"Data": _rule_of(call, rule) | {"Targets": targets}}


def listed(call: operations.Call) -> inputs.Listing[model.Rule]:
    """The page of rules asked for, on both planes."""
    args = call.args
    return call.services.catalog.list_rules(
        call.account,
        args["EventBusName"],
        prefix=args.get("RuleNamePrefix", ""),
        limit=paging.limit_of(args, paging.LIMIT_RESOURCES),
        token=paging.token_of(args),
    )


async def _list(call: operations.Call) -> dict[str, Any]:
    page = listed(call)
    rules: list[dict[str, Any]] = [
        _rule_of(call, rule)
        | {"DetailMap": {}, "Targets": [_listed_target(target) for target in rule.targets]}
        for rule in page.items
    ]
    return {"Data": paging.page("Rules", rules, page.next, page.total)}


async def _delete(call: operations.Call) -> Any:
    args = call.args
    try:
        await call.services.catalog.delete_rule(
            call.account, args["EventBusName"], args["RuleName"]
        )
    except errors.RuleNotFound as error:
        # Terraform looks for this code on an answer that is not an error (eventbridge.md 2.4).
        return http.json_response(
            {
                "RequestId": call.request.request_id,
                "Code": error.code,
                "Message": error.message,
                "Success": False,
            }
        )
    return {}


async def _enable(call: operations.Call) -> dict[str, Any]:
    await set_status(call, "ENABLE")
    return {}


async def _disable(call: operations.Call) -> dict[str, Any]:
    await set_status(call, "DISABLE")
    return {}


async def _test(call: operations.Call) -> dict[str, Any]:
    return {"Data": {"Result": matches(call.args)}}


ROWS = (
    operations.Operation(
        "CreateRule",
        _create,
        "eventbridge:CreateRule",
        access.rule,
        shape(
            "Description; EventBusName*; EventTargets:["
            + arguments.TARGET
            + "]; FilterPattern*; RuleName*; Status",
            arguments.target_notes("EventTargets"),
        ),
        shape("Data:{RuleARN}"),
        mutates=True,
    ),
    operations.Operation(
        "UpdateRule",
        _update,
        "eventbridge:UpdateRule",
        access.rule,
        # The SDK's comment marks FilterPattern as required; absent means unchanged, as on the data
        # plane.
        shape("Description; EventBusName*; FilterPattern; RuleName*; Status"),
        shape("Data:b"),
        mutates=True,
    ),
    operations.Operation(
        "GetRule",
        _get,
        "eventbridge:GetRule",
        access.rule,
        shape("EventBusName*; RuleName*"),
        shape(
            "Data:{CreatedTimestamp:i, Description, EventBusName, FilterPattern, RuleARN,"
            " RuleName, Status, Targets:[" + _SHOWN_TARGET + "]}"
        ),
    ),
    operations.Operation(
        "ListRules",
        _list,
        "eventbridge:ListRules",
        access.bus,
        shape("EventBusName*; Limit:i; NextToken; RuleNamePrefix"),
        shape(
            "Data:{NextToken, Rules:[{CreatedTimestamp:i, Description, DetailMap:obj, EventBusName,"
            " FilterPattern, RuleARN, RuleName, Status, Targets:["
            + _LISTED_TARGET
            + "]}], Total:i}"
        ),
    ),
    operations.Operation(
        "DeleteRule",
        _delete,
        "eventbridge:DeleteRule",
        access.rule,
        shape("EventBusName*; RuleName*"),
        mutates=True,
    ),
    operations.Operation(
        "EnableRule",
        _enable,
        "eventbridge:EnableRule",
        access.rule,
        shape("EventBusName*; RuleName*"),
        mutates=True,
    ),
    operations.Operation(
        "DisableRule",
        _disable,
        "eventbridge:DisableRule",
        access.rule,
        shape("EventBusName*; RuleName*"),
        mutates=True,
    ),
    operations.Operation(
        "TestEventPattern",
        _test,
        "eventbridge:TestEventPattern",
        operations.anything,
        shape("Event*; EventPattern*"),
        shape("Data:{Result:b}"),
    ),
)
