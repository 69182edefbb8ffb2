"""Logs and records of invocations: kept in as few lines as they need, read as if each had both."""

from __future__ import annotations

import msgspec
import pytest

from headrace.functions import history
from headrace.store import memory, ports

pytestmark = pytest.mark.anyio

STREAM = "1/function/f"


def start_and_end(request_id: str) -> bytes:
    text = f"FC Invoke Start RequestId: {request_id}\nFC Invoke End RequestId: {request_id}\n"
    return text.encode()


async def filled() -> tuple[history.History, memory.MemoryRecords]:
    """r0 and r2 wrote nothing, r1 and r3 did."""
    records = memory.MemoryRecords()
    kept = history.History(records)
    for number in range(4):
        log = b"said %d\n" % number if number % 2 else None
        kept.note(1000 + number, STREAM, f"r{number}", log, msgspec.json.encode({"n": number}))
    return kept, records


async def test_an_invocation_that_wrote_nothing_is_kept_in_one_line() -> None:
    _, records = await filled()
    kinds = [line.kind for line in await records.read(ports.LineQuery(STREAM))]
    assert kinds == ["quiet", "log", "invocation", "quiet", "log", "invocation"]


async def test_every_invocation_is_read_as_a_log_and_a_record() -> None:
    kept, _ = await filled()
    lines = await kept.read(STREAM)
    assert [(line.request_id, line.kind) for line in lines] == [
        (f"r{number}", kind) for number in range(4) for kind in ("log", "invocation")
    ]
    assert lines[0] == ports.LogLine(1000, STREAM, "r0", "log", start_and_end("r0"))
    assert lines[1] == ports.LogLine(1000, STREAM, "r0", "invocation", b'{"n":0}')
    assert lines[2].body == b"said 1\n"


@pytest.mark.parametrize("kind", ["log", "invocation"])
@pytest.mark.parametrize("limit", [1, 2, 3, 4, 9])
async def test_the_newest_lines_of_one_kind_are_those_asked_for(kind: str, limit: int) -> None:
    kept, _ = await filled()
    lines = await kept.read(STREAM, kind=kind, limit=limit)
    assert [line.request_id for line in lines] == ["r0", "r1", "r2", "r3"][-limit:]
    assert {line.kind for line in lines} == {kind}


async def test_a_limit_counts_lines_as_they_are_read() -> None:
    kept, _ = await filled()
    lines = await kept.read(STREAM, limit=5)
    assert [(line.request_id, line.kind) for line in lines] == [
        ("r1", "invocation"), ("r2", "log"), ("r2", "invocation"), ("r3", "log"),
        ("r3", "invocation"),
    ]  # fmt: skip


async def test_request_and_time_choose_among_quiet_ones_too() -> None:
    kept, _ = await filled()
    by_request = await kept.read(STREAM, request_id="r2", kind="log")
    assert [line.body for line in by_request] == [start_and_end("r2")]
    by_time = await kept.read(STREAM, start_ms=1002, stop_ms=1003)
    assert [(line.request_id, line.kind) for line in by_time] == [
        ("r2", "log"), ("r2", "invocation"),
    ]  # fmt: skip
