"""Which face stands at which address: the route table of the whole server, in one place.

/                   control RPC (POST; GET with an action)        /events/{bus}     CloudEvents
/openapi/…          EventBridge data plane                        /headrace/v1/…    our own API
/2023-03-30/…       Function Compute                              /healthz /readyz /metrics
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec
import prometheus_client

from headrace.api import admission, http, idempotency, probes, routes, server, traffic
from headrace.api.cloudevents import face as cloudevents
from headrace.api.eventbridge import control, dataplane
from headrace.api.native import face as native

if TYPE_CHECKING:
    from headrace.api import services as containers

_GET = frozenset({"GET", "HEAD"})
_POST = frozenset({"POST"})
#: Bodies of requests that carry no events and no code.
_PLAIN_BYTES_MAX = 1024 * 1024
#: A form carries its JSON percent-encoded: up to three bytes for one.
_FORM_FACTOR = 3


class Elsewhere(msgspec.Struct, frozen=True):
    """A face built elsewhere (Function Compute, gateway, console) and its address."""

    name: str
    path: str
    face: http.Face
    refuse: http.Refusal
    body_bytes_max: int
    methods: frozenset[str] | None = None
    host: str | None = None
    short: bool = False


def build(
    services: containers.Services,
    *,
    registry: prometheus_client.CollectorRegistry,
    unready: Callable[[], str],
    elsewhere: Sequence[Elsewhere] = (),
) -> server.Server:
    """Return the application. `unready` says why the server is not ready, "" when it is.

    Raises: routes.Collision.
    """
    counts = traffic.Counts()
    registry.register(counts)
    table = routes.Routes(
        [
            *_cloud(services),
            *_ours(services),
            *_probes(probes.Probes(registry, unready, services.facts)),
            *(
                routes.Route(
                    one.name,
                    one.path,
                    one.face,
                    one.refuse,
                    one.body_bytes_max,
                    one.methods,
                    one.host,
                    short=one.short,
                )
                for one in elsewhere
            ),
        ]
    )
    return server.Server(
        table, refuse=native.refuse, random=services.random, clock=services.clock, counts=counts,
        gate=admission.Gate(services.account_of, services.clock),
    )  # fmt: skip


def _cloud(services: containers.Services) -> list[routes.Route]:
    rpc = control.Control(services, idempotency.Answers(services.clock))
    events_max = services.limits.request_bytes_max
    return [
        routes.Route(
            "rpc",
            "/",
            rpc,
            control.refuse,
            events_max * _FORM_FACTOR,
            _POST,
            short=True,
            gated=True,
        ),
        routes.Route(
            "rpc-get",
            "/",
            rpc,
            control.refuse,
            _PLAIN_BYTES_MAX,
            frozenset({"GET"}),
            when=control.is_rpc,
        ),
        routes.Route(
            "openapi",
            dataplane.PREFIX,
            dataplane.DataPlane(services),
            dataplane.refuse,
            events_max,
            _POST,
            short=True,
            gated=True,
        ),
    ]


def _ours(services: containers.Services) -> list[routes.Route]:
    return [
        routes.Route(
            "events",
            cloudevents.PREFIX,
            cloudevents.CloudEvents(services),
            cloudevents.refuse,
            services.limits.request_bytes_max,
            _POST,
            short=True,
            gated=True,
        ),
        routes.Route(
            "native", native.PREFIX, native.Native(services), native.refuse, _PLAIN_BYTES_MAX
        ),
    ]


def _probes(faces: probes.Probes) -> list[routes.Route]:
    return [
        routes.Route("healthz", "/healthz", faces.health, probes.refuse, 0, _GET),
        routes.Route("readyz", "/readyz", faces.ready, probes.refuse, 0, _GET),
        routes.Route("metrics", "/metrics", faces.metrics, probes.refuse, 0, _GET),
    ]
