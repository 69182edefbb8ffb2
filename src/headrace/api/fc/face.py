"""The entry point of FC 3.0: everything below /2023-03-30/.

Finds the row, knows the caller, reads the parameters, wraps the answer. Lets errors through: its
route renders them with `faults.refuse`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib import parse as urlparse

import msgspec

from headrace.api import http, operations, shapes
from headrace.api.fc import calls, code, download, faults, table
from headrace.core import errors, limits
from headrace.resources import fields

if TYPE_CHECKING:
    from headrace.api import services

#: Where its route stands.
PREFIX: Final = table.PREFIX + "/"
#: What the server reads at most for this API: its largest request is a code package.
BODY_BYTES_MAX: Final = limits.CODE_REQUEST_BYTES_MAX


class Face:
    """The face. Its route takes PREFIX, `faults.refuse` and BODY_BYTES_MAX."""

    def __init__(self, services: services.Services, packages: calls.Packages) -> None:
        self._services = services
        self._packages = packages
        self._links = download.Links(services.clock, services.random)

    async def __call__(self, request: http.Request) -> http.Answer:
        if request.path.startswith(download.PATH) and request.method == "GET":
            # The link is its own proof: whoever holds it may read the package until it ends.
            answer = await code.downloaded(self._packages, self._links.opened(request))
        else:
            answer = await self._operation(request)
        answer.headers = (*faults.identified(request.request_id), *answer.headers)
        return answer

    async def _operation(self, request: http.Request) -> http.Response:
        principal = operations.identify(self._services, request)
        row, slots = routed(request)
        args = arguments(row, slots, request)
        call = calls.FcCall(self._services, principal, request, args, self._packages, self._links)
        return wrapped(await operations.run(row, call))


def routed(request: http.Request) -> tuple[operations.Operation, dict[str, str]]:
    """Return the row and the path's parameters. Raises: NotBuilt, PathUnknown, InvalidInput."""
    try:
        row, slots = table.TABLE.routed(request.method, request.raw_path)
    except errors.Unsupported as error:
        known = _known(request.method, request.raw_path)
        if known is None:
            raise faults.PathUnknown(f"{request.method} {request.path} is no operation.") from error
        raise faults.NotBuilt(f"{known} is not supported by this server.", got=known) from error
    action = request.headers.get("x-acs-action", row.name)
    if action != row.name:
        raise errors.InvalidInput(
            f"The header x-acs-action says {action[:80]}, the path is {row.name}.",
            field="x-acs-action", expected=row.name, got=action[:80],
        )  # fmt: skip
    return row, slots


def _known(method: str, raw_path: str) -> str | None:
    """Return the name of the row that fits, built or not."""
    parts = raw_path.strip("/").split("/")
    for row in table.TABLE:
        wanted = row.path.strip("/").split("/")
        if method not in row.methods or len(wanted) != len(parts):
            continue
        if all(w.startswith("{") or w == p for w, p in zip(wanted, parts, strict=True)):
            return row.name
    return None


def arguments(
    row: operations.Operation, slots: dict[str, str], request: http.Request
) -> dict[str, Any]:
    """Return path, query and body parameters as the row types them. Raises: InvalidInput."""
    given: dict[str, Any] = dict(slots)
    query = _query(request.query)
    _merge(given, shapes.nested(row.params, query))
    if not row.raw_body:
        _merge(given, _body(request.body))
    return shapes.read(row.params, {k: v for k, v in given.items() if not _unset(row, k, v)})


def _query(text: str) -> dict[str, str]:
    try:
        pairs = urlparse.parse_qsl(
            text,
            keep_blank_values=True,
            errors="strict",
            max_num_fields=limits.PARAMETERS_MAX,
        )
    except ValueError as error:
        raise errors.InvalidInput(f"The query cannot be read: {error}") from error
    out: dict[str, str] = {}
    for name, value in pairs:
        _merge(out, {name: value})
    return out


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    """Add what is new; the same value twice is no harm (clients repeat a name of the path)."""
    for name, value in more.items():
        if into.setdefault(name, value) != value:
            raise errors.InvalidInput(
                f"The parameter {name} is given twice with different values.", field=name
            )


def _body(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
        raise errors.InvalidInput(
            f"The body must be a JSON object: {error}", expected="JSON object"
        ) from error


def _unset(row: operations.Operation, name: str, value: Any) -> bool:
    """True for a field that is refused here but says only what is so anyway.

    Clients send empty forms (`"layers": []`) and defaults (`"sessionAffinity": "NONE"`) of what
    they do not use.
    """
    field = row.params.fields.get(name)
    if field is None or field.note is None or field.note.role != "refused":
        return False
    rule = fields.FUNCTION_FIELDS.get(name)
    return fields.is_unset(value) or (rule is not None and value in rule.neutral)


def wrapped(result: Any) -> http.Response:
    """Return what a handler gave as a response; what has nothing to say is 204."""
    if isinstance(result, http.Response):
        return result
    if result is None:
        return http.Response(204)
    return http.json_response(result)
