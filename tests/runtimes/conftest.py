"""A stage behind the real sandbox, and a check that nothing outlives a test."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headrace.core import errors
from headrace.functions import sandbox
from tests.runtimes import stage as stages


@pytest.fixture(scope="session")
def walls() -> sandbox.Sandbox:
    """The sandbox of this machine; without one these tests prove nothing, so CI must have it."""
    try:
        return sandbox.choose()
    except errors.Unavailable as error:
        if os.environ.get("CI") == "true":
            pytest.fail(error.message, pytrace=False)
        pytest.skip(error.message)


@pytest.fixture
async def stage(tmp_path: Path, walls: sandbox.Sandbox) -> AsyncIterator[stages.Stage]:
    async with stages.open_stage(tmp_path, walls) as opened:
        yield opened
    assert not opened.processes(), "a process outlived its server"
