"""The instance pool: decides which instance runs which request, when to start one and when to let
one go.

A pure state machine: events go in with the time they happened, commands come out. It must never do
I/O, look at a clock, or know what an instance is. Times are microseconds of any monotonic clock.

A request waits in its group's queue until an instance is free, or, when the function is known to be
quick, is sent ahead to a busy instance (pipelining). An instance is started only when waiting would
take longer than starting.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence

import msgspec

from headrace.core import shares
from headrace.functions import scaling


class Dispatch(msgspec.Struct, frozen=True):
    """Send `request` to `instance`; `ahead` when others that were sent before it are still running
    there.
    """

    request: int
    instance: int
    ahead: bool


class Start(msgspec.Struct, frozen=True):
    """Start an instance and answer with `started` or `failed`."""

    instance: int
    group: Hashable


class Stop(msgspec.Struct, frozen=True):
    """Let `instance` go. It has nothing to do and is forgotten already."""

    instance: int


class Fail(msgspec.Struct, frozen=True):
    """`request` will not run, because the start of `instance` failed."""

    request: int
    instance: int


class Reject(msgspec.Struct, frozen=True):
    """`request` will not run: too much is going on."""

    request: int
    reason: str


Command = Dispatch | Start | Stop | Fail | Reject


class Counts(msgspec.Struct, frozen=True):
    """What the pool holds at one moment."""

    instances: int
    starting: int
    busy: int
    queued: int


class Pool:
    """All groups. Every method takes the time of the event and returns what has to be done about
    it.
    """

    def __init__(self, limits: scaling.Limits) -> None:
        self._limits = limits
        self._groups: dict[Hashable, scaling.Group] = {}
        self._instances: dict[int, scaling.Instance] = {}
        #: Groups with a queue, in the order in which they may start instances.
        self._waiting: OrderedDict[Hashable, None] = OrderedDict()
        #: Of the instances.
        self._shares = shares.Shares(limits.instances_max)
        self._starting = 0
        self._last_number = 0

    # -- events ---------------------------------------------------------------------------------

    def request(
        self, now_us: int, request: int, key: Hashable, settings: scaling.Settings
    ) -> Sequence[Command]:
        """A request for `key` came. `settings` count when this is the first one of its group."""
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = scaling.Group(key, settings, self._limits.start_us_guess)
        if not group.queue:
            chosen = self._choose(group, now_us)
            if chosen is not None:
                return (self._send(chosen, request, now_us),)
        if len(group.queue) >= self._limits.queue_per_group_max:
            return (Reject(request, "the queue of the function is full"),)
        group.queue[request] = now_us
        self._waiting[key] = None
        return self._grow(group, now_us)

    def cancel(self, request: int, key: Hashable) -> bool:
        """Forget a request that still waits; False when it was dispatched already."""
        group = self._groups.get(key)
        if group is None or group.queue.pop(request, None) is None:
            return False
        self._tidy(group)
        return True

    def started(self, now_us: int, instance: int) -> Sequence[Command]:
        """An instance is ready for requests."""
        known = self._instances.get(instance)
        if known is None:
            return ()
        assert not known.ready, f"instance {instance} was started twice"
        group = known.group
        self._starting -= 1
        group.starting -= 1
        group.start_us += (now_us - known.began_us - group.start_us) // 2
        known.ready = True
        known.idle_us = known.busy_us = now_us
        group.free.append(known)
        return (*self._fill(known, now_us), *self._grow_all(now_us))

    def failed(self, now_us: int, instance: int) -> Sequence[Command]:
        """An instance could not be started. Who waited for nothing else than it fails with it."""
        known = self._instances.get(instance)
        if known is None:
            return ()
        assert not known.ready, f"instance {instance} had been started"
        group = known.group
        self._forget(known)
        self._count_failure(group, now_us)
        commands: list[Command] = []
        if len(group.instances) == group.starting:
            # Nothing runs: with no start left everyone fails, else the one this start was for.
            count = 1 if group.starting else len(group.queue)
            for _ in range(min(count, len(group.queue))):
                commands.append(Fail(group.queue.popitem(last=False)[0], instance))
            self._tidy(group)
        commands.extend(self._grow_all(now_us))
        return commands

    def done(self, now_us: int, instance: int, took_us: int | None) -> Sequence[Command]:
        """An instance answered one request that took it `took_us`; None: it did not run it."""
        known = self._instances.get(instance)
        if known is None:
            return ()
        assert known.running > 0, f"instance {instance} answered what it was not asked"
        group = known.group
        if took_us is not None:
            group.learn(took_us, first=not known.proven)
        group.failures = 0
        known.proven = True
        if known.running == group.settings.concurrency and not group.retired:
            group.free.append(known)
        known.running -= 1
        known.idle_us = known.busy_us = now_us
        if group.queue:
            if len(self._instances) > self._limits.instances_max and self._is_over(known):
                self._forget(known)
                return (Stop(instance),)
            return self._fill(known, now_us)
        if group.retired and not known.running:
            self._forget(known)
            return (Stop(instance),)
        return ()

    def died(self, now_us: int, instance: int, again: Sequence[int]) -> Sequence[Command]:
        """A ready instance is gone. `again` had been sent and had not begun: they go to the head of
        the queue.

        Of a retired group `again` must be empty: ask for those under the new key.
        """
        known = self._instances.get(instance)
        if known is None:
            return ()
        group = known.group
        assert not (again and group.retired), "a retired group takes no requests"
        self._forget(known)
        if not known.proven:
            self._count_failure(group, now_us)
        for request in reversed(again):
            group.queue[request] = now_us
            group.queue.move_to_end(request, last=False)
        commands: list[Command] = []
        if group.queue:
            self._waiting[group.key] = None
            # An instance that has nothing to do will never say that it is done.
            while group.free and group.queue:
                commands.extend(self._fill(group.free[-1], now_us))
        self._drop_if_empty(group)
        commands.extend(self._grow_all(now_us))
        return commands

    def retire(self, key: Hashable) -> tuple[Sequence[int], Sequence[Command]]:
        """The group's code or configuration is no longer current: finish what runs, take nothing
        new.

        Returns the requests that had not been sent (to be asked for again under the new key) and
        what to stop.
        """
        group = self._groups.pop(key, None)
        if group is None:
            return (), ()
        group.retired = True
        orphans = list(group.queue)
        group.queue.clear()
        self._waiting.pop(key, None)
        group.free.clear()
        stops: list[Command] = []
        for known in list(group.instances.values()):
            if not known.running:
                self._forget(known)
                stops.append(Stop(known.number))
        return orphans, stops

    def drain(self, instance: int) -> None:
        """Send nothing more to this instance; it is about to be stopped by the caller."""
        known = self._instances.get(instance)
        if known is not None:
            self._forget(known)

    def tick(self, now_us: int) -> Sequence[Command]:
        """Time went by: give up on who waited too long, start what had to wait, let idle instances
        go.
        """
        commands: list[Command] = []
        for key in list(self._waiting):
            self._expire(self._groups[key], now_us, commands)
        commands.extend(self._grow_all(now_us))
        for known in list(self._instances.values()):
            idle_us = known.group.settings.idle_us
            limit_us = self._limits.idle_us if idle_us is None else idle_us
            if len(self._instances) > self._limits.instances_max:
                limit_us = min(limit_us, self._limits.idle_when_full_us)
            if known.ready and not known.running and now_us - known.idle_us >= limit_us:
                self._forget(known)
                self._drop_if_empty(known.group)
                commands.append(Stop(known.number))
        return commands

    # -- views ----------------------------------------------------------------------------------

    @property
    def waiting(self) -> bool:
        """True while requests wait: then `tick` every few milliseconds, else every second."""
        return bool(self._waiting)

    @property
    def empty(self) -> bool:
        return not self._instances and not self._waiting

    def knows(self, instance: int) -> bool:
        """False for one that was stopped, drained or has died."""
        return instance in self._instances

    def counts(self) -> Counts:
        return Counts(
            instances=len(self._instances),
            starting=self._starting,
            busy=sum(1 for known in self._instances.values() if known.running),
            queued=sum(len(self._groups[key].queue) for key in self._waiting),
        )

    # -- decisions ------------------------------------------------------------------------------

    def _choose(self, group: scaling.Group, now_us: int) -> scaling.Instance | None:
        """The instance that can take a request at once, or nearly so."""
        if group.free:
            return group.free[-1]
        best: scaling.Instance | None = None
        for known in group.instances.values():
            if known.ready and (best is None or known.running < best.running):
                best = known
        return best if best is not None and self._may_send_ahead(best, now_us) else None

    def _may_send_ahead(self, known: scaling.Instance, now_us: int) -> bool:
        return scaling.may_send_ahead(known, self._limits, now_us)

    def _fill(self, known: scaling.Instance, now_us: int) -> Sequence[Command]:
        """Give an instance what it can take from the queue."""
        group = known.group
        commands: list[Command] = []
        while group.queue:
            free = known.running < group.settings.concurrency
            if not free and not self._may_send_ahead(known, now_us):
                break
            request, _ = group.queue.popitem(last=False)
            commands.append(self._send(known, request, now_us))
        if not group.queue:
            self._waiting.pop(group.key, None)
        return commands

    def _send(self, known: scaling.Instance, request: int, now_us: int) -> Dispatch:
        group = known.group
        ahead = known.running > 0
        if not ahead:
            known.busy_us = now_us
        known.running += 1
        if known.running == group.settings.concurrency:
            group.free.remove(known)
        return Dispatch(request, known.number, ahead)

    def _grow_all(self, now_us: int) -> list[Command]:
        """Let every group that waits start what it needs, each in its turn."""
        commands: list[Command] = []
        for key in self._in_turn():
            if self._starting >= self._limits.starts_max:
                break
            grown = self._grow(self._groups[key], now_us)
            if grown and key in self._waiting:
                self._waiting.move_to_end(key)
            commands.extend(grown)
        return commands

    def _grow(self, group: scaling.Group, now_us: int) -> list[Command]:
        commands: list[Command] = []
        while self._starting < self._limits.starts_max and scaling.wants_instance(
            group, self._limits, now_us
        ):
            beyond = len(self._instances) - self._limits.instances_max
            if beyond >= 0:
                spare = self._longest_idle(group) if beyond == 0 else None
                if spare is not None:
                    self._forget(spare)
                    self._drop_if_empty(spare.group)
                    commands.append(Stop(spare.number))
                elif not self._may_exceed(group):
                    break
            self._last_number += 1
            known = scaling.Instance(self._last_number, group, now_us)
            self._shares.take(group.settings.account, 1)
            self._instances[known.number] = group.instances[known.number] = known
            self._starting += 1
            group.starting += 1
            commands.append(Start(known.number, group.key))
        return commands

    def _in_turn(self) -> list[Hashable]:
        """The groups that wait: the account with the fewest instances first, each group in its
        turn.
        """
        if self._starting >= self._limits.starts_max:
            return []
        return sorted(
            self._waiting,
            key=lambda key: self._shares.taken_by(self._groups[key].settings.account),
        )

    def _may_exceed(self, group: scaling.Group) -> bool:
        """True when a start may go beyond the bound: of an account below its share, or of a
        function that has no instance. Functions that run for hours would keep both out for hours.
        """
        return self._shares.may_exceed(group.settings.account, first=not group.instances)

    def _is_over(self, known: scaling.Instance) -> bool:
        """True when an instance that just became free should go: its account has more than its
        share while others have to exceed the bound.
        """
        group, taken = known.group, self._shares
        account = group.settings.account
        return (
            not known.running
            and len(group.instances) > 1
            and taken.contended(account)
            and taken.taken_by(account) > taken.share(account)
        )

    def _longest_idle(self, group: scaling.Group) -> scaling.Instance | None:
        """An instance of another group that has nothing to do, to make room."""
        best: scaling.Instance | None = None
        for known in self._instances.values():
            if known.group is group or not known.ready or known.running:
                continue
            if best is None or known.idle_us < best.idle_us:
                best = known
        return best

    # -- bookkeeping ----------------------------------------------------------------------------

    def _expire(self, group: scaling.Group, now_us: int, commands: list[Command]) -> None:
        while group.queue:
            request = next(iter(group.queue))
            if now_us - group.queue[request] < self._limits.queue_wait_us_max:
                return
            del group.queue[request]
            commands.append(Reject(request, "no instance became free in time"))
        self._tidy(group)

    def _count_failure(self, group: scaling.Group, now_us: int) -> None:
        group.failures += 1
        beyond = group.failures - self._limits.failures_free
        if beyond > 0:
            wait_us = min(
                self._limits.backoff_us << min(beyond - 1, 20), self._limits.backoff_us_max
            )
            group.backoff_until_us = now_us + wait_us

    def _forget(self, known: scaling.Instance) -> None:
        group = known.group
        self._shares.give_back(group.settings.account, 1)
        del self._instances[known.number]
        del group.instances[known.number]
        if not known.ready:
            self._starting -= 1
            group.starting -= 1
        elif known in group.free:
            group.free.remove(known)

    def _tidy(self, group: scaling.Group) -> None:
        if not group.queue:
            self._waiting.pop(group.key, None)
            self._drop_if_empty(group)

    def _drop_if_empty(self, group: scaling.Group) -> None:
        """Forget a group without instances and requests, unless its failures still hold it back."""
        if group.instances or group.queue or group.failures:
            return
        if self._groups.get(group.key) is group:
            del self._groups[group.key]
