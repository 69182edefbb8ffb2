"""A lane: one reader thread with its connections to the segment files.

Two lanes per shard: one for fetches, which deliveries wait for, one for searches, which may take
long. A job takes its files for its own duration only, so that sealing and trimming can step in
between two jobs.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from headrace.store.sqlite import disk as disks
from headrace.store.sqlite import reading
from headrace.store.sqlite import segment as segments

T = TypeVar("T")

_CONNECTIONS_MAX = 16


class Lane:
    """Runs jobs one by one and keeps the connections they used last."""

    def __init__(self, disk: disks.Disk, name: str) -> None:
        self._disk = disk
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._readers: OrderedDict[Path, reading.Reader] = OrderedDict()
        #: Held during a job; who holds it may close connections and change files.
        self.lock = threading.Lock()

    async def run(self, job: Callable[[], T]) -> T:
        """Run `job` in the lane's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._locked, job)

    def reader(self, segment: segments.Segment) -> reading.Reader:
        """Return a connection to a segment; inside a job only."""
        found = self._readers.get(segment.path)
        if found is None:
            opened = self._disk.read_sealed if segment.sealed else self._disk.read
            found = self._readers[segment.path] = reading.Reader(opened(segment.path))
        self._readers.move_to_end(segment.path)
        if len(self._readers) > _CONNECTIONS_MAX:
            _, oldest = self._readers.popitem(last=False)
            oldest.connection.close()
        return found

    def forget(self, path: Path) -> None:
        """Close the connection to a file; with the lock held."""
        reader = self._readers.pop(path, None)
        if reader is not None:
            reader.connection.close()

    def close(self) -> None:
        """Wait for the running job and close everything."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        with self.lock:
            for path in list(self._readers):
                self.forget(path)

    def _locked(self, job: Callable[[], T]) -> T:
        with self.lock:
            return job()
