"""A wall clock that is off by CLOCK_OFFSET_MS, for every Python process that finds this file first.

So a data directory of another year is opened at the time it was left. The monotonic clock, which
all waiting goes by, stays as it is. Must never be on the path of a process that a user started.
"""

import os
import time

_offset_ns = int(os.environ.get("CLOCK_OFFSET_MS", "0")) * 1_000_000
_time_ns = time.time_ns


def time_ns() -> int:
    return _time_ns() + _offset_ns


def seconds() -> float:
    return time_ns() / 1e9


time.time_ns = time_ns
time.time = seconds
