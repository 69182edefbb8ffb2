"""Event buses: the operations of the control API."""

from __future__ import annotations

from typing import Any

from headrace.api import operations, paging
from headrace.api.eventbridge import access
from headrace.api.shapes import shape
from headrace.core import names
from headrace.resources import inputs, model

_BUS = "{CreateTimestamp:i, Description, EventBusARN, EventBusName}"


def bus_of(call: operations.Call, bus: model.EventBus) -> dict[str, Any]:
    return {
        "EventBusName": bus.name,
        "EventBusARN": names.bus_arn(call.services.region, call.account, bus.name),
        "Description": bus.description,
        "CreateTimestamp": bus.created_ms,
    }


async def create_bus(call: operations.Call) -> dict[str, Any]:
    args = call.args
    bus = await call.services.catalog.create_bus(
        call.account, args["EventBusName"], args.get("Description", ""), args.get("Tags")
    )
    return {"EventBusARN": names.bus_arn(call.services.region, call.account, bus.name)}


async def _create(call: operations.Call) -> dict[str, Any]:
    return {"Data": await create_bus(call)}


async def _update(call: operations.Call) -> dict[str, Any]:
    args = call.args
    await call.services.catalog.update_bus(
        call.account, args["EventBusName"], description=args.get("Description")
    )
    return {}


async def _get(call: operations.Call) -> dict[str, Any]:
    bus = call.services.catalog.get_bus(call.account, call.args["EventBusName"])
    return {"Data": bus_of(call, bus)}


def listed(call: operations.Call) -> inputs.Listing[model.EventBus]:
    """The page of buses asked for, on both planes."""
    args = call.args
    return call.services.catalog.list_buses(
        call.account,
        prefix=args.get("NamePrefix", ""),
        limit=paging.limit_of(args, paging.LIMIT_RESOURCES),
        token=paging.token_of(args),
    )


async def _list(call: operations.Call) -> dict[str, Any]:
    page = listed(call)
    items = [bus_of(call, bus) for bus in page.items]
    return {"Data": paging.page("EventBuses", items, page.next, page.total)}


async def _delete(call: operations.Call) -> dict[str, Any]:
    await call.services.catalog.delete_bus(call.account, call.args["EventBusName"])
    return {"Data": True}


ROWS = (
    operations.Operation(
        "CreateEventBus",
        _create,
        "eventbridge:CreateEventBus",
        access.bus,
        shape("Description; EventBusName*"),
        shape("Data:{EventBusARN}"),
        mutates=True,
    ),
    operations.Operation(
        "UpdateEventBus",
        _update,
        "eventbridge:UpdateEventBus",
        access.bus,
        shape("Description; EventBusName*"),
        mutates=True,
    ),
    operations.Operation(
        "GetEventBus",
        _get,
        "eventbridge:GetEventBus",
        access.bus,
        shape("EventBusName*"),
        shape("Data:" + _BUS),
    ),
    operations.Operation(
        "ListEventBuses",
        _list,
        "eventbridge:ListEventBuses",
        access.every_bus,
        shape("Limit:i; NamePrefix; NextToken"),
        shape("Data:{EventBuses:[" + _BUS + "], NextToken, Total:i}"),
    ),
    operations.Operation(
        "DeleteEventBus",
        _delete,
        "eventbridge:DeleteEventBus",
        access.bus,
        shape("EventBusName*"),
        shape("Data:b"),
        mutates=True,
    ),
)
