"""The RPC control API, version 2020-04-01: `POST|GET /` with the action in a header or parameter.

Owns the envelope and the table. Must never do an operation's work.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from headrace.api import bounds, http, operations, parameters, shapes
from headrace.api.eventbridge import buses, events, roles, rules, targets, unsupported
from headrace.core import errors

if TYPE_CHECKING:
    from headrace.api import idempotency, services

VERSION = "2020-04-01"

TABLE = operations.Table(
    "EventBridge",
    VERSION,
    (
        *buses.ROWS,
        *rules.ROWS,
        *targets.ROWS,
        *events.ROWS,
        *roles.ROWS,
        *(operations.Operation(name) for name in unsupported.ACTIONS),
    ),
)


class VersionUnknown(errors.InvalidInput):
    """Specified parameter Version is not valid."""

    code = "InvalidVersion"


def is_rpc(headers: Mapping[str, str], query: str) -> bool:
    """True when a GET of "/" is an RPC call, not a visit of the console."""
    return "x-acs-action" in headers or "Action=" in query


def refuse(error: errors.HeadraceError, request_id: str) -> http.Response:
    """Return `error` in the envelope that the SDK turns into an exception."""
    body = {
        "RequestId": request_id,
        "Code": error.code,
        "Message": operations.told(error),
        "Success": False,
    }
    return http.json_response(body, error.status)


class Control:
    """The face. Lets errors through: its route renders them with `refuse`."""

    def __init__(self, services: services.Services, answers: idempotency.Answers) -> None:
        self._services = services
        self._answers = answers

    async def __call__(self, request: http.Request) -> http.Answer:
        principal = operations.identify(self._services, request)
        given = parameters.sorted_out(request)
        if given.version and given.version != VERSION:
            raise VersionUnknown(field="Version", expected=VERSION, got=given.version)
        if not given.action:
            raise shapes.missing("Action")
        row = TABLE.named(given.action)
        args = shapes.read(row.params, shapes.nested(row.params, given.own))
        call = operations.Call(self._services, principal, request, args)
        act = functools.partial(operations.run, row, call)
        if len(given.client_token) > bounds.CLIENT_TOKEN_CHARS_MAX:
            raise errors.InvalidInput(
                f"A ClientToken has at most {bounds.CLIENT_TOKEN_CHARS_MAX} characters.",
                field="ClientToken",
                expected=bounds.CLIENT_TOKEN_CHARS_MAX,
                got=len(given.client_token),
            )
        if given.client_token and row.mutates:
            key = (principal.account, row.name, given.client_token)
            result = await self._answers.once(key, _digest(given.own), act)
        else:
            result = await act()
        return _wrapped(result, request.request_id)


def _digest(own: Mapping[str, str]) -> bytes:
    """What a repeat is recognised by; the parameters themselves are not kept."""
    return hashlib.sha256(msgspec.json.encode(own, order="deterministic")).digest()


def _wrapped(result: Any, request_id: str) -> http.Answer:
    if isinstance(result, http.Response):
        return result
    envelope = {"RequestId": request_id, "Code": "Success", "Message": "Success", "Success": True}
    return http.json_response(envelope | result)
