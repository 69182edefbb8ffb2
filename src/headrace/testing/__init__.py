"""Test with the real bus, in memory, on virtual time: `Bus`, and the pytest fixture `bus`.

Owns virtual time, a journal in memory with a disk's faults, and one shard that can crash; the
project's own simulation runs on the same. May import everything below the faces; nothing may import
it. pytest is needed by `plugin` only. The names of `__all__` are for users and stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.testing.answers import Answer
    from headrace.testing.bus import Attempt, Bus, DeadLetter, Delivery

__all__ = ["Answer", "Attempt", "Bus", "DeadLetter", "Delivery"]


def __getattr__(name: str) -> Any:
    """Load the engine with the first name asked for: the plug-in must cost other suites nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from headrace.testing import answers, bus

    return getattr(answers if name == "Answer" else bus, name)
