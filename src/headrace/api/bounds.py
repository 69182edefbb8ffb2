"""The named bounds of the server: what a client may make it hold or wait for.

Limits of events, signatures and pages are in `core/limits`; `listed` tells both.
"""

from __future__ import annotations

from typing import Final

from headrace.core import limits

#: Connections of clients, fewer where the system gives fewer descriptors; one above is told so
#: with a 503.
CONNECTIONS_MAX = 12_000
#: Descriptors that connections leave to everything else: the store, instances, targets. Where the
#: system gives less than twice as many, connections have half of them.
DESCRIPTORS_KEPT = 1_024
#: Connections that were told so and have not closed yet, and how long they may take.
TURNED_AWAY_MAX = 256
TURNED_AWAY_SECONDS_MAX = 1.0
#: Sum of the lengths of all header names and values.
HEADER_BYTES_MAX = 64 * 1024
HEADERS_MAX = 128
#: Request line and headers as they come in, before anything of them is judged.
HEAD_BYTES_MAX = 192 * 1024
#: They must have arrived whole within this time; so long a new connection may be silent, too.
HEAD_SECONDS_MAX = 20.0
#: Path and query together.
TARGET_BYTES_MAX = 64 * 1024
#: A body that is refused for its size is read and thrown away up to here, so that the client sees
#: the answer.
DISCARD_BYTES_MAX = 32 * 1024 * 1024
#: All bodies that are arriving; one that came with its head does not count.
BODIES_BYTES_MAX = 256 * 1024 * 1024
#: Requests that one client may send before its earlier ones are answered.
PIPELINED_MAX = 64
#: A request with a larger body does not go the short way (`shortcut`).
SHORT_BODY_BYTES_MAX = 256 * 1024
#: A body must have arrived whole within this time.
BODY_SECONDS_MAX = 60.0
#: Publishing requests worked on at once, in units: one for each request and one more for each
#: PUBLISHING_UNIT_BYTES of its body; what comes on top is told to come back.
PUBLISHING_UNITS_MAX = 256
#: And so many while others are refused and for a while after: refusing takes time, too, and those
#: that were let in would wait for it.
PUBLISHING_UNITS_IN_BURST_MAX = 128
PUBLISHING_BURST_MS = 1_000
PUBLISHING_UNIT_BYTES = 32 * 1024
#: Of these, what begins before the sockets are looked at again.
TURN_UNITS_MAX = 32
#: Answers kept for ClientToken, and for how long.
IDEMPOTENT_ANSWERS_MAX = 10_000
CLIENT_TOKEN_CHARS_MAX = 256
IDEMPOTENT_MS = 10 * 60 * 1000
#: Longest wait of one long poll or silent stretch of a stream.
TAIL_HEARTBEAT_SECONDS = 15.0
#: Parameters of one query or form.
PARAMETERS_MAX: Final = limits.PARAMETERS_MAX


def connections_max(descriptors: int) -> int:
    """Return how many connections a process with so many descriptors may hold."""
    return max(1, min(CONNECTIONS_MAX, descriptors - min(DESCRIPTORS_KEPT, descriptors // 2)))


def listed() -> list[limits.Bound]:
    """Return every bound there is, those of `core/limits` first, each name once."""
    found = {bound.name: bound for bound in (*limits.listed(), *limits.constants(globals()))}
    return list(found.values())
