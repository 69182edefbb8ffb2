"""What a face is given and gives back: one request, read whole, and one response.

Owns the two records between the server and the faces. Knows nothing of any API and must never read
a socket.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import msgspec

if TYPE_CHECKING:
    from headrace.core import errors

#: Content type of most answers.
JSON = b"application/json; charset=utf-8"
_encode = msgspec.json.Encoder().encode


async def _never() -> None:
    raise RuntimeError("this request has no connection to watch")


class Request:
    """One request, its body read whole. `path` is percent-decoded once; `raw_path` is as sent."""

    __slots__ = (
        "_headers",
        "body",
        "client",
        "disconnected",
        "method",
        "path",
        "query",
        "raw_headers",
        "raw_path",
        "request_id",
    )

    def __init__(
        self,
        method: str,
        path: str,
        *,
        raw_path: str | None = None,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        raw_headers: Sequence[tuple[bytes, bytes]] = (),
        body: bytes = b"",
        client: str = "",
        request_id: str = "",
        disconnected: Callable[[], Awaitable[None]] = _never,
    ) -> None:
        self.method = method
        self.path = path
        self.raw_path = path if raw_path is None else raw_path
        #: Query string as sent, without "?".
        self.query = query
        self._headers = headers
        #: As sent, names in lower case: what signatures and the CloudEvents binding read.
        self.raw_headers = raw_headers
        self.body = body
        #: Address of the peer, "" when unknown.
        self.client = client
        self.request_id = request_id
        #: Returns when the client has gone away; for handlers that wait long.
        self.disconnected = disconnected

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case; a header sent more than once is joined with ","."""
        # Decoded for whom it concerns: signatures, and so most requests, read the bytes.
        if self._headers is None:
            self._headers = _decoded(self.raw_headers)
        return self._headers


def _decoded(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in raw:
        key = name.decode("latin-1")
        text = value.decode("latin-1")
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    return headers


class Response(msgspec.Struct):
    """A whole answer. The server adds the request id header and the length."""

    status: int
    body: bytes = b""
    content_type: bytes = JSON
    #: Further headers, names in lower case.
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Stream(msgspec.Struct):
    """An answer of unknown length; the server closes `chunks` when the client goes away."""

    chunks: AsyncIterator[bytes]
    status: int = 200
    content_type: bytes = b"application/x-ndjson"
    headers: tuple[tuple[bytes, bytes], ...] = ()


Answer: TypeAlias = Response | Stream
#: A face answers every request and lets HeadraceErrors through only if it has no envelope of its
#: own.
Face: TypeAlias = Callable[[Request], Awaitable[Answer]]
#: Renders an error the way an API's clients expect it.
Refusal: TypeAlias = "Callable[[errors.HeadraceError, str], Response]"


def json_response(value: object, status: int = 200) -> Response:
    """Return `value` as JSON."""
    return Response(status, _encode(value))
