"""An HTTP receiver on loopback: it keeps what it is sent and answers what a test asks for."""

from __future__ import annotations

import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from tests.wire import waiting


class Received(NamedTuple):
    #: Names in lower case.
    headers: dict[str, str]
    body: bytes


class Hook:
    """One address of the receiver. Answers 200, unless `answers` says otherwise for the next."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: deque[int] = deque()
        self.received: list[Received] = []

    def wait(self, count: int, *, seconds: float = 15.0) -> list[Received]:
        """Return what came in once there are `count` requests."""
        return waiting.wait_for(
            lambda: self.received[:] if len(self.received) >= count else None,
            f"{count} requests at {self.url}",
            seconds=seconds,
        )


class Receiver:
    def __init__(self) -> None:
        self._hooks: dict[str, Hook] = {}
        hooks = self._hooks

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                hook = hooks[self.path]
                status = hook.answers.popleft() if hook.answers else 200
                hook.received.append(Received(headers, body))
                self.send_response(status)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def hook(self, name: str) -> Hook:
        made = Hook(f"http://127.0.0.1:{self._server.server_port}/{name}")
        self._hooks[f"/{name}"] = made
        return made

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
