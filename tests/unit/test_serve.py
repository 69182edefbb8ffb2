"""The process around the server: what it may touch before the data directory is its own."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from headrace import serve, settings
from headrace.core import errors
from headrace.store import sqlite


def test_a_server_that_is_refused_leaves_the_ready_file_of_the_other(tmp_path: Path) -> None:
    held = sqlite.Directory.open(tmp_path)
    try:
        ready = tmp_path / "ready.json"
        ready.write_text("{}")
        config = settings.Settings(port=0, data=tmp_path)
        with pytest.raises(errors.Unavailable):
            serve.run(config, environ={}, announce=lambda _: None)
        assert ready.exists()
    finally:
        held.close()


def test_the_soft_limit_of_descriptors_is_raised_to_the_hard_one() -> None:
    was = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, was[1]))
        assert serve.take_descriptors() == was[1]
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (was[1], was[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, was)
