"""An HTTP receiver that refuses each event a few times, and notes when it was asked.

Its clock is the monotonic one, which nobody sets. A line of the notes: event id, attempt, time in
microseconds.
usage: refusing.py NOTES TIMES; prints its port
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import BinaryIO, cast


async def serve(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    notes: BinaryIO,
    asked: Counter[str],
    times: int,
) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            at_us = time.monotonic_ns() // 1_000
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            id = json.loads(body)["id"]
            asked[id] += 1
            notes.write(f"{id} {asked[id]} {at_us}\n".encode())
            status = b"503 Busy" if asked[id] <= times else b"200 OK"
            writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(notes: BinaryIO, times: int) -> None:
    asked: Counter[str] = Counter()
    server = await asyncio.start_server(
        lambda reader, writer: serve(reader, writer, notes, asked, times), "127.0.0.1", 0
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with Path(sys.argv[1]).open("ab", buffering=0) as opened:
        asyncio.run(main(cast("BinaryIO", opened), int(sys.argv[2])))
