"""The named bounds of the server: what a client may make it hold or wait for.

Limits of events, signatures and pages are in `core/limits`; `listed` tells both.
"""

from __future__ import annotations

from typing import Final

from headrace.core import limits

#: Connections of clients, fewer where the system gives fewer descriptors; one above: 503 with
#: Retry-After, and it is closed.
CONNECTIONS_MAX = 12_000
#: Descriptors that connections leave to everything else: the store, instances, targets. Where the
#: system gives less than twice as many, connections have half of them.
DESCRIPTORS_KEPT = 3_072
#: Connections that were told so and have not closed yet; with more, one is closed at once.
TURNED_AWAY_MAX = 256
#: How long such a one may take; then it is cut off.
TURNED_AWAY_SECONDS_MAX = 1.0
#: Sum of the lengths of all header names and values; more: 431.
HEADER_BYTES_MAX = 64 * 1024
#: Headers of one request; more: 431.
HEADERS_MAX = 128
#: Request line and headers as they come in, before anything of them is judged; more: 431, and the
#: connection is closed.
HEAD_BYTES_MAX = 192 * 1024
#: What most need of that; a head that is not whole counts in BODIES_BYTES_MAX once it is longer.
HEAD_BYTES_FREE = 16 * 1024
#: They must have arrived whole within this time; so long a new connection may be silent, too. Then
#: it is closed.
HEAD_SECONDS_MAX = 20.0
#: When the server hands over, a request that has begun to arrive must be whole within this time;
#: else 408: all others wait for it.
LEAVE_PARTIAL_SECONDS_MAX = 1.0
#: A connection that could not go to the next server process tries again after.
LEAVE_AGAIN_SECONDS = 0.02
#: Path and query together; more: 431.
TARGET_BYTES_MAX = 64 * 1024
#: A body that is refused for its size is read and thrown away up to here, so that the client sees
#: the answer.
DISCARD_BYTES_MAX = 32 * 1024 * 1024
#: All bodies and long heads that are arriving; a body that came with its head does not count. What
#: finds no room: 503 with Retry-After.
BODIES_BYTES_MAX = 256 * 1024 * 1024
#: Requests that one client may send before its earlier ones are answered; with more, its
#: connection is closed.
PIPELINED_MAX = 64
#: A request with a larger body does not go the short way (`shortcut`).
SHORT_BODY_BYTES_MAX = 256 * 1024
#: A body must have arrived whole within this time; else 408.
BODY_SECONDS_MAX = 60.0
#: A client must take READ_BYTES_MIN of what waits for it in each such time, or all of it; else its
#: connection is cut off.
READ_SECONDS_MAX = 30.0
READ_BYTES_MIN = 256 * 1024
#: Publishing requests worked on at once, in units: one for each request and one more for each
#: PUBLISHING_UNIT_BYTES of its body. What comes on top: 503 with Retry-After, or 429 when it is the
#: account's share that is used.
PUBLISHING_UNITS_MAX = 1_024
#: And so many while others are refused and for a while after: refusing takes time, too, and those
#: that were let in would wait for it.
PUBLISHING_UNITS_IN_BURST_MAX = 512
#: For how long after the last refusal.
PUBLISHING_BURST_MS = 1_000
PUBLISHING_UNIT_BYTES = 8 * 1024
#: Units of these that begin before the sockets are looked at again; the others wait their turn.
TURN_UNITS_MAX = 128
#: Answers kept for ClientToken; past it the oldest is forgotten, and a repeat is done anew.
IDEMPOTENT_ANSWERS_MAX = 10_000
#: Characters of a ClientToken; a longer one is refused.
CLIENT_TOKEN_CHARS_MAX = 256
#: How long such an answer is kept.
IDEMPOTENT_MS = 10 * 60 * 1000
#: Longest wait of one long poll or silent stretch of a stream.
TAIL_HEARTBEAT_SECONDS = 15.0
#: Parameters of one query or form; more: 400.
PARAMETERS_MAX: Final = limits.PARAMETERS_MAX


def connections_max(descriptors: int) -> int:
    """Return how many connections a process with so many descriptors may hold."""
    return max(1, min(CONNECTIONS_MAX, descriptors - min(DESCRIPTORS_KEPT, descriptors // 2)))


def listed() -> list[limits.Bound]:
    """Return every bound there is, those of `core/limits` first, each name once."""
    found = {bound.name: bound for bound in (*limits.listed(), *limits.constants(globals()))}
    return list(found.values())
