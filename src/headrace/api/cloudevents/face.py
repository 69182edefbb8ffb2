"""The CloudEvents face: any CloudEvents SDK posts to `/events/{bus}`; the body's mode is read off
its headers.

Answers 202 when every event is stored, 207 when some of a batch are refused, and the first
refusal's status
when none is stored; the body lists one entry per event. The address is ours: the cloud has none for
this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from headrace.api import http, operations, parameters
from headrace.api.native import face as native
from headrace.api.shapes import shape
from headrace.bus import accept
from headrace.core import errors, httpbinding, names

if TYPE_CHECKING:
    from headrace.api import services

PREFIX = "/events/"

#: Errors look as on our own API.
refuse = native.refuse


def _bus(call: operations.Call) -> str:
    return names.bus_arn(call.services.region, call.account, call.args["bus"])


async def _publish(call: operations.Call) -> http.Response:
    request = call.request
    bus: str = call.args["bus"]
    call.services.catalog.get_bus(call.account, bus)
    parsed = httpbinding.parse_http(request.raw_headers, request.body, call.services.limits)
    results = await call.services.engine.publish(
        call.account, parsed.events, bus=bus, addr=request.client
    )
    answer = http.json_response(_entries(results, request.request_id))
    answer.status = _status(results)
    return answer


def _entries(
    results: Sequence[accept.Accepted | errors.EventRefused], request_id: str
) -> dict[str, Any]:
    entries: list[dict[str, str]] = []
    for result in results:
        if isinstance(result, errors.EventRefused):
            entries.append({"code": result.code, "message": result.message})
        else:
            entries.append({"id": result.event_id, "trace_id": result.trace_id})
    failed = sum("code" in entry for entry in entries)
    return {"request_id": request_id, "failed": failed, "entries": entries}


def _status(results: Sequence[accept.Accepted | errors.EventRefused]) -> int:
    refused = [result for result in results if isinstance(result, errors.EventRefused)]
    if not refused:
        return 202
    return refused[0].status if len(refused) == len(results) else 207


TABLE = operations.Table(
    "CloudEvents",
    "1.0",
    (
        operations.Operation(
            "PublishCloudEvents",
            _publish,
            "eventbridge:PutEvents",
            _bus,
            shape("bus*"),
            shape("request_id, failed:i, entries:[{id, trace_id, code, message}]"),
            path="/events/{bus}",
            raw_body=True,
        ),
    ),
)


class CloudEvents:
    """The face. Lets errors through: its route renders them with `refuse`."""

    def __init__(self, services: services.Services) -> None:
        self._services = services

    async def __call__(self, request: http.Request) -> http.Answer:
        principal = operations.identify(self._services, request)
        row, slots = TABLE.routed(request.method, request.raw_path)
        for name, _ in parameters.pairs(request.query):
            raise errors.UnknownParameter(f"The parameter {name} is not known.", field=name)
        call = operations.Call(self._services, principal, request, dict(slots))
        answer: http.Response = await operations.run(row, call)
        return answer
