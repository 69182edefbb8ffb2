"""The file system as the embedded engine uses it: connections, renames, removals, directory syncs,
free room.

One seam, so that tests can record it, cut the power and let it fail. Must hold no state of the log.
"""

from __future__ import annotations

import errno
import os
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import apsw

from headrace.store import files, ports

_MB = 1_000_000
_LOW_DISK_BYTES_MAX = 256 * _MB
_LOW_DISK_PART = 20  # a twentieth of the file system
#: How long a connection waits for another one's lock.
BUSY_MS = 5_000
#: Files SQLite keeps beside a database.
SIDE_FILES = ("-wal", "-shm", "-journal")

_WRITE = apsw.SQLITE_OPEN_READWRITE
_CREATE = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
_READ = apsw.SQLITE_OPEN_READONLY
_URI = apsw.SQLITE_OPEN_URI


Bindings = Sequence[Any] | Mapping[str, Any]


class Cursor(Protocol):
    """What we use of an apsw cursor, with rows typed as what they are: anything."""

    def __iter__(self) -> Iterator[tuple[Any, ...]]: ...
    def __next__(self) -> tuple[Any, ...]: ...
    def fetchone(self) -> tuple[Any, ...] | None: ...


class Connection(Protocol):
    """What we use of an apsw connection."""

    @property
    def in_transaction(self) -> bool: ...
    @property
    def system_errno(self) -> int: ...
    @property
    def filename(self) -> str: ...
    def execute(self, statements: str, bindings: Bindings | None = None, /) -> Cursor: ...
    def executemany(self, statements: str, bindings: Iterable[Bindings], /) -> Cursor: ...
    def wal_checkpoint(
        self, dbname: str | None = None, mode: int = apsw.SQLITE_CHECKPOINT_PASSIVE
    ) -> tuple[int, int]: ...
    def set_wal_hook(self, hook: Callable[[Any, str, int], int] | None, /) -> None: ...
    def set_busy_timeout(self, milliseconds: int) -> None: ...
    def close(self, force: bool = False) -> None: ...


class Disk:
    """The real one. `vfs` names an apsw VFS to open connections through."""

    def __init__(self, vfs: str | None = None) -> None:
        self._vfs = vfs

    def create(self, path: Path) -> Connection:
        return self._opened(str(path), _CREATE)

    def write(self, path: Path) -> Connection:
        return self._opened(str(path), _WRITE)

    def read(self, path: Path) -> Connection:
        """Open a file others write to."""
        return self._opened(str(path), _READ)

    def read_sealed(self, path: Path) -> Connection:
        """Open a file that never changes again: no locks, no look at side files."""
        uri = f"file:{urllib.parse.quote(str(path))}?immutable=1"
        return self._opened(uri, _READ | _URI)

    def copy(self, source: Connection, target: Path) -> None:
        """Write what `source` sees, in one read transaction, as a new file; not synced.

        A transaction that is open on `source` decides the instant.
        """
        made: Any = apsw.Connection(str(target), flags=_CREATE)
        try:
            # Nobody reads it before it is whole, so nothing is to be taken back.
            made.execute("PRAGMA journal_mode=OFF")
            made.execute("PRAGMA synchronous=OFF")
            with made.backup("main", source, "main") as copying:
                copying.step(-1)
        finally:
            made.close()

    def rename(self, source: Path, target: Path) -> None:
        source.rename(target)

    def unlink(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def sync_directory(self, path: Path) -> None:
        files.sync_directory(path)

    def reserve(self, path: Path, size: int) -> None:
        """Take `size` bytes as a file. Raises: OSError when they are not there."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)
        finally:
            os.close(descriptor)

    def free_bytes(self, path: Path) -> int:
        found = os.statvfs(path)
        return found.f_bavail * found.f_frsize

    def low_disk_bytes(self, path: Path) -> int:
        """Return the default mark below which events are refused."""
        found = os.statvfs(path)
        return min(_LOW_DISK_BYTES_MAX, found.f_blocks * found.f_frsize // _LOW_DISK_PART)

    def _opened(self, name: str, flags: int) -> Connection:
        connection = cast(Connection, apsw.Connection(name, flags=flags, vfs=self._vfs))
        connection.set_busy_timeout(BUSY_MS)
        # Sorting spills into memory: a full disk must not stop a recovery.
        connection.execute("PRAGMA temp_store=MEMORY")
        return connection


def size_of(path: Path) -> int:
    """Return the bytes of a database with its side files; what is gone counts 0."""
    total = 0
    for suffix in ("", *SIDE_FILES):
        try:
            total += os.stat(f"{path}{suffix}").st_size
        except FileNotFoundError:
            continue
    return total


_SYNC_FAILED = frozenset({apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_DIR_FSYNC})
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


def translated(error: apsw.Error | OSError, connection: Connection | None) -> ports.StoreError:
    """Return what a failed write means: Full (nothing written, go on) or Broken (stop for good)."""
    if isinstance(error, OSError):
        return _by_errno(error.errno or 0, str(error))
    if isinstance(error, apsw.FullError):
        return ports.Full(str(error))
    if isinstance(error, apsw.BusyError):
        return ports.StoreError(f"locked by another process for {BUSY_MS} ms: {error}")
    if isinstance(error, apsw.CantOpenError):
        return ports.StoreError(str(error))
    extended = int(getattr(error, "extendedresult", 0))
    if extended == apsw.SQLITE_IOERR_SHMSIZE:
        return ports.Full(str(error))
    # A failed sync is the end even when the cause is room: the kernel may have dropped the pages.
    if extended in _SYNC_FAILED or connection is None:
        return ports.Broken(str(error))
    return _by_errno(connection.system_errno, str(error))


def _by_errno(number: int, text: str) -> ports.StoreError:
    return ports.Full(text) if number in _NO_ROOM else ports.Broken(text)
