"""The writing side of one shard: opening and fencing, one frame = one transaction, rolling to the
next file.

Everything here runs in the one writer thread; other threads only read the segment figures. Must
never acknowledge before COMMIT has returned, and never write again after a sync has failed.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator
from pathlib import Path

import apsw
import msgspec

from headrace.store import frames, ports
from headrace.store.settings import JournalSettings
from headrace.store.sqlite import chain, reading
from headrace.store.sqlite import disk as disks
from headrace.store.sqlite import room as rooms
from headrace.store.sqlite import segment as segments
from headrace.store.sqlite import wal as wals

#: One statement takes so many events: every statement gives up the interpreter's lock and takes it
#: back, for which the event loop has to make way.
_INSERT_EVENTS_MAX = 32
_INSERT_EVENTS = tuple(
    "INSERT INTO event VALUES " + ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?, ?)"] * count)
    for count in range(_INSERT_EVENTS_MAX + 1)
)
_INSERT_SETTLE = "INSERT INTO settle VALUES (?, ?, ?)"
_INSERT_FRAME = "INSERT INTO frame VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

Snapshot = tuple[ports.Position, bytes]


class Writer:
    """Owner of the head file."""

    def __init__(
        self, disk: disks.Disk, folder: Path, shard: int, settings: JournalSettings
    ) -> None:
        self._disk = disk
        self.folder = folder
        self._shard = shard
        self._settings = settings
        self._connection: disks.Connection | None = None
        self._epoch = 0
        self._msets: dict[tuple[int, ...], int] = {}
        self._room = rooms.Room(disk, folder, settings)
        #: Oldest first, the head last. Replaced as a whole, so that readers see one state of it.
        self.segments: tuple[segments.Segment, ...] = ()
        #: Set once, by any thread: why nothing may be written any more.
        self.broken: str | None = None
        self.fenced: str | None = None
        self.wal = wals.Wal(settings)
        self.commits = 0
        #: Held while the next file is made.
        self._making = threading.Lock()
        #: Told (connection, segment) of a file that takes no more frames.
        self.on_rolled: Callable[[disks.Connection, segments.Segment], None] = _ignore

    @property
    def head(self) -> segments.Segment:
        return self.segments[-1]

    @property
    def next_path(self) -> Path:
        return self.folder / f"next-{self._epoch}{segments.UNFINISHED}"

    @property
    def may_write(self) -> bool:
        """False after a failed sync and for a former owner."""
        return self.broken is None and self.fenced is None

    # ------------------------------------------------------------ open, close

    def open(self) -> ports.Opened:
        """Recover the chain of files, take the next epoch and return what the log knows."""
        try:
            return self._open()
        except (apsw.Error, OSError) as error:
            raise disks.translated(error, self._connection) from error

    def _open(self) -> ports.Opened:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        taken = chain.take(self._disk, self.folder, self._shard)
        connection = self._connection = taken.head
        self._epoch, self.segments = taken.epoch, tuple(taken.segments)
        self.wal.watch(connection)
        self._msets = {
            reading.matches_of(connection, number, subs): number
            for number, subs in connection.execute("SELECT id, subs FROM mset")
        }
        at, state = self._newest_snapshot(connection)
        marks = dict(connection.execute("SELECT name, value FROM mark"))
        self._room.check(0)
        return ports.Opened(
            self._epoch, ports.Position(self.head.last), ports.Position(at), state, marks
        )

    @property
    def low_bytes(self) -> int:
        """Below so many free bytes events are refused."""
        return self._room.low_bytes

    def close(self) -> None:
        """Close the head; SQLite empties the log of the last connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _newest_snapshot(self, connection: disks.Connection) -> tuple[int, bytes | None]:
        for at, ledger in connection.execute(
            "SELECT at, ledger FROM state WHERE ledger IS NOT NULL ORDER BY at DESC LIMIT 1"
        ):
            return at, ledger
        first = self.segments[0].first
        return max(first - 1, self._shard << ports.SEQUENCE_BITS), None

    # ------------------------------------------------------------ append

    def roll_is_due(self, at_ms: int) -> bool:
        """Return whether the frame of `at_ms` goes into a new file."""
        head = self.head
        return head.frames > 0 and self._settings.segment_is_full(
            events=head.events, bytes_used=head.bytes_used, age_ms=at_ms - head.start_ms
        )

    def append(self, frame: ports.Frame, snapshot: Snapshot | None) -> ports.Position:
        """Write one frame; durable on return."""
        figures = frames.counted(frame)
        connection = self._usable()
        if frame.events:
            self._room.refuse_events_when_low(figures.bytes_used, self.wal.unmoved_bytes)
        if self.roll_is_due(frame.at_ms):
            connection = self._roll_or_go_on(connection, snapshot)
        try:
            last = self._transact(connection, frame, figures)
        except ports.Full:
            if frame.events:
                raise
            self._make_room(connection)
            last = self._transact(connection, frame, figures)
        self._empty_wal_if_large(connection)
        return last

    def save(self, at: int, state: bytes) -> None:
        """Keep a snapshot: the one the file begins with stays, of the others only the newest."""
        head = self.head
        assert at <= head.last, f"snapshot at {at} lies past the end {head.last}"
        connection = self._usable()
        with self._transaction(connection):
            newest = connection.execute("SELECT max(at) FROM state").fetchone()
            if newest is not None and at < newest[0]:
                return  # A roll was faster, with a later one.
            connection.execute("DELETE FROM state WHERE at > ?", (head.at,))
            connection.execute(
                "INSERT INTO state VALUES (?, ?) ON CONFLICT (at) DO UPDATE SET ledger = ?2",
                (at, state),
            )
        head.has_state = head.has_state or at == head.at
        self.commits += 1

    def _transact(
        self, connection: disks.Connection, frame: ports.Frame, figures: frames.Figures
    ) -> ports.Position:
        header = self.head.last + 1
        last = header + len(frame.events)
        learned: dict[tuple[int, ...], int] = {}
        with self._transaction(connection):
            if frame.events:
                self._insert_events(connection, frame, header, learned)
            packed, turns = frames.pack_settlements(frame.settlements)
            if packed:
                assert packed[-1][0] < header, "a settlement is about an event that is written"
                rows = [(position, header, facts) for position, facts in packed]
                connection.executemany(_INSERT_SETTLE, rows)
            marks = frames.pack_marks(dict(frame.marks))
            if marks is not None:
                self._write_marks(connection, frame)
            connection.execute(_INSERT_FRAME, _frame_row(header, frame, figures, marks, turns))
        self._msets.update(learned)
        self._count(frame, figures, last)
        return ports.Position(last)

    def _insert_events(
        self,
        connection: disks.Connection,
        frame: ports.Frame,
        header: int,
        learned: dict[tuple[int, ...], int],
    ) -> None:
        values: list[int | bytes | None] = []
        known = self._msets
        position = header
        for r in frame.events:
            position += 1
            mset = known.get(r.matches) or learned.get(r.matches)
            if mset is None:
                mset = learned[r.matches] = len(known) + len(learned) + 1
                subs = msgspec.json.encode(r.matches).decode()
                connection.execute("INSERT INTO mset VALUES (?, ?)", (mset, subs))
            values += (
                position,
                mset,
                r.bus,
                r.kind,
                r.received_ms,
                r.key,
                r.generation,
                r.origin,
                r.body,
            )
        columns = len(values) // len(frame.events)
        step = _INSERT_EVENTS_MAX * columns
        for start in range(0, len(values), step):
            part = values[start : start + step]
            connection.execute(_INSERT_EVENTS[len(part) // columns], part)

    def _write_marks(self, connection: disks.Connection, frame: ports.Frame) -> None:
        for name, value in frame.marks.items():
            if value is None:
                connection.execute("DELETE FROM mark WHERE name = ?", (name,))
            else:
                connection.execute("INSERT OR REPLACE INTO mark VALUES (?, ?)", (name, value))

    def _count(self, frame: ports.Frame, figures: frames.Figures, last: int) -> None:
        head = self.head
        if head.frames == 0:
            head.start_ms = frame.at_ms
        head.written_ms = frame.at_ms
        if figures.oldest_ms is not None and figures.newest_ms is not None:
            first = head.events == 0
            head.oldest_ms = min(figures.oldest_ms, figures.oldest_ms if first else head.oldest_ms)
            head.newest_ms = max(figures.newest_ms, head.newest_ms)
        head.frames += 1
        head.events += len(frame.events)
        head.bytes_used += figures.bytes_used
        head.last = last
        self.commits += 1

    # ------------------------------------------------------------ transactions

    def _usable(self) -> disks.Connection:
        assert self._connection is not None, "the journal is not open"
        if self.fenced is not None:
            raise ports.Fenced(self.fenced)
        if self.broken is not None:
            raise ports.Broken(self.broken)
        return self._connection

    @contextlib.contextmanager
    def _transaction(self, connection: disks.Connection) -> Generator[None]:
        """One transaction of the owner: all or nothing, fenced, its failure told apart."""
        try:
            connection.execute("BEGIN IMMEDIATE")
            self._check_epoch(connection)
            yield
            connection.execute("COMMIT")
        except (apsw.Error, OSError) as error:
            judged = disks.translated(error, connection)
            if isinstance(judged, ports.Broken):
                self.broken = str(judged)
            self._roll_back(connection)
            raise judged from error
        except BaseException:
            self._roll_back(connection)
            raise

    def _check_epoch(self, connection: disks.Connection) -> None:
        row = connection.execute("SELECT epoch, next FROM meta").fetchone()
        if row != (self._epoch, None):
            self.fenced = f"epoch {self._epoch} was followed by {row and row[0]}"
            raise ports.Fenced(self.fenced)

    def _roll_back(self, connection: disks.Connection) -> None:
        if not connection.in_transaction:
            return
        try:
            connection.execute("ROLLBACK")
        except apsw.Error as error:
            self.broken = f"rollback failed: {error}"

    # ------------------------------------------------------------ rolling

    def prepare_next(self) -> None:
        """Make the next file ahead of time; in the background."""
        with self._making:
            if not self.next_path.exists():
                segments.make(self._disk, self.next_path, self._shard, first=None)

    def _roll_or_go_on(
        self, connection: disks.Connection, snapshot: Snapshot | None
    ) -> disks.Connection:
        """Begin the next file.

        When there is no room for one the old file goes on past its bound.
        """
        first = self.head.last + 1
        path = segments.path_of(self.folder, first)
        try:
            with self._transaction(connection):
                fresh, begun = self._begin(connection, path, first, snapshot)
                connection.execute("UPDATE meta SET next = ?", (first,))
        except (ports.Broken, ports.Fenced):
            raise
        except ports.StoreError:
            # Rolled back for certain, so nothing refers to the new file.
            segments.remove(self._disk, path)
            return connection
        rolled, self.segments = self.head, (*self.segments, begun)
        self._connection = fresh
        self._msets = {}
        self.wal.watch(fresh)
        connection.set_wal_hook(None)
        self.on_rolled(connection, rolled)
        return fresh

    def _begin(
        self, old: disks.Connection, path: Path, first: int, snapshot: Snapshot | None
    ) -> tuple[disks.Connection, segments.Segment]:
        """Put the next file in its place with what a segment begins with.

        Epoch, marks, a snapshot.
        """
        self.prepare_next()
        segments.remove(self._disk, path)
        self._disk.rename(self.next_path, path)
        begun = segments.Segment(path, first, self.head.last)
        begun.at, state = snapshot if snapshot is not None else self._newest_snapshot(old)
        begun.has_state = state is not None
        fresh = segments.open_to_write(self._disk, path)
        try:
            fresh.execute("BEGIN IMMEDIATE")
            fresh.execute("UPDATE meta SET first = ?, epoch = ?", (first, self._epoch))
            fresh.execute("INSERT INTO state VALUES (?, ?)", (begun.at, state))
            marks = list(old.execute("SELECT name, value FROM mark"))
            fresh.executemany("INSERT INTO mark VALUES (?, ?)", marks)
            fresh.execute("COMMIT")
            # The file's name, and that of its log: SQLite ignores it when its own sync fails.
            self._disk.sync_directory(self.folder)
        except BaseException:
            fresh.close()
            raise
        return fresh, begun

    def drop_before(self, before: int) -> list[segments.Segment]:
        """Forget the sealed segments that end before `before` and are needed no more.

        Return them.
        """
        with self._transaction(self._usable()):
            pass  # Only the owner may; the transaction says who it is.
        files = self.segments
        kept = 0
        for index, segment in enumerate(files[:-1], 1):
            if not segment.sealed or segment.last >= before:
                break
            if not files[index].has_state or files[index].at >= segment.last:
                kept = index
        self.segments = files[kept:]
        return list(files[:kept])

    # ------------------------------------------------------------ write-ahead log

    def _empty_wal_if_large(self, connection: disks.Connection) -> None:
        try:
            self.wal.empty_if_large(connection)
        except apsw.Error as error:
            # The frame is durable: its writer must not be told otherwise, the next one is.
            self.note_background_failure(error)

    def _make_room(self, connection: disks.Connection) -> None:
        """Give settlements what is left: the reserve, and the bytes of the log once it is empty."""
        self._room.give_up_reserve()
        try:
            self.wal.empty(connection)
        except apsw.Error as error:
            self.note_background_failure(error)
        self._usable()

    def note_background_failure(self, error: apsw.Error | OSError) -> None:
        """Take in a failed checkpoint: no room is waited out, a failing disk ends the writing."""
        judged = disks.translated(error, None)
        if isinstance(judged, ports.Broken):
            self.broken = str(judged)


def _frame_row(
    header: int,
    frame: ports.Frame,
    figures: frames.Figures,
    marks: bytes | None,
    turns: bytes | None,
) -> tuple[int | bytes | None, ...]:
    body_crc = frames.body_checksum(frame.events)
    return (
        header,
        frame.at_ms,
        len(frame.events),
        figures.deliveries,
        len(frame.settlements),
        figures.closings,
        figures.bytes_used,
        figures.oldest_ms,
        figures.newest_ms,
        marks,
        turns,
        body_crc,
        frames.checksum(header + len(frame.events), frame, body_crc),
    )


def _ignore(_: disks.Connection, __: segments.Segment) -> None:
    """Nobody seals."""
