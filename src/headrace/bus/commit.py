"""Group commit: what queued while the last frame was being written makes the next one.

Owns the only call to `Journal.append`. Batching lives here once, for every engine: no linger, no
per-event lock, one wake-up of the loop per commit. The order after a frame is durable is fixed:
ledger, then the journal's followers (dispatch), then the acknowledgements; a follower never runs
inside an acknowledgement.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import msgspec

from headrace.bus import ledger as ledgers
from headrace.core import clock as clocks
from headrace.core import errors
from headrace.store import frames, ports

log = logging.getLogger(__name__)

#: Events of one frame; what is more goes into the next. An entry is never split.
FRAME_EVENTS_MAX = 4096
#: Bytes of one frame, below the engine's own bound by room for the marks. Events that must be
#: written together and are larger are refused.
FRAME_BYTES_MAX = 3 * 1024 * 1024
#: Settlements of one frame; what is more goes into the next.
FRAME_FACTS_MAX = 16_384
#: Marks that may stand beside events; what is more goes ahead in frames of its own.
MARKS_BYTES_MAX = frames.FRAME_BYTES_MAX - FRAME_BYTES_MAX
#: Events that may wait for the next frame; past it producers get 429 with Retry-After.
WAITING_EVENTS_MAX = 65_536
#: And their bytes; past it the same.
WAITING_BYTES_MAX = 256 * 1024 * 1024

#: A wall clock that went back by no more than this holds the times of the frames until it has
#: caught up; one that went back further was wrong before, and the times follow it.
HELD_MS_MAX = 2 * 3_600_000
#: Steps back that are worth a word; clocks are set by less all the time.
STEP_TOLD_MS = 5_000

#: Called with every durable frame, in order: (frame, last position). Must not raise.
Follower = Callable[[ports.Frame, ports.Position], None]


class Entry(msgspec.Struct, eq=False):
    """What one caller wants written together: it stays in one frame, whole."""

    events: Sequence[ports.Record] = ()
    settlements: Sequence[ports.Settlement] = ()
    #: Resolves to the position of the first event (0 without events); None: nobody waits.
    done: asyncio.Future[int] | None = None
    #: As the store counts them (`frames`).
    bytes: int = 0


def entry_bytes(
    events: Sequence[ports.Record], settlements: Sequence[ports.Settlement] = ()
) -> int:
    """Return what an entry adds to a frame."""
    # Lists, not generators: this runs for every event.
    return sum([frames.event_bytes(record) for record in events]) + sum(
        [frames.settlement_bytes(one) for one in settlements]
    )


def parts(records: Sequence[ports.Record]) -> Iterator[tuple[Sequence[ports.Record], int]]:
    """Yield `records` in order, in as few runs as possible that each fit one entry; and the bytes
    of each.
    """
    start = size = 0
    for at, record in enumerate(records):
        added = frames.event_bytes(record)
        if at > start and size + added > FRAME_BYTES_MAX:
            yield records[start:at], size
            start, size = at, 0
        size += added
    if start < len(records):
        yield records[start:] if start else records, size


def _tell(entry: Entry, refusal: errors.HeadraceError) -> None:
    """Let who waits for an entry know that it was not written."""
    if entry.done is not None and not entry.done.done():
        entry.done.set_exception(refusal)
        # Who queued several entries ends with the first refusal and asks no further.
        entry.done.exception()


class Committer:
    """The one writer of a shard's journal."""

    def __init__(
        self,
        journal: ports.Journal,
        ledger: ledgers.Ledger,
        clock: clocks.Clock,
        *,
        broken: Callable[[BaseException], None],
        newest_ms: int = 0,
    ) -> None:
        """broken: called once when the journal can take no more frames; the process should exit.
        newest_ms: time of the newest frame that is there.
        """
        self._journal = journal
        self._ledger = ledger
        self._clock = clock
        self._broken = broken
        self._newest_ms = newest_ms
        #: The clock is behind the newest frame, and that was said.
        self._told_behind = False
        self._waiting: deque[Entry] = deque()
        self._events = 0
        self._bytes = 0
        self._marks: dict[str, bytes | None] = {}
        #: (position, subscription) of settlements that are not durable yet.
        self._settling: set[tuple[int, int]] = set()
        self._wake: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._fault: BaseException | None = None
        self._closing = False
        self.followers: list[Follower] = []
        #: Frames refused for lack of room since the start.
        self.refused_full = 0

    # -- callers ----------------------------------------------------------------------------------

    async def append(
        self, events: Sequence[ports.Record], settlements: Sequence[ports.Settlement] = ()
    ) -> int:
        """Write both in one frame; return the position of the first event once it is durable.

        Raises: errors.StoreFull, errors.Throttled (too much waits already), errors.Unavailable,
        errors.PayloadTooLarge (more than one frame may hold; see `parts`).
        """
        return await self.submit(events, settlements)

    def submit(
        self,
        events: Sequence[ports.Record],
        settlements: Sequence[ports.Settlement] = (),
        *,
        size: int | None = None,
    ) -> asyncio.Future[int]:
        """As `append`, but queued at once: the order of calls is the order of the journal.

        size: the bytes of the entry, if they were counted already.
        """
        if size is None:
            size = entry_bytes(events, settlements)
        if size > FRAME_BYTES_MAX:
            raise errors.PayloadTooLarge(
                f"At most {FRAME_BYTES_MAX} bytes can be written together.",
                expected=FRAME_BYTES_MAX, got=size,
            )  # fmt: skip
        if (
            self._events + len(events) > WAITING_EVENTS_MAX
            or self._bytes + size > WAITING_BYTES_MAX
        ):
            raise errors.Throttled(
                "too many events wait for the disk", remedy="Send again after a short pause."
            )
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._put(Entry(events, settlements, done, size))
        return done

    def settle(self, settlement: ports.Settlement) -> None:
        """Queue a settlement for the next frame; nobody waits for it."""
        self._put(Entry(settlements=(settlement,), bytes=frames.settlement_bytes(settlement)))

    def settle_all(self, settlements: Sequence[ports.Settlement]) -> None:
        """Queue settlements that close many deliveries at once; at most FRAME_FACTS_MAX of them."""
        self._put(Entry(settlements=settlements, bytes=entry_bytes((), settlements)))

    def mark(self, name: str, value: bytes | None) -> None:
        """Put a mark into the next frame, before its events."""
        self._marks[name] = value
        self._rouse()

    def is_settling(self, position: int, subscription: int) -> bool:
        """A settlement of this delivery is on its way to the disk: the ledger does not know it
        yet."""
        return (position, subscription) in self._settling

    @property
    def failed(self) -> bool:
        """The journal took its last frame."""
        return self._fault is not None

    @property
    def waiting(self) -> int:
        """Events that wait for a frame."""
        return self._events

    # -- the writer -------------------------------------------------------------------------------

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="committer")

    async def close(self) -> None:
        """Write what waits, then stop."""
        self._closing = True
        self._rouse()
        if self._task is not None:
            await self._task

    def _put(self, entry: Entry) -> None:
        if self._fault is not None or (self._closing and self._task is None):
            raise errors.Unavailable("the store takes no more writes") from self._fault
        self._waiting.append(entry)
        for fact in entry.settlements:
            self._settling.add((fact.position, fact.subscription))
        self._events += len(entry.events)
        self._bytes += entry.bytes
        self._rouse()

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _run(self) -> None:
        try:
            while True:
                if not self._waiting and not self._marks:
                    if self._closing:
                        break
                    self._wake = asyncio.get_running_loop().create_future()
                    await self._wake
                    continue
                marks, room_beside = self._take_marks()
                await self._write(self._take() if room_beside else [], marks)
        except BaseException as fault:
            self._fail(fault)
            if isinstance(fault, asyncio.CancelledError):
                raise
        finally:
            self._task = None

    def _take_marks(self) -> tuple[dict[str, bytes | None], bool]:
        """Take the marks that fit one frame, and say whether events may stand beside them.

        A mark stands before the events it is about: events wait until all marks are taken.
        """
        taken: dict[str, bytes | None] = {}
        size = 0
        while self._marks:
            name = next(iter(self._marks))
            size += frames.mark_bytes(name, self._marks[name])
            if taken and size > MARKS_BYTES_MAX:
                return taken, False
            taken[name] = self._marks.pop(name)
        return taken, size <= MARKS_BYTES_MAX

    def _take(self) -> list[Entry]:
        """Take what fits one frame; always at least one entry when any waits."""
        batch: list[Entry] = []
        events = facts = size = 0
        while self._waiting:
            entry = self._waiting[0]
            events += len(entry.events)
            facts += len(entry.settlements)
            size += entry.bytes
            full = events > FRAME_EVENTS_MAX or facts > FRAME_FACTS_MAX or size > FRAME_BYTES_MAX
            if full and batch:
                break
            batch.append(self._waiting.popleft())
            self._events -= len(entry.events)
            self._bytes -= entry.bytes
        return batch

    async def _write(self, batch: list[Entry], marks: dict[str, bytes | None]) -> None:
        frame = ports.Frame(
            at_ms=self._now_ms(),
            events=tuple(record for entry in batch for record in entry.events),
            settlements=tuple(fact for entry in batch for fact in entry.settlements),
            marks=marks,
        )
        try:
            last = await self._journal.append(frame)
        except ports.Full as fault:
            if not frame.events:  # not even the reserve holds it: trying again would spin
                self._refuse(batch, fault)
                raise
            self._marks = {**marks, **self._marks}
            await self._write_without_events(batch)
            return
        except BaseException as fault:
            self._refuse(batch, fault)
            raise
        self._applied(frame, last, batch)

    def _now_ms(self) -> int:
        """Return the time of the next frame: that of the wall clock, or that of the frame before
        while the clock catches up with it."""
        now_ms = self._clock.wall_ms()
        behind_ms = self._newest_ms - now_ms
        if behind_ms <= 0:
            self._told_behind = False
        elif behind_ms > HELD_MS_MAX:
            log.warning(
                "the clock is %d s behind the newest record; from here on the times of the log"
                " follow it, and only positions say what came first", behind_ms // 1000,
            )  # fmt: skip
        else:
            if behind_ms > STEP_TOLD_MS and not self._told_behind:
                self._told_behind = True
                log.warning(
                    "the clock is %d s behind the newest record; the times of the log stand still"
                    " until it has caught up", behind_ms // 1000,
                )  # fmt: skip
            return self._newest_ms
        self._newest_ms = now_ms
        return now_ms

    async def _write_without_events(self, batch: list[Entry]) -> None:
        """No room: entries with events are refused whole, the rest (acknowledgements, deletes) goes
        on."""
        self.refused_full += 1
        for entry in batch:
            if entry.events:
                self._settled(entry)
                _tell(entry, errors.StoreFull())
        rest = [entry for entry in batch if not entry.events]
        if not rest:
            return
        frame = ports.Frame(
            at_ms=self._now_ms(),
            settlements=tuple(fact for entry in rest for fact in entry.settlements),
        )
        try:
            last = await self._journal.append(frame)
        except BaseException as fault:
            self._refuse(rest, fault)
            raise
        self._applied(frame, last, rest)

    def _applied(self, frame: ports.Frame, last: ports.Position, batch: list[Entry]) -> None:
        self._ledger.apply(frame, last)
        for entry in batch:
            self._settled(entry)
        for follower in self.followers:
            try:
                follower(frame, last)
            except (
                Exception
            ):  # a broken follower must not hold up the journal; the ledger has it all
                log.exception("a follower of the journal failed")
        position = int(last) - len(frame.events) + 1
        for entry in batch:
            if entry.done is not None and not entry.done.done():
                entry.done.set_result(position if entry.events else 0)
            position += len(entry.events)

    def _settled(self, entry: Entry) -> None:
        for fact in entry.settlements:
            self._settling.discard((fact.position, fact.subscription))

    def _refuse(self, batch: list[Entry], fault: BaseException) -> None:
        for entry in batch:
            _tell(entry, errors.Unavailable(f"the store failed: {fault}"))

    def _fail(self, fault: BaseException) -> None:
        """The journal is gone: nothing is acknowledged from here on."""
        self._fault = fault
        self._refuse(list(self._waiting), fault)
        self._waiting.clear()
        self._events = self._bytes = 0
        self._broken(fault)
