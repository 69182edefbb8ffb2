"""A loop whose clock jumps to the next timer when nothing else is to do: a day in milliseconds.

Only what runs on the loop is simulated; a test on it must not use threads or sockets.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class _Selector(selectors.BaseSelector):
    """Never waits: where the loop would sleep, the clock moves."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self.now_s = 1_000.0
        #: A loop that waits for ever has nothing left to happen: the test is stuck.
        self.stuck = False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("nothing is scheduled any more and somebody still waits")
        self.now_s += timeout
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def get_map(self) -> Any:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class VirtualLoop(asyncio.SelectorEventLoop):
    """Drop-in loop with simulated time."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._virtual.now_s


async def passes(seconds: float) -> None:
    """Let simulated time pass: no test waits for it."""
    assert isinstance(asyncio.get_running_loop(), VirtualLoop), (
        "time passes only where it is simulated"
    )
    await asyncio.sleep(seconds)


class VirtualClock:
    """`core.clock.Clock` on the running loop's time."""

    WALL_START_MS = 1_700_000_000_000

    def wall_ms(self) -> int:
        return self.WALL_START_MS + int(asyncio.get_running_loop().time() * 1000)

    def mono_us(self) -> int:
        return int(asyncio.get_running_loop().time() * 1_000_000)
