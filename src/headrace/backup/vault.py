"""A backup on disk: files by their checksum, and one manifest that is written last.

    DEST/  manifest.json      what the backup consists of, with its own checksum
           files/<sha256>     the contents; what two backups share is there once
           lock               held while a backup is being made

A directory without a manifest is no backup. A new manifest replaces the old one in one rename after
all it names is durable, so an interrupted backup leaves the one before as it was. Must never change
or remove a file that the manifest names.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from headrace.store import files

FORMAT = 1
#: Bytes read at a time.
CHUNK_BYTES = 1024 * 1024
#: A manifest of a hundred thousand files is 20 MB.
MANIFEST_BYTES_MAX = 256 * 1024 * 1024

_MANIFEST = "manifest.json"
_UNFINISHED = ".part"
#: Names a backup may put below a data directory, so that a manifest can write nowhere else.
_NAMES = re.compile(
    r"VERSION|registry\.db|shard-\d{4,5}/\d{12,15}\.seg|blobs/[0-9a-f]{2}/[0-9a-f]{64}"
    r"|records/[0-9T-]{13,}\.db"
)

Kind = Literal["version", "registry", "segment", "blob", "record"]


class BackupError(Exception):
    """A backup cannot be made, read or restored; the message says what and why."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class Entry(msgspec.Struct, frozen=True):
    """One file of the data directory."""

    #: Path below the data directory.
    name: str
    kind: Kind
    bytes: int
    sha256: str
    #: A segment that will never change again.
    sealed: bool = False
    #: Size and time of the source, where an unchanged one needs no second look (function logs).
    stamp: str = ""


class Manifest(msgspec.Struct, frozen=True):
    """What one backup consists of."""

    format: int
    #: Wall clock when it began: all that was acknowledged before is in it.
    made_ms: int
    #: Of the program that made it.
    version: str
    #: Format of the data directory.
    data_format: int
    #: Accounts whose resources are in it.
    accounts: list[str]
    #: Revision of the registry.
    revision: int
    #: Shard → last position of its log.
    positions: dict[str, int]
    #: Files of the directory that are not in the backup, the keys above all.
    left_out: list[str]
    files: list[Entry]

    @property
    def bytes(self) -> int:
        return sum(entry.bytes for entry in self.files)


class _Sealed(msgspec.Struct):
    """The manifest as it is written: beside it the checksum of its bytes."""

    sha256: str
    manifest: msgspec.Raw


class Kept(msgspec.Struct, frozen=True):
    """A file that is in the vault."""

    sha256: str
    bytes: int
    #: False: it was there already.
    copied: bool


class Vault:
    """One backup's directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files = path / "files"
        self._parts = 0

    @contextlib.contextmanager
    def writing(self) -> Generator[None]:
        """Make the directory and be the only one that writes to it. Raises: BackupError."""
        self._files.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise BackupError(
                f"another backup to {self.path} is running", "Wait for it to end."
            ) from error
        try:
            for leftover in self._files.glob(f"*{_UNFINISHED}*"):
                leftover.unlink()
            yield
        finally:
            os.close(descriptor)

    # -- files ------------------------------------------------------------------------------------

    def place(self, sha256: str) -> Path:
        return self._files / sha256

    def has(self, sha256: str, size: int) -> bool:
        """Return whether a file is there; whether its bytes still are right, `check` says."""
        try:
            return self.place(sha256).stat().st_size == size
        except FileNotFoundError:
            return False

    def put(self, write: Callable[[Path], None]) -> Kept:
        """Keep what `write` makes at the path it is given; durable on return but for its name."""
        self._parts += 1
        part = self._files / f"{self._parts}{_UNFINISHED}"
        try:
            write(part)
            sha256, size = digest_of(part)
            if self.has(sha256, size):
                return Kept(sha256, size, copied=False)
            _sync(part)
            part.chmod(0o600)
            part.rename(self.place(sha256))
            return Kept(sha256, size, copied=True)
        finally:
            part.unlink(missing_ok=True)

    def check(self, entry: Entry) -> str:
        """Return what is wrong with the file of an entry, "" when it is what was written."""
        path = self.place(entry.sha256)
        try:
            sha256, size = digest_of(path)
        except FileNotFoundError:
            return f"{entry.name}: its file {path.name} is missing"
        except OSError as error:
            return f"{entry.name}: its file {path.name} cannot be read: {error.strerror}"
        if size != entry.bytes:
            return f"{entry.name}: its file {path.name} has {size} bytes, not {entry.bytes}"
        if sha256 != entry.sha256:
            return f"{entry.name}: the bytes of its file {path.name} are not those that were saved"
        return ""

    # -- the manifest -----------------------------------------------------------------------------

    def manifest(self) -> Manifest | None:
        """Return what the newest whole backup consists of; None when there is none.

        Raises: BackupError when there is one that cannot be trusted.
        """
        path = self.path / _MANIFEST
        try:
            with path.open("rb") as file:
                raw = file.read(MANIFEST_BYTES_MAX + 1)
        except FileNotFoundError:
            return None
        remedy = "Restore from another backup."
        try:
            sealed = msgspec.json.decode(raw, type=_Sealed)
            body = bytes(sealed.manifest)
            if hashlib.sha256(body).hexdigest() != sealed.sha256:
                raise BackupError(f"{path} is not what was written: its checksum differs", remedy)
            found = msgspec.json.decode(body, type=dict[str, Any])
            if found.get("format") != FORMAT:
                raise BackupError(
                    f"{path} has format {found.get('format')}, this version reads {FORMAT}",
                    "Use the version that made the backup.",
                )
            manifest = msgspec.json.decode(body, type=Manifest)
        except msgspec.MsgspecError as error:
            raise BackupError(f"{path} cannot be read: {error}", remedy) from error
        _check_names(path, manifest.files)
        return manifest

    def commit(self, manifest: Manifest) -> None:
        """Make the backup whole: first all it names, then its name."""
        files.sync_directory(self._files)
        body = msgspec.json.encode(manifest)
        sealed = _Sealed(hashlib.sha256(body).hexdigest(), msgspec.Raw(body))
        part = self.path / f"{_MANIFEST}{_UNFINISHED}"
        part.write_bytes(msgspec.json.encode(sealed))
        _sync(part)
        part.chmod(0o600)
        part.rename(self.path / _MANIFEST)
        files.sync_directory(self.path)
        files.sync_directory(self.path.parent)

    def sweep(self, manifest: Manifest) -> int:
        """Remove what the manifest does not name; return how many files went."""
        named = {entry.sha256 for entry in manifest.files}
        stale = [path for path in self._files.iterdir() if path.name not in named]
        for path in stale:
            path.unlink()
        return len(stale)


def digest_of(path: Path) -> tuple[str, int]:
    """Return the sha256 and the size of a file."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        return found, file.tell()


def digest_of_descriptor(descriptor: int) -> tuple[str, int]:
    """Return the sha256 and the size of an open file, from its beginning."""
    digest = hashlib.sha256()
    at = 0
    while chunk := os.pread(descriptor, CHUNK_BYTES, at):
        digest.update(chunk)
        at += len(chunk)
    return digest.hexdigest(), at


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_names(path: Path, entries: Sequence[Entry]) -> None:
    for entry in entries:
        if not _NAMES.fullmatch(entry.name) or not re.fullmatch(r"[0-9a-f]{64}", entry.sha256):
            raise BackupError(f"{path} names {entry.name!r}, which is no file of a data directory")
    if len({entry.name for entry in entries}) != len(entries):
        raise BackupError(f"{path} names a file twice")
