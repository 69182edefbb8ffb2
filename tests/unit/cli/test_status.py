"""What `headrace status` says of the disk, with a server that answers from a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Canned, Run

MIB = 1 << 20


def status(store: str, **usage: Any) -> dict[str, Any]:
    given = {"segments": 1, "last": 7, "oldest_ms": 0, "bytes_used": 3 * MIB, **usage}
    going = {"deliveries": 0, "invocations": 0}
    return {"version": "1", "account": "7", "store": store, "usage": given, "under_way": going}


@pytest.mark.parametrize(
    ("is_low", "line"),
    [
        (False, "3.0 MiB used, 90.0 MiB free, events are refused below 64.0 MiB"),
        (True, "3.0 MiB used, 90.0 MiB free: LOW, new events are refused below 64.0 MiB"),
    ],
)
def test_status_says_below_which_mark_events_are_refused_and_when_they_are(
    keyed: Path, server: Canned, headrace: Run, is_low: bool, line: str
) -> None:
    answer = status("sqlite", bytes_free=90 * MIB, low_bytes=64 * MIB, is_low=is_low)
    server.answers["GET", "/headrace/v1/status"] = (200, answer)
    found = headrace("status", "--endpoint", server.url)
    assert (found.code, found.err) == (0, "")
    (disk,) = [text for text in found.out.splitlines() if text.startswith("disk")]
    assert disk.split(maxsplit=1)[1] == line


def test_a_server_in_memory_has_no_disk(keyed: Path, server: Canned, headrace: Run) -> None:
    answer = status("memory", bytes_free=0)
    server.answers["GET", "/headrace/v1/status"] = (200, answer)
    found = headrace("status", "--endpoint", server.url)
    assert not any(text.startswith("disk ") for text in found.out.splitlines())
