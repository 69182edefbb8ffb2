"""Simulated receivers and the simulated disk: how each behaves from when to when.

Owns the weather: phases drawn from the seed, ended by `heal`. Must never look at what the bus does
beyond the message it is given.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from headrace.core import clock as clocks
from headrace.core import delivery
from headrace.targets import http
from headrace.testing import disk

DAY_S = 86_400.0

#: How a receiver may be, and how often.
MOODS = {
    "ok": 10, "slow": 2, "down": 3, "hangs": 1, "flaky": 3, "refuses": 0.4, "throttles": 1,
    "deaf": 0.6, "buggy": 0.3,
}  # fmt: skip


class SenderBug(Exception):
    """A sender that raises, which none should."""


class Receiver:
    """Whatever stands behind one target, in every life of the bus."""

    def __init__(self, chance: random.Random, clock: clocks.Clock) -> None:
        self._chance = chance
        self._clock = clock
        self._phases: list[tuple[float, str]] = []
        at_s = 0.0
        while at_s < DAY_S:
            at_s += chance.choice((300, 1_800, 5_400, 12_000)) * (0.5 + chance.random())
            mood = chance.choices(list(MOODS), list(MOODS.values()))[0]
            self._phases.append((at_s, mood))

    def heal(self) -> None:
        self._phases = []

    def mood(self, at_s: float) -> str:
        while self._phases and self._phases[0][0] <= at_s:
            self._phases.pop(0)
        return self._phases[0][1] if self._phases else "ok"

    async def answer(self, deadline_us: int) -> delivery.Outcome:
        """One push, as the HTTP target would tell of it."""
        chance, mood = self._chance, self.mood(self._clock.mono_us() / 1e6 - 1_000)
        if mood == "flaky":
            mood = chance.choices(
                ("ok", "down", "hangs", "throttles", "refuses", "slow"), (6, 5, 1, 1, 0.3, 2)
            )[0]
        took_s = 0.005 + chance.random() * 0.1
        if mood == "slow":
            took_s = chance.random() * 45
        left_s = (deadline_us - self._clock.mono_us()) / 1e6
        if mood in ("hangs", "deaf") or took_s > left_s:
            # "deaf": it took the event in, but its answer is lost.
            await asyncio.sleep(left_s)
            return delivery.failed("down", 0, f"no complete answer within {left_s:.1f} s")
        if chance.random() < 0.9:
            await asyncio.sleep(took_s)
        if mood == "buggy":
            raise SenderBug
        status, after = {"down": (503, None), "refuses": (410, None)}.get(mood, (200, None))
        if mood == "throttles":
            status, after = 429, str(chance.randrange(600)) if chance.random() < 0.5 else None
        return http.classify(status, after, b"", self._clock)


class Disk:
    """Slow at times, without room at times, with reads that fail; and it can end a life."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.slow = False
        self.bad_reads = False
        self.healed = False
        #: Writes from now at which the process is killed; 0: never.
        self.kill_at = 0

    def write_s(self) -> tuple[float, float]:
        chance = self._chance
        if self.healed:
            return 0.0005, 0.0
        before_s = chance.random() * (1.5 if self.slow else 0.004)
        after_s = chance.random() * 0.002 if chance.random() < 0.5 else 0.0
        if self.kill_at:
            self.kill_at -= 1
            if not self.kill_at:  # somewhere in this write, before or after it is durable
                loop = asyncio.get_running_loop()
                after_s = max(after_s, 0.001)
                loop.call_later(chance.random() * (before_s + after_s), loop.stop)
        return before_s, after_s

    def read_s(self) -> float:
        chance = self._chance
        if self.healed:
            return 0.0
        if self.bad_reads and chance.random() < 0.2:
            raise disk.ReadFailed
        return chance.random() * (0.5 if self.slow else 0.002) if chance.random() < 0.5 else 0.0

    def edit_s(self) -> tuple[float, float]:
        chance = self._chance
        if self.healed or chance.random() < 0.3:
            return 0.0, 0.0
        most_s = 0.4 if self.slow else 0.005
        return chance.random() * most_s, chance.random() * most_s


class ReceiverSender:
    """Pushes to a receiver."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    async def send(
        self, batch: Sequence[delivery.Message], deadline_us: int
    ) -> Sequence[delivery.Outcome]:
        return [await self._receiver.answer(deadline_us) for _ in batch]

    async def close(self) -> None:
        """Nothing is held."""
