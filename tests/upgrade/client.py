"""A server whose wall clock is where a test wants it, and signed requests dated by the same clock.

The signatures are those of `tests/wire/signing`, which share no code with the server.
"""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib import parse as urlparse

from tests.wire import processes, signing

CLOCK = Path(__file__).parent / "clock"


class Client:
    """One server on `home/data`, with the doors of the cloud's APIs and our own.

    at_ms: what its clock says now; None: the true time.
    """

    def __init__(self, home: Path, at_ms: int | None) -> None:
        self._offset_ms = 0 if at_ms is None else at_ms - time.time_ns() // 1_000_000
        paths = [str(CLOCK), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        self.server = processes.Server(
            home,
            PYTHONPATH=os.pathsep.join(filter(None, paths)),
            CLOCK_OFFSET_MS=str(self._offset_ms),
        )

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self._offset_ms

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.now_ms() / 1000, UTC)

    def control(self, action: str, **parameters: Any) -> Any:
        """Call the EventBridge API; return its answer without the request id."""
        flat = {k: v if isinstance(v, str) else json.dumps(v) for k, v in parameters.items()}
        headers = {"x-acs-action": action, "x-acs-version": "2020-04-01"}
        answer = self._signed("POST", "/", query=flat, headers=headers)
        answer.pop("RequestId")
        return answer

    def data_plane(self, operation: str, body: Any) -> Any:
        """Call the EventBridge data plane; return its answer without the request id."""
        request = signing.data_plane(self.server.place, operation, body, at=self._now())
        answer = self._sent(request)
        answer.pop("RequestId", None)
        return answer

    def functions(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Call the Function Compute API."""
        sent = b"" if body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._signed(method, f"/2023-03-30/{path}", headers=named, body=sent)

    def own(self, method: str, path: str, *, body: Any = None, **query: str) -> Any:
        """Call Headrace's own API."""
        sent = b"" if body is None else json.dumps(body).encode()
        return self._signed(method, f"/headrace/v1/{path}", query=query, body=sent)

    def publish(self, *events: Mapping[str, Any]) -> None:
        answer = self.data_plane("putEvents", list(events))
        assert answer["FailedEntryCount"] == 0, answer

    def download(self, url: str) -> bytes:
        """Follow a link that the server gave."""
        link = urlparse.urlsplit(url)
        connection = http.client.HTTPConnection(link.netloc, timeout=20)
        try:
            connection.request("GET", f"{link.path}?{link.query}")
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        assert answer.status == 200, body
        return body

    def _signed(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Any:
        named = {"content-type": "application/json", **(headers or {})}
        return self._sent(
            signing.acs3(
                self.server.place, method, path, query=query, headers=named, body=body,
                at=self._now(),
            )
        )  # fmt: skip

    def _sent(self, request: signing.Request) -> Any:
        answer = signing.send(self.server.place, request)
        assert 200 <= answer.status < 300, (request.method, request.target, answer)
        return json.loads(answer.body) if answer.body else None
