"""Dead letters: list, read, send again."""

from __future__ import annotations

from typing import Any

from headrace.api import operations
from headrace.api.shapes import shape
from headrace.bus import deadletters
from headrace.core import errors

_LETTER = (
    "{id, died_ms:i, event_id, source, type, rule, target, error, attempts:i, event:any, origin:i}"
)


async def _list(call: operations.Call) -> dict[str, Any]:
    args = call.args
    limit: int = args.get("limit", 100)
    if not 1 <= limit <= deadletters.LIST_MAX:
        raise errors.LimitInvalid(field="limit", expected=f"1..{deadletters.LIST_MAX}", got=limit)
    letters = call.services.engine.dead_letters
    return {
        "dead_letters": await letters.list(call.account, rule=args.get("rule"), limit=limit),
        "total": letters.count(call.account),
    }


async def _get(call: operations.Call) -> Any:
    return await call.services.engine.dead_letters.get(call.account, call.args["id"])


async def _resend(call: operations.Call) -> dict[str, Any]:
    ids: list[str] = call.args["ids"]
    if not 1 <= len(ids) <= deadletters.LIST_MAX:
        raise errors.InvalidInput(
            f"Name 1 to {deadletters.LIST_MAX} dead letters.", field="ids", got=len(ids)
        )
    return {"trace_ids": await call.services.engine.dead_letters.resend(call.account, ids)}


ROWS = (
    operations.Operation(
        "ListDeadLetters",
        _list,
        "headrace:ListDeadLetters",
        operations.anything,
        shape("rule; limit:i"),
        shape("dead_letters:[" + _LETTER + "], total:i"),
        methods=("GET",),
        path="/headrace/v1/dead-letters",
    ),
    operations.Operation(
        "GetDeadLetter",
        _get,
        "headrace:GetDeadLetter",
        operations.anything,
        shape("id*"),
        shape(_LETTER[1:-1]),
        methods=("GET",),
        path="/headrace/v1/dead-letters/{id}",
    ),
    operations.Operation(
        "ResendDeadLetters",
        _resend,
        "headrace:ResendDeadLetters",
        operations.anything,
        shape("ids*:[s]"),
        shape("trace_ids:[s]"),
        path="/headrace/v1/dead-letters/resend",
    ),
)
