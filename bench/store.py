"""Store: events of 1 KiB made durable one by one by 1, 32 and 256 producers, ours and the floor in
turn.

    python bench/store.py [--quick] [--directory DIR]

prints one JSON line {"bench": "store", "figures": {...}, "floor": {...}, "samples": [...]}. Each
event matches one subscription; 64 kinds; the committer collects what queued while the last append
ran.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.rig import harness
from headrace.store import ports
from headrace.store.sqlite import Directory, SqliteJournal

PRODUCERS = (1, 32, 256)
ROUNDS = 5
SECONDS = 2.0
QUICK_SECONDS = 0.6
BODY = bytes(range(256)) * 4

Measure = Callable[[int, float, Path], Awaitable[list[float]]]


async def measure(producers: int, seconds: float, folder: Path) -> list[float]:
    """Return the latencies, in seconds, of all events made durable within `seconds`."""
    path = Path(tempfile.mkdtemp(dir=folder))
    directory = Directory.open(path)
    executor = ThreadPoolExecutor(1)
    journal = SqliteJournal(directory, writer=executor)
    await journal.open()
    try:
        return await _drive(journal, producers, seconds)
    finally:
        await journal.close()
        executor.shutdown()
        directory.close()
        shutil.rmtree(path)


async def _drive(journal: SqliteJournal, producers: int, seconds: float) -> list[float]:
    loop = asyncio.get_running_loop()
    waiting: list[tuple[ports.Record, asyncio.Future[None]]] = []
    something = asyncio.Event()
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def commit() -> None:
        while True:
            if not waiting:
                something.clear()
                await something.wait()
            batch = waiting[:]
            waiting.clear()
            now_ms = int(time.time() * 1000)
            await journal.append(ports.Frame(now_ms, tuple([record for record, _ in batch])))
            for _, future in batch:
                future.set_result(None)

    async def produce(number: int) -> None:
        while (begun := time.perf_counter()) < end:
            future: asyncio.Future[None] = loop.create_future()
            now_ms = int(time.time() * 1000)
            key = hash((number, begun))
            record = ports.Record(1, now_ms, number % 64, key, 1, (1,), BODY)
            waiting.append((record, future))
            something.set()
            await future
            latencies.append(time.perf_counter() - begun)

    committer = asyncio.create_task(commit())
    await asyncio.gather(*(produce(number) for number in range(producers)))
    committer.cancel()
    return latencies


def floor() -> Measure:
    """Return the floor's measure; loaded by its path, because it shares nothing with us."""
    path = Path(__file__).parent / "floors" / "store_floor.py"
    spec = importlib.util.spec_from_file_location("store_floor", path)
    assert spec is not None, f"{path} is missing"
    assert spec.loader is not None, f"{path} cannot be loaded"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.measure


async def compare(seconds: float, folder: Path) -> dict[str, object]:
    """Run ours and the floor in turn and return the line."""
    samples: list[dict[str, object]] = []
    sides: dict[str, Measure] = {"ours": measure, "floor": floor()}
    for producers in PRODUCERS:
        for round_number in range(ROUNDS):
            turns = list(sides) if round_number % 2 else list(reversed(sides))
            for side in turns:
                latencies = sorted(await sides[side](producers, seconds, folder))
                samples.append(_sample(side, producers, latencies, seconds))
    return {
        "bench": "store",
        "figures": _medians(samples, "ours") | _ratios(samples),
        "floor": _medians(samples, "floor"),
        "samples": samples,
    }


def _sample(side: str, producers: int, latencies: list[float], seconds: float) -> dict[str, object]:
    return {
        "side": side,
        "producers": producers,
        "events_per_s": round(len(latencies) / seconds),
        "p50_ms": round(latencies[len(latencies) // 2] * 1000, 3),
        "p99_ms": round(latencies[int(len(latencies) * 0.99)] * 1000, 3),
    }


def _chosen(samples: list[dict[str, object]], side: str, producers: int, name: str) -> list[float]:
    return [
        float(str(one[name]))
        for one in samples
        if one["side"] == side and one["producers"] == producers
    ]


def _medians(samples: list[dict[str, object]], side: str) -> dict[str, float]:
    return {
        f"{name}_{producers}": statistics.median(_chosen(samples, side, producers, name))
        for producers in PRODUCERS
        for name in ("events_per_s", "p50_ms", "p99_ms")
    }


def _ratios(samples: list[dict[str, object]]) -> dict[str, float]:
    """Return the median of the ratios of neighbours: both ran within the same seconds."""
    ratios: dict[str, float] = {}
    for producers in PRODUCERS:
        ours = _chosen(samples, "ours", producers, "events_per_s")
        floors = _chosen(samples, "floor", producers, "events_per_s")
        pairs = [mine / theirs for mine, theirs in zip(ours, floors, strict=True)]
        ratios[f"ratio_{producers}"] = round(statistics.median(pairs), 3)
    return ratios


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--save", action="store_true", help="keep the line in bench/results")
    parser.add_argument("--directory", type=Path, help="where to write; a real disk")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="headrace-bench-", dir=chosen.directory))
    try:
        line = asyncio.run(compare(QUICK_SECONDS if chosen.quick else SECONDS, folder))
    finally:
        shutil.rmtree(folder)
    return harness.told(line, save=chosen.save)


if __name__ == "__main__":
    sys.exit(main())
