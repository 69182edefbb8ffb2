"""The least a synchronous invocation over HTTP can do with these libraries. Imports nothing of
ours.

usage: invoke_floor.py; prints "port N"
"""

from __future__ import annotations

import asyncio
import socket
import struct
import subprocess
import sys
from pathlib import Path

import uvicorn
import uvloop


class Worker(asyncio.Protocol):
    """Frames to the worker, answers to whoever waits."""

    def __init__(self) -> None:
        self.buffer = b""
        self.number = 0
        self.waiting: dict[int, asyncio.Future[bytes]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while len(self.buffer) >= 8:
            length, number = struct.unpack_from("<II", self.buffer)
            if len(self.buffer) < 8 + length:
                break
            self.waiting.pop(number).set_result(self.buffer[8 : 8 + length])
            self.buffer = self.buffer[8 + length :]

    def call(self, body: bytes) -> asyncio.Future[bytes]:
        self.number += 1
        future = self.waiting[self.number] = asyncio.get_running_loop().create_future()
        self.transport.write(struct.pack("<II", len(body), self.number) + body)
        return future


def started() -> socket.socket:
    """Start the function's process; return our end of its socket."""
    ours, theirs = socket.socketpair()
    script = Path(__file__).parent / "worker.py"
    command = [sys.executable, "-I", "-S", str(script), str(theirs.fileno())]
    subprocess.Popen(command, pass_fds=(theirs.fileno(),))
    theirs.close()
    return ours


async def main() -> None:
    loop = asyncio.get_running_loop()
    _, worker = await loop.create_connection(Worker, sock=started())

    async def serve(scope, receive, send) -> None:
        answer = await worker.call((await receive())["body"])
        headers = [(b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        serve, http="httptools", lifespan="off", access_log=False, log_level="warning"
    )
    print("port", listener.getsockname()[1], flush=True)
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    uvloop.run(main())
