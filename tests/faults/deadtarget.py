"""R8: a target that is dead for a day, and R9: one that flaps, on simulated time.

Dead: both retry policies, each retry at its documented time, then exactly one dead letter with the
reason. Flapping: half of the attempts fail, some hang, some break after the whole body; whatever
happens, each event ends delivered or as a letter, never both and never neither. The bus is the real
one; the clock jumps.

usage: ./dev faults deadtarget [--full]
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from random import Random

import msgspec

from headrace.bus import deadletters
from headrace.core import delivery, retry
from tests import virtual_time
from tests.unit.bus import world as worlds

DAY_S = 26 * 3_600.0
WALL_S_MAX = 5.0
#: How far a retry may be from its documented time; the random waits have a range instead.
PART_MAX = 0.10
FLAPPING, FLAPPING_FULL = 500, 4_000
HANG_S = 30.0


class Figures(msgspec.Struct):
    """What one run saw."""

    decay_retries: int = 0
    backoff_retries: int = 0
    off_schedule: int = 0
    letters: int = 0
    letters_without_reason: int = 0
    dead_wall_s: float = 0.0
    simulated_h: float = 0.0
    flapping_events: int = 0
    flapping_attempts: int = 0
    flapping_delivered: int = 0
    flapping_letters: int = 0
    #: Events with no end, or with two.
    flapping_wrong: int = 0
    balanced: bool = False


class Flapping(worlds.Target):
    """Half of the attempts fail, one in ten hangs, one in twenty breaks after the body."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random
        self.delivered: list[str] = []

    async def send(self, batch: list[delivery.Message], deadline_us: int) -> list[delivery.Outcome]:
        (message,) = batch
        self.seen.append((asyncio.get_running_loop().time(), message))
        chance = self._random.random()
        if chance < 0.10:
            await virtual_time.passes(HANG_S)
            return [delivery.failed("down", 0, "no answer in time")]
        if chance < 0.15:  # it has the event, and we do not know
            return [delivery.failed("down", 0, "connection reset")]
        if chance < 0.65:
            return [worlds.DOWN]
        self.delivered.append(message.event_id)
        return [worlds.OK]


async def dead(figures: Figures) -> None:
    """One event to a dead target under each policy."""
    started, began = time.monotonic(), asyncio.get_running_loop().time()
    async with worlds.world() as it:
        for policy in (retry.DECAY, retry.BACKOFF):
            it.targets[policy.name] = worlds.Target(worlds.DOWN)
            await it.rule(policy.name.lower(), policy.name, retry=policy.name)
        await it.publish("e1")
        await virtual_time.passes(DAY_S)
        decay, backoff = (it.targets[p.name].waits() for p in (retry.DECAY, retry.BACKOFF))
        figures.decay_retries, figures.backoff_retries = len(decay), len(backoff)
        documented = [min(512.0, 2.0**n) for n in range(len(decay))]
        figures.off_schedule = sum(
            abs(wait - due) > PART_MAX * due for wait, due in zip(decay, documented, strict=True)
        ) + sum(not 10.0 <= wait <= 20.0 for wait in backoff)
        letters = await it.engine.dead_letters.list(worlds.ACCOUNT)
        figures.letters = len(letters)
        figures.letters_without_reason = sum(not letter.error for letter in letters)
    figures.simulated_h = round((asyncio.get_running_loop().time() - began) / 3_600, 1)
    figures.dead_wall_s = round(time.monotonic() - started, 2)


async def flap(figures: Figures, events: int, seed: int) -> None:
    """Many events to a target that flaps; every one has an end, and one only."""
    async with worlds.world() as it:
        target = it.targets["flapping"] = Flapping(Random(seed))
        await it.rule("flapping", "flapping")
        for number in range(events):
            await it.publish(f"e-{number}")
        await virtual_time.passes(DAY_S)
        letters = await it.engine.dead_letters.list(worlds.ACCOUNT, limit=deadletters.LIST_MAX)
        figures.flapping_events = events
        figures.flapping_attempts = len(target.seen)
        figures.flapping_delivered = len(target.delivered)
        figures.flapping_letters = it.engine.dead_letters.count(worlds.ACCOUNT)
        ended = Counter([*target.delivered, *(letter.event_id for letter in letters)])
        figures.flapping_wrong = sum(ended[f"e-{number}"] != 1 for number in range(events))
        figures.balanced = it.balanced


def passed(figures: Figures) -> bool:
    return (
        (figures.decay_retries, figures.backoff_retries) == (176, 3)
        and figures.off_schedule == 0
        and (figures.letters, figures.letters_without_reason) == (2, 0)
        and figures.dead_wall_s <= WALL_S_MAX
        and figures.flapping_delivered + figures.flapping_letters == figures.flapping_events
        and 0 < figures.flapping_letters <= deadletters.LIST_MAX
        and figures.flapping_wrong == 0
        and figures.balanced
    )


def main(seed: int = 1) -> int:
    """Print the figures as one line; 0 when they are good."""
    events = FLAPPING_FULL if "--full" in sys.argv else FLAPPING
    figures = Figures()
    with asyncio.Runner(loop_factory=virtual_time.VirtualLoop) as runner:
        runner.run(dead(figures))
        runner.run(flap(figures, events, seed))
    good = passed(figures)
    print(json.dumps({"bar": "deadtarget", "figures": msgspec.to_builtins(figures), "pass": good}))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
