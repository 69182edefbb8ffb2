"""Triggers of functions: a view of rules, as the function's side has it.

Owns only how a trigger looks on the wire; what it is and how it changes is `resources.triggers`.
"""

from __future__ import annotations

from typing import Any, Final

from headrace.api import http
from headrace.api.fc import calls
from headrace.resources import inputs

#: "true" leaves out triggers that stand for rules made on the bus's side.
_NO_REMOTE: Final = "x-fc-disable-list-remote-eb-triggers"


def trigger_of(trigger: inputs.Trigger) -> dict[str, Any]:
    return {
        "triggerName": trigger.name,
        "triggerId": trigger.id,
        "triggerType": trigger.type,
        "triggerConfig": trigger.config,
        "description": trigger.description,
        "sourceArn": trigger.source_arn,
        "invocationRole": trigger.invocation_role,
        "qualifier": trigger.qualifier,
        "targetArn": trigger.target_arn,
        "status": trigger.status,
        "createdTime": calls.time_text(trigger.created_ms),
        "lastModifiedTime": calls.time_text(trigger.modified_ms),
    }


def _shown(trigger: inputs.Trigger) -> http.Response:
    return calls.revised(trigger_of(trigger), trigger.revision)


async def create(call: calls.FcCall) -> http.Response:
    args = call.args
    trigger = await call.services.catalog.create_trigger(
        call.account,
        args["functionName"],
        inputs.TriggerInput(
            name=args["triggerName"],
            type=args["triggerType"],
            config=args.get("triggerConfig", ""),
            description=args.get("description", ""),
            qualifier=args.get("qualifier", ""),
            invocation_role=args.get("invocationRole", ""),
            source_arn=args.get("sourceArn", ""),
        ),
    )
    return _shown(trigger)


async def get(call: calls.FcCall) -> http.Response:
    args = call.args
    return _shown(
        call.services.catalog.get_trigger(call.account, args["functionName"], args["triggerName"])
    )


async def list_all(call: calls.FcCall) -> dict[str, Any]:
    limit, token = calls.page_of(call)
    hidden = call.request.headers.get(_NO_REMOTE, "false").strip().lower() == "true"
    page = call.services.catalog.list_triggers(
        call.account,
        call.args["functionName"],
        prefix=call.args.get("prefix", ""),
        include_remote=not hidden,
        limit=limit,
        token=token,
    )
    return calls.listed("triggers", [trigger_of(item) for item in page.items], page.next)


async def update(call: calls.FcCall) -> http.Response:
    args = call.args
    trigger = await call.services.catalog.update_trigger(
        call.account,
        args["functionName"],
        args["triggerName"],
        inputs.TriggerPatch(
            description=args.get("description"),
            invocation_role=args.get("invocationRole"),
            qualifier=args.get("qualifier"),
            config=args.get("triggerConfig"),
        ),
        revision=calls.revision_of(call),
    )
    return _shown(trigger)


async def delete(call: calls.FcCall) -> None:
    args = call.args
    await call.services.catalog.delete_trigger(
        call.account,
        args["functionName"],
        args["triggerName"],
        revision=calls.revision_of(call),
    )


HANDLERS: Final = {
    "CreateTrigger": create,
    "GetTrigger": get,
    "ListTriggers": list_all,
    "UpdateTrigger": update,
    "DeleteTrigger": delete,
}
