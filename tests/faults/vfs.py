"""A recording file system: every write, sync, truncate, rename and removal of the store, in order.

From the record any crash image can be made: what was synced is there, of what was not each 512-byte
sector is kept, dropped or torn. The same seam lets calls fail. Connections go through an apsw VFS,
the rest through `Disk`.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import apsw

from headrace.store.sqlite import disk as disks

SECTOR = 512

_numbers = itertools.count(1)
#: SQLite keeps bare pointers to a VFS: none may go before its last connection.
_alive: list[apsw.VFS] = []
_NEW_LOG = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL

#: Called with (kind, path) before an operation; an exception it returns is raised instead.
Fault = Callable[[str, str], Exception | None]


@dataclass(frozen=True)
class Op:
    """One operation on the file system; `log`: the first sync makes the name durable too."""

    kind: str  # create, write, truncate, sync, unlink, rename, syncdir
    path: str
    offset: int = 0
    data: bytes = b""
    target: str = ""
    log: bool = False


@dataclass
class Record:
    """The operations, in the order they took effect."""

    ops: list[Op] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    fault: Fault | None = None

    def before(self, kind: str, path: str) -> None:
        if self.fault is not None:
            error = self.fault(kind, path)
            if error is not None:
                raise error


class _File(apsw.VFSFile):
    def __init__(self, record: Record, name: Any, flags: list[int]) -> None:
        self._record = record
        self._path: str = name.filename() if hasattr(name, "filename") else str(name)
        self._log = bool(flags[0] & _NEW_LOG)
        fresh = not os.path.exists(self._path)
        super().__init__("", name, flags)
        if fresh and flags[0] & apsw.SQLITE_OPEN_CREATE:
            record.ops.append(Op("create", self._path))

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        with self._record.lock:
            self._record.before("write", self._path)
            super().xWrite(data, offset)
            self._record.ops.append(Op("write", self._path, offset, bytes(data)))

    def xTruncate(self, size: int) -> None:  # noqa: N802
        with self._record.lock:
            self._record.before("truncate", self._path)
            super().xTruncate(size)
            self._record.ops.append(Op("truncate", self._path, size))

    def xSync(self, flags: int) -> None:  # noqa: N802
        with self._record.lock:
            self._record.before("sync", self._path)
            super().xSync(flags)
            self._record.ops.append(Op("sync", self._path, log=self._log))

    def xLock(self, level: int) -> None:  # noqa: N802
        try:
            super().xLock(level)
        except apsw.IOError as error:
            # Who closes last tries for the write lock, also with a file open to read only. SQLite
            # ignores that this fails; through a Python VFS only a busy file is ignored.
            raise apsw.BusyError(str(error)) from error


class RecordingVFS(apsw.VFS):
    """An apsw VFS over the real one. Keep it alive as long as its connections."""

    def __init__(self, record: Record) -> None:
        self.vfs_name = f"recording-{next(_numbers)}"
        self._record = record
        super().__init__(self.vfs_name, "")

    def xOpen(self, name: Any, flags: list[int]) -> Any:  # noqa: N802
        if name is None:
            return super().xOpen(name, flags)
        with self._record.lock:
            path = name.filename() if hasattr(name, "filename") else str(name)
            self._record.before("open", path)
            return _File(self._record, name, flags)

    def xDelete(self, name: str, sync: bool) -> None:  # noqa: N802
        with self._record.lock:
            self._record.before("unlink", name)
            super().xDelete(name, sync)
            self._record.ops.append(Op("unlink", name))
            if sync:
                self._record.ops.append(Op("syncdir", os.path.dirname(name)))


class RecordingDisk(disks.Disk):
    """The store's seam to the file system, recorded; `free` replaces the free bytes it reports."""

    def __init__(self) -> None:
        self.record = Record()
        self._vfs_object = RecordingVFS(self.record)
        _alive.append(self._vfs_object)
        self.free: int | None = None
        super().__init__(self._vfs_object.vfs_name)

    def rename(self, source: Path, target: Path) -> None:
        with self.record.lock:
            self.record.before("rename", str(source))
            super().rename(source, target)
            self.record.ops.append(Op("rename", str(source), target=str(target)))

    def unlink(self, path: Path) -> None:
        with self.record.lock:
            self.record.before("unlink", str(path))
            existed = path.exists()
            super().unlink(path)
            if existed:
                self.record.ops.append(Op("unlink", str(path)))

    def sync_directory(self, path: Path) -> None:
        with self.record.lock:
            self.record.before("syncdir", str(path))
            super().sync_directory(path)
            self.record.ops.append(Op("syncdir", str(path)))

    def reserve(self, path: Path, size: int) -> None:
        self.record.before("reserve", str(path))
        super().reserve(path, size)

    def free_bytes(self, path: Path) -> int:
        return super().free_bytes(path) if self.free is None else self.free


@dataclass
class _Inode:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Op] = field(default_factory=list)

    def settle(self) -> None:
        for op in self.pending:
            _apply(self.durable, op)
        self.pending = []


class Model:
    """What a disk holds after some operations: what is certain, and what is still on its way."""

    def __init__(self) -> None:
        self._names: dict[str, _Inode] = {}
        self._durable_names: dict[str, _Inode] = {}
        self._pending_names: list[tuple[Op, _Inode | None]] = []

    def apply(self, op: Op) -> None:
        if op.kind == "create":
            inode = self._names[op.path] = _Inode()
            self._pending_names.append((op, inode))
        elif op.kind in ("write", "truncate"):
            # Not named any more: an open file that was removed; its bytes are gone with it.
            if op.path in self._names:
                self._names[op.path].pending.append(op)
        elif op.kind == "sync":
            if op.path in self._names:
                self._names[op.path].settle()
            if op.log:
                self._sync_names(os.path.dirname(op.path))
        elif op.kind == "syncdir":
            self._sync_names(op.path)
        elif op.kind == "unlink":
            self._pending_names.append((op, None))
            self._names.pop(op.path, None)
        elif op.kind == "rename":
            self._names[op.target] = self._names.pop(op.path)
            self._pending_names.append((op, None))
        else:
            raise AssertionError(op.kind)

    def image(self, root: str, target: Path, random: Random, keep: float) -> None:
        """Write what a power cut may leave.

        keep: 0 nothing that was not synced, 1 all of it, between: each sector by chance.
        """
        names = dict(self._durable_names)
        count = len(self._pending_names)
        survivors = count if keep == 1 else 0 if keep == 0 else random.randint(0, count)
        for op, inode in self._pending_names[:survivors]:
            _rename(names, op, inode)
        for path, inode in names.items():
            content = bytearray(inode.durable)
            for op in inode.pending:
                for piece in _surviving(op, random, keep):
                    _apply(content, piece)
            place = target / os.path.relpath(path, root)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)

    def _sync_names(self, folder: str) -> None:
        waiting: list[tuple[Op, _Inode | None]] = []
        for op, inode in self._pending_names:
            if os.path.dirname(op.path) == folder:
                _rename(self._durable_names, op, inode)
            else:
                waiting.append((op, inode))
        self._pending_names = waiting


def _rename(names: dict[str, _Inode], op: Op, inode: _Inode | None) -> None:
    if op.kind == "create":
        assert inode is not None, "a created name has a file"
        names[op.path] = inode
    elif op.kind == "unlink":
        names.pop(op.path, None)
    elif op.path in names:
        names[op.target] = names.pop(op.path)


def _apply(content: bytearray, op: Op) -> None:
    if op.kind == "truncate":
        del content[op.offset :]
        return
    if len(content) < op.offset:
        content.extend(bytes(op.offset - len(content)))
    content[op.offset : op.offset + len(op.data)] = op.data


def _surviving(op: Op, random: Random, keep: float) -> Iterator[Op]:
    """Yield what reaches the disk of one unsynced operation."""
    if keep in (0, 1):
        if keep == 1:
            yield op
        return
    if op.kind == "truncate":
        if random.random() < keep:
            yield op
        return
    start = 0
    while start < len(op.data):
        stop = min(len(op.data), start + SECTOR - (op.offset + start) % SECTOR)
        chance = random.random()
        if chance < keep:
            yield Op("write", op.path, op.offset + start, op.data[start:stop])
        elif chance < keep + (1 - keep) * 0.25:
            torn = random.randint(start, stop)
            yield Op("write", op.path, op.offset + start, op.data[start:torn])
        start = stop
