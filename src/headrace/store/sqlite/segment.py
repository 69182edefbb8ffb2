"""One file of the log: its name, tables, first and last rows, and how it is made, chained and
sealed.

A segment file covers the positions from its own first up to the first of the next file. The chain
is the `next` column of `meta`: the file whose `next` is empty is the head. Format:
`store/DESIGN.md`.
"""

from __future__ import annotations

from pathlib import Path

import apsw
import msgspec

from headrace.store import ports
from headrace.store.sqlite import disk as disks

FORMAT = 1
PAGE_BYTES = 8192
SUFFIX = ".seg"
UNFINISHED = ".new"
#: Follows the name of an unfinished file that is not even whole yet.
_PART = "-part"

SCHEMA = """
CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    format INTEGER NOT NULL, shard INTEGER NOT NULL, epoch INTEGER NOT NULL,
    first INTEGER, next INTEGER, sealed INTEGER NOT NULL DEFAULT 0,
    settles_from INTEGER
);
CREATE TABLE frame (
    pos INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL,
    events INTEGER NOT NULL, deliveries INTEGER NOT NULL,
    facts INTEGER NOT NULL, closings INTEGER NOT NULL,
    bytes INTEGER NOT NULL, oldest_ms INTEGER, newest_ms INTEGER,
    marks BLOB, turns BLOB, body_crc INTEGER NOT NULL, crc INTEGER NOT NULL
);
CREATE TABLE event (
    pos INTEGER PRIMARY KEY, mset INTEGER NOT NULL, bus INTEGER NOT NULL, kind INTEGER NOT NULL,
    ms INTEGER NOT NULL, key INTEGER NOT NULL, generation INTEGER NOT NULL, origin INTEGER,
    body BLOB NOT NULL
);
CREATE TABLE settle (
    pos INTEGER NOT NULL, frame INTEGER NOT NULL, facts BLOB NOT NULL, PRIMARY KEY (pos, frame)
) WITHOUT ROWID;
CREATE TABLE mset (id INTEGER PRIMARY KEY, subs TEXT NOT NULL);
CREATE TABLE mark (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE state (at INTEGER PRIMARY KEY, ledger BLOB);
"""

INDEXES = """
CREATE INDEX IF NOT EXISTS event_key ON event (key);
CREATE INDEX IF NOT EXISTS event_kind ON event (kind);
CREATE INDEX IF NOT EXISTS event_mset ON event (mset);
CREATE INDEX IF NOT EXISTS event_ms ON event (ms);
"""


class Meta(msgspec.Struct, frozen=True):
    """The one row of `meta`."""

    format: int
    shard: int
    epoch: int
    #: None while the file is half made.
    first: int | None
    #: First position of the file that follows; None in the head.
    next: int | None
    sealed: bool


class Segment:
    """What the running engine knows of one file. Only the writer thread changes the head's."""

    def __init__(self, path: Path, first: int, last: int) -> None:
        self.path = path
        self.first = first
        #: Last position of its newest frame; of the log when it was begun, while it has none.
        self.last = last
        self.frames = 0
        self.events = 0
        #: As `frames.frame_bytes` counts.
        self.bytes_used = 0
        #: Wall clock of the first frame.
        self.start_ms = 0
        #: Wall clock of the newest frame.
        self.written_ms = 0
        self.oldest_ms = 0
        self.newest_ms = 0
        self.sealed = False
        #: Size on disk once sealed.
        self.sealed_bytes = 0
        #: Smallest position a settlement in this file is about; None: none, or not known yet.
        self.settles_from: int | None = None
        #: The snapshot the file begins with.
        self.at = 0
        self.has_state = False

    def may_settle(self, position: int) -> bool:
        """Return whether a settlement of `position` can be in this file."""
        return not self.sealed or (self.settles_from is not None and self.settles_from <= position)

    def described(self) -> ports.Segment:
        return ports.Segment(
            ports.Position(self.first),
            ports.Position(self.last),
            self.events,
            self.sealed_bytes if self.sealed else disks.size_of(self.path),
            self.oldest_ms,
            self.newest_ms,
            self.sealed,
            self.written_ms,
        )


def path_of(folder: Path, first: int) -> Path:
    """Return the file that begins at position `first`."""
    return folder / f"{first & ports.SEQUENCE_MAX:012d}{SUFFIX}"


def listed(folder: Path) -> list[Path]:
    """Return the segment files, oldest first."""
    return sorted(folder.glob(f"*{SUFFIX}"), key=lambda path: int(path.stem))


def make(disk: disks.Disk, path: Path, shard: int, *, first: int | None) -> None:
    """Write an empty segment, durable and closed; its name is not durable yet.

    It gets the name when it is whole: what a failed call left half made is never taken for it.
    """
    part = path.with_name(path.name + _PART)
    for left in (path, part):
        remove(disk, left)
    connection = disk.create(part)
    try:
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(SCHEMA)
        connection.execute(
            "INSERT INTO meta (one, format, shard, epoch, first) VALUES (1, ?, ?, 0, ?)",
            (FORMAT, shard, first),
        )
        if first is not None:
            connection.execute("INSERT INTO state VALUES (?, NULL)", (first,))
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()
    disk.rename(part, path)


def remove(disk: disks.Disk, path: Path) -> None:
    """Remove a file with what SQLite keeps beside it.

    The log first, so that it never meets a new file.
    """
    sides = [Path(f"{path}{suffix}") for suffix in disks.SIDE_FILES]
    for group in (sides, [path]):
        found = [one for one in group if one.exists()]
        for one in found:
            disk.unlink(one)
        if found:
            disk.sync_directory(path.parent)


def open_to_write(disk: disks.Disk, path: Path) -> disks.Connection:
    """Open a segment to write to it: durable commits, checkpoints only when told."""
    connection = disk.write(path)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    return connection


def read_meta(connection: disks.Connection) -> Meta:
    """Raises: StoreError when the file is of a later format or no segment."""
    row = connection.execute(
        "SELECT format, shard, epoch, first, next, sealed FROM meta"
    ).fetchone()
    if row is None:
        raise ports.Corrupt(f"{connection.filename}: no meta row")
    meta = Meta(row[0], row[1], row[2], row[3], row[4], bool(row[5]))
    if meta.format != FORMAT:
        raise ports.StoreError(
            f"{connection.filename} has format {meta.format}, this version reads {FORMAT}"
        )
    return meta


def load(connection: disks.Connection, path: Path, meta: Meta) -> Segment:
    """Return what a file says about itself."""
    assert meta.first is not None, f"{path} is half made"
    row = connection.execute(
        "SELECT count(*), total(events), total(bytes), min(oldest_ms), max(newest_ms) FROM frame"
    ).fetchone()
    assert row is not None, "an aggregate has one row"
    segment = Segment(path, meta.first, max(meta.first - 1, meta.shard << ports.SEQUENCE_BITS))
    segment.frames, segment.events, segment.bytes_used = int(row[0]), int(row[1]), int(row[2])
    segment.oldest_ms, segment.newest_ms = row[3] or 0, row[4] or 0
    for at_ms in connection.execute("SELECT at_ms FROM frame ORDER BY pos LIMIT 1"):
        segment.start_ms = at_ms[0]
    newest = "SELECT pos + events, at_ms FROM frame ORDER BY pos DESC LIMIT 1"
    for last, at_ms in connection.execute(newest):
        segment.last, segment.written_ms = last, at_ms
    for at, has_state in connection.execute(
        "SELECT at, ledger IS NOT NULL FROM state ORDER BY at LIMIT 1"
    ):
        segment.at, segment.has_state = at, bool(has_state)
    if meta.sealed:
        mark_sealed(connection, segment)
    return segment


def mark_sealed(connection: disks.Connection, segment: Segment) -> None:
    """Take over into memory what only a sealed file knows."""
    for row in connection.execute("SELECT settles_from FROM meta"):
        segment.settles_from = row[0]
    segment.sealed_bytes = disks.size_of(segment.path)
    segment.sealed = True


def index(connection: disks.Connection) -> None:
    """First half of sealing: build the indexes and note where settlements begin.

    May run beside readers.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(INDEXES)
        connection.execute("UPDATE meta SET settles_from = (SELECT min(pos) FROM settle)")
        connection.execute("COMMIT")
    except apsw.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def seal(disk: disks.Disk, connection: disks.Connection, folder: Path) -> bool:
    """Second half: leave the log behind, so that one file is all.

    False while somebody still reads it.
    """
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        mode = connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    except apsw.BusyError:
        return False
    if mode is None or mode[0] != "delete":
        return False
    # Only now, with the log gone for good, may readers take the file as unchanging.
    disk.sync_directory(folder)
    connection.execute("PRAGMA synchronous=EXTRA")
    connection.execute("UPDATE meta SET sealed = 1")
    return True
