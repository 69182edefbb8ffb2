"""The data directory: its VERSION, its lock, the way up from an older format, and where each thing
lies.

Opening refuses what it does not know: a directory of something else, a format of a later version, a
directory that a running server holds. Must never change anything before the lock is held.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from headrace.store import files, ports
from headrace.store.sqlite import disk as disks

FORMAT = 1

Migration = Callable[[Path], None]
#: From format n to n + 1. A step may be cut short and run again, so each is written to be
#: repeatable.
MIGRATIONS: Mapping[int, Migration] = {}


class DirectoryHeld(ports.StoreError):
    """Another server runs on this directory."""


class DirectoryTooNew(ports.StoreError):
    """The directory was written by a later version."""


class DirectoryForeign(ports.StoreError):
    """The directory holds something else."""


class _Version(msgspec.Struct):
    format: int


class Directory:
    """An open data directory; hold it as long as the server runs."""

    def __init__(self, path: Path, lock: int | None, disk: disks.Disk) -> None:
        self.path = path
        self.disk = disk
        self._lock = lock

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        lock: bool = True,
        disk: disks.Disk | None = None,
        migrations: Mapping[int, Migration] = MIGRATIONS,
        newest: int = FORMAT,
    ) -> Directory:
        """Open or make a data directory, bring it up to the newest format and hold its lock.

        lock: False for a worker whose supervisor holds it.
        Raises: DirectoryHeld (names the process), DirectoryTooNew, DirectoryForeign.
        """
        path = path.absolute()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_foreign(path)
        held = _take_lock(path / "lock") if lock else None
        try:
            _upgrade(path, migrations, newest)
        except BaseException:
            if held is not None:
                os.close(held)
            raise
        return cls(path, held, disk or disks.Disk())

    @property
    def registry(self) -> Path:
        return self.path / "registry.db"

    @property
    def blobs(self) -> Path:
        return self.path / "blobs"

    @property
    def records(self) -> Path:
        return self.path / "records"

    def shard(self, number: int) -> Path:
        return self.path / f"shard-{number:04d}"

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def format_of(path: Path) -> int:
    """Return the format that the directory's VERSION says. Raises: Corrupt, OSError."""
    version = path / "VERSION"
    try:
        return msgspec.json.decode(version.read_bytes(), type=_Version).format
    except msgspec.MsgspecError as error:
        raise ports.Corrupt(f"{version} cannot be read: {error}") from error


def holder(path: Path) -> str:
    """Return the process id of the server that holds a directory, "" when none does."""
    try:
        descriptor = os.open(path / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
    finally:
        os.close(descriptor)
    return ""


def _refuse_foreign(path: Path) -> None:
    names = {entry.name for entry in os.scandir(path)} - {"lock", "VERSION.new"}
    if names and "VERSION" not in names:
        raise DirectoryForeign(
            f"{path} is not empty and has no VERSION file: it is no data directory of Headrace"
        )


def _take_lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        os.close(descriptor)
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        raise DirectoryHeld(
            f"{path.parent} is in use by the server with process id {holder or 'unknown'}"
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _upgrade(path: Path, migrations: Mapping[int, Migration], newest: int) -> None:
    version = path / "VERSION"
    if not version.exists():
        _write_version(version, newest)
        return
    found = format_of(path)
    if found > newest:
        raise DirectoryTooNew(
            f"{path} has format {found}, this version of Headrace knows up to {newest}:"
            " use a later version"
        )
    while found < newest:
        if found not in migrations:
            raise ports.StoreError(f"{path} has format {found} and there is no way up from it")
        migrations[found](path)
        found += 1
        _write_version(version, found)


def _write_version(path: Path, number: int) -> None:
    unfinished = path.with_suffix(".new")
    with unfinished.open("wb") as file:
        file.write(msgspec.json.encode(_Version(number)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    files.sync_directory(path.parent)
