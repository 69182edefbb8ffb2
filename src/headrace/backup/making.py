"""Making a backup of a data directory, whether a server runs on it or not.

What never changes (sealed segments, code) is copied first and without any hold; then one instant of
the directory is held (`store/sqlite/capture`) just long enough to copy what does change. Reads the
directory only. Must never write the manifest before all it names is durable.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import apsw
import msgspec

import headrace
from headrace.backup import vault as vaults
from headrace.core import clock as clocks
from headrace.store import ports
from headrace.store.sqlite import capture, directory, verify
from headrace.store.sqlite import disk as disks

#: Of the running process; a server makes them anew.
_PASSING = frozenset({"lock", "ready.json", "scratch", "nonces", "VERSION.new"})
_COPIED = frozenset({"VERSION", "registry.db", "blobs", "records"})


class Made(msgspec.Struct):
    """A backup that is whole, and what it took."""

    manifest: vaults.Manifest
    files_copied: int = 0
    bytes_copied: int = 0
    #: Files that were in the backup already.
    files_kept: int = 0
    #: Files of the backup before that this one does not need.
    files_removed: int = 0


def make(source: Path, target: Path, *, incremental: bool, clock: clocks.Clock) -> Made:
    """Back up the data directory `source` to `target`; durable and whole on return.

    incremental: go on from the backup that `target` holds: what is in it by checksum is not copied
    again. Until the end that backup stays as it was.
    Raises: BackupError, StoreError (a damaged or foreign directory), OSError (no room).
    """
    source, target = source.absolute(), target.absolute()
    _refuse(source, target, incremental=incremental)
    vault = vaults.Vault(target)
    with vault.writing():
        making = _Making(source, vault, vault.manifest(), clock.wall_ms())
        making.before()
        with capture.instant(source, making.disk) as instant:
            making.at(instant)
        making.after()
        made = making.made(instant)
        vault.commit(made.manifest)
        made.files_removed = vault.sweep(made.manifest)
    return made


def _refuse(source: Path, target: Path, *, incremental: bool) -> None:
    if not (source / "VERSION").is_file():
        raise vaults.BackupError(
            f"{source} is no data directory of Headrace: it has no VERSION file",
            "Name the directory of the server with --data.",
        )
    try:
        directory.refuse_format(source, directory.format_of(source))
    except (directory.DirectoryTooNew, directory.DirectoryTooOld) as fault:
        raise vaults.BackupError(
            str(fault), "Use the version of Headrace that the server runs."
        ) from fault
    if target == source or source in target.parents or target in source.parents:
        raise vaults.BackupError(
            f"{target} and the data directory {source} must not contain each other"
        )
    if not target.exists() or not any(target.iterdir()):
        return
    if not (target / "files").is_dir():
        raise vaults.BackupError(f"{target} holds something else, not a backup")
    if not incremental:
        raise vaults.BackupError(
            f"{target} holds a backup already",
            "Add --incremental to bring it up to date, or name an empty directory.",
        )


class _Making:
    """One backup in the making."""

    def __init__(
        self, source: Path, vault: vaults.Vault, earlier: vaults.Manifest | None, now_ms: int
    ) -> None:
        self.disk = disks.Disk()
        self._source = source
        self._vault = vault
        self._made_ms = now_ms
        self._earlier = {entry.name: entry for entry in (earlier.files if earlier else ())}
        self._entries: dict[str, vaults.Entry] = {}
        #: Sealed segments that are in the vault, by name: file they are of, and their entry.
        self._sealed: dict[str, tuple[tuple[int, int], vaults.Entry]] = {}
        self._copied = self._copied_bytes = self._kept = 0
        self._format = directory.format_of(source)

    # -- before, at and after the instant ---------------------------------------------------------

    def before(self) -> None:
        """Copy the bulk, which nothing changes any more; what vanishes meanwhile is passed by."""
        for path in capture.sealed(self._source, self.disk):
            with contextlib.suppress(FileNotFoundError):
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    self._seal(str(path.relative_to(self._source)), descriptor)
                finally:
                    os.close(descriptor)
        self._blobs()

    def at(self, instant: capture.Instant) -> None:
        """Copy what belongs to the instant; what changes first, so that it is not held long."""
        held = [one for chain in instant.shards.values() for one in chain]
        for one in reversed(held):
            if one.source is not None:
                self._database(one.name, one.source, "segment")
                one.release()
        assert instant.registry.source is not None, "nobody released it"
        self._database(instant.registry.name, instant.registry.source, "registry")
        instant.registry.release()
        for one in held:
            if one.descriptor is not None:
                self._entries[one.name] = self._seal(one.name, one.descriptor)
                one.release()

    def after(self) -> None:
        """Copy code that came meanwhile, and the logs, which belong to no instant."""
        self._blobs()
        for path in capture.records(self._source):
            self._record(path)
        if directory.format_of(self._source) != self._format:
            raise vaults.BackupError(
                f"{self._source} was finalized meanwhile", "Run the same command again."
            )
        version = (self._source / "VERSION").read_bytes()
        kept = self._note(self._vault.put(lambda part: _write(part, version)))
        self._enter("VERSION", "version", kept)

    def made(self, instant: capture.Instant) -> Made:
        manifest = vaults.Manifest(
            format=vaults.FORMAT,
            made_ms=self._made_ms,
            version=headrace.__version__,
            data_format=self._format,
            accounts=instant.accounts,
            revision=instant.revision,
            positions={str(shard): last for shard, last in instant.positions.items()},
            left_out=_left_out(self._source),
            files=[self._entries[name] for name in sorted(self._entries)],
        )
        return Made(manifest, self._copied, self._copied_bytes, self._kept)

    # -- one file ---------------------------------------------------------------------------------

    def _seal(self, name: str, descriptor: int) -> vaults.Entry:
        """Keep a sealed segment; read always, written only when the vault has not got it."""
        status = os.fstat(descriptor)
        file = (status.st_dev, status.st_ino)
        known = self._sealed.get(name)
        if known is not None and known[0] == file:
            return known[1]
        kept = self._known_segment(name, descriptor)
        if kept is None:
            kept = self._note(self._vault.put(lambda part: _copy(descriptor, part)))
        entry = vaults.Entry(name, "segment", kept.bytes, kept.sha256, sealed=True)
        self._sealed[name] = (file, entry)
        return entry

    def _known_segment(self, name: str, descriptor: int) -> vaults.Kept | None:
        """Return what the backup before has of a sealed segment, when it still is the same.

        Raises: Corrupt when the file has changed under us: the good copy must not be given up.
        """
        earlier = self._earlier.get(name)
        if (
            earlier is None
            or not earlier.sealed
            or not self._vault.has(earlier.sha256, earlier.bytes)
        ):
            return None
        sha256, size = vaults.digest_of_descriptor(descriptor)
        if sha256 == earlier.sha256:
            return self._note(vaults.Kept(sha256, size, copied=False))
        wrong = verify.problems(self.disk, self._source / name)
        if wrong:
            raise ports.Corrupt(
                f"{self._source / name} is damaged ({wrong[0]}); the backup holds it whole and was"
                " not changed"
            )
        return None  # another history under the same name: a directory that was restored once

    def _blobs(self) -> None:
        for path in capture.blobs(self._source):
            name = str(path.relative_to(self._source))
            if name in self._entries:
                continue
            with contextlib.suppress(FileNotFoundError):
                self._enter(name, "blob", self._blob(path))

    def _blob(self, path: Path) -> vaults.Kept:
        size = path.stat().st_size
        if self._vault.has(path.name, size):
            return self._note(vaults.Kept(path.name, size, copied=False))
        with path.open("rb") as file:
            kept = self._vault.put(lambda part: _copy(file.fileno(), part))
        if kept.sha256 != path.name:
            raise ports.Corrupt(f"{path} is damaged: its bytes have the checksum {kept.sha256}")
        return self._note(kept)

    def _database(self, name: str, source: disks.Connection, kind: vaults.Kind) -> None:
        kept = self._vault.put(lambda part: self.disk.copy(source, part))
        self._enter(name, kind, self._note(kept))

    def _record(self, path: Path) -> None:
        """Keep a file of logs. They are worth less than the rest: a bad file is left out."""
        name, stamp = str(path.relative_to(self._source)), _stamp(path)
        earlier = self._earlier.get(name)
        if earlier is not None and earlier.stamp == stamp:
            if self._vault.has(earlier.sha256, earlier.bytes):
                kept = self._note(vaults.Kept(earlier.sha256, earlier.bytes, copied=False))
                self._enter(name, "record", kept, stamp)
            return
        try:
            source = self.disk.read(path)
        except apsw.Error:
            return
        try:
            kept = self._note(self._vault.put(lambda part: self.disk.copy(source, part)))
        except apsw.Error:
            return
        finally:
            source.close(True)
        self._enter(name, "record", kept, stamp)

    def _enter(self, name: str, kind: vaults.Kind, kept: vaults.Kept, stamp: str = "") -> None:
        self._entries[name] = vaults.Entry(name, kind, kept.bytes, kept.sha256, stamp=stamp)

    def _note(self, kept: vaults.Kept) -> vaults.Kept:
        self._copied += kept.copied
        self._copied_bytes += kept.bytes if kept.copied else 0
        self._kept += not kept.copied
        return kept


def _write(part: Path, content: bytes) -> None:
    part.write_bytes(content)


def _copy(descriptor: int, part: Path) -> None:
    with part.open("xb") as file:
        at = 0
        while chunk := os.pread(descriptor, vaults.CHUNK_BYTES, at):
            file.write(chunk)
            at += len(chunk)


def _stamp(path: Path) -> str:
    """Return what changes whenever a log file is written to."""
    found: list[str] = []
    for suffix in ("", "-wal"):
        try:
            status = os.stat(f"{path}{suffix}")
        except FileNotFoundError:
            continue
        found.append(f"{status.st_size}.{status.st_mtime_ns}")
    return "+".join(found)


def _left_out(source: Path) -> list[str]:
    """Return what lies in the directory and is not in its backup: the keys, and what is foreign."""
    names = {entry.name for entry in source.iterdir()} - _PASSING - _COPIED
    shards = {path.name for path in capture.shards(source).values()}
    beside = {f"registry.db{suffix}" for suffix in disks.SIDE_FILES}
    return sorted(names - shards - beside)
