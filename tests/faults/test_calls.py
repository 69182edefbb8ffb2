"""The judge of failing calls finds what is wrong: each rule is broken once, on purpose."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.calls import judging, tracing

WRITER = 7
WAL = "/data/shard-0000/000000000000.seg-wal"


def told(text: str) -> tracing.Seen:
    return tracing.Seen(1, 0.0, "told", text=text)


def sync(*, ok: bool = True, call: str = "fdatasync", path: str = WAL) -> tracing.Seen:
    return tracing.Seen(WRITER, 0.0, "sync", ok=ok, call=call, path=path)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ([told("s 0 a"), sync(), told("a 0")], []),
        ([told("s 0 a"), told("a 0")], ["without a sync"]),
        ([told("s 0 a"), sync(ok=False), told("a 0")], ["after a failed sync"]),
        ([told("s 0 a"), sync(ok=False), told("r 0 x")], []),
        ([sync(ok=False), told("s 0 a"), sync(), told("a 0")], ["after a failed sync"]),
        ([told("s 0 a"), sync(path="/data/registry.db-wal"), told("a 0")], ["without a sync"]),
        ([sync(ok=False, path="/data/shard-0000"), told("s 0 a"), sync(), told("a 0")], []),
        (
            [sync(ok=False, call="fsync", path="/data/shard-0000"), told("s 0 a"), sync(),
             told("a 0")],
            ["after a failed sync"],
        ),
    ],
)  # fmt: skip
def test_an_acknowledgement_needs_a_sync_of_its_own(
    seen: list[tracing.Seen], words: list[str]
) -> None:
    found = list(judging.order(seen, WRITER))
    assert len(found) == len(words)
    assert all(word in sentence for word, sentence in zip(words, found, strict=True))


def test_a_process_that_goes_on_after_a_failed_sync_is_found() -> None:
    seen = [told("ready"), sync(ok=False), told("end")]
    books = judging.Ledger(writer=WRITER)
    fault = tracing.Fault("fdatasync", "error=EIO", 1)
    assert list(judging.endings(seen, books, fault, 0))
    assert not list(judging.endings(seen, books, fault, 70))


def test_a_process_that_stops_for_want_of_room_is_found() -> None:
    struck = tracing.Seen(WRITER, 0.0, "failed", ok=False, call="pwrite64", path=WAL)
    seen = [told("ready"), struck, told("end")]
    fault = tracing.Fault("pwrite64", "error=ENOSPC", 1)
    assert list(judging.endings(seen, judging.Ledger(), fault, 70))
    assert list(judging.endings(seen, judging.Ledger(refused={1, 2}), fault, 0))
    assert not list(judging.endings(seen, judging.Ledger(refused={1}), fault, 0))


def test_the_log_of_the_tracer_is_read_in_the_order_in_which_calls_were_over(
    tmp_path: Path,
) -> None:
    log = tmp_path / "strace.log"
    log.write_text(
        f"7 1.0 fdatasync(5<{WAL}> <unfinished ...>\n"
        '1 1.1 sendto(8<socket:[1]>, "s 0 a\\n", 6, 0, NULL, 0) = 6\n'
        "7 1.2 <... fdatasync resumed>)       = -1 EIO (Input/output error) (INJECTED)\n"
        f'7 1.3 pwrite64(5<{WAL}>, "x"..., 24, 32) = 24\n'
        f"7 1.4 fdatasync(5<{WAL}>) = 0\n"
    )
    seen = tracing.read(log)
    assert [(event.kind, event.ok) for event in seen] == [
        ("told", True), ("failed", False), ("sync", False), ("sync", True),
    ]  # fmt: skip
    assert {event.path for event in seen if event.kind == "sync"} == {WAL}
