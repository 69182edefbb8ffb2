"""The simulation finds bugs: three are planted beside the product's code, one at a time.

None is in the product: each stands in a subclass of this file.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from headrace.bus import engine as engines
from headrace.store import ports
from headrace.testing import disk as disks
from tests.simulation import run

SEEDS = 50


class DroppedSettlement(engines.Engine):
    """One settlement in a hundred never reaches the journal."""

    def _wire(self, newest_ms: int) -> None:
        super()._wire(newest_ms)
        real, count = self.committer.settle, [0]

        def settle(settlement: ports.Settlement) -> None:
            count[0] += 1
            if count[0] % 100:
                real(settlement)

        self.committer.settle = settle  # type: ignore[method-assign]


class EarlyAcknowledgement(disks.SimulatedJournal):
    """A frame is answered while it is still on its way to the disk."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._promised = self._log.last
        self._turn = asyncio.Lock()

    async def append(self, frame: ports.Frame) -> ports.Position:
        self._check_room(frame, 0)
        self._promised = ports.Position(self._promised + 1 + len(frame.events))
        before_s, _ = self._disk.write_s()
        asyncio.get_running_loop().create_task(self._write_later(frame, before_s))
        return self._promised

    async def _write_later(self, frame: ports.Frame, before_s: float) -> None:
        async with self._turn:
            await asyncio.sleep(before_s)
            await self.write(frame)


class DoubleApply(engines.Engine):
    """The ledger takes one frame in fifty twice."""

    def _wire(self, newest_ms: int) -> None:
        super()._wire(newest_ms)
        real, count = self.ledger.apply, [0]

        def apply(frame: ports.Frame, last: ports.Position) -> None:
            before = self.ledger.last
            real(frame, last)
            count[0] += 1
            if not count[0] % 50:
                self.ledger.last = before
                real(frame, last)

        self.ledger.apply = apply  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("planted", "invariants"),
    [
        (
            {"engine": DroppedSettlement},
            {"what a target took is settled", "attempts count up by one"},
        ),
        (
            {"journal": EarlyAcknowledgement},
            {"what is acknowledged is durable", "only what is durable is delivered"},
        ),
        (
            {"engine": DoubleApply},
            {"the books balance", "the ledger counts what was written"},
        ),
    ],
    ids=["a dropped settlement", "an early acknowledgement", "a double apply"],
)
def test_a_planted_bug_is_found_within_50_seeds(
    planted: dict[str, Any], invariants: set[str]
) -> None:
    for seed in range(SEEDS):
        result = run.seed(seed, **planted)
        if result.broken:
            assert result.invariant in invariants, (result.invariant, result.words)
            assert "BREAK" in result.story
            assert run.seed(seed, **planted).digest == result.digest
            return
    pytest.fail(f"{SEEDS} seeds saw nothing")
