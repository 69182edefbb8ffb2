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
from collections import Counter, OrderedDict
from pathlib import Path
from typing import IO

from headrace.functions import package

#: Unpacked code of all functions; past it what no instance runs goes, the longest unused first.
CODE_BYTES_MAX = 2 * 1024 * 1024 * 1024

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_mark() -> str:
    """A short text that is new after each boot of the machine ("any" where the system has none)."""
    return _BOOT_ID.read_text()[:8] if _BOOT_ID.exists() else "any"


class Packages:
    """Unpacked code packages under `root`. Safe to use from many threads, and from many processes
    as long as one of them runs instances.
    """

    def __init__(
        self, root: Path, *, boot: str | None = None, bytes_max: int = CODE_BYTES_MAX
    ) -> None:
        self._root = root
        self._bytes_max = bytes_max
        #: Digests that are run or about to be, and how often.
        self._held: Counter[str] = Counter()
        #: Bytes of each digest that was used here, the longest unused first.
        self._used: OrderedDict[str, int] = OrderedDict()
        self._guard = threading.Lock()
        self._boot = boot_mark() if boot is None else boot
        self._locks = tuple(threading.Lock() for _ in range(16))

    def sweep(self) -> None:
        """Delete what earlier boots and broken-off unpackings left, and take in the rest. Call it
        before anything else uses `root`.
        """
        if not self._root.exists():
            return
        for entry in sorted(self._root.iterdir(), key=lambda entry: entry.lstat().st_mtime):
            if entry.name.endswith(f".{self._boot}"):
                self._used[entry.name.removesuffix(f".{self._boot}")] = _size(entry)
            else:
                package.remove(entry)

    def hold(self, digest: str) -> None:
        """From here on `digest` stays, until `release`."""
        with self._guard:
            self._held[digest] += 1

    def release(self, digest: str) -> None:
        with self._guard:
            self._held[digest] -= 1
            if not self._held[digest]:
                del self._held[digest]

    def cached(self, digest: str) -> Path | None:
        """The directory of `digest` if it is there already; no work, one look."""
        place = self._place(digest)
        if not place.is_dir():
            return None
        with self._guard:
            if digest in self._used:
                self._used.move_to_end(digest)
        return place

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
        with self._guard:
            self._used.pop(digest, None)
        package.remove(self._place(digest))

    def _place(self, digest: str) -> Path:
        return self._root / f"{digest}.{self._boot}"

    def _unpacked(self, digest: str, source: IO[bytes]) -> Path:
        place = self._place(digest)
        # Two who want one digest wait for each other; others seldom do.
        with self._locks[int(digest[0], 16)]:
            if not place.is_dir():
                package.unpack(source, place)
                self._trim(digest)
        return place

    def _trim(self, digest: str) -> None:
        """Note a new package; remove what lies beyond the bound and nobody runs."""
        size = _size(self._place(digest))
        with self._guard:
            self._used[digest] = size
            self._used.move_to_end(digest)
            doomed = self._doomed(digest)
        for place in doomed:
            package.remove(place)

    def _doomed(self, newest: str) -> list[Path]:
        """Take packages out of the cache until the rest keeps the bound; return where they are."""
        doomed: list[Path] = []
        beyond = sum(self._used.values()) - self._bytes_max
        for digest in [one for one in self._used if one not in self._held and one != newest]:
            if beyond <= 0:
                break
            beyond -= self._used.pop(digest)
            place = self._place(digest)
            if place.is_dir():
                # Under another name it is no longer found, however long its removal takes.
                doomed.append(place.rename(place.with_name(f"{place.name}.gone")))
        return doomed


def _size(place: Path) -> int:
    """Bytes of the files below a directory, as far as they are there."""
    return sum(path.lstat().st_size for path in place.rglob("*"))
