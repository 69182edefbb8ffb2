"""One subscription's deliveries on their way: what is loaded, what runs, what waits for a retry.

The ledger knows every open delivery; a lane holds only a bounded window of loaded records, so a
slow or dead target costs disk, not memory, and holds up nobody else. Decisions about an outcome are
in `settling`; a lane only keeps order: ready, running, due.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from typing import TYPE_CHECKING

from headrace.bus import ledger as ledgers
from headrace.bus import slots
from headrace.bus import subscription as subscriptions
from headrace.core import delivery
from headrace.store import ports

if TYPE_CHECKING:
    from headrace.bus import deliver

#: Loaded records a lane may hold ready; the rest of its backlog waits on disk.
WINDOW_RECORDS_MAX = 512
#: And their bytes.
WINDOW_BYTES_MAX = 4 * 1024 * 1024
#: Records fetched from the journal at a time: at most, and before their size is known.
LOAD_RECORDS_MAX = 128
LOAD_RECORDS_FIRST = 8
#: Wait before the journal is read again after a failed read.
FAILED_READ_MS = 1_000


class Flight:
    """One attempt at one delivery, from its start until its settlement is handed over."""

    __slots__ = (
        "attempt",
        "began_us",
        "lane",
        "latency_us",
        "outcome",
        "position",
        "record",
        "units",
        "way",
    )

    def __init__(self, lane: Lane, position: int, record: ports.Record, attempt: int) -> None:
        self.lane = lane
        self.position = position
        self.record = record
        self.attempt = attempt
        #: What it has of the attempts that may be under way at once.
        self.units = 1 + len(record.body) // slots.SLOT_BYTES
        self.began_us = 0
        self.latency_us = 0
        #: What would have to be cancelled; None when there is nothing (any more).
        self.way: delivery.Attempt | None = None
        self.outcome: delivery.Outcome | None = None


class Lane:
    """The window of one active subscription. Lives on the worker's loop, no locks."""

    def __init__(
        self,
        subscription: subscriptions.Subscription,
        state: ledgers.Deliveries,
        host: deliver.Dispatcher,
    ) -> None:
        self.subscription = subscription
        self.starter = _starter_of(subscription)
        self.state = state
        self.closed = False
        #: The switch that keeps deliveries from starting; "" for none.
        self.paused_by = ""
        #: Its rule or function is gone: what fails now is dropped, not retried.
        self.deleted = False
        #: The deliveries a lane with `block_on_error` stands at: what ran beside the first one may
        #: fail for good, too.
        self.stuck: set[int] = set()
        #: Being attempted, or answered in this turn of the loop and not yet with the committer.
        self.running: dict[int, Flight] = {}
        self._host = host
        self._ready: deque[tuple[int, ports.Record, int]] = deque()
        self._ready_bytes = 0
        self._due: list[tuple[int, int, int]] = []
        self._timer: asyncio.TimerHandle | None = None
        #: Every open position up to here is ready, running or due; later ones only in the ledger.
        self._cursor = 0
        self._behind = True
        self._loading = False
        self._reloading = False
        self._step = LOAD_RECORDS_FIRST
        #: Positions that are being moved elsewhere: they are not started here.
        self._leaving: set[int] = set()
        #: When those of them that wait for a retry are due.
        self._held: dict[int, int] = {}

    # -- from the journal -------------------------------------------------------------------------

    def offer(self, position: int, record: ports.Record) -> None:
        """A record just became durable; take it unless older ones still wait on disk. The caller
        pumps."""
        if self.closed:
            return
        known = self.state.retries.get(position) if self.state.retries else None
        if known is not None:  # a carried copy keeps its schedule, and loading passes it by
            if not self._behind:
                self._cursor = position
            self._resume(position, known, record.origin)
            return
        if self._behind:
            return
        if self.paused_by or self._window_full():
            self._behind = True
        else:
            self._cursor = position
            self._push(position, record, 1)

    def fall_behind(self, position: int) -> None:
        """Take `position` and what follows from the journal instead of from the commit."""
        self._behind = True
        self._cursor = min(self._cursor, position - 1)
        self._host.loop.call_soon(self.pump)

    def resume(self) -> None:
        """Take over what the ledger holds open: after a start, or for a subscription that is new
        here."""
        for position, known in self.state.retries.items():
            self._resume(position, known)
        self.pump()

    def _resume(self, position: int, known: ledgers.Retry, before: int | None = None) -> None:
        """Go on with a delivery whose attempts so far were made elsewhere; `before`: at which
        position."""
        if known.parked and self.subscription.block_on_error:
            self.stuck.add(position)
        due = self._held.pop(before or position, None)
        if due is None:
            self._schedule(position, known.attempt + 1, self._host.remaining_ms(known))
        else:  # it failed in this life: the monotonic clock knows better than the wall
            self._schedule_at(position, known.attempt + 1, due)

    def update(self, subscription: subscriptions.Subscription) -> None:
        """Open deliveries use the newest configuration; an edit also frees a lane that is stuck."""
        self.subscription = subscription
        self.starter = _starter_of(subscription)
        if self.stuck:
            self._due = [
                (0 if position in self.stuck else due, position, attempt)
                for due, position, attempt in self._due
            ]
            heapq.heapify(self._due)
            self._arm()
            if not subscription.block_on_error:
                self.stuck.clear()
        self.pump()

    def hold(self, switch: str) -> None:
        """Start nothing while `switch` is on; "" goes on. What waits stays where it is: the
        window, the retries and their times, and on disk what comes meanwhile.
        """
        was, self.paused_by = self.paused_by, switch
        if was and not switch:
            self.pump()

    def close(self) -> None:
        """Start nothing more; running attempts end by themselves."""
        self.closed = True
        self._host.slots.forget(self)
        self._host.loaded_bytes -= self._ready_bytes
        self._ready.clear()
        self._ready_bytes = 0
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def moving(self) -> frozenset[int]:
        """Positions that are being attempted now."""
        return frozenset(self.running)

    def forget(self, positions: frozenset[int]) -> None:
        """These are being moved elsewhere; drop them from the window until `release`."""
        self._leaving |= positions
        self._held.update({where: due for due, where, _ in self._due if where in positions})
        kept = [entry for entry in self._ready if entry[0] not in positions]
        gone = sum(len(entry[1].body) for entry in self._ready if entry[0] in positions)
        self._ready = deque(kept)
        self._ready_bytes -= gone
        self._host.loaded_bytes -= gone
        self._due = [entry for entry in self._due if entry[1] not in positions]
        heapq.heapify(self._due)

    def release(self, positions: frozenset[int]) -> None:
        """The move is over: what did not go is attempted here."""
        self._leaving -= positions
        if self.closed:
            return
        # Only now: while they were on their way, the lane had to stand.
        self.stuck -= {position for position in positions if position not in self.state.open}
        for position in sorted(positions):
            if position not in self.state.open:
                continue
            known = self.state.retries.get(position)
            if known is not None:
                self._resume(position, known)
            elif position <= self._cursor:  # later ones are still to be loaded
                self._schedule(position, 1, 0)
        for position in positions:
            self._held.pop(position, None)
        self._arm()
        self.pump()

    # -- keeping it moving ------------------------------------------------------------------------

    def pump(self) -> None:
        """Start what may start, load what is missing."""
        if self.closed or self._host.stopping or self.paused_by:
            return
        room = self._host.slots
        while self._may_start() and (not room.crowded or room.may_start(self)):
            self._start_next()
        if self._behind and not self._loading and self._has_room():
            self._loading = True
            self._host.spawn(self._load())
        if self._due and self._timer is None and not self._reloading:
            self._arm()  # retries that found the window full

    def take_turn(self) -> None:
        """Start one delivery; the lane had to wait for others'. More of them wait again."""
        if self.closed or self._host.stopping or self.paused_by:
            return
        if self._may_start():
            self._start_next()
        self.pump()

    def _may_start(self) -> bool:
        if not self._ready or len(self.running) >= self.subscription.concurrency:
            return False
        return not self.stuck or self._stuck_first()

    def _start_next(self) -> None:
        position, record, attempt = self._ready.popleft()
        size = len(record.body)
        self._ready_bytes -= size
        self._host.loaded_bytes -= size
        self._start(position, record, attempt)

    def _has_room(self) -> bool:
        """An empty lane may always load: what others hold must not stop it."""
        return not self._ready or (
            len(self._ready) * 2 < WINDOW_RECORDS_MAX
            and self._ready_bytes * 2 < WINDOW_BYTES_MAX
            and not self._host.loaded_full()
        )

    def _stuck_first(self) -> bool:
        """Bring a delivery the lane stands at to the front; False while none is loaded."""
        for index, entry in enumerate(self._ready):
            if entry[0] in self.stuck:
                del self._ready[index]
                self._ready.appendleft(entry)
                return True
        return False

    def _window_full(self) -> bool:
        return (
            len(self._ready) >= WINDOW_RECORDS_MAX
            or self._ready_bytes >= WINDOW_BYTES_MAX
            or self._host.loaded_full()
        )

    def _push(
        self, position: int, record: ports.Record, attempt: int, *, first: bool = False
    ) -> None:
        entry = (position, record, attempt)
        if first:
            self._ready.appendleft(entry)
        else:
            self._ready.append(entry)
        self._ready_bytes += len(record.body)
        self._host.loaded_bytes += len(record.body)

    def _start(self, position: int, record: ports.Record, attempt: int) -> None:
        if position in self.running or position in self._leaving:
            return
        if position not in self.state.open:
            return
        flight = Flight(self, position, record, attempt)
        self.running[position] = flight
        self._host.slots.shares.take(self.subscription.account, flight.units)
        self._host.begin(flight)

    def again(self, position: int, attempt: int, wait_ms: int) -> None:
        """Attempt `position` again in `wait_ms`; `attempt` is the number of that attempt."""
        if not self.closed:
            self._schedule(position, attempt, wait_ms)

    # -- loading ----------------------------------------------------------------------------------

    async def _load(self) -> None:
        """Fetch the next open deliveries from the journal into the window."""
        try:
            await self._load_some()
        except Exception:
            self._host.loop.call_later(FAILED_READ_MS / 1000, self.pump)
            raise
        finally:
            self._loading = False
        self.pump()

    async def _load_some(self) -> None:
        wanted: list[int] = []
        for position in self._host.ledger.open_after(self.subscription.id, self._cursor):
            if len(wanted) >= self._step:
                break
            wanted.append(position)
        if not wanted:
            self._behind = False  # in step with the journal: no await since the last look
            return
        fresh = [position for position in wanted if position not in self.state.retries]
        records = await self._fetch(fresh)
        self._cursor = wanted[-1]
        for position, record in zip(fresh, records, strict=True):
            if record is not None and self._is_mine(position):
                self._push(position, record, 1)

    async def _fetch(self, positions: list[int]) -> list[ports.Record | None]:
        """Read records; how large they are says how many are read next time."""
        records = await self._host.fetch(positions)
        if records:
            size = sum([len(record.body) for record in records if record is not None])
            each = max(1, size // len(records))
            self._step = max(1, min(LOAD_RECORDS_MAX, WINDOW_BYTES_MAX // 2 // each))
        return records

    def _is_mine(self, position: int) -> bool:
        """Asked again after a read: the lane or the delivery may be gone meanwhile."""
        return not self.closed and position in self.state.open and position not in self._leaving

    # -- retries ----------------------------------------------------------------------------------

    def _schedule(self, position: int, attempt: int, wait_ms: int) -> None:
        self._schedule_at(position, attempt, self._host.clock.mono_us() + wait_ms * 1000)

    def _schedule_at(self, position: int, attempt: int, due: int) -> None:
        heapq.heappush(self._due, (due, position, attempt))
        if self._due[0][1] == position:
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due and not self.closed:
            wait_us = max(0, self._due[0][0] - self._host.clock.mono_us())
            self._timer = self._host.loop.call_later(wait_us / 1e6, self._ripe)

    def _ripe(self) -> None:
        """Some retries are due: fetch their records and put them before the fresh ones."""
        self._timer = None
        if self._reloading or self.paused_by:  # a switch that is off comes back here through `pump`
            return
        if self._ready and self._window_full():  # it is drained first, and `pump` comes back here;
            if self.stuck:  # but a lane that stands at a delivery starts nothing else
                self._wake_stuck()
            return
        now = self._host.clock.mono_us()
        ripe: list[tuple[int, int]] = []
        while self._due and self._due[0][0] <= now and len(ripe) < self._step:
            _, position, attempt = heapq.heappop(self._due)
            ripe.append((position, attempt))
        if ripe:
            self._reloading = True
            self._host.spawn(self._reload(ripe))
        else:
            self._arm()

    def _wake_stuck(self) -> None:
        """Read what the lane stands at when it is due; all else that is due waits on disk."""
        standing = sorted(entry for entry in self._due if entry[1] in self.stuck)
        if not standing:  # ready, or running
            return
        wait_us = standing[0][0] - self._host.clock.mono_us()
        if wait_us > 0:
            self._timer = self._host.loop.call_later(wait_us / 1e6, self._ripe)
            return
        self._due.remove(standing[0])
        heapq.heapify(self._due)
        self._reloading = True
        self._host.spawn(self._reload([standing[0][1:]]))

    async def _reload(self, ripe: list[tuple[int, int]]) -> None:
        try:
            records = await self._fetch([position for position, _ in ripe])
        except Exception:
            for position, attempt in ripe:
                self.again(position, attempt, FAILED_READ_MS)
            self._arm()  # what was due before these has no timer now
            raise
        finally:
            self._reloading = False
        for (position, attempt), record in zip(ripe, records, strict=True):
            if record is not None and self._is_mine(position):
                self._push(position, record, attempt, first=True)
        self.pump()


def _starter_of(subscription: subscriptions.Subscription) -> delivery.Starter | None:
    """Its sender, when that needs no task for each message; asked once, not for each."""
    sender = subscription.sender
    return sender if isinstance(sender, delivery.Starter) else None
