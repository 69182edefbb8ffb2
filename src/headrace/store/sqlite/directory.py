"""The data directory: its VERSION, its lock, the way up from an older format, and where each thing
lies.

Opening refuses what it does not know: a directory of something else, a format of another version, a
directory that a running server holds. Must never change anything before the lock is held, nor the
format before it is told to: until then the version that wrote the directory can come back.
"""

from __future__ import annotations

import fcntl
import os
import select
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from headrace.store import files, ports
from headrace.store.sqlite import disk as disks

#: The processes of a killed server let go of its lock one after the other, at most so long.
LET_GO_S_MAX = 5.0

#: A start that was cut short leaves these in a directory, and no VERSION yet.
_BEFORE_VERSION = frozenset({"lock", "VERSION.new", "control"})

#: What a new directory gets and `finalize` leads to, and the oldest this version works with.
FORMAT = 1
OLDEST = 1

Migration = Callable[[Path], None]
#: From format n to n + 1. A step may be cut short and run again, so each is written to be
#: repeatable.
MIGRATIONS: Mapping[int, Migration] = {}


class DirectoryHeld(ports.StoreError):
    """Another server runs on this directory."""


class DirectoryTooNew(ports.StoreError):
    """The directory was written by a later version."""


class DirectoryTooOld(ports.StoreError):
    """The directory was written by a version that this one knows nothing of."""


class DirectoryForeign(ports.StoreError):
    """The directory holds something else."""


class _Version(msgspec.Struct):
    format: int


class Directory:
    """An open data directory; hold it as long as the server runs."""

    def __init__(
        self, path: Path, lock: int | None, disk: disks.Disk, format: int = FORMAT
    ) -> None:
        self.path = path
        self.disk = disk
        #: What is written, too: older than FORMAT until somebody finalizes.
        self.format = format
        self._lock = lock

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        lock: bool = True,
        disk: disks.Disk | None = None,
        newest: int = FORMAT,
        oldest: int = OLDEST,
    ) -> Directory:
        """Open or make a data directory and hold its lock.

        lock: False for a worker whose supervisor holds it.
        Raises: DirectoryHeld (names the process), DirectoryTooNew, DirectoryTooOld,
        DirectoryForeign.
        """
        path = path.absolute()
        held = take_lock(path) if lock else None
        try:
            format = _made(path, newest)
            refuse_format(path, format, newest=newest, oldest=oldest)
        except BaseException:
            if held is not None:
                os.close(held)
            raise
        return cls(path, held, disk or disks.Disk(), format)

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


def take_lock(path: Path) -> int:
    """Make the directory if there is none, hold it, return the descriptor that holds it.

    The lock ends when the last copy of the descriptor is closed, in whatever process.
    Raises: DirectoryHeld (names the process), DirectoryForeign.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = {entry.name for entry in os.scandir(path)} - _BEFORE_VERSION
    if names and "VERSION" not in names:
        raise DirectoryForeign(
            f"{path} is not empty and has no VERSION file: it is no data directory of Headrace"
        )
    return _locked(path / "lock")


def refuse_format(path: Path, found: int, *, newest: int = FORMAT, oldest: int = OLDEST) -> None:
    """Raises: DirectoryTooNew, DirectoryTooOld."""
    if found > newest:
        raise DirectoryTooNew(
            f"{path} has format {found}, this version of Headrace knows up to {newest}:"
            " use a later version"
        )
    if found < oldest:
        raise DirectoryTooOld(
            f"{path} has format {found}, this version of Headrace knows {oldest} and later: use an"
            " earlier version, and finalize there before you go on"
        )


def finalize(
    path: Path,
    *,
    migrations: Mapping[int, Migration] = MIGRATIONS,
    newest: int = FORMAT,
    oldest: int = OLDEST,
) -> int:
    """Bring a directory up to the newest format, for good; return how many steps that took.

    The caller holds the lock, and no server works on it.
    Raises: DirectoryTooNew, DirectoryTooOld.
    """
    found = format_of(path)
    refuse_format(path, found, newest=newest, oldest=oldest)
    for step in range(found, newest):
        migrations[step](path)
        _write_version(path / "VERSION", step + 1)
    return newest - found


def _locked(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor, path)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _lock(descriptor: int, path: Path) -> None:
    ends_s = time.monotonic() + LET_GO_S_MAX
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            if _lives(holder) or time.monotonic() > ends_s:
                raise DirectoryHeld(
                    f"{path.parent} is in use by the server with process id {holder or 'unknown'}"
                ) from error
        time.sleep(0.01)  # no call waits for a lock and for a time at once


def _lives(holder: str) -> bool:
    """False when the process has certainly ended, reaped by its parent or not."""
    try:
        life = os.pidfd_open(int(holder))
    except ProcessLookupError:
        return False
    except (OSError, ValueError):
        return True
    try:
        return not select.select([life], [], [], 0)[0]
    finally:
        os.close(life)


def _made(path: Path, newest: int) -> int:
    """Return the format of a directory, which a new one is given."""
    version = path / "VERSION"
    if not version.exists():
        _write_version(version, newest)
    return format_of(path)


def _write_version(path: Path, number: int) -> None:
    unfinished = path.with_suffix(".new")
    with unfinished.open("wb") as file:
        file.write(msgspec.json.encode(_Version(number)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    files.sync_directory(path.parent)
