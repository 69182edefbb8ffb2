"""A simulated crowd of instances and callers around the real pool, on a simulated clock."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Hashable

from headrace.functions import pool, scaling

TICK_US = 20_000


class Crowd:
    """Carries out what the pool says and checks, at every step, what it must never do."""

    def __init__(
        self,
        limits: scaling.Limits | None = None,
        *,
        start_us: int = 20_000,
        service_us: Callable[[int], int] = lambda request: 100,
        start_fails: Callable[[int], bool] = lambda instance: False,
        dies: Callable[[int], bool] = lambda request: False,
    ) -> None:
        self.limits = limits or scaling.Limits()
        self.pool = pool.Pool(self.limits)
        self.now_us = 0
        self.start_us = start_us
        self.service_us = service_us
        self.start_fails = start_fails
        self.dies = dies
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._requests = itertools.count(1)
        self.groups: dict[int, Hashable] = {}
        self.settings: dict[Hashable, scaling.Settings] = {}
        #: request -> how it ended, and when.
        self.ended: dict[int, tuple[str, int]] = {}
        self.came: dict[int, int] = {}
        self.ran: Counter[int] = Counter()
        self.starting: dict[int, Hashable] = {}
        self.ready: dict[int, Hashable] = {}
        #: instance -> requests in the order they were sent.
        self.running: dict[int, list[int]] = {}
        self.stopped: set[int] = set()
        self.starts = 0
        self.peak = 0
        self._later(TICK_US, self._tick)

    # -- what a test does -----------------------------------------------------------------------

    def ask(self, key: Hashable = "f", settings: scaling.Settings | None = None) -> int:
        request = next(self._requests)
        self.groups[request] = key
        self.settings.setdefault(key, settings or scaling.Settings())
        self.came[request] = self.now_us
        self.do(self.pool.request(self.now_us, request, key, self.settings[key]))
        return request

    def ask_at(self, at_us: int, key: Hashable = "f") -> None:
        self._later(at_us - self.now_us, lambda: void(self.ask(key)))

    def run(self, until_us: int) -> None:
        """Let time pass."""
        while self._events and self._events[0][0] <= until_us:
            self.now_us, _, act = heapq.heappop(self._events)
            act()
        self.now_us = until_us

    def waits_us(self, outcome: str = "done") -> list[int]:
        return sorted(at - self.came[r] for r, (how, at) in self.ended.items() if how == outcome)

    def outcomes(self) -> Counter[str]:
        return Counter(how for how, _ in self.ended.values())

    # -- what the pool says ---------------------------------------------------------------------

    def do(self, commands: object) -> None:
        assert isinstance(commands, (list, tuple))
        for command in commands:
            if isinstance(command, pool.Dispatch):
                self._dispatch(command)
            elif isinstance(command, pool.Start):
                self._start(command)
            elif isinstance(command, pool.Stop):
                self._stop(command.instance)
            elif isinstance(command, pool.Fail):
                self._end(command.request, "failed")
            else:
                assert isinstance(command, pool.Reject)
                self._end(command.request, "rejected")
        self.check()

    def check(self) -> None:
        assert len(self.starting) <= self.limits.starts_max
        # Twice as many for accounts below their share and functions that have none; and one for
        # each account.
        accounts = len({one.account for one in self.settings.values()})
        assert len(self.starting) + len(self.ready) <= 2 * self.limits.instances_max + accounts
        per_group = Counter([*self.starting.values(), *self.ready.values()])
        assert all(n <= self.limits.instances_per_group_max for n in per_group.values())
        counts = self.pool.counts()
        assert counts.instances == len(self.starting) + len(self.ready)
        assert counts.starting == len(self.starting)
        sent = sum(len(running) for running in self.running.values())
        assert counts.queued == len(self.came) - len(self.ended) - sent

    def _dispatch(self, command: pool.Dispatch) -> None:
        assert command.request not in self.ended
        assert self.ready[command.instance] == self.groups[command.request], "its own group"
        running = self.running[command.instance]
        settings = self.settings[self.groups[command.request]]
        bound = max(settings.concurrency, self.limits.pipeline_max)
        if settings.concurrency > 1:
            bound = settings.concurrency
        assert command.ahead == bool(running)
        running.append(command.request)
        assert len(running) <= bound
        if settings.concurrency > 1 or len(running) == 1:
            self._begin(command.instance, command.request)

    def _begin(self, instance: int, request: int) -> None:
        self.ran[request] += 1
        took_us = self.service_us(request)
        self._later(took_us, lambda: self._finish(instance, request, took_us))

    def _finish(self, instance: int, request: int, took_us: int) -> None:
        if instance not in self.ready or request not in self.running[instance]:
            return
        running = self.running[instance]
        running.remove(request)
        if self.dies(request):
            self._die(instance, request)
            return
        self._end(request, "done")
        settings = self.settings[self.groups[request]]
        if settings.concurrency == 1 and running:
            self._begin(instance, running[0])
        self.do(self.pool.done(self.now_us, instance, took_us))

    def _die(self, instance: int, request: int) -> None:
        self._end(request, "died")
        left = self.running.pop(instance)
        del self.ready[instance]
        begun = [other for other in left if self.ran[other]]
        for other in begun:
            self._end(other, "died")
        again = [other for other in left if not self.ran[other]]
        self.do(self.pool.died(self.now_us, instance, again))

    def _start(self, command: pool.Start) -> None:
        self.starts += 1
        self.starting[command.instance] = command.group
        self.peak = max(self.peak, len(self.starting) + len(self.ready))
        self._later(self.start_us, lambda: self._started(command.instance))

    def _started(self, instance: int) -> None:
        group = self.starting.pop(instance, None)
        if group is None:
            return
        if self.start_fails(instance):
            self.do(self.pool.failed(self.now_us, instance))
            return
        self.ready[instance] = group
        self.running[instance] = []
        self.do(self.pool.started(self.now_us, instance))

    def _stop(self, instance: int) -> None:
        assert not self.running.get(instance), "only what has nothing to do is stopped"
        self.starting.pop(instance, None)
        self.ready.pop(instance, None)
        self.running.pop(instance, None)
        self.stopped.add(instance)

    def _end(self, request: int, how: str) -> None:
        assert request not in self.ended, f"request {request} ended twice"
        self.ended[request] = (how, self.now_us)

    def _tick(self) -> None:
        self.do(self.pool.tick(self.now_us))
        self._later(TICK_US, self._tick)

    def _later(self, wait_us: int, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now_us + wait_us, next(self._order), act))


def void(_: object) -> None:
    """Drop a result where a callback must have none."""
