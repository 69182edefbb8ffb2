"""When a worker that died is started again. Pure: time comes in as seconds it lived."""

from __future__ import annotations

from typing import Final

#: Longest and shortest pause before a start, seconds.
PAUSE_S_MAX: Final = 30.0
PAUSE_S_MIN: Final = 0.1
#: A worker that lived so long had started well: its end is no part of a row of failures.
STEADY_S: Final = 60.0


class Pauses:
    """The pause before each start, doubling while workers die young."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def after(self, lived_s: float) -> float:
        """Return the seconds to wait once a worker that lived `lived_s` has died.

        The first death of a row is answered at once: clients are waiting.
        """
        if lived_s >= STEADY_S:
            self._next_s = 0.0
        pause_s = self._next_s
        self._next_s = min(max(pause_s * 2, PAUSE_S_MIN), PAUSE_S_MAX)
        return pause_s
