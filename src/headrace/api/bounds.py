"""The named bounds of the server: what a client may make it hold or wait for.

Limits of events, signatures and pages are in `core/limits`; `listed` tells both.
"""

from __future__ import annotations

from typing import Final

from headrace.core import limits

#: Sum of the lengths of all header names and values; more: 431.
HEADER_BYTES_MAX = 64 * 1024
#: Headers of one request; more: 431.
HEADERS_MAX = 128
#: Request line and headers as they come in, before anything of them is judged; more: 431, and the
#: connection is closed.
HEAD_BYTES_MAX = 192 * 1024
#: They must have arrived whole within this time; so long a new connection may be silent, too. Then
#: it is closed.
HEAD_SECONDS_MAX = 20.0
#: A connection that could not go to the next server process tries again after.
LEAVE_AGAIN_SECONDS = 0.02
#: Path and query together; more: 431.
TARGET_BYTES_MAX = 64 * 1024
#: A body that is refused for its size is read and thrown away up to here, so that the client sees
#: the answer.
DISCARD_BYTES_MAX = 32 * 1024 * 1024
#: So much of each body is always taken; what lies above counts against the sum of all of them.
BODY_BYTES_FREE = 1024 * 1024
#: That sum; a body that finds no room in it: 503 with Retry-After.
BODIES_BYTES_MAX = 256 * 1024 * 1024
#: A request with a larger body does not go the short way (`shortcut`).
SHORT_BODY_BYTES_MAX = 256 * 1024
#: A body must have arrived whole within this time; else 408.
BODY_SECONDS_MAX = 60.0
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


def listed() -> list[limits.Bound]:
    """Return every bound there is, those of `core/limits` first, each name once."""
    found = {bound.name: bound for bound in (*limits.listed(), *limits.constants(globals()))}
    return list(found.values())
