"""Blobs as files, `<root>/<aa>/<sha256>`: both engines keep them this way, because a sandbox binds
paths.

A blob is written beside its place, synced and renamed, so a digest never names half a file. Must
never overwrite: the same bytes have the same name.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

from headrace.core import errors
from headrace.store import ports

_UNFINISHED = ".part"


class FileBlobs:
    """Satisfies `ports.Blobs`. One process writes to a root at a time."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._started = 0
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for leftover in root.glob(f"*{_UNFINISHED}"):
            leftover.unlink()

    async def put(self, chunks: AsyncIterable[bytes], limit: int) -> ports.Digest:
        self._started += 1
        part = self._root / f"{self._started}{_UNFINISHED}"
        file = await asyncio.to_thread(part.open, "xb")
        try:
            digest = await _copy(chunks, file, limit)
            await asyncio.to_thread(self._finish, file, part, digest)
        except BaseException:
            file.close()
            part.unlink(missing_ok=True)
            raise
        return digest

    async def path(self, digest: ports.Digest) -> Path:
        path = self._place(digest)
        if not await asyncio.to_thread(path.is_file):
            raise KeyError(digest)
        return path

    async def digests(self) -> AsyncIterator[tuple[ports.Digest, int]]:
        for found in await asyncio.to_thread(lambda: list(self._walk())):
            yield found

    async def remove(self, digest: ports.Digest) -> None:
        await asyncio.to_thread(self._remove, self._place(digest))

    def _place(self, digest: ports.Digest) -> Path:
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise KeyError(digest)
        return self._root / digest[:2] / digest

    def _finish(self, file: BinaryIO, part: Path, digest: ports.Digest) -> None:
        file.flush()
        os.fsync(file.fileno())
        file.close()
        place = self._place(digest)
        if place.is_file():
            part.unlink()
            return
        place.parent.mkdir(mode=0o700, exist_ok=True)
        part.rename(place)
        sync_directory(place.parent)
        sync_directory(self._root)

    def _remove(self, place: Path) -> None:
        place.unlink(missing_ok=True)
        if place.parent.is_dir():
            sync_directory(place.parent)

    def _walk(self) -> Iterator[tuple[ports.Digest, int]]:
        for folder in sorted(self._root.iterdir()):
            if not folder.is_dir():
                continue
            for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
                yield ports.Digest(entry.name), entry.stat().st_size


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def _copy(chunks: AsyncIterable[bytes], file: BinaryIO, limit: int) -> ports.Digest:
    digest = hashlib.sha256()
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise errors.PayloadTooLarge(
                f"more than {limit} bytes", field="body", expected=limit, got=size
            )
        digest.update(chunk)
        await asyncio.to_thread(file.write, chunk)
    return ports.Digest(digest.hexdigest())
