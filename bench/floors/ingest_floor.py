"""The least a durable HTTP ingest can do with these libraries: parse, group-commit, answer.

No authentication, no rules, no trace. Imports nothing of ours.
usage: ingest_floor.py DIRECTORY; prints "port N"
"""

from __future__ import annotations

import asyncio
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import apsw
import msgspec
import uvicorn


class Event(msgspec.Struct):
    id: str
    source: str
    type: str
    data: msgspec.Raw = msgspec.Raw(b"null")


decode = msgspec.json.Decoder(list[Event]).decode


class Store:
    """One table, one writer thread, natural batching."""

    def __init__(self, directory: str) -> None:
        self.connection = apsw.Connection(f"{directory}/floor.db")
        self.connection.execute(
            "PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
            "CREATE TABLE event (pos INTEGER PRIMARY KEY, body BLOB)"
        ).fetchall()
        self.thread = ThreadPoolExecutor(1)
        self.waiting: list[tuple[list[bytes], asyncio.Future[None]]] = []
        self.busy = False

    def put(self, bodies: list[bytes]) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append((bodies, future))
        if not self.busy:
            self.busy = True
            asyncio.get_running_loop().create_task(self.drain())
        return future

    async def drain(self) -> None:
        loop = asyncio.get_running_loop()
        while self.waiting:
            batch, self.waiting = self.waiting, []
            rows = [(body,) for bodies, _ in batch for body in bodies]
            await loop.run_in_executor(self.thread, self.write, rows)
            for _, future in batch:
                future.set_result(None)
        self.busy = False

    def write(self, rows: list[tuple[bytes]]) -> None:
        with self.connection:
            self.connection.executemany("INSERT INTO event (body) VALUES (?)", rows)


def application(store: Store):
    async def serve(scope, receive, send) -> None:
        body = (await receive())["body"]
        events = decode(body)
        await store.put([body] if len(events) == 1 else [bytes(event.data) for event in events])
        answer = msgspec.json.encode({"EntryList": [{"EventId": event.id} for event in events]})
        headers = [(b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return serve


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application(Store(sys.argv[1])),
        http="httptools",
        loop="uvloop",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )
    print("port", listener.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
