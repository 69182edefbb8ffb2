"""The native API's face: path, query and JSON body become arguments, results become JSON.

Owns the envelope (an error is one flat object) and the table. Must never do an operation's work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.api import http, operations, parameters, shapes
from headrace.api.native import functions, letters, look, queues, server, switches
from headrace.core import errors

if TYPE_CHECKING:
    from headrace.api import services

PREFIX = "/headrace/v1/"

TABLE = operations.Table(
    "Headrace",
    "v1",
    (
        *look.ROWS,
        *letters.ROWS,
        *queues.ROWS,
        *functions.ROWS,
        *server.ROWS,
        *switches.ROWS,
    ),
)


def refuse(error: errors.HeadraceError, request_id: str) -> http.Response:
    """Return `error` as {code, message, request_id}; where known, field, expected, got, remedy."""
    body: dict[str, Any] = {"code": error.code, "message": error.message, "request_id": request_id}
    for name in ("field", "expected", "got", "remedy"):
        value = getattr(error, name)
        if value not in (None, ""):
            body[name] = value if isinstance(value, (str, int, float, bool)) else str(value)
    return http.json_response(body, error.status)


class Native:
    """The face. Lets errors through: its route renders them with `refuse`."""

    def __init__(self, services: services.Services) -> None:
        self._services = services

    async def __call__(self, request: http.Request) -> http.Answer:
        principal = operations.identify(self._services, request)
        row, given = TABLE.routed(request.method, request.raw_path)
        args = shapes.read(row.params, _given(given, row, request))
        call = operations.Call(self._services, principal, request, args)
        result = await operations.run(row, call)
        if isinstance(result, (http.Response, http.Stream)):
            return result
        return http.json_response(result)


def _given(
    slots: dict[str, str], row: operations.Operation, request: http.Request
) -> dict[str, Any]:
    given: dict[str, Any] = dict(slots)
    for name, value in parameters.pairs(request.query):
        if name in given:
            raise errors.InvalidInput(f"The parameter {name} is given twice.", field=name)
        given[name] = value
    if request.body and not row.raw_body:
        for name, value in parameters.json_object(request.body, "body").items():
            if name in given:
                raise errors.InvalidInput(f"The parameter {name} is given twice.", field=name)
            given[name] = value
    return given
