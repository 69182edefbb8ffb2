"""What is kept of each invocation, and how it is read back: its log and its record.

An invocation that wrote nothing and came to a good end is kept by its record alone: the log of such
a one is its start and end line, which are said again when somebody reads them. Readers cannot tell
the difference. Decides nothing about what a record says; that is `outcome`.
"""

from __future__ import annotations

from collections.abc import Sequence

from headrace.functions import logs
from headrace.store import ports

LOG, RECORD = "log", "invocation"
#: A record that stands for its log too.
QUIET = "quiet"


class History:
    """Logs and records of invocations over `Records`."""

    def __init__(self, records: ports.Records) -> None:
        self._records = records

    def note(
        self, at_ms: int, stream: str, request_id: str, log: bytes | None, record: bytes
    ) -> None:
        """Keep one invocation. log: None when it has nothing but its start and end line."""
        if log is None:
            self._records.write(ports.LogLine(at_ms, stream, request_id, QUIET, record))
            return
        self._records.write(ports.LogLine(at_ms, stream, request_id, LOG, log))
        self._records.write(ports.LogLine(at_ms, stream, request_id, RECORD, record))

    async def read(
        self,
        stream: str,
        *,
        start_ms: int = 0,
        stop_ms: int = 1 << 62,
        request_id: str | None = None,
        kind: str | None = None,
        limit: int = 1000,
    ) -> list[ports.LogLine]:
        """Return the newest `limit` lines that fit, ascending by time."""
        # Two rows at most stand for one log line, and for one record.
        rows = limit if kind is None else 2 * limit
        kept = await self._records.read(
            ports.LineQuery(stream, start_ms, stop_ms, request_id, limit=rows)
        )
        fitting = [line for line in shown(kept) if kind in (None, line.kind)]
        return fitting[max(0, len(fitting) - limit) :]


def shown(kept: Sequence[ports.LogLine]) -> list[ports.LogLine]:
    """Return lines as they are read: a log and a record of each invocation."""
    lines: list[ports.LogLine] = []
    for line in kept:
        if line.kind == QUIET:
            log = logs.frame_log(line.request_id, b"", None)
            lines.append(ports.LogLine(line.at_ms, line.stream, line.request_id, LOG, log))
            line = ports.LogLine(line.at_ms, line.stream, line.request_id, RECORD, line.body)
        lines.append(line)
    return lines
