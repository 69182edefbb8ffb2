"""The server put together: every face at its address, probes, faces built elsewhere."""

from __future__ import annotations

import json

import prometheus_client
import pytest

from headrace.api import assembly, http, probes, routes
from tests.unit.api import support
from tests.unit.api import world as worlds

pytestmark = pytest.mark.anyio


async def _face(request: http.Request) -> http.Answer:
    return http.Response(200, b"elsewhere")


def _elsewhere(path: str, methods: frozenset[str] | None = None) -> assembly.Elsewhere:
    return assembly.Elsewhere("other", path, _face, probes.refuse, 10, methods)


def build(world: worlds.World, *elsewhere: assembly.Elsewhere, unready: str = "") -> object:
    return assembly.build(
        world.services,
        registry=prometheus_client.CollectorRegistry(),
        unready=lambda: unready,
        elsewhere=elsewhere,
    )


async def test_probes_are_open_to_everybody(world: worlds.World) -> None:
    health = await support.ask(world.app, "GET", "/healthz")
    assert (health.status, json.loads(health.body)) == (200, {"status": "ok", "version": "0"})
    ready = await support.ask(world.app, "GET", "/readyz")
    assert (ready.status, json.loads(ready.body)) == (200, {"status": "ready"})
    metrics = await support.ask(world.app, "GET", "/metrics")
    assert metrics.status == 200
    assert metrics.headers["content-type"].startswith("text/plain")
    assert b'headrace_http_requests_total{route="healthz",status="200"} 1.0' in metrics.body


async def test_server_that_is_not_ready_says_why(world: worlds.World) -> None:
    reply = await support.ask(
        build(world, unready="the journal is being replayed"), "GET", "/readyz"
    )
    assert reply.status == 503
    assert json.loads(reply.body)["reason"] == "the journal is being replayed"


async def test_face_built_elsewhere_stands_at_its_address(world: worlds.World) -> None:
    app = build(world, _elsewhere("/2023-03-30/"), _elsewhere("/", frozenset({"GET"})))
    for path in ("/2023-03-30/functions", "/"):
        reply = await support.ask(app, "GET", path)
        assert reply.body == b"elsewhere"
    rpc = await support.ask(app, "GET", "/", query="Action=ListEventBuses")
    assert json.loads(rpc.body)["Code"] == "MissingSignature"


@pytest.mark.parametrize("path", ["/openapi/", "/openapi/x", "/healthz", "/events/", "/headrace/"])
async def test_face_that_takes_another_ones_address_stops_the_start(
    world: worlds.World, path: str
) -> None:
    with pytest.raises(routes.Collision, match="other"):
        build(world, _elsewhere(path))


async def test_each_address_answers_in_its_own_envelope(world: worlds.World) -> None:
    for method, path, keys in (
        ("POST", "/", {"RequestId", "Code", "Message", "Success"}),
        ("POST", "/openapi/putEvents", {"requestId", "code", "message"}),
        ("POST", "/events/default", {"request_id", "code", "message"}),
        ("GET", "/headrace/v1/status", {"request_id", "code", "message"}),
        ("GET", "/nowhere", {"request_id", "code", "message", "remedy"}),
        ("GET", "/", {"request_id", "code", "message"}),
        ("GET", "/openapi/putEvents", {"request_id", "code", "message"}),
    ):
        reply = await support.ask(world.app, method, path)
        assert set(json.loads(reply.body)) == keys, path
        assert reply.status in (403, 404, 405)
