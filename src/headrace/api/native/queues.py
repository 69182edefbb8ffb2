"""Built-in queues: make, list, delete; send, peek, purge."""

from __future__ import annotations

from typing import Any

from headrace.api import operations
from headrace.api.shapes import shape
from headrace.bus import queues
from headrace.core import errors, limits, names
from headrace.resources import model


def _queue(call: operations.Call) -> str:
    return names.queue_arn(call.services.region, call.account, call.args.get("queue", "*"))


def _queue_of(call: operations.Call, queue: model.Queue) -> dict[str, Any]:
    return {
        "name": queue.name,
        "arn": names.queue_arn(call.services.region, call.account, queue.name),
        "endpoint": names.endpoint_of_queue(call.services.region, call.account, queue.name),
        "created_ms": queue.created_ms,
        "messages": call.services.engine.queues.depth(call.account, queue.name),
    }


async def _create(call: operations.Call) -> dict[str, Any]:
    queue = await call.services.catalog.create_queue(call.account, call.args["queue"])
    return _queue_of(call, queue)


async def _list(call: operations.Call) -> dict[str, Any]:
    args = call.args
    limit: int = args.get("limit", limits.PAGE_ITEMS_MAX)
    if not 1 <= limit <= limits.PAGE_ITEMS_MAX:
        raise errors.LimitInvalid(field="limit", got=limit)
    page = call.services.catalog.list_queues(
        call.account, prefix=args.get("prefix", ""), limit=limit, token=args.get("token") or None
    )
    return {
        "queues": [_queue_of(call, queue) for queue in page.items],
        "total": page.total,
        "next": page.next,
    }


async def _get(call: operations.Call) -> dict[str, Any]:
    return _queue_of(call, call.services.catalog.get_queue(call.account, call.args["queue"]))


async def _delete(call: operations.Call) -> dict[str, Any]:
    queue = await call.services.catalog.delete_queue(call.account, call.args["queue"])
    return {"name": queue.name}


async def _send(call: operations.Call) -> dict[str, Any]:
    args = call.args
    sent = await call.services.engine.queues.send(call.account, args["queue"], args["body"])
    return {"message_id": sent}


async def _peek(call: operations.Call) -> dict[str, Any]:
    args = call.args
    limit: int = args.get("limit", 10)
    if not 1 <= limit <= queues.PEEK_MAX:
        raise errors.LimitInvalid(field="limit", expected=f"1..{queues.PEEK_MAX}", got=limit)
    found = await call.services.engine.queues.peek(call.account, args["queue"], limit)
    return {
        "messages": found,
        "total": call.services.engine.queues.depth(call.account, args["queue"]),
    }


async def _purge(call: operations.Call) -> dict[str, Any]:
    return {"purged": await call.services.engine.queues.purge(call.account, call.args["queue"])}


_QUEUE = "name, arn, endpoint, created_ms:i, messages:i"


def _row(
    name: str,
    handler: operations.Handler,
    method: str,
    path: str,
    params: str,
    answer: str,
    resource: operations.Resource = _queue,
) -> operations.Operation:
    return operations.Operation(
        name,
        handler,
        "headrace:" + name,
        resource,
        shape(params),
        shape(answer),
        methods=(method,),
        path="/headrace/v1/queues" + path,
    )


ROWS = (
    _row(
        "ListQueues",
        _list,
        "GET",
        "",
        "prefix; limit:i; token",
        "queues:[{" + _QUEUE + "}], total:i, next",
        operations.anything,
    ),
    _row("CreateQueue", _create, "PUT", "/{queue}", "queue*", _QUEUE),
    _row("GetQueue", _get, "GET", "/{queue}", "queue*", _QUEUE),
    _row("DeleteQueue", _delete, "DELETE", "/{queue}", "queue*", "name"),
    _row("SendMessage", _send, "POST", "/{queue}/messages", "queue*; body*", "message_id"),
    _row(
        "PeekMessages",
        _peek,
        "GET",
        "/{queue}/messages",
        "queue*; limit:i",
        "messages:[{position:i, message_id, sent_ms:i, body, origin:i}], total:i",
    ),
    _row("PurgeQueue", _purge, "DELETE", "/{queue}/messages", "queue*", "purged:i"),
)
