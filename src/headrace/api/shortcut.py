"""The short way of a request: one whose body is small and whose answer is whole.

Most requests are like that: an event, an invocation, an edit. They go from the parser to their face
and back in one task and one write, without the messages of ASGI in between. Everything else (large,
chunked, awaited or streamed bodies, upgrades, requests sent ahead) goes the long way, through
uvicorn's cycle and `server`.

Owns what one such request is while it is worked on, and the bytes of its answer.
"""

from __future__ import annotations

from asyncio import Task
from collections.abc import Sequence
from typing import ClassVar

from uvicorn.protocols.http import httptools_impl

from headrace.api import admission, bodies, http, routes
from headrace.core import errors

_STATUS_LINES = httptools_impl.STATUS_LINE
_BAD_NAME = httptools_impl.HEADER_RE
_BAD_VALUE = httptools_impl.HEADER_VALUE_RE
CLOSE = (b"connection", b"close")


class _Deaf:
    """Where uvicorn tells its own cycle that something happened: here nobody waits for that."""

    def set(self) -> None:
        """Do nothing."""


class Shortcut:
    """One request on the short way; has what uvicorn looks at in a cycle of its own."""

    __slots__ = (
        "body",
        "disconnected",
        "entered",
        "keep_alive",
        "more_body",
        "refused",
        "request",
        "response_complete",
        "response_started",
        "route",
        "share",
        "started_us",
        "task",
    )

    message_event: ClassVar[_Deaf] = _Deaf()

    def __init__(
        self, route: routes.Route, request: http.Request, *, keep_alive: bool, started_us: int
    ) -> None:
        self.route = route
        self.request = request
        self.started_us = started_us
        self.keep_alive = keep_alive
        self.body: bytes | bytearray = b""
        self.more_body = True
        #: What its body has of the memory for bodies; None: it came with its head.
        self.share: bodies.Share | None = None
        #: Why nothing is kept of the body, to be answered when all of it has come.
        self.refused: errors.HeadraceError | None = None
        #: What it has of the gate while it is worked on.
        self.entered: admission.Entered | None = None
        self.disconnected = False
        self.response_started = False
        self.response_complete = False
        self.task: Task[None] | None = None

    def await_body(self, among: bodies.Bodies) -> None:
        """The body did not arrive with its head: from here on it counts."""
        came, self.body = self.body, bytearray()
        self.share = bodies.Share(among)
        self.grow(came)

    def grow(self, piece: bytes | bytearray) -> None:
        """Take in a piece of a body that is waited for; without room for it, nothing is kept."""
        assert self.share is not None, "only what is waited for comes in pieces"
        if self.refused is not None:
            return
        if self.share.add(len(piece)):
            self.body += piece
        else:
            self.refused = bodies.BodiesTooMany()
            self.drop()

    def drop(self) -> None:
        """Hold nothing of the body any more."""
        self.body = b""
        if self.share is not None:
            self.share.release()


def rendered(answer: http.Response, request_id: str, standing: bytes, *, keep_alive: bool) -> bytes:
    """Return the bytes of an answer.

    standing: lines that every answer has. Raises ValueError for a header that is none.
    """
    more = b""
    if answer.headers or answer.content_type is not http.JSON:
        _check((*answer.headers, (b"content-type", answer.content_type)))
        more = b"".join([b"%b: %b\r\n" % pair for pair in answer.headers])
    if not keep_alive and CLOSE not in answer.headers:
        more += b"connection: close\r\n"
    return b"%b%bcontent-type: %b\r\nx-acs-request-id: %b\r\n%bcontent-length: %d\r\n\r\n%b" % (
        _STATUS_LINES[answer.status],
        standing,
        answer.content_type,
        request_id.encode("ascii"),
        more,
        len(answer.body),
        answer.body,
    )


def _check(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """What a function or a client chose must not become another header."""
    for name, value in headers:
        if _BAD_NAME.search(name) or _BAD_VALUE.search(value):
            raise ValueError(f"{name!r}: {value!r} is no header")
