"""The one route table: which face answers a request, decided by method, host, path and headers.

Owns the decision and the check that no two routes claim the same address; never reads a body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import msgspec

from headrace.api import http

#: Looks at the headers (names in lower case) and the query string of a request.
Condition: TypeAlias = Callable[[Mapping[str, str], str], bool]


class Route(msgspec.Struct, frozen=True):
    """One claim on addresses."""

    name: str
    #: Begins with "/". One that ends with "/" claims everything below it (except "/" itself, which
    #: is exact).
    path: str
    face: http.Face
    refuse: http.Refusal
    body_bytes_max: int
    #: None = every method.
    methods: frozenset[str] | None = None
    #: None = every host that no other route names. Lower case, without port.
    host: str | None = None
    #: A route with a condition is asked before one without for the same address.
    when: Condition | None = None
    #: True when the face always returns a Response and never watches its client: a request of it
    #: may go the short way (`shortcut`).
    short: bool = False
    #: True for addresses where events are published: their requests pass the gate (`admission`).
    gated: bool = False

    @property
    def covers_below(self) -> bool:
        return self.path.endswith("/") and self.path != "/"


class Collision(ValueError):
    """Two routes claim the same address."""


class Routes:
    """An immutable table of routes. Raises Collision when built from two that overlap."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = tuple(routes)
        for number, one in enumerate(self._routes):
            for other in self._routes[number + 1 :]:
                if _overlap(one, other):
                    raise Collision(
                        f"{one.name!r} ({one.path}) and {other.name!r} ({other.path}) collide"
                    )
        self._hosts = frozenset(r.host for r in self._routes if r.host is not None)
        self._exact: dict[tuple[str | None, str], list[Route]] = {}
        self._below: dict[tuple[str | None, str], list[Route]] = {}
        for route in sorted(self._routes, key=lambda r: r.when is None):
            if route.covers_below:
                key = (route.host, route.path.split("/", 2)[1])
                self._below.setdefault(key, []).append(route)
            else:
                self._exact.setdefault((route.host, route.path), []).append(route)

    def find(self, request: http.Request) -> tuple[Route | None, frozenset[str]]:
        """Return the route, or None and the methods that the address would take (empty: no such
        address).
        """
        path = request.path
        host = self._host_of(request) if self._hosts else None
        candidates = self._exact.get((host, path))
        if candidates is None:
            # "OPTIONS *" has no "/" at all.
            below = self._below.get((host, path.lstrip("/").partition("/")[0]), ())
            candidates = [route for route in below if path.startswith(route.path)]
        allowed: set[str] = set()
        for route in candidates:
            if route.when is not None and not route.when(request.headers, request.query):
                continue
            if route.methods is None or request.method in route.methods:
                return route, frozenset()
            allowed |= route.methods
        return None, frozenset(allowed)

    def _host_of(self, request: http.Request) -> str | None:
        """The host of a request that a route names; None: any other."""
        given = request.headers.get("host", "")
        host = (given.rpartition(":")[0] or given).lower()
        return host if host in self._hosts else None


def _overlap(one: Route, other: Route) -> bool:
    if one.host != other.host or not _share_method(one, other):
        return False
    if one.when is not other.when:
        return False
    if one.covers_below and other.path.startswith(one.path):
        return True
    if other.covers_below and one.path.startswith(other.path):
        return True
    return one.path == other.path


def _share_method(one: Route, other: Route) -> bool:
    return one.methods is None or other.methods is None or bool(one.methods & other.methods)
