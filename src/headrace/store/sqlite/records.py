"""Function logs and invocation records: lines in files by hour, written every 200 ms, bounded, not
fsynced.

A line is worth less than a delivery: when there is no room, or too much at once, the oldest are
dropped and counted. Must never slow down who writes.
"""

from __future__ import annotations

import asyncio
import datetime
import functools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import apsw
import msgspec

from headrace.store import ports
from headrace.store.settings import MIB
from headrace.store.sqlite import directory as directories
from headrace.store.sqlite import disk as disks

T = TypeVar("T")

FLUSH_S = 0.2
#: Function logs that wait to be written; past it the oldest are dropped and counted.
BUFFER_BYTES_MAX = 16 * MIB
#: Function logs kept on disk; past it the oldest file goes.
BYTES_MAX = 1024 * MIB
#: A file takes at most this part of the whole, so that dropping the oldest file frees a little, not
#: all.
_FILE_PART = 8
_SUFFIX = ".db"
_HOUR = "%Y-%m-%dT%H"

#: Lines that go into one row: a row costs as much as thirty lines inside one.
_PACK_LINES_MAX = 512
_PACK_BYTES_MAX = 256 * 1024

# `line` is how lines were kept at first, a row each: it is read and not written any more.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS pack (
    stream TEXT NOT NULL, last_ms INTEGER NOT NULL, first_ms INTEGER NOT NULL,
    lines INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS pack_stream ON pack (stream, last_ms);
CREATE TABLE IF NOT EXISTS line (
    at_ms INTEGER NOT NULL, stream TEXT NOT NULL, request_id TEXT NOT NULL, kind TEXT NOT NULL,
    body BLOB NOT NULL
);
"""

#: What a pack holds of a line: time, request id, kind, body; the stream is the pack's.
_Packed = tuple[int, str, str, bytes]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[_Packed]).decode


class SqliteRecords:
    """Satisfies `ports.Records`. Use from one event loop."""

    def __init__(
        self,
        directory: directories.Directory,
        *,
        bytes_max: int = BYTES_MAX,
        buffer_bytes_max: int = BUFFER_BYTES_MAX,
    ) -> None:
        self._folder = directory.records
        self._disk = directory.disk
        self._bytes_max = bytes_max
        self._buffer_bytes_max = buffer_bytes_max
        self._buffer: deque[ports.LogLine] = deque()
        self._buffer_bytes = 0
        self._dropped = 0
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="headrace-records")
        self._open_file: tuple[Path, disks.Connection] | None = None
        #: The last failure, for the health page; the lines it cost are in `dropped`.
        self.failure: str | None = None

    async def open(self) -> None:
        await self._run(lambda: self._folder.mkdir(mode=0o700, parents=True, exist_ok=True))

    def write(self, line: ports.LogLine) -> None:
        self._buffer.append(line)
        self._buffer_bytes += ports.line_bytes(line)
        while self._buffer_bytes > self._buffer_bytes_max:
            self._buffer_bytes -= ports.line_bytes(self._buffer.popleft())
            self._dropped += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._begin_flush)

    async def read(self, query: ports.LineQuery) -> list[ports.LogLine]:
        await self._flush()
        return await self._run(lambda: self._read(query))

    def dropped(self) -> int:
        return self._dropped

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._flush()
        await self._run(self._close_file)
        self._thread.shutdown(wait=False)

    # ------------------------------------------------------------ in the loop

    async def _run(self, job: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)

    def _begin_flush(self) -> None:
        self._flushing = asyncio.get_running_loop().create_task(self._flush())

    async def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines = list(self._buffer)
        self._buffer.clear()
        self._buffer_bytes = 0
        # The thread works in order: who reads afterwards sees these lines even when another flush
        # runs.
        self._dropped += await self._run(lambda: self._write(lines))

    # ------------------------------------------------------------ in the records' thread

    def _write(self, lines: list[ports.LogLine]) -> int:
        """Write lines to the files of their hours and return how many were lost on the way."""
        lost = 0
        by_hour: dict[str, list[ports.LogLine]] = {}
        for line in lines:
            by_hour.setdefault(_hour_of(line.at_ms), []).append(line)
        for hour, chosen in by_hour.items():
            try:
                self._write_hour(hour, chosen)
            except (apsw.Error, OSError) as error:
                self.failure = str(error)
                lost += len(chosen)
                self._close_file()
        return lost + self._drop_oldest()

    def _write_hour(self, hour: str, lines: list[ports.LogLine]) -> None:
        connection = self._connection(self._file_of(hour))
        # A failed write closes the file (see `_write`), which rolls back.
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO pack VALUES (?, ?, ?, ?, ?)", _packs(lines))
        connection.execute("COMMIT")

    def _file_of(self, hour: str) -> Path:
        """Return the hour's newest file that still has room."""
        number = 0
        while True:
            path = self._folder / f"{hour}{f'-{number:04d}' if number else ''}{_SUFFIX}"
            if disks.size_of(path) < self._bytes_max // _FILE_PART:
                return path
            number += 1

    def _connection(self, path: Path) -> disks.Connection:
        if self._open_file is not None and self._open_file[0] == path:
            return self._open_file[1]
        self._close_file()
        connection = self._disk.create(path)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute(_SCHEMA)
        except apsw.Error:
            connection.close()
            raise
        self._open_file = (path, connection)
        return connection

    def _read(self, query: ports.LineQuery) -> list[ports.LogLine]:
        found: list[ports.LogLine] = []
        for path in reversed(self._files()):
            if not _may_hold(path, query.start_ms, query.stop_ms):
                continue
            try:
                found = _read_file(self._connection(path), query) + found
            except apsw.Error as error:
                # One bad file must not hide the others.
                self.failure = str(error)
                self._close_file()
            if len(found) >= query.limit:
                break
        found.sort(key=_time_of)
        return found[max(0, len(found) - query.limit) :]

    def _drop_oldest(self) -> int:
        """Remove the oldest files until the rest fits and return how many lines went with them."""
        lost = 0
        paths = self._files()
        sizes = [disks.size_of(path) for path in paths]
        for path, size in list(zip(paths, sizes, strict=True))[:-1]:
            if sum(sizes) <= self._bytes_max:
                break
            lost += self._lines_in(path)
            self._close_file()
            for suffix in ("", *disks.SIDE_FILES):
                self._disk.unlink(Path(f"{path}{suffix}"))
            sizes.remove(size)
        return lost

    def _lines_in(self, path: Path) -> int:
        try:
            row = (
                self._connection(path)
                .execute(
                    "SELECT (SELECT count(*) FROM line)"
                    " + (SELECT coalesce(sum(lines), 0) FROM pack)"
                )
                .fetchone()
            )
        except apsw.Error as error:
            self.failure = str(error)
            return 0
        return row[0] if row is not None else 0

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{_SUFFIX}"), key=lambda path: path.stem)

    def _close_file(self) -> None:
        if self._open_file is not None:
            self._open_file[1].close()
            self._open_file = None


def _packs(lines: Sequence[ports.LogLine]) -> Iterator[tuple[str, int, int, int, bytes]]:
    """Yield rows that hold `lines`, in their order within each stream."""
    by_stream: dict[str, list[ports.LogLine]] = {}
    for line in lines:
        by_stream.setdefault(line.stream, []).append(line)
    for stream, chosen in by_stream.items():
        pack: list[_Packed] = []
        size = 0
        for line in chosen:
            if len(pack) >= _PACK_LINES_MAX or (pack and size + len(line.body) > _PACK_BYTES_MAX):
                yield _row(stream, pack)
                pack, size = [], 0
            pack.append((line.at_ms, line.request_id, line.kind, line.body))
            size += len(line.body)
        yield _row(stream, pack)


def _row(stream: str, pack: list[_Packed]) -> tuple[str, int, int, int, bytes]:
    times = [line[0] for line in pack]
    return stream, max(times), min(times), len(pack), _encode(pack)


def _read_file(connection: disks.Connection, query: ports.LineQuery) -> list[ports.LogLine]:
    """Return the newest lines of one file that fit, ascending by time, at most `limit`."""
    found: list[ports.LogLine] = []
    for last_ms, body in connection.execute(
        "SELECT last_ms, body FROM pack WHERE stream = ? AND last_ms >= ? AND first_ms < ?"
        " ORDER BY last_ms DESC, rowid DESC",
        (query.stream, query.start_ms, query.stop_ms),
    ):
        # A pack further back cannot hold a line as new as the oldest one that is kept.
        if len(found) >= query.limit and last_ms < found[-query.limit].at_ms:
            return found[-query.limit :]
        older = [
            ports.LogLine(at_ms, query.stream, request_id, kind, data)
            for at_ms, request_id, kind, data in _decode(body)
            if query.fits(at_ms, request_id, kind)
        ]
        found = older + found
        found.sort(key=_time_of)
    found = _read_rows(connection, query) + found
    found.sort(key=_time_of)
    return found[max(0, len(found) - query.limit) :]


def _read_rows(connection: disks.Connection, query: ports.LineQuery) -> list[ports.LogLine]:
    """The same of the lines that are kept a row each."""
    found: list[ports.LogLine] = []
    for row in connection.execute(
        "SELECT at_ms, stream, request_id, kind, body FROM line WHERE stream = ?"
        " AND at_ms >= ? AND at_ms < ? ORDER BY at_ms DESC, rowid DESC",
        (query.stream, query.start_ms, query.stop_ms),
    ):
        if query.fits(row[0], row[2], row[3]):
            found.append(ports.LogLine(*row))
        if len(found) >= query.limit:
            break
    found.reverse()
    return found


def _time_of(line: ports.LogLine) -> int:
    return line.at_ms


def _hour_of(at_ms: int) -> str:
    return _hour_named(at_ms // 3_600_000)


@functools.lru_cache(maxsize=8)
def _hour_named(hours: int) -> str:
    """Many lines, few hours."""
    return datetime.datetime.fromtimestamp(hours * 3_600, datetime.UTC).strftime(_HOUR)


def _may_hold(path: Path, start_ms: int, stop_ms: int) -> bool:
    hour = path.stem[: len("2026-11-23T17")]
    begin = datetime.datetime.strptime(hour, _HOUR).replace(tzinfo=datetime.UTC)
    begin_ms = int(begin.timestamp() * 1000)
    return begin_ms < stop_ms and begin_ms + 3_600_000 > start_ms
