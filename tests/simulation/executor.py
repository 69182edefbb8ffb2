"""Function instances without processes: the real service and pool, and a simulated life for each.

Owns how long a start and a run take, and how they fail. What the pool must never do is checked
where its commands arrive.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from headrace.functions import cache, frames, instance, launcher, logs, scaling, service
from headrace.functions import deployment as deployments
from headrace.functions.sandbox import plain
from headrace.store import memory
from headrace.testing import shard

if TYPE_CHECKING:
    from tests.simulation import world as worlds

LIMITS = scaling.Limits(
    instances_max=4,
    instances_per_group_max=3,
    starts_max=2,
    queue_per_group_max=8,
    idle_us=60 * scaling.SECOND_US,
)
NOWHERE = Path("/nowhere")


class SimulatedFunctions(service.Functions):
    """Runs functions on simulated instances."""

    def __init__(self, world: worlds.World) -> None:
        super().__init__(
            spawner=launcher.Launcher(plain.Plain(), NOWHERE),
            packages=cache.Packages(NOWHERE, boot="none"),
            lookup=world.function,
            blob_path=_nowhere,
            records=memory.MemoryRecords(bytes_max=4096),
            clock=world.shard.clock,
            random=world.shard.random,
            region=shard.REGION,
            limits=LIMITS,
        )
        self._world = world
        #: The server stops: whatever still runs after its grace is ended.
        self.closing = False
        #: From spawn to end.
        self.living: dict[int, SimulatedInstance] = {}

    async def close(self, grace_s: float = 5.0) -> None:
        self.closing = True
        await super().close(grace_s)

    async def _code(self, deployment: deployments.Deployment) -> Path:
        return NOWHERE

    def _spawn(self, number: int, life: deployments.Life, code: Path) -> instance.Instance:
        made = SimulatedInstance(number, life.deployment, self, self._world)
        self.living[number] = made
        check, living = self._world.history.check, list(self.living.values())
        group = [one for one in living if one.deployment is life.deployment]
        starting = [one for one in living if one.state == "starting"]
        words = (made.id, len(living), len(group), len(starting))
        # Of a deployment that was replaced, what still runs does not count: it is on its way out.
        current = [one for one in living if not one.leaving]
        check(len(current) <= 2 * LIMITS.instances_max, "the pool keeps its bound", *words)
        check(
            len([one for one in group if not one.leaving]) <= LIMITS.instances_per_group_max,
            "a function keeps its bound", *words,
        )  # fmt: skip
        check(len(starting) <= LIMITS.starts_max, "few starts at a time", *words)
        check(self.stats().queued <= 8 * LIMITS.queue_per_group_max, "queues are bounded", *words)
        return made


async def _nowhere(_digest: str) -> Path:
    return NOWHERE


class SimulatedInstance(instance.Instance):
    """The server's side of a process that does not exist."""

    def __init__(
        self,
        number: int,
        deployment: deployments.Deployment,
        keeper: SimulatedFunctions,
        world: worlds.World,
    ) -> None:
        # Not the base's: that one begins to talk to a process.
        self.number = number
        self.id = f"i-{number}"
        self.state = "starting"
        self.memory_kib = 1024
        self.failure = None
        self.killed = None
        self.exit_status = 0
        self.served = 0
        self.was_ready = False
        self.deployment = deployment
        self.leaving = False
        self._functions = keeper
        self._world = world
        self._chance: random.Random = world.chance
        self._loop = asyncio.get_running_loop()
        self._running: dict[int, instance.Ticket] = {}
        took_s = 0.02 + self._chance.random() * (4 if self._chance.random() < 0.1 else 0.1)
        works = self._chance.random() > 0.1
        self._loop.call_later(took_s, self._started if works else self._end)

    @property
    def running(self) -> int:
        return len(self._running)

    def send(self, ticket: instance.Ticket, words: list[str], *, ahead: bool) -> None:
        check = self._world.history.check
        check(self.state == "ready", "requests go to instances that are ready", self.id, self.state)
        check(ahead == bool(self._running), "the pool knows who is busy", self.id)
        self._running[ticket.number] = ticket
        check(len(self._running) <= LIMITS.pipeline_max, "few are sent ahead", self.id)
        if len(self._running) == 1:
            self._begin(ticket)

    def cancel(self, number: int) -> None:
        ticket = self._running.get(number)
        if ticket is not None and ticket.began_s is None:
            del self._running[number]
            self._functions.answered(self, ticket, frames.CANCELLED, 0, b"", b"")

    def stop(self, pre_stop_s: float | None) -> None:
        check = self._world.history.check
        idle = not self._running or self._functions.closing
        check(idle, "only what has nothing to do is stopped", self.id)
        self.kill("stopped")

    def kill(self, why: Literal["overdue", "load", "broken", "stopped"]) -> None:
        if self.killed is None:
            self.killed = why
            self.leaving = True
            self.state = "stopping"
            self._loop.call_later(0.01, self._end)

    def elapsed_us(self, ticket: instance.Ticket) -> int:
        return 0 if ticket.began_s is None else int((self._loop.time() - ticket.began_s) * 1e6)

    def take_carry(self) -> logs.Output | None:
        return None

    # -- its life -----------------------------------------------------------------

    def _started(self) -> None:
        if self.state != "starting":
            return
        self.state = "ready"
        self.was_ready = True
        self._functions.ready(self, 1000)

    def _begin(self, ticket: instance.Ticket) -> None:
        ticket.began_s = self._loop.time()
        self._world.history.note("run", self.id, ticket.call.function, ticket.call.request_id)
        self._world.runs += 1
        chance, timeout_s = self._chance, self.deployment.function.timeout_s
        took_s = 0.001 + chance.random() * 0.2
        mood = "ok" if self._world.healed else chance.choices(
            ("ok", "fails", "dies", "hangs", "slow"), (12, 2, 1, 0.5, 1)
        )[0]  # fmt: skip
        if mood == "slow":
            took_s = chance.random() * timeout_s
        if mood == "hangs":
            self._loop.call_later(timeout_s, self._overdue, ticket)
        elif mood == "dies":
            self._loop.call_later(took_s, self._end)
        else:
            status = frames.OK if mood == "ok" else frames.ERROR
            self._loop.call_later(took_s, self._answer, ticket, status)

    def _overdue(self, ticket: instance.Ticket) -> None:
        if ticket.number in self._running:
            self.kill("overdue")

    def _answer(self, ticket: instance.Ticket, status: int) -> None:
        if self.state == "gone" or self.killed or self._running.pop(ticket.number, None) is None:
            return
        self.served += 1
        behind = next(iter(self._running.values()), None)
        if behind is not None:
            self._begin(behind)
        took_us = self.elapsed_us(ticket)
        self._functions.answered(self, ticket, status, took_us, b"Error", b"null")

    def _end(self) -> None:
        if self.state == "gone":
            return
        self.state = "gone"
        self._functions.living.pop(self.number, None)
        tickets = list(self._running.values())
        self._running.clear()
        begun = [ticket for ticket in tickets if ticket.began_s is not None]
        waiting = [ticket for ticket in tickets if ticket.began_s is None]
        self._functions.gone(self, begun, waiting)
