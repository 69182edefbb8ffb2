"""Targets that answer at once and targets that take their time; a process of its own.

A line of the notes: event id, number of the target, microseconds since the event was sent (on
arrival). The slow targets are the last ones; told to, they answer at once from then on.

stdin: {"release": true}
usage: paced.py NOTES FAST SLOW SLOW_S; prints its ports as one JSON array
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import BinaryIO, cast


class Targets:
    """All targets of one run."""

    def __init__(self, notes: BinaryIO, fast: int, slow_s: float) -> None:
        self._notes = notes
        self._fast = fast
        self._slow_s = slow_s
        self.released = asyncio.Event()

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                event = json.loads(await reader.readexactly(length))
                took_us = time.monotonic_ns() // 1_000 - event["data"]["sent_us"]
                if number >= self._fast:
                    await self._pause()
                self._notes.write(f"{event['id']} {number} {took_us}\n".encode())
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._slow_s):
                await self.released.wait()
        except TimeoutError:
            return


async def main(notes: BinaryIO, fast: int, slow: int, slow_s: float) -> None:
    targets = Targets(notes, fast, slow_s)
    servers = [
        await asyncio.start_server(
            lambda reader, writer, number=number: targets.serve(reader, writer, number),
            "127.0.0.1", 0, limit=1 << 20,
        )
        for number in range(fast + slow)
    ]  # fmt: skip
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    orders = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    async for line in orders:
        if json.loads(line).get("release"):
            targets.released.set()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with Path(sys.argv[1]).open("ab", buffering=0) as opened:
        fast, slow, slow_s = int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
        asyncio.run(main(cast("BinaryIO", opened), fast, slow, slow_s))
