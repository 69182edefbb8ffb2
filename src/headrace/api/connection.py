"""One connection of a client: uvicorn's, with bounds on what may be sent before a request is whole.

Owns how many connections there may be, the bytes and the seconds a request's head may take, the
answer to what is no HTTP at all, and the way of an idle connection to the next server process.
Bodies are the server's business. Must never hold what nobody has signed yet without a bound.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from typing import ClassVar, cast

from uvicorn.protocols.http import httptools_impl

from headrace.api import away, bodies, bounds, http, server, shortcut, turns
from headrace.core import clock, errors, names


class Connection(httptools_impl.HttpToolsProtocol):
    """Use a subclass made by `bounded`."""

    refuse: ClassVar[http.Refusal]
    random: ClassVar[clock.Random]
    serve: ClassVar[server.Server]
    connections_max: ClassVar[int]
    #: Connections above that which have their answer and are not closed yet.
    away: ClassVar[set[away.TurnedAway]]
    turns: ClassVar[turns.Turns]
    #: Takes descriptors of connections that outlive the server; None: they end with it.
    keep: ClassVar[Callable[[int], None] | None] = None

    #: True until the head of a request is whole.
    _open = True
    #: Bytes since the last head, piece of a body or end of a request.
    _strays = 0
    #: True when a head began behind another request: `_strays` does not know all of its bytes.
    _glued = False
    _deadline: asyncio.TimerHandle | None = None
    #: When the last answer was complete, seconds of the loop's clock.
    _idle_since = 0.0
    _idle: asyncio.TimerHandle | None = None
    #: Runs while the client takes its answers slowly, and what waited for it when last looked at.
    _slow: asyncio.TimerHandle | None = None
    _unread = 0
    #: What the body of each request that was sent ahead has of the memory for bodies, oldest first.
    _ahead: deque[bodies.Share] | None = None
    #: What a head that is not whole, or trailers, have of it.
    _part: bodies.Share | None = None
    #: The default headers as lines, and the list they were made from.
    _standing: tuple[object, bytes] = ((), b"")
    _address = ""
    #: Another server process had it before: it is idle, and no new one.
    adopted = False
    #: The server ends, and the connection does not.
    _leaving = False
    #: A second descriptor of it, on the way to `keep`.
    _kept: int | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.connections_max:
            self._turn_away()
            return
        self._address = self.client[0] if self.client else ""
        if self.adopted:
            self._wait_for_next()
        else:
            self._arm(bounds.HEAD_SECONDS_MAX)

    def _turn_away(self) -> None:
        """Say at once that there is no room, whatever it came for."""
        self.connections.discard(self)
        error, request_id = server.ConnectionsTooMany(), names.bus_request_id(self.random)
        answer = type(self).refuse(error, request_id)
        answer.headers = (*answer.headers, server.retry_after(error))
        self.transport.write(shortcut.rendered(answer, request_id, self._lines(), keep_alive=False))
        if len(self.away) < bounds.TURNED_AWAY_MAX:
            self.transport.set_protocol(away.TurnedAway(self.transport, self.away))
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        if self._idle is not None:
            self._idle.cancel()
        if self._slow is not None:
            self._slow.cancel()
        self._let_go_ahead(0)
        self._let_go_part()
        cycle = self.cycle
        if isinstance(cycle, shortcut.Shortcut) and cycle.more_body:
            cycle.drop()
        if self._kept is not None:
            self._give(self._kept, exc)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._strays += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._leaving:  # the rest of a body may have come whose request was answered before
            self._leave_if_idle()
        if self._strays > bounds.HEAD_BYTES_FREE and not self._may_grow():
            return
        if self._deadline is None:
            if self._open and self._strays:
                self._arm(bounds.HEAD_SECONDS_MAX)
            elif isinstance(cycle := self.cycle, shortcut.Shortcut) and cycle.more_body:
                self._arm(bounds.BODY_SECONDS_MAX)
                cycle.await_body(self.serve.bodies)

    def _may_grow(self) -> bool:
        """Count a head that does not end, or trailers and chunk extensions nobody asked for."""
        error: errors.HeadraceError
        if self._part is None:
            self._part = bodies.Share(self.serve.bodies)
        if self._strays > bounds.HEAD_BYTES_MAX:
            text = f"Line and headers: at most {bounds.HEAD_BYTES_MAX} bytes."
            error = server.HeadersTooLarge(text)
        elif not self._part.raise_to(self._strays):
            error = bodies.BodiesTooMany()
        else:
            return True
        self._answer(error)
        if not self.transport.is_closing():
            self.flow.pause_reading()  # an earlier request is worked on: the last one
        return False

    # -- what the parser says ---------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self._glued = not self._strays
        self._strays = self._strays or 1  # something has come, so the head has its deadline

    def on_header(self, name: bytes, value: bytes) -> None:
        # What comes after a body must not pose as a header: it was not there when the head was
        # judged.
        if self._open:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        begun = self._short()
        self._open = False
        self._strays = 0
        self._disarm()
        if begun is not None:
            self.cycle = begun  # type: ignore[assignment]
            return
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()
        if self.pipeline:
            self._begin_ahead()

    def on_body(self, body: bytes) -> None:
        self._strays = 0
        cycle = self.cycle
        if not isinstance(cycle, shortcut.Shortcut):
            super().on_body(body)
            if self.pipeline:
                self._keep_ahead(len(body))
        elif cycle.share is None:
            cycle.body = body
        else:
            cycle.grow(body)

    def _begin_ahead(self) -> None:
        """A request was sent ahead: its body will count until its turn."""
        if len(self.pipeline) > bounds.PIPELINED_MAX:
            raise _TooFarAhead
        if self._ahead is None:
            self._ahead = deque()
        self._ahead.append(bodies.Share(self.serve.bodies))

    def _keep_ahead(self, size: int) -> None:
        """Count what comes before earlier requests are answered; without room, hang up."""
        assert self._ahead is not None, "what is in the pipeline was sent ahead"
        if not self._ahead[-1].add(size):
            raise _TooFarAhead

    def _let_go_ahead(self, waiting: int) -> None:
        """So many still wait for their turn; the others count no more."""
        while self._ahead and len(self._ahead) > waiting:
            self._ahead.popleft().release()

    def _let_go_part(self) -> None:
        if self._part is not None:
            self._part.release()

    def on_message_complete(self) -> None:
        self._open = True
        self._strays = 0
        cycle = self.cycle
        if not isinstance(cycle, shortcut.Shortcut):
            self._let_go_part()
            super().on_message_complete()
        elif cycle.more_body and not cycle.response_complete:
            cycle.more_body = False
            self._disarm()
            refusal = self.serve.admit(cycle)
            if refusal is not None and not self.flow.write_paused:
                self._end(cycle, refusal)
                return
            units = 0 if cycle.entered is None else cycle.entered[1]
            if not units or self.turns.may_begin(units):
                self._begin(cycle, refusal)
            else:
                self.turns.wait(lambda: self._begin(cycle, None), units)

    # -- the short way ----------------------------------------------------------------------------

    def _short(self) -> shortcut.Shortcut | None:
        """What the request begins with if it may go the short way."""
        if self._answering():
            return None  # sent ahead: it has to wait its turn
        parser, headers = self.parser, self.headers
        assert parser is not None, "it is the parser that calls"
        if (
            parser.get_method() != b"POST"
            or parser.get_http_version() != "1.1"
            or parser.should_upgrade()
            or (
                (self._glued or self._strays > bounds.HEADER_BYTES_MAX)
                and not self._head_is_small()
            )
            or len(headers) > bounds.HEADERS_MAX
            or self.url[:1] != b"/"
            or b"#" in self.url
            or not self.url.isascii()
        ):
            return None
        named = dict(headers)
        length = named.get(b"content-length", b"0")
        if b"transfer-encoding" in named or b"expect" in named or not length.isdigit():
            return None
        size = int(length) if len(length) < 10 else bounds.SHORT_BODY_BYTES_MAX + 1
        if size > bounds.SHORT_BODY_BYTES_MAX:
            return None
        return self.serve.begin(
            "POST",
            self.url,
            headers,
            client=self._address,
            body_bytes=size,
            keep_alive=parser.should_keep_alive(),
        )

    def _head_is_small(self) -> bool:
        size = sum([len(name) + len(value) for name, value in self.headers])
        return size + len(self.url) <= bounds.HEADER_BYTES_MAX

    def _body_is_short(self) -> bool:
        """True while the body of a request on the short way is still arriving."""
        return isinstance(self.cycle, shortcut.Shortcut) and self.cycle.more_body

    def _begin(self, begun: shortcut.Shortcut, answer: http.Response | None) -> None:
        begun.task = self.loop.create_task(self._finish(begun, answer))
        self.tasks.add(begun.task)

    async def _finish(self, begun: shortcut.Shortcut, answer: http.Response | None) -> None:
        try:
            if answer is None:
                answer = await self.serve.finish(begun)
            if self.flow.write_paused:
                await self.flow.drain()
        except BaseException:
            # As uvicorn does with what an application lets through: no half of an answer.
            self._end(begun, None)
            raise
        self._end(begun, answer)

    def _end(self, begun: shortcut.Shortcut, answer: http.Response | None) -> None:
        """Send the answer, None for none, and let the next request come."""
        begun.keep_alive &= answer is not None
        try:
            if answer is not None and self in self.connections:  # else it is lost, though perhaps
                begun.keep_alive &= shortcut.CLOSE not in answer.headers  # not by its last request
                written = shortcut.rendered(
                    answer,
                    begun.request.request_id,
                    self._lines(),
                    keep_alive=begun.keep_alive,
                )
                self.transport.write(written)
        except BaseException:
            begun.keep_alive = False
            raise
        finally:
            begun.response_complete = True
            begun.drop()
            self.tasks.discard(begun.task)
            if cast("object", self.cycle) is begun:
                # An idle connection holds no body.
                self.cycle = None  # type: ignore[assignment]
            if not begun.keep_alive:
                self.transport.close()
            self.on_response_complete()

    def _lines(self) -> bytes:
        """The headers that every answer has, as lines; uvicorn makes a new list each second."""
        given = self.server_state.default_headers
        if self._standing[0] is not given:
            lines = b"".join([b"%b: %b\r\n" % (name, value) for name, value in given])
            type(self)._standing = (given, lines)
        return self._standing[1]

    def on_response_complete(self) -> None:
        """As uvicorn's, but with one timer for as long as the connection lives."""
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            self._watch_reading()
            self._let_go_ahead(len(self.pipeline))
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._wait_for_next()
        if self._leaving:
            self._leave_if_idle()

    def _wait_for_next(self) -> None:
        self._idle_since = self.loop.time()
        if self._idle is None:
            self._idle = self.loop.call_later(self.timeout_keep_alive, self._idled)

    def _idled(self) -> None:
        """Close the connection if nothing was asked for long; else look again later."""
        self._idle = None
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0 or self._answering() or self._strays:
            self._idle = self.loop.call_later(max(left, 1), self._idled)
        else:
            self.timeout_keep_alive_handler()
            self._watch_reading()

    def send_400_response(self, msg: str) -> None:
        self._answer(errors.InvalidInput("This cannot be read as an HTTP request."))

    # -- the end of the server --------------------------------------------------------------------

    def shutdown(self) -> None:
        """The server ends: end with it after the answer that is due, or go where `keep` says."""
        if type(self).keep is None:
            super().shutdown()
        else:
            self._leaving = True
            self._leave_if_idle()
            self.loop.call_later(bounds.LEAVE_PARTIAL_SECONDS_MAX, self._leave_at_last)

    def _leave_if_idle(self) -> None:
        """Let go of the connection if nothing of a request was read that is not answered."""
        if self._answering() or self._strays or self.pipeline or self.transport.is_closing():
            return
        if not self._open:
            return  # it is answered, but the next would read the rest of its body as a request
        try:
            self._kept = os.dup(self.transport.get_extra_info("socket").fileno())
        except OSError:
            # No descriptor is left. Each connection that goes leaves one; until then it is served.
            self.loop.call_later(bounds.LEAVE_AGAIN_SECONDS, self._leave_if_idle)
            return
        self.transport.pause_reading()
        self.transport.close()  # once all is written, `connection_lost`

    def _leave_at_last(self) -> None:
        """Wait no longer for the rest of a request: everybody else is waiting, too."""
        is_partial = self._strays or (self._answering() and self.cycle.more_body)
        if is_partial and not self.transport.is_closing():
            self._answer(server.RequestTimeout("The server hands over: send the request again."))

    def _give(self, descriptor: int, exc: Exception | None) -> None:
        keep = type(self).keep
        if exc is None and keep is not None:
            keep(descriptor)
        else:
            os.close(descriptor)

    # -- clients that read slowly -----------------------------------------------------------------

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reading()

    def _watch_reading(self) -> None:
        """From here on the client has to take what waits for it."""
        if self._slow is None:
            self._look_at_reading()

    def _look_at_reading(self) -> None:
        unread = self.transport.get_write_buffer_size()
        if self._slow is not None and unread > self._unread - bounds.READ_BYTES_MIN:
            self.transport.abort()
            return
        # A connection that is kept may have a little waiting: it is looked at when it is idle.
        wanted = unread if self.transport.is_closing() or self.flow.write_paused else 0
        self._unread, self._slow = unread, None
        if wanted:
            self._slow = self.loop.call_later(bounds.READ_SECONDS_MAX, self._look_at_reading)

    # -- time -------------------------------------------------------------------------------------

    def _arm(self, seconds: float) -> None:
        self._deadline = self.loop.call_later(seconds, self._overdue)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
            self._let_go_part()

    def _overdue(self) -> None:
        self._deadline = None
        if self._body_is_short():
            self._answer(server.RequestTimeout())
        elif self._answering():
            # The next request may take its time while this one is worked on.
            self._arm(bounds.HEAD_SECONDS_MAX)
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
        """Say what is wrong and hang up; what follows on this connection cannot be understood.

        A request that is whole, and each before it, gets its own answer instead; the last one
        hangs up.
        """
        if self._answering() and not self.cycle.more_body:
            self.cycle.keep_alive = False
            return
        if not self._answering() or self._is_about_the_body():
            request_id = names.bus_request_id(self.random)
            answer = type(self).refuse(error, request_id)
            if answer.status == 503:
                answer.headers = (*answer.headers, server.retry_after(error))
            self.transport.write(
                shortcut.rendered(answer, request_id, self._lines(), keep_alive=False)
            )
        self.transport.close()
        self._watch_reading()


class _TooFarAhead(Exception):
    """A client sends more, before its earlier requests are answered, than is kept for it. The
    parser gives up on what raises this, and the connection is closed.
    """


def bounded(
    serve: server.Server,
    refuse: http.Refusal,
    random: clock.Random,
    *,
    connections_max: int = bounds.CONNECTIONS_MAX,
) -> type[Connection]:
    """Return the connection class of a server. `refuse` renders errors of what is no request."""
    members = {
        "refuse": staticmethod(refuse),
        "random": random,
        "serve": serve,
        "connections_max": connections_max,
        "away": set[away.TurnedAway](),
        "turns": turns.Turns(),
    }
    return type("Bounded", (Connection,), members)
