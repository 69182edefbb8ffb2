"""A server in memory for each test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.api import world as worlds


@pytest.fixture
async def world(anyio_backend: str) -> AsyncIterator[worlds.World]:
    async with worlds.world() as started:
        yield started
