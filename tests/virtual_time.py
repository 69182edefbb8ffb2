"""Virtual time for unit tests: what `headrace.testing` has, under the name the tests use."""

from __future__ import annotations

from headrace.testing.virtual import VirtualClock, VirtualLoop, passes

__all__ = ["VirtualClock", "VirtualLoop", "passes"]
