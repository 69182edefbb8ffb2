"""Producers: what they sent, what they were told, and whether it was the truth.

Owns the record of every publish. Must never read the journal; it is told what became durable.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec

from headrace.bus import accept
from headrace.core import errors, event, limits
from headrace.testing import shard
from tests.simulation import rulebook

if TYPE_CHECKING:
    from tests.simulation import world as worlds


class Sent(msgspec.Struct):
    """One event of one request."""

    event_id: str
    #: What the rules were known to be when the request began.
    generation: int
    #: Largest position that had been acknowledged then.
    after: int
    answer: str = "none"
    position: int = 0


class Clients:
    """All producers of one run."""

    def __init__(self, world: worlds.World, chance: random.Random) -> None:
        self._world = world
        self._chance = chance
        self.sent: dict[str, Sent] = {}
        self.acknowledged = 0
        self._newest = 0
        self._numbers = 0

    async def publish(self, count: int) -> None:
        """Send one request of `count` events; keep what was answered."""
        world = self._world
        entries = [self._event() for _ in range(count)]
        wrong = self._chance.randrange(count) if self._chance.random() < 0.05 else None
        request = [
            errors.EventRefused("no source", code="EventSourceEmpty") if at == wrong else entry
            for at, entry in enumerate(entries)
        ]
        told = [Sent(entry.id, world.answered_generation, self._newest) for entry in entries]
        self.sent.update((one.event_id, one) for one in told)
        try:
            answers = await world.shard.engine.publish(
                shard.ACCOUNT, request, bus="default", addr="127.0.0.1"
            )
        except errors.HeadraceError as refusal:
            # A request of several frames may have been written in part.
            word = "refused" if count == 1 else "unknown"
            for one in told:
                one.answer = word
            world.history.note("refused", type(refusal).__name__, *(one.event_id for one in told))
            return
        for at, (one, answer) in enumerate(zip(told, answers, strict=True)):
            if at == wrong:
                one.answer = "refused"
                world.history.check(
                    isinstance(answer, errors.EventRefused), "a bad entry is refused", answer
                )
                continue
            assert isinstance(answer, accept.Accepted), answer
            self._acknowledged(one, answer.position)

    def _acknowledged(self, one: Sent, position: int) -> None:
        world = self._world
        one.answer, one.position = "acknowledged", position
        self.acknowledged += 1
        check = world.history.check
        durable = world.chronicle.events.get(one.event_id)
        check(durable == position, "what is acknowledged is durable", one, durable)
        check(position > one.after, "what is sent after an answer stands after it", one)
        self._newest = max(self._newest, position)
        world.history.note("acknowledged", one.event_id, position)

    def stored(self, event_id: str, position: int, generation: int) -> None:
        """The journal has it now."""
        one, check = self.sent.get(event_id), self._world.history.check
        check(one is not None, "nothing is stored that nobody sent", event_id)
        if one is not None:
            check(generation >= one.generation, "an answered edit is in force", one, generation)

    def check_refused(self) -> None:
        stored = self._world.chronicle.events
        for one in self.sent.values():
            if one.answer == "refused":
                self._world.history.check(
                    one.event_id not in stored, "what is refused is not stored", one
                )

    def _event(self) -> event.Event:
        self._numbers += 1
        chance = self._chance
        data: dict[str, object] = {"n": chance.randrange(100)}
        if chance.random() < 0.3:
            data["tag"] = chance.choice("xy")
        if chance.random() < 0.1:
            data["text"] = "x" * chance.randrange(3000)
        fields = {
            "id": f"e{self._numbers}",
            "source": chance.choice(rulebook.SOURCES),
            "type": chance.choice(rulebook.TYPES),
            "data": data,
        }
        return event.build(fields, limits.WIDE)
