"""Records in memory: one bounded list; the oldest lines go first and are counted."""

from __future__ import annotations

from collections import deque

from headrace.store import ports

#: Function logs kept in memory; past it the oldest go.
BYTES_MAX = 64 * 1024 * 1024


class MemoryRecords:
    """Satisfies `ports.Records`."""

    def __init__(self, *, bytes_max: int = BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._lines: deque[ports.LogLine] = deque()
        self._bytes = 0
        self._dropped = 0

    async def open(self) -> None:
        return

    def write(self, line: ports.LogLine) -> None:
        self._lines.append(line)
        self._bytes += ports.line_bytes(line)
        while self._bytes > self._bytes_max:
            self._bytes -= ports.line_bytes(self._lines.popleft())
            self._dropped += 1

    async def read(self, query: ports.LineQuery) -> list[ports.LogLine]:
        fitting = [
            line
            for line in self._lines
            if line.stream == query.stream and query.fits(line.at_ms, line.request_id, line.kind)
        ]
        fitting.sort(key=lambda line: line.at_ms)
        return fitting[max(0, len(fitting) - query.limit) :]

    def dropped(self) -> int:
        return self._dropped

    async def close(self) -> None:
        return
