"""What happened in one run, in order, and the first thing that must not have happened.

Owns the digest by which two runs are compared. Must never influence the run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

#: Lines shown before a break.
SHOWN = 60


class Line(NamedTuple):
    at_s: float
    what: str
    words: tuple[object, ...]

    def __str__(self) -> str:
        day_s = self.at_s - 1000
        hours, rest = divmod(day_s, 3600)
        clock = f"{int(hours):02d}:{int(rest // 60):02d}:{rest % 60:06.3f}"
        return f"  {clock}  {self.what:<11} {' '.join(map(str, self.words))}"


class Broken(Exception):
    """An invariant does not hold."""


class History:
    """Lines in the order of the run."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self.lines: list[Line] = []
        #: Invariant and story of the first break.
        self.broken: tuple[str, str] | None = None

    def note(self, what: str, *words: object) -> None:
        self.lines.append(Line(self._now_s(), what, words))

    def check(self, holds: bool, invariant: str, *words: object) -> None:
        """Keep the first break; the run goes on to its next stop, since the product may catch what
        is raised inside a callback."""
        if not holds and self.broken is None:
            self.broken = (invariant, " ".join(map(str, words)))
            self.note("BREAK", invariant, *words)

    def digest(self) -> str:
        told = hashlib.sha256()
        for line in self.lines:
            told.update(repr(line).encode())
        return told.hexdigest()

    def story(self, last: int | None = SHOWN) -> str:
        """The lines that led to the break, or the last ones."""
        end = len(self.lines)
        if self.broken is not None:
            end = next(at for at, line in enumerate(self.lines) if line.what == "BREAK") + 1
        start = 0 if last is None else max(0, end - last)
        return "\n".join(map(str, self.lines[start:end]))
