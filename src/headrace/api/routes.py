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

    def find(
        self, method: str, path: str, headers: Mapping[str, str], query: str
    ) -> tuple[Route | None, frozenset[str]]:
        """Return the route, or None and the methods that the address would take (empty: no such
        address).
        """
        host: str | None = None
        if self._hosts:
            host = headers.get("host", "").rpartition(":")[0] or headers.get("host", "")
            host = host.lower() if host.lower() in self._hosts else None
        candidates = self._exact.get((host, path))
        if candidates is None:
            # "OPTIONS *" has no "/" at all.
            below = self._below.get((host, path.lstrip("/").partition("/")[0]), ())
            candidates = [route for route in below if path.startswith(route.path)]
        allowed: set[str] = set()
        for route in candidates:
            if route.when is not None and not route.when(headers, query):
                continue
            if route.methods is None or method in route.methods:
                return route, frozenset()
            allowed |= route.methods
        return None, frozenset(allowed)


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
