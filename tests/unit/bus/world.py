"""An engine in memory on simulated time, with targets that answer what a script says."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from headrace.bus import deadletters, retention
from headrace.bus import engine as engines
from headrace.core import delivery, event, limits
from headrace.resources import catalog as catalogs
from headrace.resources import inputs, model
from headrace.store import memory
from headrace.store.settings import JournalSettings
from tests import virtual_time

ACCOUNT = "1000000000000001"
#: A second one, for what is divided among accounts.
OTHER = "1000000000000002"
REGION = "cn-hangzhou"
OK = delivery.delivered(200)
DOWN = delivery.failed("down", 500, "Internal Server Error")
POISONED = delivery.failed("poisoned", 410, "Gone")

Answer = delivery.Outcome | Callable[[delivery.Message], delivery.Outcome]


class Target:
    """One target: answers in the order of its script, then the last answer for ever."""

    def __init__(self, *script: Answer, latency_s: float = 0.0) -> None:
        self.script = list(script) or [OK]
        self.latency_s = latency_s
        self.seen: list[tuple[float, delivery.Message]] = []
        self.running = 0
        self.running_most = 0

    async def send(
        self, batch: Sequence[delivery.Message], deadline_us: int
    ) -> Sequence[delivery.Outcome]:
        self.running += 1
        self.running_most = max(self.running_most, self.running)
        try:
            if self.latency_s:
                await virtual_time.passes(self.latency_s)  # simulated: the loop's clock jumps
        finally:
            self.running -= 1
        self.seen.append((asyncio.get_running_loop().time(), batch[0]))
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return [answer(batch[0]) if callable(answer) else answer]

    async def close(self) -> None:
        """Nothing is held."""

    @property
    def ids(self) -> list[str]:
        return [message.event_id for _, message in self.seen]

    def waits(self) -> list[float]:
        """Seconds between the attempts."""
        times = [at for at, _ in self.seen]
        return [round(later - earlier, 3) for earlier, later in itertools.pairwise(times)]


class World:
    """What outlives a restart, and the engine of the current life."""

    def __init__(self, settings: JournalSettings | None = None) -> None:
        self.log = memory.MemoryLog()
        self.table = memory.MemoryTable()
        self.settings = settings
        self.targets: dict[str, Target] = {}
        self.calls: dict[str, Target] = {}
        self.broken: list[BaseException] = []
        self.clock = virtual_time.VirtualClock()
        self.numbers = iter(range(1, 1_000_000))

    async def open(self, keep: retention.Keep | None = None) -> None:
        self.others = asyncio.all_tasks()
        registry = memory.MemoryRegistry(self.clock, table=self.table)
        revision = await registry.open()
        self.catalog = catalogs.Catalog(
            registry, self.clock, random.Random(revision), region=REGION
        )
        journal = memory.MemoryJournal(
            log=self.log, settings=self.settings, snapshot=lambda: self.engine.snapshot()
        )
        self.engine = engines.Engine(
            journal,
            registry,
            self.catalog,
            clock=self.clock,
            random=random.Random(7),
            region=REGION,
            keep=keep,
            wiring=engines.Wiring(
                sender_of=self._sender,
                call_sender=lambda account, function: self.calls.setdefault(
                    function.name, Target()
                ),
                broken=self.broken.append,
            ),
        )
        await self.engine.open([ACCOUNT, OTHER], int(revision))

    def _sender(self, account: str, rule: model.Rule, target: model.Target) -> delivery.Sender:
        return self.targets.setdefault(target.id, Target())

    async def crash(self) -> None:
        """Stop without a last word: nothing is settled, nothing saved; then live again."""
        for taker in self.engine.dispatcher.lanes.values():
            taker.close()  # timers of a dead process do not fire
        for task in asyncio.all_tasks() - self.others:
            task.cancel()
        await asyncio.sleep(0)
        await self.open()

    async def rule(
        self, name: str, *ids: str, pattern: str = "{}", account: str = ACCOUNT, **more: object
    ) -> model.Rule:
        """A rule on `default` with one HTTP target per id."""
        targets = [
            inputs.TargetInput(id, "http", "http://example.com/", **more)  # type: ignore[arg-type]
            for id in ids
        ]
        given = inputs.RuleInput(name, pattern, targets=targets)
        return await self.catalog.create_rule(account, "default", given)

    async def publish(
        self, *ids: str, source: str = "shop", data: object = None, account: str = ACCOUNT
    ) -> list[int]:
        entries = [
            event.build({"id": id, "source": source, "type": "order", "data": data}, limits.WIDE)
            for id in ids
        ]
        answers = await self.engine.publish(account, entries, bus="default", addr="127.0.0.1")
        return [
            answer.position for answer in answers if isinstance(answer, engines.accept.Accepted)
        ]

    async def attempted(self, target: Target, data: object = None) -> None:
        """One rule to this target, one event, and the second in which it is attempted first."""
        self.targets["t"] = target
        await self.rule("r", "t")
        await self.publish("e1", data=data)
        await virtual_time.passes(1)

    async def only_letter(self) -> deadletters.DeadLetter:
        (letter,) = await self.engine.dead_letters.list(ACCOUNT)
        return letter

    @property
    def balanced(self) -> bool:
        return self.engine.books().balanced


@asynccontextmanager
async def world(settings: JournalSettings | None = None) -> AsyncIterator[World]:
    made = World(settings)
    await made.open()
    try:
        yield made
        assert made.balanced, made.engine.books()
    finally:
        await made.engine.close()
