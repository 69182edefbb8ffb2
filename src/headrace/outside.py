"""The outside world: the real clock, real chance, the thread that writes; what a test replaces.

The only module of the server, with `app`, that may import `time`, `random` or threads for these
purposes; the layers below take what is made here as arguments.
"""

from __future__ import annotations

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

#: Chance read ahead at a time.
_POOL_BYTES = 512


class SystemClock:
    """The machine's clocks, as `core.clock.Clock`."""

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def mono_us(self) -> int:
        return time.monotonic_ns() // 1_000


class PooledRandom(random.SystemRandom):
    """The system's chance, taken a page at a time: an id costs no system call of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._pool = b""

    def getrandbits(self, k: int) -> int:
        size = (k + 7) // 8
        if size > len(self._pool):
            self._pool = os.urandom(max(size, _POOL_BYTES))
        taken, self._pool = self._pool[:size], self._pool[size:]
        return int.from_bytes(taken, "big") >> (size * 8 - k)


def system_random() -> random.Random:
    """Return chance that cannot be predicted, as `core.clock.Random`: request ids, retry waits."""
    return PooledRandom()


def fast_random() -> random.Random:
    """Return cheap chance, seeded by the system: sampling and jitter, never identifiers or keys."""
    return random.Random(random.SystemRandom().getrandbits(128))


def writer_executor(name: str) -> ThreadPoolExecutor:
    """Return an executor of exactly one thread: its work runs in order, off the event loop."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)


def boot_id() -> bytes:
    """Return 16 bytes that change whenever the machine starts; new ones each time if unknown."""
    try:
        return UUID(_BOOT_ID.read_text().strip()).bytes
    except (OSError, ValueError):
        # Not Linux, or /proc is hidden: never the same as before, so callers take the safe way.
        return random.SystemRandom().getrandbits(128).to_bytes(16, "big")
