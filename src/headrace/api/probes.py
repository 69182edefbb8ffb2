"""Probes for whoever runs the server: `/healthz`, `/readyz`, `/metrics`. Unsigned; they tell
nothing of any event.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import prometheus_client
from prometheus_client import exposition

from headrace.api import http

if TYPE_CHECKING:
    from headrace.core import errors


def refuse(error: errors.HeadraceError, request_id: str) -> http.Response:
    body = {"code": error.code, "message": error.message, "request_id": request_id}
    return http.json_response(body, error.status)


class Probes:
    """The three faces. `unready` names what still keeps the server from working, "" when nothing
    does.
    """

    def __init__(
        self,
        registry: prometheus_client.CollectorRegistry,
        unready: Callable[[], str],
        facts: dict[str, object],
    ) -> None:
        self._registry = registry
        self._unready = unready
        self._facts = facts

    async def health(self, request: http.Request) -> http.Answer:
        """200 as long as the process answers; says the version and the sandbox rung."""
        return http.json_response({"status": "ok", **self._facts})

    async def ready(self, request: http.Request) -> http.Answer:
        """200 once events are taken and delivered, else 503 and the reason."""
        reason = self._unready()
        if reason:
            return http.json_response({"status": "not ready", "reason": reason}, 503)
        return http.json_response({"status": "ready"})

    async def metrics(self, request: http.Request) -> http.Answer:
        body = exposition.generate_latest(self._registry)
        return http.Response(200, body, exposition.CONTENT_TYPE_LATEST.encode())
