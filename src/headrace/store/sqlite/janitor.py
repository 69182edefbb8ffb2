"""The background of one shard: small checkpoints while there is work, the next file, sealing what
was rolled.

One thread, asleep when nothing is to do. Must never hold up the writer longer than one checkpoint
step, and must never acknowledge or write frames.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque

import apsw

from headrace.store.settings import JournalSettings
from headrace.store.sqlite import disk as disks
from headrace.store.sqlite import lane as lanes
from headrace.store.sqlite import segment as segments
from headrace.store.sqlite import writer as writers

#: How long to wait before sealing again when a reader stood in the way or there was no room.
_RETRY_S = 0.25


class Janitor:
    """Owner of the background thread of one journal."""

    def __init__(
        self,
        disk: disks.Disk,
        writer: writers.Writer,
        readers: tuple[lanes.Lane, ...],
        settings: JournalSettings,
    ) -> None:
        self._disk = disk
        self._writer = writer
        self._lanes = readers
        self._pause_s = settings.checkpoint_ms / 1000
        self._step_bytes = settings.checkpoint_bytes
        self._thread = threading.Thread(target=self._run, name="headrace-janitor", daemon=True)
        self._stopping = threading.Event()
        self._work = threading.Event()
        self._idle = threading.Condition()
        self._is_idle = False
        self._rolled: deque[tuple[disks.Connection, segments.Segment]] = deque()
        self._indexed: set[int] = set()
        self._head: tuple[segments.Segment, disks.Connection] | None = None
        self._prepared_for: segments.Segment | None = None
        self._seen_commits = 0
        self._dirty = True

    def start(self) -> None:
        for segment in self._writer.segments[:-1]:
            if not segment.sealed:
                connection = segments.open_to_write(self._disk, segment.path)
                self._rolled.append((connection, segment))
        self._writer.on_rolled = self._take_rolled
        self._thread.start()
        self.wake()

    def wake(self) -> None:
        """Say that something was written."""
        with self._idle:
            self._is_idle = False
            self._work.set()

    def wait_idle(self, timeout_s: float) -> bool:
        """Return True once nothing is left to do."""
        with self._idle:
            return self._idle.wait_for(lambda: self._is_idle, timeout_s)

    def stop(self) -> None:
        """End the thread; its connections stay until `close`."""
        self._stopping.set()
        self._work.set()
        if self._thread.is_alive():
            self._thread.join()

    def close(self) -> None:
        """Close the connections. After the readers': who closes last empties the log."""
        if self._head is not None:
            self._head[1].close()
        for connection, _ in self._rolled:
            connection.close()

    def _take_rolled(self, connection: disks.Connection, segment: segments.Segment) -> None:
        self._rolled.append((connection, segment))
        self.wake()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._work.wait()
            self._work.clear()
            self._until_idle()

    def _until_idle(self) -> None:
        while not self._stopping.is_set() and self._writer.may_write:
            pause_s = self._round()
            if pause_s is None and not self._work.is_set():
                break
            self._stopping.wait(pause_s or self._pause_s)
            self._work.clear()
        with self._idle:
            self._is_idle = not self._work.is_set()
            self._idle.notify_all()

    def _round(self) -> float | None:
        """Do a part of the work; return the pause before the next part, None when all is done."""
        try:
            self._prepare_next()
            written = self._checkpoint_step()
            blocked = self._seal_rolled()
        except (apsw.Error, OSError) as error:
            self._writer.note_background_failure(error)
            return _RETRY_S
        if blocked and not written:
            return _RETRY_S
        return self._pause_s if written or blocked else None

    def _prepare_next(self) -> None:
        head = self._writer.head
        if self._prepared_for is head:
            return
        self._prepared_for = head
        with contextlib.suppress(apsw.Error, OSError):
            # Only a head start: the roll makes the file itself when it is missing, and judges why
            # it cannot.
            self._writer.prepare_next()

    # ------------------------------------------------------------ checkpoint

    def _checkpoint_step(self) -> bool:
        """Move a part of the log into the head file. True while there is more to come."""
        commits = self._writer.commits
        resting = commits == self._seen_commits
        self._seen_commits = commits
        connection = self._head_connection()
        self._dirty = self._dirty or not resting
        if not self._dirty or (not resting and self._writer.wal.unmoved_bytes < self._step_bytes):
            return self._dirty
        try:
            whole = self._writer.wal.step(connection)
        except apsw.BusyError:
            return True
        self._dirty = not whole or self._writer.commits != commits
        return self._dirty

    def _head_connection(self) -> disks.Connection:
        head = self._writer.head
        if self._head is None or self._head[0] is not head:
            if self._head is not None:
                self._head[1].close()
            self._head = (head, segments.open_to_write(self._disk, head.path))
            self._dirty = True
        return self._head[1]

    # ------------------------------------------------------------ seal

    def _seal_rolled(self) -> bool:
        """Seal what was rolled, oldest first; True when one must wait for a reader or for room."""
        while self._rolled:
            connection, segment = self._rolled[0]
            try:
                if segment.first not in self._indexed:
                    segments.index(connection)
                    self._indexed.add(segment.first)
                if not self._leave_log(connection, segment):
                    return True
            except apsw.BusyError:
                return True
            self._rolled.popleft()
            self._indexed.discard(segment.first)
            connection.close()
        return False

    def _leave_log(self, connection: disks.Connection, segment: segments.Segment) -> bool:
        """Turn the file into one that never changes, while no lane has it open."""
        fetching, searching = self._lanes
        with fetching.lock, searching.lock:
            for lane in self._lanes:
                lane.forget(segment.path)
            # Another process or a running replay may still read it; then we come back.
            connection.set_busy_timeout(0)
            try:
                sealed = segments.seal(self._disk, connection, self._writer.folder)
            finally:
                connection.set_busy_timeout(disks.BUSY_MS)
            if sealed:
                segments.mark_sealed(connection, segment)
            return sealed
