"""Waiting for a condition, bounded: the one place of this suite that sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE_SECONDS = 0.02


def wait_for(look: Callable[[], T], what: str, *, seconds: float = 15.0) -> T:
    """Return the first truthy result of `look`; fail after `seconds` with the last one."""
    until = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < until, f"no {what} within {seconds} s; last seen: {seen!r}"
        time.sleep(_PAUSE_SECONDS)
    return seen
