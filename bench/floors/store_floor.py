"""The floor of the store: a plain group commit through apsw into the smallest table. Imports
nothing of ours.

Producers await durability one event at a time; one thread writes what queued during the last
commit, one transaction, one fsync. What a bus would add (settlements, checksums, segments, fencing)
is not here.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw

BODY = bytes(range(256)) * 4


async def measure(producers: int, seconds: float, folder: Path) -> list[float]:
    """Return the latencies, in seconds, of all events made durable within `seconds`."""
    path = Path(tempfile.mkdtemp(dir=folder))
    connection = apsw.Connection(str(path / "floor.db"))
    connection.execute("PRAGMA page_size=8192")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE event (pos INTEGER PRIMARY KEY, body BLOB NOT NULL)")
    executor = ThreadPoolExecutor(1)
    try:
        return await _drive(connection, executor, producers, seconds)
    finally:
        executor.shutdown()
        connection.close()
        shutil.rmtree(path)


async def _drive(
    connection: apsw.Connection, executor: ThreadPoolExecutor, producers: int, seconds: float
) -> list[float]:
    loop = asyncio.get_running_loop()
    waiting: list[tuple[bytes, asyncio.Future[None]]] = []
    something = asyncio.Event()
    latencies: list[float] = []
    position = 0
    end = time.perf_counter() + seconds

    def write(bodies: list[bytes]) -> None:
        nonlocal position
        rows = [(position + number, body) for number, body in enumerate(bodies)]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO event VALUES (?, ?)", rows)
        connection.execute("COMMIT")
        position += len(bodies)

    async def commit() -> None:
        while True:
            if not waiting:
                something.clear()
                await something.wait()
            batch = waiting[:]
            waiting.clear()
            await loop.run_in_executor(executor, write, [body for body, _ in batch])
            for _, future in batch:
                future.set_result(None)

    async def produce() -> None:
        while (begun := time.perf_counter()) < end:
            future: asyncio.Future[None] = loop.create_future()
            waiting.append((BODY, future))
            something.set()
            await future
            latencies.append(time.perf_counter() - begun)

    committer = asyncio.create_task(commit())
    await asyncio.gather(*(produce() for _ in range(producers)))
    committer.cancel()
    return latencies
