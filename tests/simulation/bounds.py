"""Small bounds: a day of a few hundred events must fill windows and frames as a bad week would.

Owns the patching of the product's constants for one run; everything is put back after it.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from types import ModuleType

from headrace.bus import commit, deliver, lane, retention, routing

#: Module, constant, values a run may draw; the first is the product's own.
_BOUNDS: tuple[tuple[ModuleType, str, tuple[int, ...]], ...] = (
    (commit, "FRAME_EVENTS_MAX", (commit.FRAME_EVENTS_MAX, 1, 4)),
    (commit, "FRAME_FACTS_MAX", (commit.FRAME_FACTS_MAX, 1, 6)),
    (commit, "FRAME_BYTES_MAX", (commit.FRAME_BYTES_MAX, 8_192)),
    (commit, "WAITING_EVENTS_MAX", (commit.WAITING_EVENTS_MAX, 12)),
    (lane, "WINDOW_RECORDS_MAX", (lane.WINDOW_RECORDS_MAX, 2, 6)),
    (lane, "LOAD_RECORDS_MAX", (lane.LOAD_RECORDS_MAX, 1, 3)),
    (deliver, "DROP_CHUNK", (deliver.DROP_CHUNK, 2)),
    (retention, "CARRY_CHUNK", (retention.CARRY_CHUNK, 3)),
    (routing, "MATCH_SETS_MAX", (routing.MATCH_SETS_MAX, 2)),
    (routing, "SNAPSHOT_MARKS_MAX", (routing.SNAPSHOT_MARKS_MAX, 4)),
)


@contextlib.contextmanager
def small(seed: int) -> Iterator[None]:
    """Draw bounds for one run."""
    chance = random.Random(f"bounds {seed}")
    own = [(module, name, getattr(module, name)) for module, name, _ in _BOUNDS]
    try:
        for module, name, values in _BOUNDS:
            setattr(module, name, chance.choice(values))
        yield
    finally:
        for module, name, value in own:
            setattr(module, name, value)
