"""The wire between the server and one instance: length-prefixed frames on a socket pair.

A frame is a header, a head (text, parts separated by NUL) and a body (bytes). Everything that comes
from an instance was written by a process that runs foreign code: it is checked, and any doubt ends
that instance.

    to the instance      START   head: name, value, name, value …            once, first
                         INVOKE  head: deadline, request id, retries, pairs  body: event
                         CANCEL  of a number that has not begun
                         STOP    run pre_stop and leave
    from the instance    READY   code loaded, initializer done               once
                         FAILED  head: error type   body: error JSON         instead of READY
                         RESULT  head: error type   body: answer or error JSON
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

#: Bytes of head and body · kind · flags · bytes of head · number · microseconds spent · peak
#: memory, KiB.
HEADER = struct.Struct("<IBBHIII")
START, INVOKE, CANCEL, STOP = 1, 2, 3, 4
READY, RESULT, FAILED = 16, 17, 18

#: INVOKE: write a mark into the log first, because another invocation may still be writing.
MARKED = 1
#: RESULT: how it ended.
OK, ERROR, CANCELLED = 0, 1, 2

#: Payload or answer of one invocation; a function that answers more fails, and its instance is
#: replaced.
PAYLOAD_BYTES_MAX = 32 * 1024 * 1024
#: The head of a message to or from an instance; its length has two bytes.
HEAD_BYTES_MAX = 0xFFFF
READ_BYTES = 64 * 1024


class Broken(Exception):
    """The other side does not keep to the protocol."""


def pack(kind: int, flags: int, number: int, words: Iterable[str] = (), body: bytes = b"") -> bytes:
    """Return one whole frame. `words` must not hold NUL: it separates them."""
    return packed(kind, flags, number, "\0".join(words).encode(), body)


def packed(kind: int, flags: int, number: int, head: bytes, body: bytes) -> bytes:
    """As `pack`, with the words joined already."""
    assert len(head) <= HEAD_BYTES_MAX, f"head of {len(head)} bytes"
    return HEADER.pack(len(head) + len(body), kind, flags, len(head), number, 0, 0) + head + body


class Reader:
    """Cut a stream of bytes into frames, without a copy until a frame is whole."""

    def __init__(self) -> None:
        self._small = bytearray(READ_BYTES)
        self._small_view = memoryview(self._small)
        self._start = 0
        self._stop = 0
        #: A frame too large for the small buffer, and how much of it is here.
        self._large: memoryview | None = None
        self._have = 0

    def room(self) -> memoryview:
        """Where the next bytes go; never empty."""
        if self._large is not None:
            return self._large[self._have :]
        return self._small_view[self._stop :]

    def filled(self, count: int) -> list[tuple[int, int, int, int, int, bytes, bytes]]:
        """Take `count` bytes written to `room()`; return the frames that are whole now.

        Each is (kind, flags, number, took_us, memory_kib, head, body). Raises: Broken.
        """
        if self._large is not None:
            return self._grow(self._large, count)
        self._stop += count
        found: list[tuple[int, int, int, int, int, bytes, bytes]] = []
        start, stop = self._start, self._stop
        while stop - start >= HEADER.size:
            body, kind, flags, head, number, took_us, memory = HEADER.unpack_from(
                self._small, start
            )
            _check(body, kind, head)
            end = start + HEADER.size + body
            if stop < end:
                if end - start > READ_BYTES:
                    self._start = start
                    self._begin_large(end - start)
                break
            middle = start + HEADER.size + head
            said = bytes(self._small_view[start + HEADER.size : middle])
            answer = bytes(self._small_view[middle:end])
            found.append((kind, flags, number, took_us, memory, said, answer))
            start = end
        if self._large is None:
            self._start = start
            self._compact()
        return found

    def _begin_large(self, size: int) -> None:
        self._large = memoryview(bytearray(size))
        self._have = self._stop - self._start
        self._large[: self._have] = self._small_view[self._start : self._stop]
        self._start = self._stop = 0

    def _grow(
        self, large: memoryview, count: int
    ) -> list[tuple[int, int, int, int, int, bytes, bytes]]:
        self._have += count
        if self._have < len(large):
            return []
        self._large = None
        return [_frame(large)]

    def _compact(self) -> None:
        if self._start == self._stop:
            self._start = self._stop = 0
        elif self._start:
            rest = self._stop - self._start
            self._small[:rest] = self._small[self._start : self._stop]
            self._start, self._stop = 0, rest


def _check(body: int, kind: int, head: int) -> None:
    """Raises: Broken for a header that no honest instance sends."""
    if kind not in (READY, RESULT, FAILED) or head > body:
        raise Broken("a frame that makes no sense")
    if body - head > PAYLOAD_BYTES_MAX:
        raise Broken(f"an answer of more than {PAYLOAD_BYTES_MAX} bytes")


def _frame(view: memoryview) -> tuple[int, int, int, int, int, bytes, bytes]:
    _, kind, flags, head, number, took_us, memory_kib = HEADER.unpack_from(view)
    middle = HEADER.size + head
    return (
        kind,
        flags,
        number,
        took_us,
        memory_kib,
        bytes(view[HEADER.size : middle]),
        bytes(view[middle:]),
    )
