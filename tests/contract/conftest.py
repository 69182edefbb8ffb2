"""The one parametrised fixture: every contract test runs on every engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract import engines


@pytest.fixture(params=["memory", "sqlite"])
def kit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[engines.Kit]:
    """Return one engine with a fresh disk."""
    made: engines.Kit
    made = engines.MemoryKit() if request.param == "memory" else engines.SqliteKit(tmp_path / "d")
    yield made
    made.close()
