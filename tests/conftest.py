"""What every suite shares: asyncio as the one backend, a clean environment, the SDKs' interpreters.

Must never hold fixtures of one area; those live beside their tests.
"""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

SDK_VARIABLES = ("HEADRACE_SDK_PYTHON", "HEADRACE_SDK_DATA_PYTHON")

# A shell that points at somebody's server, or at an account of the cloud, must not reach the tests.
for _name in list(os.environ):
    if _name.startswith(("HEADRACE_", "ALIBABA_CLOUD_")) and _name not in SDK_VARIABLES:
        del os.environ[_name]

# No deadline per example: a busy machine is not a failure. A failing one is printed for replay.
hypothesis.settings.register_profile("headrace", deadline=None, print_blob=True)
hypothesis.settings.load_profile("headrace")


@pytest.fixture
def anyio_backend() -> str:
    """Run `@pytest.mark.anyio` tests on asyncio only: the product knows no other loop."""
    return "asyncio"


@pytest.fixture(scope="session")
def sdk_python() -> Path:
    """Return the interpreter that has the official control-plane SDKs."""
    return _interpreter("HEADRACE_SDK_PYTHON")


@pytest.fixture(scope="session")
def sdk_data_python() -> Path:
    """Return the interpreter that has the official data-plane SDK."""
    return _interpreter("HEADRACE_SDK_DATA_PYTHON")


def _interpreter(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.fail(f"{variable} is not set: run this suite through ./dev test", pytrace=False)
    return Path(value)
