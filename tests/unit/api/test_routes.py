"""The route table: who answers what, and collisions at start."""

from __future__ import annotations

import pytest

from headrace.api import http, probes, routes


async def _face(request: http.Request) -> http.Answer:
    return http.Response(200)


def _route(
    name: str,
    path: str,
    methods: set[str] | None = None,
    host: str | None = None,
    when: routes.Condition | None = None,
) -> routes.Route:
    allowed = None if methods is None else frozenset(methods)
    return routes.Route(name, path, _face, probes.refuse, 10, allowed, host, when)


def _has_action(headers: object, query: str) -> bool:
    return "Action" in query


def _name(table: routes.Routes, method: str, path: str, host: str = "", query: str = "") -> str:
    headers = {"host": host} if host else {}
    route, _ = table.find(http.Request(method, path, query=query, headers=headers))
    return route.name if route else ""


def test_exact_prefix_and_condition_each_find_their_face() -> None:
    table = routes.Routes(
        [
            _route("rpc", "/", {"POST"}),
            _route("rpc-get", "/", {"GET"}, when=_has_action),
            _route("console", "/", {"GET"}),
            _route("openapi", "/openapi/"),
            _route("health", "/healthz", {"GET"}),
        ]
    )
    assert _name(table, "POST", "/") == "rpc"
    assert _name(table, "GET", "/", query="Action=X") == "rpc-get"
    assert _name(table, "GET", "/") == "console"
    assert _name(table, "POST", "/openapi/putEvents") == "openapi"
    assert _name(table, "GET", "/healthz") == "health"
    assert _name(table, "GET", "/healthz/x") == ""
    assert _name(table, "GET", "/openapi") == ""
    assert _name(table, "GET", "//openapi/") == ""


def test_wrong_method_names_the_allowed_ones() -> None:
    table = routes.Routes([_route("health", "/healthz", {"GET", "HEAD"})])
    assert table.find(http.Request("POST", "/healthz")) == (None, frozenset({"GET", "HEAD"}))


def test_named_host_wins_and_others_fall_to_the_common_routes() -> None:
    table = routes.Routes([_route("all", "/a/"), _route("shop", "/a/", host="shop.example.com")])
    assert _name(table, "GET", "/a/b", host="SHOP.example.com:7280") == "shop"
    assert _name(table, "GET", "/a/b", host="shop.example.com") == "shop"
    assert _name(table, "GET", "/a/b", host="127.0.0.1:7280") == "all"
    assert _name(table, "GET", "/a/b") == "all"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_route("a", "/x"), _route("b", "/x")),
        (_route("a", "/x/"), _route("b", "/x/y")),
        (_route("a", "/x/y/"), _route("b", "/x/")),
        (_route("a", "/x", {"GET", "POST"}), _route("b", "/x", {"POST"})),
        (_route("a", "/", {"GET"}, when=_has_action), _route("b", "/", when=_has_action)),
        (_route("a", "/x", host="h"), _route("b", "/x", host="h")),
    ],
)
def test_two_claims_on_one_address_fail_at_start(one: routes.Route, other: routes.Route) -> None:
    with pytest.raises(routes.Collision, match="collide"):
        routes.Routes([one, other])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_route("a", "/x", {"GET"}), _route("b", "/x", {"POST"})),
        (_route("a", "/x/"), _route("b", "/xy/")),
        (_route("a", "/"), _route("b", "/x")),
        (_route("a", "/x", host="h"), _route("b", "/x")),
    ],
)
def test_claims_that_do_not_overlap_stand_side_by_side(
    one: routes.Route, other: routes.Route
) -> None:
    routes.Routes([one, other])
