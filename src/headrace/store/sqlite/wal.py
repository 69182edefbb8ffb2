"""The write-ahead log of the head: how long it is, how much of it the file has, and emptying it.

Two threads move it into the file: the background in small steps, the writer at the high-water mark.
Must never let both at it at once.
"""

from __future__ import annotations

import threading
from typing import Any

import apsw

from headrace.store.settings import JournalSettings
from headrace.store.sqlite import disk as disks
from headrace.store.sqlite import segment as segments

#: How long emptying the log waits for readers before it lets it grow.
_RESTART_WAIT_MS = 50


class Wal:
    """The log of the newest head it was told to watch."""

    def __init__(self, settings: JournalSettings) -> None:
        self._bytes_max = settings.wal_bytes_max
        self._bytes_next = settings.wal_bytes_max
        self._bytes = 0
        self._moved_bytes = 0
        self._lock = threading.Lock()

    def watch(self, connection: disks.Connection) -> None:
        """Begin with a new head."""
        self._bytes = self._moved_bytes = 0
        self._bytes_next = self._bytes_max
        connection.set_wal_hook(self._note_commit)

    @property
    def unmoved_bytes(self) -> int:
        """What the log holds that the file does not have yet."""
        return max(0, self._bytes - self._moved_bytes)

    def step(self, connection: disks.Connection) -> bool:
        """Move what can be moved without holding anybody up; True when that was all.

        For the background, on a connection of its own. Raises: apsw.Error.
        """
        with self._lock:
            pages, done = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        moved_bytes = done * segments.PAGE_BYTES
        # Unless the writer has begun the log anew in between.
        if moved_bytes <= self._bytes:
            self._moved_bytes = moved_bytes
        return done >= pages

    def empty_if_large(self, connection: disks.Connection) -> None:
        """Past the high-water mark the writer empties the log itself: that is the backpressure.

        Raises: apsw.Error, with the commit before it durable all the same.
        """
        if self._bytes >= self._bytes_next:
            # When a reader stands in the log it goes on growing a little, then we ask again.
            self._bytes_next = self._bytes + self._bytes_max // 8
            if self.empty(connection):
                self._bytes_next = self._bytes_max

    def empty(self, connection: disks.Connection) -> bool:
        """Move everything, so that the next commit begins anew; False when a reader is in the way.

        For the writer, on its own connection. Raises: apsw.Error.
        """
        with self._lock:
            connection.set_busy_timeout(_RESTART_WAIT_MS)
            try:
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
            except apsw.BusyError:
                return False
            finally:
                connection.set_busy_timeout(disks.BUSY_MS)
        self._moved_bytes = self._bytes
        return True

    def _note_commit(self, _: Any, __: str, pages: int) -> int:
        grown_bytes = pages * segments.PAGE_BYTES
        if grown_bytes < self._bytes:
            self._moved_bytes = 0  # The log was begun anew.
        self._bytes = grown_bytes
        return apsw.SQLITE_OK
