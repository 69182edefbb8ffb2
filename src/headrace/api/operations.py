"""The operation record and its table: one row per operation of an API, from which everything else
is derived.

Routing, validation, authorisation, the compatibility table and the generated docs read the rows.
Shared by all
APIs; must never know one of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Literal, TypeAlias
from urllib import parse as urlparse

import msgspec

from headrace.access import authenticate, policy
from headrace.api import http, services, shapes
from headrace.core import errors


class Call(msgspec.Struct):
    """One authenticated, validated request on its way to its handler."""

    services: services.Services
    principal: policy.Principal
    request: http.Request
    #: The parameters, typed by the operation's shape; what was not sent is not here.
    args: dict[str, Any]

    @property
    def account(self) -> str:
        return self.principal.account


#: Does the work and returns what the face wraps into its envelope (or a whole Response or Stream).
Handler: TypeAlias = Callable[[Call], Awaitable[Any]]
#: How names of operations begin that change nothing.
_READING = ("get", "list", "query", "test", "check")
#: Names what is accessed, for authorisation.
Resource: TypeAlias = Callable[[Call], str]


def anything(call: Call) -> str:
    """The resource of operations that are about no single thing."""
    return "*"


class Operation(msgspec.Struct, frozen=True):
    """One row: what is called, what it takes and returns, who may, and who does it."""

    name: str
    #: None: the operation exists in the cloud and is not supported here.
    handler: Handler | None = None
    #: For example "eventbridge:PutEvents".
    action: str = ""
    resource: Resource = anything
    params: shapes.Shape = shapes.EMPTY
    answer: shapes.Shape = shapes.EMPTY
    methods: tuple[str, ...] = ("POST",)
    #: "/" for RPC; else a template, `/functions/{functionName}`.
    path: str = "/"
    #: True when a repeated request must not act twice (ClientToken is honoured). Not for events:
    #: a repeated event is known by its source and id.
    mutates: bool = False
    #: True when the body is not an object of `params` (a batch of events, a payload): the handler
    #: reads it.
    raw_body: bool = False
    #: Whether it is answered in read-only mode; None: if it only reads.
    in_read_only: bool | None = None

    @property
    def reads(self) -> bool:
        """Whether it is answered in read-only mode. What does not say that it reads, writes."""
        if self.in_read_only is not None:
            return self.in_read_only
        return "GET" in self.methods or self.name.lower().startswith(_READING)


class Table:
    """The operations of one API, found by name or by method and path."""

    def __init__(self, api: str, version: str, rows: Iterable[Operation]) -> None:
        """Raises ValueError when two rows share a name, or a method and path."""
        self.api = api
        self.version = version
        self._by_name: dict[str, Operation] = {}
        self._by_path: dict[tuple[str, ...], dict[str, Operation]] = {}
        for row in rows:
            if row.name in self._by_name:
                raise ValueError(f"{api}: two rows named {row.name}")
            self._by_name[row.name] = row
            if row.path != "/":
                self._add_path(row)

    def _add_path(self, row: Operation) -> None:
        key = tuple("{}" if _is_slot(part) else part for part in row.path.strip("/").split("/"))
        methods = self._by_path.setdefault(key, {})
        for method in row.methods:
            if method in methods:
                raise ValueError(f"{self.api}: two rows answer {method} {row.path}")
            methods[method] = row

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._by_name.values())

    def named(self, name: str) -> Operation:
        """Return the row of `name`. Raises Unsupported when nothing here does its work."""
        row = self._by_name.get(name)
        if row is None or row.handler is None:
            raise unsupported(name, self.version, known=row is not None)
        return row

    def routed(self, method: str, raw_path: str) -> tuple[Operation, dict[str, str]]:
        """Return the row of `method` and `raw_path`, and its path parameters, percent-decoded once.

        Raises: Unsupported.
        """
        parts = tuple(raw_path.strip("/").split("/"))
        for key in self._keys(parts):
            methods = self._by_path[key]
            row = methods.get(method)
            if row is not None and row.handler is not None:
                return row, _slots(row.path, parts)
            raise unsupported(f"{method} {raw_path}", self.version, known=row is not None)
        raise unsupported(f"{method} {raw_path}", self.version, known=False)

    def _keys(self, parts: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """Keys that fit, exact segments before slots."""
        if parts in self._by_path:
            yield parts
        fitting = [
            key
            for key in self._by_path
            if len(key) == len(parts)
            and key != parts
            and all(k in ("{}", p) for k, p in zip(key, parts, strict=True))
        ]
        yield from sorted(fitting, key=lambda key: key.count("{}"))


def _is_slot(part: str) -> bool:
    return part.startswith("{") and part.endswith("}")


def _slots(template: str, parts: tuple[str, ...]) -> dict[str, str]:
    names = template.strip("/").split("/")
    return {
        name[1:-1]: urlparse.unquote(part)
        for name, part in zip(names, parts, strict=True)
        if _is_slot(name)
    }


def unsupported(name: str, version: str, *, known: bool) -> errors.Unsupported:
    """The error for an operation that nothing here answers."""
    why = (
        "exists in the cloud and is not supported by this server"
        if known
        else f"does not exist in version {version}"
    )
    return errors.Unsupported(f"Specified api {name} {why}.", field="Action", got=name)


def told(error: errors.HeadraceError, message: str | None = None) -> str:
    """The sentence an API's message field carries: what is wrong, then what to do.

    message: how that API says what is wrong, when it has words of its own.
    """
    message = message or error.message
    return f"{message} {error.remedy}" if error.remedy else message


def identify(services: services.Services, request: http.Request) -> policy.Principal:
    """Return who signed `request`, by any of the three schemes. Raises: AuthError, InvalidInput."""
    return services.authenticator.authenticate(
        authenticate.SignedRequest(
            request.method, request.raw_path, request.query, request.raw_headers, request.body
        )
    )


async def run(row: Operation, call: Call) -> Any:
    """Authorise `call` and have it handled. Raises HeadraceErrors."""
    assert row.handler is not None, f"{row.name} has no handler"
    call.services.authorize(call.principal, row.action, row.resource(call))
    board = call.services.engine.switchboard
    if board.closed and not row.reads:
        board.refuse_changes()
    return await row.handler(call)


class CompatibilityRow(msgspec.Struct, frozen=True):
    """One line of the compatibility table: an operation (field ""), or one of its fields."""

    api: str
    operation: str
    field: str
    role: Literal["built", "unsupported", "honoured", "echoed", "refused"]
    reason: str = ""


def compatibility(*tables: Table) -> Iterator[CompatibilityRow]:
    """Yield what each operation and each of its request fields does here, in table order."""
    for table in tables:
        for row in table:
            if row.handler is None:
                yield CompatibilityRow(table.api, row.name, "", "unsupported")
                continue
            yield CompatibilityRow(table.api, row.name, "", "built")
            for path, field in row.params.walk():
                note = field.note or shapes.Note("honoured", "")
                yield CompatibilityRow(table.api, row.name, path, note.role, note.reason)
