"""Logs of invocations: cut the output of one process into invocations, bound it, and write it in
the cloud's format.

Pure: bytes in, bytes out. Output before the first mark belongs to the invocation the caller names
as owner.
"""

from __future__ import annotations

import re
from collections import deque

#: Log kept of one invocation: its beginning and its end; what lies between is left out and said so.
LOG_BYTES_MAX = 1024 * 1024
TAIL_BYTES = 4 * 1024
_END_BYTES = TAIL_BYTES
_NUMBER_DIGITS = 8
_DIGITS = b"0123456789abcdef"


class Output:
    """What one invocation wrote: the first part and the last 4 KiB; the middle of a flood is only
    counted.
    """

    __slots__ = ("_end", "_end_bytes", "_head", "_head_bytes", "total_bytes")

    def __init__(self) -> None:
        self._head: list[bytes] = []
        self._head_bytes = 0
        self._end: deque[bytes] = deque()
        self._end_bytes = 0
        self.total_bytes = 0

    def add(self, data: bytes) -> None:
        self.total_bytes += len(data)
        room = LOG_BYTES_MAX - _END_BYTES - self._head_bytes
        if room > 0:
            kept = data[:room]
            self._head.append(kept)
            self._head_bytes += len(kept)
            data = data[room:]
        if data:
            self._add_to_end(data[-_END_BYTES:])

    def _add_to_end(self, data: bytes) -> None:
        self._end.append(data)
        self._end_bytes += len(data)
        while self._end_bytes - len(self._end[0]) >= _END_BYTES:
            self._end_bytes -= len(self._end.popleft())

    @property
    def flooded(self) -> bool:
        return self.total_bytes > LOG_BYTES_MAX

    def text(self) -> bytes:
        """At most about LOG_BYTES_MAX, ending in a line break when there is anything at all."""
        if not self.total_bytes:
            return b""
        end = b"".join(self._end)[-_END_BYTES:]
        missing = self.total_bytes - self._head_bytes - len(end)
        notice = b"\n... %d bytes of log left out ...\n" % missing if missing else b""
        text = b"".join((*self._head, notice, end))
        return text if text.endswith(b"\n") else text + b"\n"


class Splitter:
    """Cut a stream at the marks the bootstrap writes: NUL "FC" token number NUL.

    The token is secret to the instance, so that a handler does not forge a mark by accident. One
    that reads it from its own memory can only confuse its own logs.
    """

    def __init__(self, token: str) -> None:
        self._prefix = b"\0FC" + token.encode()
        self._mark = re.compile(re.escape(self._prefix) + rb"([0-9a-f]{8})\0")
        self._mark_bytes = len(self._prefix) + _NUMBER_DIGITS + 1
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes | int]:
        """Return pieces of output and, between them, the numbers of those that begin there."""
        if self._rest:
            data = self._rest + data
            self._rest = b""
        if b"\0" not in data:
            return [data]
        pieces: list[bytes | int] = []
        # Output and numbers take turns; the last part is output that is still going on.
        parts = iter(self._mark.split(data))
        output = next(parts)
        for number in parts:
            if output:
                pieces.append(output)
            pieces.append(int(number, 16))
            output = next(parts)
        if output:
            self._keep(output, pieces)
        return pieces

    def flush(self) -> bytes:
        """What was held back because it looked like the start of a mark."""
        rest, self._rest = self._rest, b""
        return rest

    def _keep(self, data: bytes, pieces: list[bytes | int]) -> None:
        """Hold back an end that may be the first half of a mark."""
        cut = data.find(b"\0", max(0, len(data) - self._mark_bytes + 1))
        while cut >= 0 and not self._may_be_mark(data[cut:]):
            cut = data.find(b"\0", cut + 1)
        if cut >= 0:
            self._rest = data[cut:]
            data = data[:cut]
        if data:
            pieces.append(data)

    def _may_be_mark(self, data: bytes) -> bool:
        if self._prefix.startswith(data):
            return True
        return data.startswith(self._prefix) and not data[len(self._prefix) :].strip(_DIGITS)


def frame_log(request_id: str, output: bytes, error: str | None) -> bytes:
    """Put the cloud's start and end lines around the output of one invocation."""
    ending = f", Error: {error}" if error else ""
    return b"FC Invoke Start RequestId: %s\n%sFC Invoke End RequestId: %s%s\n" % (
        request_id.encode(),
        output,
        request_id.encode(),
        ending.encode(),
    )


def summary(duration_us: int, billed_ms: int, memory_mb: int, memory_used_mb: float) -> bytes:
    """The last line of a log tail, after a blank one."""
    return (
        f"\nDuration: {duration_us / 1000:.2f} ms, Billed Duration: {billed_ms} ms, "
        f"Memory Size: {memory_mb} MB, Max Memory Used: {memory_used_mb:.2f} MB"
    ).encode()


def tail(log: bytes, closing: bytes) -> bytes:
    """The last 4 KiB of the log with its summary, begun at a whole character."""
    text = (log + closing)[-TAIL_BYTES:]
    return text.decode("utf-8", "ignore").encode() if len(log) + len(closing) > TAIL_BYTES else text
