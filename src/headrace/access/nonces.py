"""Nonces seen lately: a captured request cannot be sent a second time, not even after a restart.

Owns one open-addressing table in a memory-mapped file: what a request wrote there survives the
death of the process (the pages belong to the kernel); what a power loss may have taken is answered
by refusing every request dated before the table was opened. A full table refuses. It must never
forget a live nonce to make room.

The wall clock may jump. When it goes back, requests that were out of date may be in date again,
while their nonces made room: then what is dated before the jump is refused as well (`seen`). When
it was ahead for a while, the nonces of that time wait for the clock to catch up (`_AHEAD_S`).

File: one header page, then buckets of slots of 8 bytes, little-endian: 5 bytes of tag, 3 of expiry
in seconds modulo 2^24. A zero tag is a free slot. A nonce may stand in either of two buckets, in
the emptier one when it came; both are read whole each time, so slots freed in the middle hide
nothing, and a table is nearly full before any two buckets are.
"""

from __future__ import annotations

import mmap
import os
import struct
from hashlib import blake2b
from pathlib import Path

from headrace.core import errors, limits

_MAGIC = b"HRNONCE1"
#: magic, slots, boot id, key of the hash, closed cleanly.
_HEADER = struct.Struct("<8sQ16s16s?")
_HEADER_BYTES = mmap.PAGESIZE
_CLEAN_AT = _HEADER.size - 1
#: The wall clock when it was last looked at, to the second; 0 in tables of older versions.
_SEEN = struct.Struct("<Q")
_SEEN_AT = 64
_SLOT = struct.Struct("<Q")
_SLOT_BYTES = _SLOT.size
_TAG_BYTES = 5
_SECONDS_MASK = 0xFF_FFFF
#: A nonce from so far ahead is kept for its time to come: a clock set wrongly is mostly off by an
#: hour. More would keep slots that have stood for months, which look the same.
_AHEAD_S = 2 * 3600
_PLACES = struct.Struct("<LL")
_NO_TAG = bytes(_TAG_BYTES)
#: Greater than any (free slot, start of its bucket).
_NO_SLOT = (1 << 62, 0)
BUCKET_SLOTS = 32


class Nonces:
    """A set of (access key, nonce) with an end of life each. One process, one thread at a time."""

    def __init__(
        self, table: mmap.mmap, slots: int, *, key: bytes, keep_ms: int, not_before_ms: int
    ) -> None:
        assert slots >= 1, "a table without slots"
        self._table = table
        bucket_slots = min(BUCKET_SLOTS, slots)
        self._bucket_bytes = bucket_slots * _SLOT_BYTES
        self._buckets = slots // bucket_slots
        self._key = key
        self._keep_s = keep_ms // 1000 + 2 + _AHEAD_S
        self._window_ms = keep_ms // 2
        #: Requests dated earlier may have been seen and forgotten.
        self.not_before_ms = not_before_ms
        (self._seen_s,) = _SEEN.unpack_from(table, _SEEN_AT)

    @classmethod
    def in_memory(
        cls,
        entries: int = limits.NONCE_ENTRIES_MAX,
        *,
        keep_ms: int = 2 * limits.SIGNATURE_WINDOW_MS,
    ) -> Nonces:
        """Return a table that dies with the process, for a server whose keys do too."""
        table = mmap.mmap(-1, _HEADER_BYTES + entries * _SLOT_BYTES)
        return cls(table, entries, key=os.urandom(16), keep_ms=keep_ms, not_before_ms=0)

    @classmethod
    def open(
        cls,
        path: Path,
        entries: int = limits.NONCE_ENTRIES_MAX,
        *,
        now_ms: int,
        boot_id: bytes,
        first_start: bool,
        keep_ms: int = 2 * limits.SIGNATURE_WINDOW_MS,
    ) -> Nonces:
        """Open or make the table of a data directory.

        boot_id: 16 bytes that change when the machine starts.  first_start: the keys are new, so
        that no request can have been seen before.  A table that is missing, damaged, of another
        size, or was open when the machine went down makes `not_before_ms` the second of `now_ms`.
        Raises: OSError when the disk has no room for the table.
        """
        assert len(boot_id) == 16, "a boot id has 16 bytes"
        size = _HEADER_BYTES + entries * _SLOT_BYTES
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            found = os.pread(descriptor, _HEADER.size, 0)
            is_whole = os.fstat(descriptor).st_size == size and len(found) == _HEADER.size
            header = _HEADER.unpack(found) if is_whole else (b"", 0, b"", b"", False)
            is_ours = header[0] == _MAGIC and header[1] == entries
            key = header[3] if is_ours else os.urandom(16)
            if not is_ours:
                os.ftruncate(descriptor, 0)
                os.ftruncate(descriptor, size)
            # Every page has its place on the disk: writing to one that finds none is no error that
            # could be refused, it kills the process. Also for the tables of older versions.
            os.posix_fallocate(descriptor, 0, size)
            table = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)
        is_trusted = first_start if not is_ours else header[4] or header[2] == boot_id
        table[: _HEADER.size] = _HEADER.pack(_MAGIC, entries, boot_id, key, False)
        table.flush(0, _HEADER_BYTES)
        start_ms = 0 if is_trusted else now_ms // 1000 * 1000
        made = cls(table, entries, key=key, keep_ms=keep_ms, not_before_ms=start_ms)
        made.seen(now_ms)
        return made

    def seen(self, now_ms: int) -> None:
        """Say what the wall clock says, before a date is judged by it.

        When it went back, `not_before_ms` becomes what was still in date before, at most now: a
        nonce may be forgotten once its request is out of date, and that must stay so.
        """
        now_s = now_ms // 1000
        if now_s == self._seen_s:
            return
        if now_s < self._seen_s:
            in_date_ms = self._seen_s * 1000 - self._window_ms
            self.not_before_ms = max(self.not_before_ms, min(in_date_ms, now_s * 1000))
        self._seen_s = now_s
        _SEEN.pack_into(self._table, _SEEN_AT, now_s)

    def use(self, access_key_id: str, nonce: str, *, now_ms: int, until_ms: int) -> None:
        """Remember the nonce until `until_ms`.

        Raises: NonceUsed; Unavailable when the table has no room.
        """
        digest = blake2b(
            f"{access_key_id}\n{nonce}".encode(), digest_size=13, key=self._key
        ).digest()
        first, second = _PLACES.unpack_from(digest)
        tag = digest[8:]
        if tag == _NO_TAG:
            tag = b"\1" * _TAG_BYTES
        now_s = now_ms // 1000
        # Buckets fill from the front: the lowest free slot is in the emptier one.
        best = _NO_SLOT
        for place in (first, second):
            start = _HEADER_BYTES + place % self._buckets * self._bucket_bytes
            bucket = self._table[start : start + self._bucket_bytes]
            if tag in bucket and self._holds(bucket, tag, now_s):
                raise errors.NonceUsed(field="SignatureNonce", got=nonce[:64])
            if best[0]:
                best = min(best, (self._free(bucket, now_s), start))
        if best[0] >= self._bucket_bytes:
            raise errors.Unavailable(
                "Too many signed requests are remembered to take one more.",
                remedy="Send fewer requests, batch events, or raise the number of nonces kept.",
            )
        # Rounded up: a nonce may be kept a second longer, never shorter.
        until_s = -(-until_ms // 1000)
        at = sum(best)
        self._table[at : at + _SLOT_BYTES] = tag + (until_s & _SECONDS_MASK).to_bytes(3, "little")

    def close(self) -> None:
        """Make the table durable and say so in it."""
        self._table.flush()
        self._table[_CLEAN_AT] = 1
        self._table.flush(0, _HEADER_BYTES)
        self._table.close()

    def _holds(self, bucket: bytes, tag: bytes, now_s: int) -> bool:
        at = bucket.find(tag)
        while at >= 0:
            if at % _SLOT_BYTES == 0 and self._lives(bucket, at, now_s):
                return True
            at = bucket.find(tag, at + 1)
        return False

    def _free(self, bucket: bytes, now_s: int) -> int:
        """Return where the first slot without a live nonce begins, in bytes; if none does, where
        the bucket ends.
        """
        keep_s = self._keep_s
        for index, (slot,) in enumerate(_SLOT.iter_unpack(bucket)):
            if not slot or not 0 < ((slot >> 8 * _TAG_BYTES) - now_s & _SECONDS_MASK) <= keep_s:
                return index * _SLOT_BYTES
        return len(bucket)

    def _lives(self, bucket: bytes, at: int, now_s: int) -> bool:
        expiry = int.from_bytes(bucket[at + _TAG_BYTES : at + _SLOT_BYTES], "little")
        return 0 < (expiry - now_s & _SECONDS_MASK) <= self._keep_s
