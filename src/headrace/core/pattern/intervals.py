"""A static interval tree: which of many numeric ranges hold a number.

Owns that one question, in O(log n + answers) time and O(n) memory however the ranges overlap.
Bounds are taken as closed; whoever asks verifies open ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Generic, TypeVar

Held = TypeVar("Held")


class Intervals(Generic[Held]):
    """Ranges with something held by each. Immutable."""

    __slots__ = ("_above", "_below", "_by_high", "_by_low", "_center")

    def __init__(self, ranges: Sequence[tuple[float, float, Held]]) -> None:
        """Build from (low, high, held); ranges with low > high hold no number and are left out."""
        kept = [(low, high, held) for low, high, held in ranges if low <= high]
        self._center = _center(kept)
        across = [r for r in kept if r[0] <= self._center <= r[1]]
        below = [r for r in kept if r[1] < self._center]
        above = [r for r in kept if r[0] > self._center]
        self._by_low = sorted(((low, held) for low, _, held in across), key=lambda r: r[0])
        self._by_high = sorted(((high, held) for _, high, held in across), key=lambda r: -r[0])
        self._below = Intervals(below) if below else None
        self._above = Intervals(above) if above else None

    def at(self, number: float, found: list[Held]) -> None:
        """Append what every range around `number` holds to `found`."""
        node: Intervals[Held] | None = self
        while node is not None:
            if number <= node._center:
                for low, held in node._by_low:
                    if low > number:
                        break
                    found.append(held)
                node = node._below
            else:
                for high, held in node._by_high:
                    if high < number:
                        break
                    found.append(held)
                node = node._above


def _center(ranges: Sequence[tuple[float, float, object]]) -> float:
    """A bound of one of the ranges, so that every node keeps at least one and building ends."""
    bounds = sorted(b for low, high, _ in ranges for b in (low, high) if math.isfinite(b))
    if bounds:
        return bounds[len(bounds) // 2]
    return ranges[0][1] if ranges else 0.0
