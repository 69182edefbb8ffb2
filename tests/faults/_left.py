"""What a server may leave in its data directory; everything else is left over."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from pathlib import Path

_SHA256 = "[0-9a-f]{64}"
#: Files of a server that runs, packages and unpacked code excepted.
_USUAL = re.compile(
    r"VERSION|lock|control|ready\.json|nonces|credentials\.json|registry\.db(-wal|-shm)?"
    r"|shard-0000/[^/]+\.seg(-wal|-shm)?|shard-0000/reserve|records/[0-9T-]+\.db(-wal|-shm)?"
    r"|scratch/runtime/(bootstrap\.pyc|extras\.pyc|passwd)"
)
_PACKAGE = re.compile(f"blobs/[0-9a-f]{{2}}/({_SHA256})")
#: The next segment in the making: one, never more.
_NEXT = re.compile(r"shard-0000/next-\d+\.new(-wal|-shm)?")
_UNPACKED = re.compile(rf"scratch/code/({_SHA256})\.[^/]+/.+")


def packages(data: Path) -> Iterator[str]:
    """Yield the digest of every package that is kept."""
    for path in (data / "blobs").glob("*/*"):
        yield path.name


def halves(data: Path) -> list[Path]:
    """Return uploads and unpackings that were cut off."""
    return [*(data / "blobs").glob("*.part"), *(data / "scratch" / "code").glob("unpacking-*")]


def strange(data: Path, needed: Set[str]) -> Iterator[str]:
    """Yield each file that should not be there. needed: digests that functions refer to."""
    nexts: set[str] = set()
    for path in sorted(data.rglob("*")):
        if path.is_dir():
            continue
        name = str(path.relative_to(data))
        code = _PACKAGE.fullmatch(name) or _UNPACKED.fullmatch(name)
        if code is not None and code[1] in needed:
            continue
        if _NEXT.fullmatch(name) is not None:
            nexts.add(name.partition(".")[0])
            if len(nexts) <= 1:
                continue
        if _USUAL.fullmatch(name) is None:
            yield name
