"""The pytest plug-in: what an installed Headrace offers to every test suite on the machine.

Owns the fixture `bus`. Imports nothing of the product until a test asks for it: other people's
suites load this module, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from headrace.testing import bus as buses


@pytest.fixture
def bus() -> Iterator[buses.Bus]:
    """Return an empty bus in memory on virtual time; a fixture of this name of yours goes first."""
    from headrace.testing import bus as buses

    with buses.Bus() as made:
        yield made
