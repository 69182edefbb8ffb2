"""The bounds of the server: listed with all others, each name once."""

from __future__ import annotations

from headrace.api import bounds
from headrace.core import limits


def test_bounds_are_listed_behind_the_limits() -> None:
    listed = [bound.name for bound in bounds.listed()]
    assert listed[: len(limits.listed())] == [bound.name for bound in limits.listed()]
    assert {"header_bytes_max", "body_seconds_max", "head_seconds_max"} <= set(listed)
    assert len(listed) == len(set(listed))
