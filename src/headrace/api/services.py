"""The container handed to every handler: what a face may use, wired once by `app`.

Owns no behaviour. Handlers reach the rest of the system through it and through nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.access import authenticate, policy
    from headrace.api import http, operations
    from headrace.bus import engine
    from headrace.core import clock
    from headrace.core import limits as event_limits
    from headrace.functions import history, service
    from headrace.resources import catalog


class Line(Protocol):
    """One entry of a function's log; `store.ports.LogLine` satisfies it."""

    @property
    def at_ms(self) -> int: ...
    @property
    def request_id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def body(self) -> bytes: ...


def _anybody(_request: http.Request) -> str:
    return ""


class Services(msgspec.Struct):
    catalog: catalog.Catalog
    engine: engine.Engine
    functions: service.Functions
    authenticator: authenticate.Authenticator
    #: Raises AccessDenied; (principal, action, resource).
    authorize: Callable[[policy.Principal, str, str], None]
    limits: event_limits.Limits
    #: The one account of this server and the region it plays.
    account: str
    region: str
    clock: clock.Clock
    random: clock.Random
    #: What `status` says of this process and never changes: version, store engine, sandbox rung …
    facts: dict[str, Any] = {}
    #: Every table of operations, for the compatibility table.
    tables: tuple[operations.Table, ...] = ()
    #: None: this server keeps no logs.
    logs: history.History | None = None
    #: Whose request it claims to be, unproven; "" where that makes no difference.
    account_of: Callable[[http.Request], str] = _anybody
