"""One shard of the real bus, in memory: what outlives a crash, and the life it is in now.

Owns the wiring of the engine to the engines of the store in memory; what is delivered to is handed
in. A life is one event loop. A crash abandons it between two callbacks: nothing of it runs again,
no `finally`, no timer, no last frame; the next life finds what was durable. Must never simulate
anything of the bus itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, TypeVar, cast

import msgspec

from headrace.bus import engine as engines
from headrace.bus import retention
from headrace.resources import catalog as catalogs
from headrace.store import memory
from headrace.store import settings as journal
from headrace.testing import disk as disks
from headrace.testing import virtual

T = TypeVar("T")

ACCOUNT = "1000000000000001"
REGION = "cn-hangzhou"


class Shard:
    """A bus in memory on virtual time; call `start` before anything else."""

    engine: engines.Engine
    catalog: catalogs.Catalog

    def __init__(
        self,
        wiring: engines.Wiring,
        *,
        seed: int = 0,
        disk: disks.Disk | None = None,
        settings: journal.JournalSettings | None = None,
        keep: retention.Keep | None = None,
        watcher: disks.Watcher | None = None,
        engine: type[engines.Engine] = engines.Engine,
        journal: type[disks.SimulatedJournal] = disks.SimulatedJournal,
        registry: type[disks.SimulatedRegistry] = disks.SimulatedRegistry,
    ) -> None:
        """watcher: told of every frame when it is durable. engine, journal: what to run; a test
        hands in a broken one."""
        self.log = memory.MemoryLog()
        self.table = memory.MemoryTable()
        self.loop = virtual.VirtualLoop()
        self.clock = virtual.VirtualClock(self.loop)
        self.random = Random(seed)
        #: Number of the life, from 0.
        self.lives = 0
        self._wiring = wiring
        self._disk = disk or disks.PerfectDisk()
        self._settings = settings
        self._keep = keep
        self._watcher = watcher
        self._engine = engine
        self._journal = journal
        self._registry = registry

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run(work)

    def start(self) -> None:
        """Open what the last life left; recover."""
        self.loop.run(self._open())

    async def _open(self) -> None:
        registry = self._registry(self.clock, self._disk, self.table)
        revision = await registry.open()
        self.catalog = catalogs.Catalog(registry, self.clock, self.random, region=REGION)
        self.engine = self._engine(
            self._journal(
                self.log, self._disk, settings=self._settings,
                snapshot=lambda: self.engine.snapshot(), watcher=self._watcher,
            ),
            registry, self.catalog, clock=self.clock, random=self.random, region=REGION,
            keep=self._keep,
            wiring=msgspec.structs.replace(self._wiring, broken=self._broken_of(self.lives)),
        )  # fmt: skip
        await self.engine.open([ACCOUNT], int(revision))

    def _broken_of(self, life: int) -> Callable[[BaseException], None]:
        def broken(fault: BaseException) -> None:
            if self.lives == life:
                self._wiring.broken(fault)

        return broken

    def stop(self, grace_s: float = 10.0) -> None:
        """End in order, as on SIGTERM."""
        self.loop.run(self.engine.close(grace_s))
        self.leave()

    def crash(self, down_s: float = 0.0) -> None:
        """End at once, as by kill -9: the loop of this life never turns again.

        down_s: how long nothing runs then.
        """
        # Whoever opened the log last owns it: should anything of the old life be left, it cannot
        # write any more.
        self.log.epoch += 1
        self.leave(down_s)

    def leave(self, down_s: float = 0.0) -> None:
        """End a life that has closed everything it had opened."""
        self.lives += 1
        last, self.loop = self.loop, virtual.VirtualLoop(self.loop.time() + down_s)
        self.clock.loop = self.loop
        abandon(last)

    def close(self) -> None:
        """Let go of the last life, in whatever state it is."""
        self.lives += 1
        abandon(self.loop)


def abandon(loop: virtual.VirtualLoop) -> None:
    """Throw away a loop with all its tasks; what they were about to do does not happen."""
    loop.set_exception_handler(_unheard)
    gone: set[asyncio.Task[Any]] = set()
    while tasks := asyncio.all_tasks(loop) - gone:
        gone |= tasks
        for task in tasks:
            _free(task)
    loop.close()


def _free(task: asyncio.Task[Any]) -> None:
    # It is pending on purpose, and nobody wants to hear of it.
    setattr(task, "_log_destroy_pending", False)  # noqa: B010
    work = cast("Coroutine[Any, Any, Any] | None", task.get_coro())
    # Its `finally` blocks run now. What they ask of the loop is never carried out; what they would
    # wait for never comes, which is the error that is expected here.
    with contextlib.suppress(RuntimeError):
        if work is not None:  # it ended meanwhile
            work.close()


def _unheard(_loop: asyncio.AbstractEventLoop, _context: dict[str, Any]) -> None:
    """The dead say nothing."""
