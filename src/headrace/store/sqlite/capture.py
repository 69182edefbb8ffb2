"""One instant of a data directory, held from outside while a server may be running on it.

Sealed segments are held as open files, everything that still changes as a read transaction, so
whatever the owner does meanwhile (append, roll, seal, trim) cannot reach what is held. Reads only;
must never take a lock that an owner waits for longer than a read.

Why this is one instant, and in this order:
1. Each shard's chain is walked oldest to newest and every file is held before the next is looked
   at. The walk ends at the file whose own transaction says that nothing follows: that is the head
   of that instant, and all before it are held already. A file that trimming removes during the
   walk was held, or the walk begins anew: a head without the moves of a trimmed file never stands
   alone.
2. The registry is held after the heads. Numbers are interned before the frame that uses them, so
   every number of the log has its name. The registry's revision is read before the heads too, and
   must not have moved: no edit lies between.
3. Blobs are listed last. Code is durable before the record that names it, so no record lacks its.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Generator, Iterator
from pathlib import Path

import apsw
import msgspec

from headrace.store import ports
from headrace.store.sqlite import disk as disks
from headrace.store.sqlite import segment as segments

#: How often a moving directory is looked at again before giving up.
TRIES_MAX = 100

_SHARD = re.compile(r"shard-(\d{4,5})")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Held:
    """One file of the instant."""

    def __init__(
        self, name: str, *, descriptor: int | None = None, source: disks.Connection | None = None
    ) -> None:
        assert (descriptor is None) != (source is None), "a file or a transaction"
        #: Path below the data directory.
        self.name = name
        #: A file that never changes again.
        self.descriptor = descriptor
        #: A file that does: a connection inside a read transaction.
        self.source = source

    @property
    def sealed(self) -> bool:
        return self.descriptor is not None

    def release(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None
        if self.source is not None:
            self.source.close(True)
            self.source = None


class Instant(msgspec.Struct):
    """What is held; heads before the registry, as they were taken."""

    #: Shard → its chain, oldest first, the head last.
    shards: dict[int, list[Held]]
    registry: Held
    revision: int
    #: Shard → last position of its log.
    positions: dict[int, int]
    accounts: list[str]


class _Moved(Exception):
    """The owner was faster: look again."""


@contextlib.contextmanager
def instant(path: Path, disk: disks.Disk) -> Generator[Instant]:
    """Hold one instant of the data directory `path`.

    Raises: StoreError when a file is missing or is not what it should be, or the directory moves
    faster than it can be held.
    """
    if not (path / "registry.db").is_file():
        raise ports.StoreError(f"{path} holds no registry: no server ever ran on it")
    for _ in range(TRIES_MAX):
        with contextlib.ExitStack() as stack:
            try:
                found = _hold_all(stack, path, disk)
            except _Moved:
                continue
            except apsw.Error as error:
                raise ports.StoreError(f"{path} cannot be read: {error}") from error
            yield found
            return
    raise ports.StoreError(f"{path} changed {TRIES_MAX} times while it was being looked at")


def shards(path: Path) -> dict[int, Path]:
    """Return the shard folders of a data directory by number."""
    found: dict[int, Path] = {}
    for entry in path.iterdir():
        match = _SHARD.fullmatch(entry.name)
        if match is not None and entry.is_dir():
            found[int(match[1])] = entry
    return dict(sorted(found.items()))


def blobs(path: Path) -> Iterator[Path]:
    """Yield the blobs of a data directory, each named by its digest."""
    folder = path / "blobs"
    for part in sorted(folder.iterdir()) if folder.is_dir() else ():
        if part.is_dir():
            yield from (one for one in sorted(part.iterdir()) if _DIGEST.fullmatch(one.name))


def records(path: Path) -> list[Path]:
    """Return the files of function logs, oldest first."""
    folder = path / "records"
    return sorted(folder.glob("*.db")) if folder.is_dir() else []


def sealed(path: Path, disk: disks.Disk) -> Iterator[Path]:
    """Yield the segments that never change again; what is gone or busy meanwhile is passed by."""
    for folder in shards(path).values():
        for file in segments.listed(folder):
            try:
                if _meta(disk, file).sealed:
                    yield file
            except (_Moved, apsw.Error):
                continue


def _hold_all(stack: contextlib.ExitStack, path: Path, disk: disks.Disk) -> Instant:
    before = _revision(disk, path / "registry.db")
    chains = {number: _chain(stack, disk, path, folder) for number, folder in shards(path).items()}
    positions = {number: _last(chain[-1]) for number, chain in chains.items()}
    registry = _hold(stack, disk, path, path / "registry.db")
    assert registry.source is not None, "the registry always changes"
    revision = _one(registry.source, "SELECT revision FROM meta")
    if revision != before:
        raise _Moved
    keys = "SELECT DISTINCT substr(key, 1, instr(key, '/') - 1) FROM record"
    accounts = sorted(str(row[0]) for row in registry.source.execute(keys))
    return Instant(chains, registry, revision, positions, accounts)


def _chain(stack: contextlib.ExitStack, disk: disks.Disk, path: Path, folder: Path) -> list[Held]:
    """Hold one shard's files; ends at the one that nothing follows."""
    found = segments.listed(folder)
    if not found:
        raise ports.StoreError(f"{folder} holds no segment: no server ever ran on it")
    chain: list[Held] = []
    file = found[0]
    while True:
        if not file.exists():
            # Trimming takes the oldest first: while that is there, nobody took this one away.
            if not found[0].exists():
                raise _Moved
            raise ports.Corrupt(f"{file} is missing")
        held, meta = _hold_segment(stack, disk, path, file)
        chain.append(held)
        if meta.next is None:
            return chain
        file = segments.path_of(folder, meta.next)


def _hold_segment(
    stack: contextlib.ExitStack, disk: disks.Disk, path: Path, file: Path
) -> tuple[Held, segments.Meta]:
    held = _hold(stack, disk, path, file)
    assert held.source is not None, "it was just opened"
    meta = segments.read_meta(held.source)
    if not meta.sealed:
        return held, meta
    # Closed first: closing a second descriptor of a file ends SQLite's locks on it.
    held.release()
    try:
        held.descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise _Moved from error
    return held, meta


def _hold(stack: contextlib.ExitStack, disk: disks.Disk, path: Path, file: Path) -> Held:
    """Open a database and begin a read transaction on it."""
    try:
        source = disk.read(file)
    except apsw.CantOpenError as error:
        if file.exists():
            raise
        raise _Moved from error
    held = Held(str(file.relative_to(path)), source=source)
    stack.callback(held.release)
    source.execute("BEGIN")
    # BEGIN alone reads nothing; the first read decides the instant.
    source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return held


def _meta(disk: disks.Disk, file: Path) -> segments.Meta:
    if not file.exists():
        raise _Moved
    connection = disk.read(file)
    try:
        return segments.read_meta(connection)
    finally:
        connection.close(True)


def _last(head: Held) -> int:
    assert head.source is not None, "a head is never sealed"
    return _one(
        head.source, "SELECT coalesce(max(pos + events), (SELECT first - 1 FROM meta)) FROM frame"
    )


def _revision(disk: disks.Disk, registry: Path) -> int:
    connection = disk.read(registry)
    try:
        return _one(connection, "SELECT revision FROM meta")
    finally:
        connection.close(True)


def _one(connection: disks.Connection, statement: str) -> int:
    row = connection.execute(statement).fetchone()
    if row is None:
        raise ports.Corrupt(f"{connection.filename}: no answer to {statement!r}")
    return int(row[0])
