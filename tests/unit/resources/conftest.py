"""One empty catalog per test."""

from __future__ import annotations

import pytest

from tests.unit.resources import world as worlds


@pytest.fixture
async def world() -> worlds.World:
    return await worlds.World().opened()


@pytest.fixture
async def wired(world: worlds.World) -> worlds.World:
    """A function `f`, a queue `d`, and a trigger `t` with the shortest config."""
    await world.with_function("f", "g")
    await world.catalog.create_queue(worlds.ACCOUNT, "d")
    await world.trigger()
    return world
