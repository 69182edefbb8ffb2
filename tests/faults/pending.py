"""R13: a restart with a million undelivered events of 1 KiB.

The backlog is written through the product's own journal and ledger, while no server runs; then a
server starts on it. It must answer within the bound, deliver soon, and hold the backlog on disk.

usage: ./dev faults pending [--ci]
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import threading
import time
from pathlib import Path

import msgspec

from bench.rig import product
from headrace import outside
from headrace.bus import ledger as ledgers
from headrace.core import event
from headrace.resources import model
from headrace.store import ports, sqlite
from tests.faults import scaffold

EVENTS, EVENTS_CI = 1_000_000, 100_000
FRAME_EVENTS = 2_048
BODY_BYTES = 1_024
READY_S_MAX, FIRST_S_MAX, RSS_MB_MAX = 3.0, 5.0, 500.0
#: How long the drain is watched for its memory.
WATCH_S = 8.0


class Figures(msgspec.Struct):
    pending: int = 0
    written_s: float = 0.0
    ready_s: float = 0.0
    first_delivery_s: float = 0.0
    rss_mb_ready: float = 0.0
    rss_mb_draining: float = 0.0
    delivered: int = 0
    drain_per_s: float = 0.0


def prepare(home: Path, port: int) -> None:
    """A server with one rule to the receiver, stopped again."""
    process = product.start(home / "data", home / "ready.json")
    server = product.read(home / "ready.json")
    target = {"Id": "t", "Type": "http", "Endpoint": f"http://127.0.0.1:{port}/"}
    server.eventbridge(
        "CreateRule",
        EventBusName="default",
        RuleName="push",
        FilterPattern='{"source":["faults"]}',
        EventTargets=[target],
    )
    process.terminate()
    process.wait(30)


async def fill(data: Path, events: int) -> int:
    """Append `events` open deliveries of the rule; return how many the ledger holds open."""
    directory = sqlite.Directory.open(data)
    registry = sqlite.SqliteRegistry(directory, outside.SystemClock())
    await registry.open()
    key = next(item for item in registry.list("").items if "/rule/default/push" in item.key)
    rule = msgspec.json.decode(key.value, type=model.Rule)
    account = key.key.split("/")[0]
    bus = await registry.intern(f"{account}/bus/default")
    writer = outside.writer_executor("fill")
    ledger = ledgers.Ledger()
    journal = sqlite.SqliteJournal(
        directory, 0, writer=writer, snapshot=lambda: (ledger.last, ledger.dump())
    )
    await journal.open()
    matches = tuple(sorted((-rule.number, rule.targets[0].subscription)))
    for start in range(0, events, FRAME_EVENTS):
        numbers = range(start, min(events, start + FRAME_EVENTS))
        frame = ports.Frame(
            int(time.time() * 1000), tuple(_record(bus, matches, number) for number in numbers)
        )
        ledger.apply(frame, await journal.append(frame))
    await journal.save(ledger.last, ledger.dump())
    await journal.close()
    await registry.close()
    writer.shutdown()
    directory.close()
    return ledger.pending()


def _record(bus: int, matches: tuple[int, ...], number: int) -> ports.Record:
    body = b'{"id":"e-%d","source":"faults","specversion":"1.0","type":"t","data":"%b"}' % (
        number,
        b"x" * (BODY_BYTES - 70),
    )
    now = int(time.time() * 1000)
    return ports.Record(bus, now, 0, event.key_of("", f"e-{number}"), 1, matches, body)


def rss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"no memory figure of process {pid}")


def lives(home: Path, notes: Path, figures: Figures) -> None:
    """Start on the backlog; measure readiness, the first delivery and the memory of the drain."""
    (home / "ready.json").unlink(missing_ok=True)
    started = time.monotonic()
    process = product.start(home / "data", home / "ready.json")
    figures.ready_s = time.monotonic() - started
    pid = product.read(home / "ready.json").pid
    figures.rss_mb_ready = rss_mb(pid)
    while not notes.stat().st_size and time.monotonic() - started < 60:
        threading.Event().wait(0.01)
    figures.first_delivery_s = time.monotonic() - started
    watched = time.monotonic()
    while time.monotonic() - watched < WATCH_S:
        figures.rss_mb_draining = max(figures.rss_mb_draining, rss_mb(pid))
        threading.Event().wait(0.1)
    figures.delivered = notes.read_bytes().count(b"\n")
    figures.drain_per_s = figures.delivered / (time.monotonic() - started)
    process.kill()
    process.wait()


def passed(figures: Figures) -> bool:
    memory = max(figures.rss_mb_ready, figures.rss_mb_draining)
    return (
        figures.ready_s <= READY_S_MAX
        and figures.first_delivery_s <= FIRST_S_MAX
        and memory <= RSS_MB_MAX
        and figures.delivered > 0
    )


def main(events: int | None = None) -> int:
    events = events or (EVENTS if "--ci" not in sys.argv else EVENTS_CI)
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="headrace-pending-") as place:
        home, notes = Path(place), Path(place) / "delivered"
        notes.touch()
        with scaffold.receiver(notes) as port:
            prepare(home, port)
            begun = time.monotonic()
            figures.pending = asyncio.run(fill(home / "data", events))
            figures.written_s = time.monotonic() - begun
            lives(home, notes, figures)
    good = passed(figures) and figures.pending == events
    print(json.dumps({"bar": "pending", "figures": msgspec.to_builtins(figures), "pass": good}))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
