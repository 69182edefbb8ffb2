"""The settings of a journal, with the bounds the design gives them. Data only."""

from __future__ import annotations

import msgspec

MIB = 1024 * 1024


class JournalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """When a segment ends and how much room is kept."""

    #: A segment ends before the frame that finds it at one of these three. Bytes as
    #: `frames.frame_bytes` counts.
    roll_bytes: int = 128 * MIB
    roll_events: int = 131_072
    roll_ms: int = 3_600_000
    #: Events are refused when less than this is free; None: min(256 MB, 5 % of the file system).
    low_disk_bytes: int | None = None
    #: Kept aside as a file, given up when settlements find the disk full. More than waits in the
    #: write-ahead log while the background keeps up, so that the log can be emptied and used again.
    reserve_bytes: int = 16 * MIB
    #: The writer itself empties a write-ahead log of this size.
    wal_bytes_max: int = 64 * MIB
    #: Pause between two steps of the background checkpoint while there is work.
    checkpoint_ms: int = 20
    #: A step is due when this much waits, or when nothing was written for one pause.
    checkpoint_bytes: int = 4 * MIB

    def segment_is_full(self, *, events: int, bytes_used: int, age_ms: int) -> bool:
        """Return whether a segment with these figures takes no further frame."""
        return events >= self.roll_events or bytes_used >= self.roll_bytes or age_ms >= self.roll_ms
