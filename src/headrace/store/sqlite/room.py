"""Room on the disk: when to refuse events, and the reserve that settlements get when nothing else
is left.

The disk is looked at now and then, not at every frame; while it is low, at every frame. Used by the
writer's thread only.
"""

from __future__ import annotations

from pathlib import Path

from headrace.store import ports
from headrace.store.settings import MIB, JournalSettings
from headrace.store.sqlite import disk as disks

_CHECK_BYTES = MIB
_CHECK_FRAMES = 64


class Room:
    """What is left for one shard."""

    def __init__(self, disk: disks.Disk, folder: Path, settings: JournalSettings) -> None:
        self._disk = disk
        self._folder = folder
        self._reserve_path = folder / "reserve"
        self._reserve_bytes = settings.reserve_bytes
        self._low_bytes = settings.low_disk_bytes
        self._unchecked_bytes = 0
        self._unchecked_frames = 0
        self._is_low = False

    @property
    def low_bytes(self) -> int:
        """Below so many free bytes events are refused; 0 until the disk was looked at."""
        return self._low_bytes or 0

    def refuse_events_when_low(self, size: int, unmoved_bytes: int) -> None:
        """Raises: Full.

        unmoved_bytes: what only the write-ahead log holds; its file will take it once more.
        """
        self._unchecked_bytes += size
        self._unchecked_frames += 1
        if (
            self._is_low
            or self._unchecked_bytes >= _CHECK_BYTES
            or self._unchecked_frames >= _CHECK_FRAMES
        ):
            self.check(unmoved_bytes)
        if self._is_low:
            raise ports.Full(f"less than {self._low_bytes} bytes are free")

    def check(self, unmoved_bytes: int) -> None:
        """Look at the disk; take the reserve again when there is room for it."""
        self._unchecked_bytes = self._unchecked_frames = 0
        if self._low_bytes is None:
            self._low_bytes = self._disk.low_disk_bytes(self._folder)
            # On a small disk a small reserve.
            self._reserve_bytes = min(self._reserve_bytes, self._low_bytes)
        free = self._disk.free_bytes(self._folder)
        self._is_low = free - unmoved_bytes < self._low_bytes
        wanted = self._reserve_bytes
        if wanted and free > self._low_bytes + wanted and not self._reserve_path.exists():
            self._take_reserve(wanted)

    def give_up_reserve(self) -> None:
        if self._reserve_path.exists():
            self._disk.unlink(self._reserve_path)

    def _take_reserve(self, wanted: int) -> None:
        try:
            self._disk.reserve(self._reserve_path, wanted)
        except OSError as error:
            # Somebody else was faster; a later check tries again.
            self._disk.unlink(self._reserve_path)
            if not isinstance(disks.translated(error, None), ports.Full):
                raise
