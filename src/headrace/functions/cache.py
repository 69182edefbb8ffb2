"""The cache of unpacked code: one read-only directory per digest, shared by every instance that
runs it.

Owns the directory it is given. It is only a cache: everything in it can be made again from the
blobs, so nothing is fsynced, and what an earlier boot of the machine left is not trusted (a power
loss may have torn it).
"""

from __future__ import annotations

import hashlib
import io
import threading
from pathlib import Path
from typing import IO

from headrace.functions import package

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_mark() -> str:
    """A short text that is new after each boot of the machine ("any" where the system has none)."""
    return _BOOT_ID.read_text()[:8] if _BOOT_ID.exists() else "any"


class Packages:
    """Unpacked code packages under `root`. Safe to use from many threads and processes."""

    def __init__(self, root: Path, *, boot: str | None = None) -> None:
        self._root = root
        self._boot = boot_mark() if boot is None else boot
        self._locks = tuple(threading.Lock() for _ in range(16))

    def sweep(self) -> None:
        """Delete what earlier boots and broken-off unpackings left. Call it before anything else
        uses `root`.
        """
        if not self._root.exists():
            return
        for entry in self._root.iterdir():
            if not entry.name.endswith(f".{self._boot}"):
                package.remove(entry)

    def cached(self, digest: str) -> Path | None:
        """The directory of `digest` if it is there already; no work, one look."""
        place = self._place(digest)
        return place if place.is_dir() else None

    def path(self, digest: str, blob: Path) -> Path:
        """Return the directory of `digest`, unpacking `blob` when it is not there. Blocks: call it
        in a thread.

        Raises: errors.PackageInvalid.
        """
        with blob.open("rb") as source:
            return self._unpacked(digest, source)

    def check(self, data: bytes) -> str:
        """Unpack `data` into the cache, so that a bad package is refused at deployment; return its
        digest.

        Blocks: call it in a thread. Raises: errors.PackageInvalid.
        """
        digest = hashlib.sha256(data).hexdigest()
        self._unpacked(digest, io.BytesIO(data))
        return digest

    def digests(self) -> set[str]:
        """Every digest that is unpacked here."""
        if not self._root.exists():
            return set()
        suffix = f".{self._boot}"
        names = {entry.name for entry in self._root.iterdir()}
        return {name.removesuffix(suffix) for name in names if name.endswith(suffix)}

    def remove(self, digest: str) -> None:
        """Forget `digest`. No instance may run it: its files are gone for them, too."""
        package.remove(self._place(digest))

    def _place(self, digest: str) -> Path:
        return self._root / f"{digest}.{self._boot}"

    def _unpacked(self, digest: str, source: IO[bytes]) -> Path:
        place = self._place(digest)
        # Two who want one digest wait for each other; others seldom do.
        with self._locks[int(digest[0], 16)]:
            if not place.is_dir():
                package.unpack(source, place)
        return place
