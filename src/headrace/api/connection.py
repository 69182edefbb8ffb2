"""One connection of a client: uvicorn's, with bounds on what may be sent before a request is whole.

Owns the bytes and the seconds a request's head may take, and the answer to what is no HTTP at all.
Bodies are the server's business. Must never hold what nobody has signed yet without a bound.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import ClassVar

from uvicorn.protocols.http import httptools_impl

from headrace.api import bounds, http, server
from headrace.core import clock, errors, names


class Connection(httptools_impl.HttpToolsProtocol):
    """Use a subclass made by `bounded`."""

    refuse: ClassVar[http.Refusal]
    random: ClassVar[clock.Random]

    #: True until the head of a request is whole.
    _open = True
    #: Bytes since the last head, piece of a body or end of a request.
    _strays = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._strays += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._strays > bounds.HEAD_BYTES_MAX:
            # A head that does not end, or trailers and chunk extensions nobody asked for.
            self._answer(
                server.HeadersTooLarge(f"Line and headers: at most {bounds.HEAD_BYTES_MAX} bytes.")
            )
        elif self._open and self._strays and self._deadline is None:
            self._arm()

    def on_header(self, name: bytes, value: bytes) -> None:
        # What comes after a body must not pose as a header: it was not there when the head was
        # judged.
        if self._open:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._open = False
        self._strays = 0
        self._disarm()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._strays = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._open = True
        self._strays = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._answer(errors.InvalidInput("This cannot be read as an HTTP request."))

    def _arm(self) -> None:
        self._deadline = self.loop.call_later(bounds.HEAD_SECONDS_MAX, self._overdue)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _overdue(self) -> None:
        self._deadline = None
        if self._answering():
            self._arm()  # The next request may take its time while this one is worked on.
        elif self._strays:
            self._answer(server.RequestTimeout("The request's headers did not arrive in time."))
        else:
            self.transport.close()

    def _answering(self) -> bool:
        # Declared without None, and None before the first request.
        return bool(self.cycle) and not self.cycle.response_complete

    def _is_about_the_body(self) -> bool:
        """True while the one request under way is still arriving: what is wrong is its own."""
        return not self.pipeline and self.cycle.more_body and not self.cycle.response_started

    def _answer(self, error: errors.HeadraceError) -> None:
        """Say what is wrong and hang up; what follows on this connection cannot be understood."""
        if not self._answering() or self._is_about_the_body():
            request_id = names.bus_request_id(self.random)
            answer = type(self).refuse(error, request_id)
            phrase = HTTPStatus(answer.status).phrase
            head = (
                f"HTTP/1.1 {answer.status} {phrase}\r\nx-acs-request-id: {request_id}\r\n"
                f"content-type: {answer.content_type.decode()}\r\n"
                f"content-length: {len(answer.body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + answer.body)
        self.transport.close()


def bounded(refuse: http.Refusal, random: clock.Random) -> type[Connection]:
    """Return the connection class of a server. `refuse` renders errors of what is no request."""
    return type("Bounded", (Connection,), {"refuse": staticmethod(refuse), "random": random})
