"""An HTTP receiver that notes the id of every event it answered with 200; a process of its own.

usage: receiver.py NOTES; prints its port
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import BinaryIO, cast


async def serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, notes: BinaryIO
) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            notes.write(json.loads(body)["id"].encode() + b"\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(notes: BinaryIO) -> None:
    server = await asyncio.start_server(
        lambda reader, writer: serve(reader, writer, notes), "127.0.0.1", 0
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with Path(sys.argv[1]).open("ab", buffering=0) as opened:
        asyncio.run(main(cast("BinaryIO", opened)))
