"""The ASGI application: reads a request within bounds, finds its face, sends the answer.

Raw ASGI, run by uvicorn (`app.py`). Every answer carries a request id; an error that a face lets
through is
rendered by its route. Must never know an API, and never log a request unless asked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Mapping,
    MutableMapping,
    Sequence,
)
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib import parse as urlparse

from headrace.api import admission, bodies, bounds, http, routes, shortcut
from headrace.core import errors, names

if TYPE_CHECKING:
    from headrace.api import traffic
    from headrace.core import clock

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_log = logging.getLogger("headrace.api")
_CLOSE = shortcut.CLOSE


class ClientGone(Exception):
    """The client closed the connection before its request was whole: there is nobody to answer."""


class RequestTimeout(errors.HeadraceError):
    """The request body did not arrive in time."""

    code = "RequestTimeout"
    status = 408


class HeadersTooLarge(errors.InvalidInput):
    """The request headers, path or query are larger than the limit."""

    code = "RequestHeaderFieldsTooLarge"
    status = 431


class ConnectionsTooMany(errors.Unavailable):
    """The server has as many connections as it takes; this one is closed."""

    remedy = "Connect again later, and keep connections for further requests."


class AddressNotFound(errors.HeadraceError):
    """Nothing answers at this address."""

    code = "NotFound"
    status = 404
    remedy = "See the reference of addresses: /, /openapi/, /2023-03-30/, /events/, /headrace/v1/."


class MethodNotAllowed(errors.HeadraceError):
    """This address does not take this method."""

    code = "MethodNotAllowed"
    status = 405


class Server:
    """The application. Call it with an ASGI scope."""

    def __init__(
        self,
        table: routes.Routes,
        *,
        refuse: http.Refusal,
        random: clock.Random,
        clock: clock.Clock,
        counts: traffic.Counts,
        gate: admission.Gate | None = None,
    ) -> None:
        """refuse: renders errors of requests that no route took.  gate: None: one for nobody in
        particular.
        """
        self._routes = table
        self._refuse = refuse
        self._random = random
        self._clock = clock
        self._counts = counts
        self._gate = gate or admission.Gate(lambda _: "", clock)
        self.bodies = bodies.Bodies()
        #: Set once the server ends, and streams with it.
        self._ending = asyncio.Event()

    def end_streams(self) -> None:
        """End each stream with a whole answer, and those that begin from now on at once."""
        self._ending.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            await self._http(scope, receive, send)
        elif kind == "lifespan":
            await _lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_us = self._clock.mono_us()
        client: str = scope["client"][0] if scope.get("client") else ""
        raw_path: bytes = scope["raw_path"]
        query: bytes = scope["query_string"]
        request = self._request(scope["method"], raw_path, query, scope["headers"], client)
        request.disconnected = _watch(receive)
        route: routes.Route | None = None
        head = b""
        share = bodies.Share(self.bodies)
        entered: admission.Entered | None = None
        try:
            _check_head(scope["headers"], len(raw_path) + len(query))
            route = self._find(request)
            request.body = await _body(receive, request.headers, route.body_bytes_max, share)
            if route.gated:
                entered = self._gate.enter(request, len(request.body))
            answer = await route.face(request)
            if isinstance(answer, http.Stream):
                # Whatever fails before the first chunk is still answered with a status of its own.
                head = await anext(answer.chunks, b"")
        except ClientGone:
            return
        except Exception as error:
            answer = self._failed(route, error, request.request_id)
        finally:
            share.release()
            if entered is not None:
                self._gate.leave(entered)
        name = route.name if route is not None else "none"
        self._counts.add(name, answer.status, self._clock.mono_us() - started_us)
        if isinstance(answer, http.Stream):
            await _send_stream(answer, head, request.request_id, receive, send, self._ending)
        else:
            await _send(answer, request.request_id, send)

    # -- the short way ----------------------------------------------------------------------------

    def begin(
        self,
        method: str,
        target: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        *,
        client: str,
        body_bytes: int,
        keep_alive: bool,
    ) -> shortcut.Shortcut | None:
        """Return what a request on the short way begins with; None when it must go the long one.

        target: ASCII, begins with "/".  The caller has judged the size of the head.
        """
        started_us = self._clock.mono_us()
        raw_path, _, query = target.partition(b"?")
        request = self._request(method, raw_path, query, headers, client)
        route, _ = self._routes.find(request)
        if route is None or not route.short or body_bytes > route.body_bytes_max:
            return None
        return shortcut.Shortcut(route, request, keep_alive=keep_alive, started_us=started_us)

    def admit(self, begun: shortcut.Shortcut) -> http.Response | None:
        """Let a request begin whose body has come; return the answer if it may not."""
        try:
            if begun.refused is not None:
                raise begun.refused
            if begun.route.gated:
                begun.entered = self._gate.enter(begun.request, len(begun.body))
        except errors.HeadraceError as error:
            answer = self._failed(begun.route, error, begun.request.request_id)
            self._counted(begun, answer)
            return answer
        return None

    async def finish(self, begun: shortcut.Shortcut) -> http.Response:
        """Return the answer to a request whose body is here; raises nothing."""
        route, request = begun.route, begun.request
        # One that came in pieces was put together in place.
        request.body = begun.body if isinstance(begun.body, bytes) else bytes(begun.body)
        try:
            answer = await route.face(request)
        except Exception as error:
            answer = self._failed(route, error, request.request_id)
        finally:
            if begun.entered is not None:
                self._gate.leave(begun.entered)
        assert isinstance(answer, http.Response), f"{route.name} streams: it is not short"
        self._counted(begun, answer)
        return answer

    def _counted(self, begun: shortcut.Shortcut, answer: http.Response) -> None:
        took_us = self._clock.mono_us() - begun.started_us
        self._counts.add(begun.route.name, answer.status, took_us)

    # -- both ways --------------------------------------------------------------------------------

    def _request(
        self,
        method: str,
        raw_path: bytes,
        query: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        client: str,
    ) -> http.Request:
        path = sent = raw_path.decode("latin-1")
        if "%" in sent:
            path = urlparse.unquote(sent)
        return http.Request(
            method,
            path,
            raw_path=sent,
            query=query.decode("latin-1"),
            raw_headers=headers,
            client=client,
            request_id=names.bus_request_id(self._random),
        )

    def _find(self, request: http.Request) -> routes.Route:
        route, allowed = self._routes.find(request)
        if route is not None:
            return route
        path = request.path
        if allowed:
            raise MethodNotAllowed(
                f"{path} takes {', '.join(sorted(allowed))}, not {request.method}."
            )
        raise AddressNotFound(f"Nothing answers at {path}.")

    def _failed(
        self, route: routes.Route | None, error: Exception, request_id: str
    ) -> http.Response:
        if isinstance(error, errors.HeadraceError):
            return self._refused(route, error, request_id)
        # The caller gets no detail: it may hold another's data. The operator finds it by the
        # request id.
        _log.error("request %s failed", request_id, exc_info=error)
        failure = errors.HeadraceError("The server failed on this request.")
        return self._refused(route, failure, request_id)

    def _refused(
        self, route: routes.Route | None, error: errors.HeadraceError, request_id: str
    ) -> http.Response:
        refuse = self._refuse if route is None else route.refuse
        answer = refuse(error, request_id)
        if answer.status in (408, 413, 431):
            answer.headers = (*answer.headers, _CLOSE)
        if answer.status in (429, 503, 507):
            answer.headers = (*answer.headers, retry_after(error))
        return answer


# Reading ----------------------------------------------------------


def _check_head(headers: Sequence[tuple[bytes, bytes]], target: int) -> None:
    size = sum(len(name) + len(value) for name, value in headers)
    if len(headers) > bounds.HEADERS_MAX or size > bounds.HEADER_BYTES_MAX:
        raise HeadersTooLarge(
            f"At most {bounds.HEADERS_MAX} headers and {bounds.HEADER_BYTES_MAX} bytes of them."
        )
    if target > bounds.TARGET_BYTES_MAX:
        raise HeadersTooLarge(f"Path and query: at most {bounds.TARGET_BYTES_MAX} bytes.")


async def _body(
    receive: Receive, headers: Mapping[str, str], limit: int, share: bodies.Share
) -> bytes:
    """Return the whole body. Raises PayloadTooLarge without holding more than `limit`,
    bodies.BodiesTooMany, RequestTimeout, ClientGone.
    """
    declared = headers.get("content-length", "")
    if len(declared) > 15 or (declared.isdecimal() and int(declared) > limit):
        if "expect" not in headers:  # else it waits for our word before it sends
            await _discard(receive)
        raise _too_large(limit)
    if not declared and "transfer-encoding" not in headers:
        return b""
    try:
        async with asyncio.timeout(bounds.BODY_SECONDS_MAX):
            return await _whole(receive, limit, share)
    except TimeoutError as error:
        raise RequestTimeout from error


async def _whole(receive: Receive, limit: int, share: bodies.Share) -> bytes:
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        more = message.get("more_body", False)
        if size > limit:
            if more:
                await _discard(receive)
            raise _too_large(limit)
        if not chunks and not more:
            return chunk  # it came with its head
        if not share.add(len(chunk)):
            chunks.clear()
            share.release()
            if more:
                await _discard(receive)
            raise bodies.BodiesTooMany
        chunks.append(chunk)
    return b"".join(chunks)


async def _discard(receive: Receive) -> None:
    """Read and drop what the client still sends, within bounds: one that is cut off never reads the
    answer.
    """
    size = 0
    try:
        async with asyncio.timeout(bounds.BODY_SECONDS_MAX):
            while size < bounds.DISCARD_BYTES_MAX:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                size += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def _too_large(limit: int) -> errors.PayloadTooLarge:
    return errors.PayloadTooLarge(f"The request body is larger than {limit} bytes.", expected=limit)


def _watch(receive: Receive) -> Callable[[], Awaitable[None]]:
    async def disconnected() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    return disconnected


# Sending ----------------------------------------------------------


def retry_after(error: errors.HeadraceError) -> tuple[bytes, bytes]:
    """Return the header that says when to come back."""
    return b"retry-after", b"%d" % error.retry_after_s


def _head_of(answer: http.Answer, request_id: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", answer.content_type),
        (b"x-acs-request-id", request_id.encode("ascii")),
        *answer.headers,
    ]


async def _send(answer: http.Response, request_id: str, send: Send) -> None:
    headers = _head_of(answer, request_id)
    headers.append((b"content-length", b"%d" % len(answer.body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _send_stream(
    answer: http.Stream,
    head: bytes,
    request_id: str,
    receive: Receive,
    send: Send,
    ending: asyncio.Event,
) -> None:
    """Send chunks until they end, the client goes or the server ends; the generator is closed in
    any case."""
    headers = _head_of(answer, request_id)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    gone = asyncio.ensure_future(_watch(receive)())
    pump = asyncio.ensure_future(_pump(answer, head, send))
    ended = asyncio.ensure_future(ending.wait())
    try:
        await asyncio.wait((gone, pump, ended), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (gone, pump, ended):
            task.cancel()
        await asyncio.gather(gone, pump, ended, return_exceptions=True)
        if isinstance(answer.chunks, AsyncGenerator):
            await answer.chunks.aclose()  # pyright: ignore[reportUnknownMemberType]
    if not pump.cancelled():
        pump.result()
    await send({"type": "http.response.body", "body": b""})


async def _pump(answer: http.Stream, head: bytes, send: Send) -> None:
    await send({"type": "http.response.body", "body": head, "more_body": True})
    async for chunk in answer.chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
        # To a client that is gone `send` does nothing and waits for nothing: who watches for that
        # must have its turn, however much there is to send.
        await asyncio.sleep(0)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
