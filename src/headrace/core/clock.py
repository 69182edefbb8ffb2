"""Time and chance as arguments: what `core`, `bus` and `functions/pool` use instead of importing
`time` or `random`.

Real ones live in `headrace/outside.py`, simulated ones in `headrace/testing`.
"""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Two readings of time, never mixed up: the wall for records, the monotonic one for waiting."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970 UTC. May jump."""
        ...

    def mono_us(self) -> int:
        """Microseconds from an arbitrary start. Never goes back."""
        ...


class Random(Protocol):
    """Chance. `random.Random` satisfies it."""

    def random(self) -> float:
        """A float in [0, 1)."""
        ...

    def getrandbits(self, k: int, /) -> int: ...
