"""InvokeFunction: raw bytes in, raw bytes out, everything else in headers.

Owns the headers of an invocation. A function's own failure is HTTP 200 with x-fc-error-type; must
never turn one into a 4xx or 5xx.
"""

from __future__ import annotations

import base64
from typing import Final

from headrace.api import http
from headrace.api.fc import calls
from headrace.core import errors, limits, names
from headrace.functions import invocation

#: The part of the log that Tail returns, before base64.
LOG_TAIL_BYTES_MAX: Final = 4 * 1024

_OCTETS: Final = b"application/octet-stream"
_JSON: Final = b"application/json"
_EXPOSED: Final = (
    b"Date,x-fc-request-id,x-fc-error-type,x-fc-code-checksum,x-fc-invocation-duration,"
    b"x-fc-max-memory-usage,x-fc-log-result,x-fc-invocation-code-version"
)


async def invoke(call: calls.FcCall) -> http.Response:
    mode = _header(call, "x-fc-invocation-type", "Sync", "Async")
    tail = _header(call, "x-fc-log-type", "None", "Tail") == "Tail"
    qualifier: str = call.args.get("qualifier") or "LATEST"
    calls.check_latest(qualifier)
    if mode == "Async":
        return await _enqueue(call)
    call.services.engine.switchboard.refuse_calls()
    payload = _bounded(call.request.body, limits.INVOKE_SYNC_BYTES_MAX)
    result = await call.services.functions.invoke(
        invocation.Call(
            account=call.account,
            function=call.args["functionName"],
            qualifier=qualifier,
            payload=payload,
            request_id=call.request.request_id,
            log_tail=tail,
        )
    )
    return _answer(result, tail=tail)


async def _enqueue(call: calls.FcCall) -> http.Response:
    call.services.engine.switchboard.refuse_changes()
    payload = _bounded(call.request.body, limits.INVOKE_ASYNC_BYTES_MAX)
    task_id = _task_id(call) or call.request.request_id
    function = call.services.catalog.get_function(call.account, call.args["functionName"])
    await call.services.engine.enqueue_call(
        call.account, function, payload, request_id=call.request.request_id
    )
    headers = ((b"x-fc-async-task-id", task_id.encode("ascii")),)
    return http.Response(202, b"", _OCTETS, headers)


def _header(call: calls.FcCall, name: str, default: str, other: str) -> str:
    """Read a header that has two values, in any case. Raises: InvalidInput."""
    text = call.request.headers.get(name, default)
    for value in (default, other):
        if text.strip().lower() == value.lower():
            return value
    raise errors.InvalidInput(
        f"The header {name} must be {default} or {other}, it is {text[:40]!r}.",
        field=name, expected=f"{default} or {other}", got=text[:40],
    )  # fmt: skip


def _bounded(payload: bytes, limit: int) -> bytes:
    if len(payload) > limit:
        raise errors.PayloadTooLarge(
            f"payload size exceeds maximum allowed size ({limit} bytes)",
            expected=limit, got=len(payload),
        )  # fmt: skip
    return payload


def _task_id(call: calls.FcCall) -> str | None:
    """Return the task id the caller chose; FC 2.0's header name is an alias.

    Echoed only: asynchronous tasks (asyncTask) are not built, so two calls of one id are two runs.
    """
    headers = call.request.headers
    text = headers.get("x-fc-async-task-id") or headers.get("x-fc-stateful-async-invocation-id")
    if text:
        names.check_task_id(text)
    return text or None


def _answer(result: invocation.Invocation, *, tail: bool) -> http.Response:
    version = result.version.encode()
    headers = [
        (b"x-fc-instance-id", result.instance_id.encode()),
        (b"x-fc-code-checksum", result.code_checksum.encode()),
        (b"x-fc-invocation-duration", b"%d" % (result.duration_us // 1000)),
        (b"x-fc-max-memory-usage", f"{result.memory_mb:.2f}".encode()),
        (b"x-fc-invocation-service-version", version),
        (b"x-fc-invocation-code-version", version),
        (b"access-control-expose-headers", _EXPOSED),
    ]
    if tail:
        log = base64.b64encode(result.log_tail[-LOG_TAIL_BYTES_MAX:])
        headers.append((b"x-fc-log-result", log))
    if result.error_type is not None:
        headers.append((b"x-fc-error-type", result.error_type.encode()))
    kind = _OCTETS if result.error_type is None else _JSON
    return http.Response(200, result.payload, kind, tuple(headers))


HANDLERS: Final = {"InvokeFunction": invoke}
