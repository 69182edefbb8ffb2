"""The producer's books: a count that is short of them shows a failure that never was."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from tests.faults import producer


def test_an_acknowledgement_on_its_way_to_the_disk_at_the_end_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = producer.Ledger(tmp_path / "ledger")
    syncing, ended = threading.Event(), threading.Event()

    def sync(file: int) -> None:
        syncing.set()
        assert ended.wait(10)

    async def scenario() -> None:
        writing = asyncio.create_task(ledger.run())
        ledger.ack("one")
        await asyncio.to_thread(syncing.wait, 10)
        writing.cancel()
        await asyncio.wait([writing])
        ended.set()

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", sync)
        asyncio.run(scenario())
    ledger.ack("two")
    ledger.close()
    assert ledger.acked == 2
    assert (tmp_path / "ledger").read_text() == "a one\na two\n"
