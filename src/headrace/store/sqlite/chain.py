"""Opening the chain of segment files: recovery, the next epoch, and removing what a crash left half
made.

Each file names the first position of the file that follows; the one that names none is the head.
Whatever is not in the chain was never referred to and goes. Must never remove a file of the chain.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from headrace.store import ports
from headrace.store.sqlite import disk as disks
from headrace.store.sqlite import segment as segments


class Taken(msgspec.Struct):
    """A chain, owned."""

    head: disks.Connection
    epoch: int
    #: Oldest first, the head last.
    segments: list[segments.Segment]


def take(disk: disks.Disk, folder: Path, shard: int) -> Taken:
    """Follow the chain from the oldest file, take the next epoch, remove what is not in it.

    Raises: Corrupt when a file of the chain is missing or is not what it should be.
    """
    if not segments.listed(folder):
        _make_first(disk, folder, shard)
    path = segments.listed(folder)[0]
    kept: list[segments.Segment] = []
    while path.exists():
        connection = segments.open_to_write(disk, path)
        try:
            meta = _join(connection, path, shard, kept)
            if meta.next is None:
                _remove_unchained(disk, folder, kept)
                # The name of the head's log: SQLite ignores it when its own sync fails.
                disk.sync_directory(folder)
                return Taken(connection, meta.epoch, kept)
        except BaseException:
            connection.close()
            raise
        connection.close()
        path = segments.path_of(folder, meta.next)
    raise ports.Corrupt(f"{path} is missing")


def _make_first(disk: disks.Disk, folder: Path, shard: int) -> None:
    first = shard << ports.SEQUENCE_BITS
    unfinished = folder / f"first{segments.UNFINISHED}"
    segments.make(disk, unfinished, shard, first=first)
    disk.rename(unfinished, segments.path_of(folder, first))
    disk.sync_directory(folder)
    disk.sync_directory(folder.parent)


def _join(
    connection: disks.Connection, path: Path, shard: int, kept: list[segments.Segment]
) -> segments.Meta:
    """Add a file to the chain and return its meta row; the head's is then of our epoch."""
    # The lock waits for a former owner that is just rolling; what it says afterwards is final.
    connection.execute("BEGIN IMMEDIATE")
    try:
        if segments.read_meta(connection).next is None:
            connection.execute("UPDATE meta SET epoch = epoch + 1")
        meta = segments.read_meta(connection)
        if meta.shard != shard or meta.first is None:
            raise ports.Corrupt(f"{path}: no segment of shard {shard}")
        if kept and kept[-1].last + 1 != meta.first:
            raise ports.Corrupt(f"{path}: begins at {meta.first}, not after {kept[-1].last}")
        kept.append(segments.load(connection, path, meta))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return meta


def _remove_unchained(disk: disks.Disk, folder: Path, kept: list[segments.Segment]) -> None:
    chained = {segment.path for segment in kept}
    unfinished = folder.glob(f"*{segments.UNFINISHED}*")
    for path in (*segments.listed(folder), *unfinished):
        if path not in chained:
            segments.remove(disk, path)
