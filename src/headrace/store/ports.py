"""The ports of the store: what the bus and the catalog may ask of an engine, and what every engine
guarantees.

A journal is a fenced, single-writer log whose unit is one *frame* = one group commit; everything
else is a view of it. Engines (`memory`, `sqlite`, later `nats`) pass one contract suite,
`tests/contract/`. Design: `store/DESIGN.md`. This module holds types only and must never import an
engine.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Generic, NewType, Protocol, TypeVar

import msgspec

T = TypeVar("T")

#: 64 bit: shard (16) | sequence (48). Strictly increasing inside a shard, not dense: a frame takes
#: one
#: position for itself and one for each of its events.
Position = NewType("Position", int)
#: A total order of change sets in the registry.
Revision = NewType("Revision", int)

SEQUENCE_BITS = 48
SEQUENCE_MAX = (1 << SEQUENCE_BITS) - 1
SHARD_MAX = (1 << 15) - 1  # positions stay positive in a signed 64-bit column


def position(shard: int, sequence: int) -> Position:
    """Return the position of `sequence` in `shard`."""
    assert 0 <= shard <= SHARD_MAX, f"shard {shard} out of range"
    assert 0 <= sequence <= SEQUENCE_MAX, f"sequence {sequence} out of range"
    return Position(shard << SEQUENCE_BITS | sequence)


class Verdict(IntEnum):
    """What one settlement says of one delivery. DELIVERED, DEAD, DROPPED and MOVED close it."""

    DELIVERED = 1
    DEAD = 2  # retries exhausted; the dead letter rides in the same frame
    DROPPED = 3  # closed on purpose; `code` is a DropReason
    MOVED = 4  # carried to another position, which names this one as origin
    RETRY = 5  # failed; due again `wait_ms` after the frame
    PARKED = 6  # failed for good, its target skips nothing: tried until it passes or is let go

    @property
    def closes(self) -> bool:
        return self <= Verdict.MOVED


class DropReason(IntEnum):
    """Why a delivery was DROPPED (in `Settlement.code`)."""

    RULE_DELETED = 1
    PURGED = 2
    ACKNOWLEDGED_ELSEWHERE = 3
    LOOP = 4
    RESENT = 5
    FUNCTION_DELETED = 6
    QUEUE_DELETED = 7


# gc=False on what comes by the hundred thousand: these hold no cycles, and a replay is 1.7 x as
# fast.
class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One accepted event as it is kept."""

    #: Interned bus name (`account/bus`).
    bus: int
    received_ms: int
    #: Interned (source, type); 0 = not interned (too many kinds), find by scanning.
    kind: int
    #: Signed 64-bit hash of (source, id): look-up and dedup; collisions are verified on the body.
    key: int
    #: Rule snapshot the event was matched against.
    generation: int
    #: Subscription ids, ascending. The engine interns match sets.
    matches: tuple[int, ...]
    #: Canonical structured-mode JSON.
    body: bytes
    #: Carry-forward, replay, dead letter, event published by an invocation: the trace follows it.
    origin: Position | None = None


class Settlement(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One fact about one delivery."""

    #: Of an event in an earlier frame.
    position: Position
    subscription: int
    verdict: Verdict
    attempt: int = 1
    latency_us: int = 0
    #: HTTP status, error class number or DropReason.
    code: int = 0
    #: RETRY only: relative, so that a clock jump can neither fire nor freeze it.
    wait_ms: int = 0
    #: Failures only: class, response head, function request id; at most 4 KiB.
    detail: bytes = b""


class Frame(msgspec.Struct, frozen=True):
    """What one group commit writes; never split, never merged by an engine."""

    #: Wall clock of the commit, milliseconds.
    at_ms: int
    events: tuple[Record, ...] = ()
    settlements: tuple[Settlement, ...] = ()
    #: Small values that move with the data (source checkpoints, last firing of a schedule,
    #: cursors); None deletes.
    marks: Mapping[str, bytes | None] = {}


class Opened(msgspec.Struct, frozen=True):
    """What a journal knows after `open`."""

    epoch: int
    last: Position
    #: Newest ledger snapshot and the position it was taken at (state None: start empty, replay from
    #: `at`).
    at: Position
    state: bytes | None
    marks: dict[str, bytes]


class Replayed(msgspec.Struct, frozen=True):
    """One frame as it is read back; `last` is what `append` returned for it."""

    last: Position
    frame: Frame


class EventQuery(msgspec.Struct, frozen=True):
    """What `find` filters on; None = any. Exactly the indexed columns of a sealed file."""

    bus: int
    start_ms: int
    stop_ms: int  # exclusive
    key: int | None = None
    kinds: tuple[int, ...] | None = None
    subscriptions: tuple[int, ...] | None = None


class Found(msgspec.Struct, frozen=True):
    position: Position
    record: Record


class Page(msgspec.Struct, Generic[T], frozen=True):
    items: list[T]
    #: Opaque; None on the last page.
    next: str | None


class Usage(msgspec.Struct, frozen=True):
    bytes_used: int
    bytes_free: int
    first: Position
    last: Position
    segments: int
    oldest_ms: int
    #: Below so many free bytes new events are refused; 0: there is no such mark.
    low_bytes: int = 0
    #: They are refused now.
    is_low: bool = False


class Attempted(msgspec.Struct, frozen=True):
    """A settlement with the time of the frame that carried it: one step of a trace."""

    at_ms: int
    settlement: Settlement


class Segment(msgspec.Struct, frozen=True):
    """One file (or stretch) of the log, the unit of retention."""

    first: Position
    last: Position
    events: int
    bytes: int
    oldest_ms: int
    newest_ms: int
    sealed: bool
    #: Wall clock of its newest frame. Copies keep the time of their event, so they say nothing of
    #: the age of the segment.
    written_ms: int


class StoreError(Exception):
    """Base of what an engine raises."""


class Fenced(StoreError):
    """A newer owner has opened this shard; this one wrote nothing and must stop."""


class Full(StoreError):
    """No room for events: nothing was written, the engine goes on.

    Frames without events still fit.
    """


class Broken(StoreError):
    """An fsync failed: this and every later append raises, the process must exit."""


class TooLarge(StoreError):
    """The frame is larger than FRAME_BYTES_MAX, or a detail than DETAIL_BYTES_MAX (`frames`)."""


class Corrupt(StoreError):
    """What was read back is not what was written."""


class LeaseHeld(StoreError):
    """Somebody else holds the lease and it has not run out."""


class Compacted(StoreError):
    """The change sets asked for are no longer kept: list the view, then watch from its revision."""


class Conflict(StoreError):
    """A guard of a registry commit did not hold; nothing was written."""

    def __init__(self, key: str, expected: int, found: int) -> None:
        super().__init__(f"{key}: expected revision {expected}, found {found}")
        self.key = key
        self.expected = expected
        self.found = found


class Journal(Protocol):
    """The log of one shard. A call by a former owner raises Fenced."""

    async def open(self) -> Opened: ...

    async def append(self, frame: Frame) -> Position:
        """Write one frame and return its last position.

        Durable on return, all or nothing, in call order. The k events of the frame stand at
        result-k+1 … result; a frame without events returns its own position.
        Raises: Full, Broken, Fenced, TooLarge.
        """
        ...

    def replay(self, after: Position, *, bodies: bool = False) -> AsyncIterator[Replayed]:
        """Yield every frame whose last position is > `after`, in order.

        Without `bodies` the bodies are b"". Raises: Corrupt when a frame is not what was written.
        """
        ...

    async def save(self, at: Position, state: bytes) -> None:
        """Keep a ledger snapshot taken after the frame that ends at `at`.

        Not when a later one is kept already.
        """
        ...

    async def baseline(self) -> tuple[Position, bytes | None]:
        """The oldest ledger snapshot kept and where it was taken: where a recount starts.

        Every frame after it can still be replayed. State None: start empty at that position.
        """
        ...

    async def segments(self) -> list[Segment]: ...

    async def trim(self, before: Position) -> None:
        """Drop whole sealed segments that end before `before`.

        Nothing open lies below: the caller guarantees it. A segment that recovery or `baseline`
        still needs stays: the first one kept begins with a snapshot that covers all that was
        dropped (or snapshots are not used at all).
        """
        ...

    async def fetch(self, positions: Sequence[Position]) -> list[Record | None]: ...

    def scan(
        self, start: Position, stop: Position, *, bus: int | None, limit: int
    ) -> AsyncIterator[tuple[Position, Record]]:
        """Yield events with start <= position < stop, ascending, at most `limit`."""
        ...

    async def find(self, query: EventQuery, page: str | None, limit: int) -> Page[Found]:
        """Yield events newest first. The view may lag append by one frame, it never runs ahead."""
        ...

    async def settled(self, position: Position) -> list[Attempted]:
        """The settlements of one event, in the order they were written."""
        ...

    async def locate(self, time_ms: int) -> Position:
        """The first position whose event was received at or after `time_ms`; else last + 1."""
        ...

    async def usage(self) -> Usage: ...

    async def close(self) -> None: ...


#: A registry key: `account/kind/name…`, parts never contain "/".
Key = str
#: Guard value: the key must not exist.
ABSENT = Revision(0)


class Versioned(msgspec.Struct, frozen=True):
    key: Key
    #: Revision of the change set that wrote it last.
    revision: Revision
    value: bytes


class Change(msgspec.Struct, frozen=True):
    key: Key
    #: None deletes.
    value: bytes | None


class Guard(msgspec.Struct, frozen=True):
    key: Key
    #: The revision the caller read, or ABSENT.
    revision: Revision


class ChangeSet(msgspec.Struct, frozen=True):
    revision: Revision
    changes: tuple[Change, ...]


class Lease(msgspec.Struct, frozen=True):
    name: str
    fence: int
    expires_ms: int


class Registry(Protocol):
    """Resources: a totally ordered log of change sets and a view in memory; not key-value CAS."""

    async def open(self) -> Revision: ...

    def get(self, key: Key) -> Versioned | None:
        """From the view in memory; no I/O."""
        ...

    def list(self, prefix: Key, after: Key | None = None, limit: int = 1000) -> Page[Versioned]:
        """Ascending by key, keys > `after`.

        From the view in memory; no I/O. `next` is the last key of the page.
        """
        ...

    async def commit(self, changes: Sequence[Change], *, unless: Sequence[Guard] = ()) -> Revision:
        """Write all or nothing, durable and in the view on return.

        Raises Conflict naming the first failed guard.
        """
        ...

    def watch(self, after: Revision) -> AsyncIterator[ChangeSet]:
        """Every change set after `after`, in order, no gap."""
        ...

    async def reached(self, revision: Revision, timeout_s: float) -> bool:
        """True once every live worker applied `revision`: read your writes."""
        ...

    async def intern(self, name: str) -> int:
        """A number >= 1 for `name`, durable on return, never reused."""
        ...

    def interned(self, name: str) -> int | None:
        """The number of `name` if it has one; no I/O."""
        ...

    def name_of(self, number: int) -> str | None: ...

    async def lease(self, name: str, ttl_ms: int) -> Lease: ...

    async def close(self) -> None: ...


Digest = NewType("Digest", str)  # lower-case hex sha256


class Blobs(Protocol):
    """Code packages and layers, by sha256."""

    async def put(self, chunks: AsyncIterable[bytes], limit: int) -> Digest:
        """Store and return the digest; durable on return.

        Raises core.errors.PayloadTooLarge past `limit` bytes.
        """
        ...

    async def path(self, digest: Digest) -> Path:
        """A local file: the sandbox binds paths. Raises KeyError."""
        ...

    def digests(self) -> AsyncIterator[tuple[Digest, int]]: ...

    async def remove(self, digest: Digest) -> None: ...


class LogLine(msgspec.Struct, frozen=True, array_like=True):
    """One entry of `Records`: a function's log of one invocation, or an invocation record."""

    at_ms: int
    #: `account/function/name` or another stream name.
    stream: str
    #: Request id of the invocation.
    request_id: str
    kind: str  # "log" | "invocation"
    body: bytes


class LineQuery(msgspec.Struct, frozen=True):
    """Which lines of one stream `Records.read` is to return; None = any."""

    stream: str
    start_ms: int = 0
    stop_ms: int = 1 << 62  # exclusive
    request_id: str | None = None
    kind: str | None = None
    limit: int = 1000

    def fits(self, at_ms: int, request_id: str, kind: str) -> bool:
        """Whether it asks for this line of its stream."""
        return (
            self.start_ms <= at_ms < self.stop_ms
            and self.request_id in (None, request_id)
            and self.kind in (None, kind)
        )


def line_bytes(line: LogLine) -> int:
    """Return what a line takes of the bounds of `Records`."""
    return 64 + len(line.stream) + len(line.request_id) + len(line.body)


class Records(Protocol):
    """Function logs and invocation records.

    Buffered <= 200 ms, not fsynced per record, time-partitioned files. Bounded: drops the oldest
    and counts what it dropped. `write` never blocks.
    """

    async def open(self) -> None: ...

    def write(self, line: LogLine) -> None: ...

    async def read(self, query: LineQuery) -> list[LogLine]:
        """Newest `limit` lines that fit, ascending by time; includes what is still buffered."""
        ...

    def dropped(self) -> int: ...

    async def close(self) -> None: ...
