"""One empty catalog per test."""

from __future__ import annotations

import pytest

from tests.unit.resources import world as worlds


@pytest.fixture
async def world() -> worlds.World:
    return await worlds.World().opened()
