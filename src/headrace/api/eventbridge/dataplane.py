"""The data plane, `POST /openapi/<operation>`: JSON bodies in, flat JSON out, error keys in lower
case.

Owns the envelope and nothing else; the operations are in `dataplane_rows`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.api import http, operations, parameters, shapes
from headrace.api.eventbridge import dataplane_rows, unsupported
from headrace.core import errors

if TYPE_CHECKING:
    from headrace.api import services

PREFIX = "/openapi/"

TABLE = operations.Table(
    "EventBridge data plane",
    "2015-06-06",
    (
        *dataplane_rows.ROWS,
        *(operations.Operation(name) for name in unsupported.PATHS),
    ),
)


def refuse(error: errors.HeadraceError, request_id: str) -> http.Response:
    """Return `error` with the lower-case keys that the data plane's SDK reads."""
    body = {"code": error.code, "message": operations.told(error), "requestId": request_id}
    return http.json_response(body, error.status)


class DataPlane:
    """The face. Lets errors through: its route renders them with `refuse`."""

    def __init__(self, services: services.Services) -> None:
        self._services = services

    async def __call__(self, request: http.Request) -> http.Answer:
        principal = operations.identify(self._services, request)
        row = TABLE.named(request.path.removeprefix(PREFIX))
        if request.query:
            raise shapes.unknown(request.query.partition("=")[0])
        args: dict[str, Any] = {}
        if not row.raw_body:
            body = request.body or b"{}"
            args = shapes.read(row.params, parameters.json_object(body, "body"))
        call = operations.Call(self._services, principal, request, args)
        answer = {
            "RequestId": request.request_id,
            "ResourceOwnerAccountId": principal.account,
        }
        return http.json_response(answer | await operations.run(row, call))
