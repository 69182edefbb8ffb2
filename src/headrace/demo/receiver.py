"""The HTTP receiver of the demo: some program of the user's that Headrace pushes to.

Keeps what it got and answers an event as the story says. Must never know of Headrace.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

BODY_BYTES_MAX = 1024 * 1024
_LOOK_S = 0.05


class Received(NamedTuple):
    """One push."""

    event_id: str
    attempt: int
    status: int
    body: bytes


class Receiver:
    """Listens on a free port of this machine from the start."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        #: Statuses of the next pushes of an event; 200 when there are none.
        self.answers: defaultdict[str, deque[int]] = defaultdict(deque)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                size = min(int(self.headers["content-length"]), BODY_BYTES_MAX)
                status = receiver._take(
                    self.headers["X-Eventbridge-Event-Id"],
                    int(self.headers["X-Eventbridge-Attempt"]),
                    self.rfile.read(size),
                )
                said = b"thank you" if status < 300 else b"the shop is closed"
                self.send_response(status)
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: the story tells what came."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/orders"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_LOOK_S,))
        self._thread.start()

    def _take(self, event_id: str, attempt: int, body: bytes) -> int:
        waiting = self.answers[event_id]
        status = waiting.popleft() if waiting else 200
        self.received.append(Received(event_id, attempt, status, body))
        return status

    def of(self, event_id: str) -> list[Received]:
        """Return the pushes of one event, oldest first."""
        return [one for one in self.received[:] if one.event_id == event_id]

    def close(self) -> None:
        """Stop listening; the address answers no more. Closing twice is fine."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
