"""What functions wrote: logs and records of invocations."""

from __future__ import annotations

from typing import Any

import msgspec

from headrace.api import operations, services
from headrace.api.shapes import shape
from headrace.core import errors, names

#: Lines one call reads at most.
LINES_MAX = 10_000
_LINES_DEFAULT = 1000


def _function(call: operations.Call) -> str:
    return names.function_arn(call.services.region, call.account, call.args["function"])


def _line_of(line: services.Line) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "at_ms": line.at_ms,
        "request_id": line.request_id,
        "kind": line.kind,
    }
    if line.kind == "invocation":
        shown["record"] = msgspec.Raw(line.body)
    else:
        shown["text"] = line.body.decode("utf-8", "replace")
    return shown


async def _logs(call: operations.Call) -> dict[str, Any]:
    args = call.args
    function = call.services.catalog.get_function(call.account, args["function"])
    limit: int = args.get("limit", _LINES_DEFAULT)
    if not 1 <= limit <= LINES_MAX:
        raise errors.LimitInvalid(field="limit", expected=f"1..{LINES_MAX}", got=limit)
    if call.services.logs is None:
        raise errors.Unavailable("This server keeps no logs.")
    lines = await call.services.logs.read(
        f"{call.account}/function/{function.name}",
        start_ms=args.get("start_ms", 0),
        stop_ms=args.get("stop_ms", 1 << 62),
        request_id=args.get("request_id"),
        kind=args.get("kind"),
        limit=limit,
    )
    return {"lines": [_line_of(line) for line in lines]}


ROWS = (
    operations.Operation(
        "ReadLogs",
        _logs,
        "headrace:ReadLogs",
        _function,
        shape("function*; start_ms:i; stop_ms:i; request_id; kind; limit:i"),
        shape("lines:[{at_ms:i, request_id, kind, text, record:any}]"),
        methods=("GET",),
        path="/headrace/v1/functions/{function}/logs",
    ),
)
