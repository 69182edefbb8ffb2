"""The least a durable publish-to-function path can do with these libraries.

HTTP, parse, one table with group commit, frames to one unsandboxed worker, outcome rows in a later
commit. No authentication, rules, retries or trace. Imports nothing of ours.
usage: deliver_floor.py DIRECTORY EVENTS; prints "port N", then "done" when EVENTS are settled
"""

from __future__ import annotations

import asyncio
import socket
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import msgspec
import uvicorn
import uvloop


class Event(msgspec.Struct):
    id: str
    source: str
    type: str


_decode = msgspec.json.Decoder(list[msgspec.Raw]).decode
_head = msgspec.json.Decoder(Event).decode


class Worker(asyncio.Protocol):
    """The function's side of the socket."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.path.buffer += data
        while len(self.path.buffer) >= 8:
            length, number = struct.unpack_from("<II", self.path.buffer)
            if len(self.path.buffer) < 8 + length:
                break
            self.path.buffer = self.path.buffer[8 + length :]
            self.path.settled.append((number, 1))
        self.path.kick()


def worker() -> socket.socket:
    """Start the function's process; return our end of its socket."""
    ours, theirs = socket.socketpair()
    script = Path(__file__).parent / "worker.py"
    command = [sys.executable, "-I", "-S", str(script), str(theirs.fileno())]
    subprocess.Popen(command, pass_fds=(theirs.fileno(),))
    theirs.close()
    return ours


class Way:
    """Store and dispatch."""

    def __init__(self, directory: str, events: int) -> None:
        self.connection = apsw.Connection(f"{directory}/floor.db")
        self.connection.execute(
            "PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
            "CREATE TABLE event (pos INTEGER PRIMARY KEY, body BLOB);"
            "CREATE TABLE outcome (pos INTEGER PRIMARY KEY, code INTEGER)"
        ).fetchall()
        self.thread = ThreadPoolExecutor(1)
        self.waiting: list[tuple[list[bytes], asyncio.Future[None]]] = []
        self.settled: list[tuple[int, int]] = []
        self.buffer = b""
        self.busy = False
        self.position = 0
        self.left = events

    async def start(self) -> None:
        ours = worker()
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_connection(lambda: Worker(self), sock=ours)

    def put(self, bodies: list[bytes]) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append((bodies, future))
        self.kick()
        return future

    def kick(self) -> None:
        if not self.busy:
            self.busy = True
            asyncio.get_running_loop().create_task(self.drain())

    async def drain(self) -> None:
        loop = asyncio.get_running_loop()
        while self.waiting or self.settled:
            batch, self.waiting = self.waiting, []
            outcomes, self.settled = self.settled, []
            bodies = [body for group, _ in batch for body in group]
            rows = [(self.position + n + 1, body) for n, body in enumerate(bodies)]
            self.position += len(rows)
            await loop.run_in_executor(self.thread, self.write, rows, outcomes)
            self.transport.write(
                b"".join(struct.pack("<II", len(body), pos) + body for pos, body in rows)
            )
            for _, future in batch:
                future.set_result(None)
            self.left -= len(outcomes)
            if self.left <= 0:
                print("done", flush=True)
        self.busy = False

    def write(self, rows: list[tuple[int, bytes]], outcomes: list[tuple[int, int]]) -> None:
        with self.connection:
            self.connection.executemany("INSERT INTO event VALUES (?, ?)", rows)
            self.connection.executemany("INSERT INTO outcome VALUES (?, ?)", outcomes)


def application(way: Way):
    async def serve(scope, receive, send) -> None:
        raws = [bytes(raw) for raw in _decode((await receive())["body"])]
        ids = [_head(raw).id for raw in raws]
        await way.put(raws)
        answer = msgspec.json.encode({"EntryList": [{"EventId": id} for id in ids]})
        headers = [(b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return serve


async def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    way = Way(sys.argv[1], int(sys.argv[2]))
    await way.start()
    config = uvicorn.Config(
        application(way), http="httptools", lifespan="off", access_log=False, log_level="warning"
    )
    print("port", listener.getsockname()[1], flush=True)
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    uvloop.run(main())
