"""One seed from beginning to end, and what is left of it.

Owns the result of a run; must never print.
"""

from __future__ import annotations

import gc

import msgspec

from headrace.bus import engine as engines
from headrace.testing import disk as disks
from tests.simulation import bounds, world


class Result(msgspec.Struct, frozen=True):
    seed: int
    #: Invariant and story of the first break; empty when there was none.
    invariant: str
    words: str
    #: Of all lines of the history; empty where nobody compares it.
    digest: str
    story: str
    events: int
    deliveries: int
    attempts: int
    crashes: int

    @property
    def broken(self) -> bool:
        return bool(self.invariant)


def seed(
    number: int,
    *,
    engine: type[engines.Engine] = engines.Engine,
    journal: type[disks.SimulatedJournal] = disks.SimulatedJournal,
    whole: bool = False,
    compared: bool = True,
) -> Result:
    """Run one seed.

    whole: keep every line of its history, not only those before a break. compared: work out the
    digest; without it, it is empty.
    """
    # Collection at an arbitrary moment costs time and is not needed within a run.
    gc.disable()
    try:
        with bounds.small(number):
            made = world.World(number, engine=engine, journal=journal)
            try:
                made.live()
            except Exception as fault:
                made.history.check(False, "nothing is raised", repr(fault))
                if made.history.broken is not None and "raised" in made.history.broken[0]:
                    raise
    finally:
        gc.enable()
    broken = made.history.broken
    return Result(
        number, broken[0] if broken else "", broken[1] if broken else "",
        made.history.digest() if compared else "",
        made.history.story(None if whole else 60) if broken or whole else "",
        len(made.chronicle.events), len(made.chronicle.lives), made.watch.attempts, made.crashes,
    )  # fmt: skip
