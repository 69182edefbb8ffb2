"""The named bounds of the server: what a client may make it hold or wait for.

Constants only. Limits of events, signatures and pages are in `core/limits`.
"""

from __future__ import annotations

from typing import Final

from headrace.core import limits

#: Sum of the lengths of all header names and values.
HEADER_BYTES_MAX = 64 * 1024
HEADERS_MAX = 128
#: Path and query together.
TARGET_BYTES_MAX = 64 * 1024
#: A body that is refused for its size is read and thrown away up to here, so that the client sees
#: the answer.
DISCARD_BYTES_MAX = 32 * 1024 * 1024
#: A body must have arrived whole within this time.
BODY_SECONDS_MAX = 60.0
#: Answers kept for ClientToken, and for how long.
IDEMPOTENT_ANSWERS_MAX = 10_000
IDEMPOTENT_MS = 10 * 60 * 1000
#: Longest wait of one long poll or silent stretch of a stream.
TAIL_HEARTBEAT_SECONDS = 15.0
#: Parameters of one query or form.
PARAMETERS_MAX: Final = limits.PARAMETERS_MAX
