"""The last words on a connection: an answer after which it is closed, so that the client reads it.

Owns the bytes of such an answer, and a connection above the cap from its answer to its end.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from headrace.api import bounds, http


class TurnedAway(asyncio.Protocol):
    """A connection above the cap, its answer sent: one that is closed while its request comes in
    would be reset, and its client might never read why.
    """

    def __init__(self, transport: asyncio.Transport, among: set[TurnedAway]) -> None:
        self._transport = transport
        self._among = among
        among.add(self)
        transport.write_eof()
        loop = asyncio.get_running_loop()
        self._late = loop.call_later(bounds.TURNED_AWAY_SECONDS_MAX, transport.abort)

    def data_received(self, data: bytes) -> None:
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._late.cancel()
        self._among.discard(self)


def last(answer: http.Response, request_id: str) -> bytes:
    """Return the bytes of an answer after which the connection is closed."""
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        f"x-acs-request-id: {request_id}",
        f"content-type: {answer.content_type.decode()}",
        f"content-length: {len(answer.body)}",
        *(f"{name.decode()}: {value.decode()}" for name, value in answer.headers),
        "connection: close",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + answer.body
