"""Code packages on the shelf: checked before they are kept, and taken away once no function refers
to them.

Owns which digests go, from the blobs and from the cache of unpacked code. Must never take one that
a function refers to, that an instance runs, or that an upload may be about to refer to: between the
upload and the record of its function lies an await, so while the server runs, what nobody refers to
goes only when the sweep before has found it so, too, and nobody uploaded it since.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Set

from headrace.functions import cache
from headrace.store import ports, refusing

log = logging.getLogger(__name__)

#: The largest code package that is kept (fc.md §2.3: 500 MB unpacked, 100 MB as base64).
PACKAGE_BYTES_MAX = 500 * 1024 * 1024
#: How often the shelf is swept.
SWEEP_S = 600.0


class Shelf:
    """Every code package of one worker."""

    def __init__(
        self, blobs: ports.Blobs, packages: cache.Packages, needed: Callable[[], Set[str]]
    ) -> None:
        """needed: digests that records of functions, requests or instances refer to; no I/O."""
        self._blobs = blobs
        self._packages = packages
        self._needed = needed
        #: Referred to by nobody when the last sweep looked.
        self._suspects: Set[str] = frozenset()
        #: Uploaded since the last sweep.
        self._uploaded: set[str] = set()
        #: Held while one package is taken away.
        self._taking = asyncio.Lock()

    async def put(self, package: bytes) -> str:
        """Check the zip, keep it durably, return its sha256.

        Raises: errors.PackageInvalid, StoreFull, Unavailable.
        """
        digest = await asyncio.to_thread(lambda: hashlib.sha256(package).hexdigest())
        self._uploaded.add(digest)
        async with self._taking:  # the same package may be on its way out
            pass
        await asyncio.to_thread(self._packages.check, package)
        with refusing.refused():
            kept = await self._blobs.put(_once(package), PACKAGE_BYTES_MAX)
        assert kept == digest, "the store names a package by another sum"
        self._uploaded.add(digest)  # a sweep may have ended meanwhile
        return digest

    async def get(self, sha256: str) -> bytes:
        """Return a package. Raises: KeyError when it is not kept (any more)."""
        path = await self._blobs.path(ports.Digest(sha256))
        try:
            return await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError as fault:
            raise KeyError(sha256) from fault

    async def open(self) -> int:
        """Take away what the last life left, before anybody uploads; return how many went."""
        return await self._sweep(lambda orphans: orphans)

    async def sweep(self) -> int:
        """Take away what nobody needs for the second time; return how many went."""
        return await self._sweep(lambda orphans: orphans & self._suspects)

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                await self.sweep()
            except OSError:  # a disk full of old code would be the worse end
                log.exception("old code could not be taken away; trying again")

    async def _sweep(self, choose: Callable[[Set[str]], Set[str]]) -> int:
        found = {str(digest) async for digest, _ in self._blobs.digests()}
        found |= await asyncio.to_thread(self._packages.digests)
        orphans = found - self._needed()
        chosen = choose(orphans)
        taken: list[str] = []
        for digest in sorted(chosen):
            async with self._taking:
                if digest in self._uploaded or digest in self._needed():
                    continue
                await self._blobs.remove(ports.Digest(digest))
                await asyncio.to_thread(self._packages.remove, digest)
                taken.append(digest)
        self._suspects = orphans.difference(taken)
        self._uploaded.clear()
        return len(taken)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
