"""Virtual time: an event loop whose clock jumps to the next timer when nothing else is to do.

Owns the passing of time in tests and in the simulation: a day takes milliseconds. It has no
selector, so sockets and threads do not exist on it, and the same work in the same order gives the
same run. Must never read a real clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent import futures
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

#: Turns of the loop without a moment of time passing, beyond which something spins.
SPINNING_TURNS = 1_000_000
#: Loop time at which a new loop begins, seconds.
START_S = 1_000.0


class Stuck(RuntimeError):
    """Nothing is scheduled any more and somebody still waits, or the loop spins."""


class _Timers:
    """Stands where a loop keeps its selector. Never waits: where the loop would, time moves."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s
        self.turns = 0

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Stuck("nothing is scheduled any more and somebody still waits")
        if timeout > 0:
            self.now_s += timeout
            self.turns = 0
            return []
        self.turns += 1
        if self.turns > SPINNING_TURNS:
            raise Stuck(f"{SPINNING_TURNS} turns of the loop without a moment of time passing")
        return []

    def close(self) -> None:
        """Nothing is held."""


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop with simulated time. One that follows another goes on where that one stood."""

    def __init__(self, start_s: float = START_S) -> None:
        super().__init__()
        self._virtual = _Timers(start_s)
        # The base class asks these two of every loop that is built on it.
        self._selector = self._virtual
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._virtual.now_s

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end; whatever else is due meanwhile runs too."""
        return self.run_until_complete(work)

    def run_for(self, seconds: float) -> None:
        """Let `seconds` pass."""
        end = self.call_at(self._virtual.now_s + seconds, self.stop)
        try:
            self.run_forever()
        finally:
            end.cancel()

    def run_in_executor(
        self, executor: futures.Executor | None, func: object, *args: object
    ) -> NoReturn:
        raise RuntimeError(f"there are no threads on virtual time, {func!r} wanted one")

    def _process_events(self, event_list: list[Any]) -> None:
        """There is nothing outside that could have happened."""

    def _write_to_self(self) -> None:
        """Nobody is waiting in a selector."""


async def passes(seconds: float) -> None:
    """Let simulated time pass: no test waits for it."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop), "time passes only where it is simulated"
    await asyncio.sleep(seconds)


class VirtualClock:
    """`core.clock.Clock` on a loop's time; the wall can be moved, the monotonic reading cannot.

    loop: whose time it is; None: that of the running loop.
    """

    WALL_START_MS = 1_700_000_000_000

    def __init__(self, loop: VirtualLoop | None = None) -> None:
        self.loop = loop
        #: How far the wall was moved so far.
        self.moved_ms = 0

    def wall_ms(self) -> int:
        return self.WALL_START_MS + self.moved_ms + int(self._now_s() * 1000)

    def mono_us(self) -> int:
        return int(self._now_s() * 1_000_000)

    def step(self, by_ms: int) -> None:
        """Move the wall, as an operator or NTP would; negative: back."""
        self.moved_ms += by_ms

    def _now_s(self) -> float:
        loop = self.loop if self.loop is not None else asyncio.get_running_loop()
        return loop.time()
