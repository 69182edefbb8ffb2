"""A producer that keeps its own books: what it sent, and what was acknowledged, fsynced first.

A process of its own, so that nothing that happens to the server happens to the ledger. It sends
bursts of single events over many connections; told to, it kills the server's whole process group in
the middle of a burst: while every request of it is in flight, or at its first acknowledgement, when
a server that acknowledges too early has not written yet what it said.

stdin, a JSON object a line: {"kill": process group, "at_first_ack": bool} | {"stop": true}
stdout, one JSON object a line: {"killed": n in flight} |
    {"sent": n, "acked": n, "refused": [how the first requests without an acknowledgement ended]}
usage: producer.py READY_FILE LEDGER RATE IN_FLIGHT [KINDS BYTES_OF_THE_LAST]

With KINDS the types of the events take turns, `faults:Event0` first; those of the last kind carry
more. `data.sent_us` is when an event was sent, by the monotonic clock.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
import time
from pathlib import Path

from headrace.core import signature

#: A request that has no answer by then counts as unknown.
ANSWER_S = 10.0
REFUSED_TOLD_MAX = 3


class Ledger:
    """Append-only: `s id` before an event is sent, `a id` once its acknowledgement is on disk."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._acked: list[str] = []
        self._wake = asyncio.Event()
        self.sent = self.acked = 0

    def send(self, ids: list[str]) -> None:
        self._file.write("".join(f"s {id}\n" for id in ids).encode())
        self.sent += len(ids)

    def ack(self, id: str) -> None:
        self._acked.append(id)
        self._wake.set()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._acked = self._acked, []
            self._file.write("".join(f"a {id}\n" for id in batch).encode())
            self.acked += len(batch)  # before the wait: the end cancels it, and syncs by itself
            await asyncio.to_thread(os.fsync, self._file.fileno())

    def close(self) -> None:
        self._file.write("".join(f"a {id}\n" for id in self._acked).encode())
        self.acked += len(self._acked)
        os.fsync(self._file.fileno())


class Producer:
    """Bursts of IN_FLIGHT requests, RATE events a second on average."""

    def __init__(
        self, ready: Path, ledger: Ledger, rate: int, in_flight: int, kinds: int, last_bytes: int
    ) -> None:
        self._ready = ready
        self._ledger = ledger
        self._pause_s = in_flight / rate
        self._in_flight = in_flight
        self._connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter] | None]
        self._connections = [None] * in_flight
        self._number = 0
        self._kinds = kinds
        self._last_bytes = last_bytes
        self._run = secrets.token_hex(4)
        self.kill: int | None = None
        self.at_first_ack = False
        self.stopping = False
        #: How the first requests without an acknowledgement ended.
        self.refused: list[str] = []

    async def run(self) -> None:
        while not self.stopping:
            started = time.monotonic()
            ids = [f"{self._run}-{self._number + n}" for n in range(self._in_flight)]
            self._number += self._in_flight
            self._ledger.send(ids)
            await asyncio.gather(*(self._connect(slot) for slot in range(self._in_flight)))
            raw = [self._request(id) for id in ids]
            written = [self._write(slot, raw[slot]) for slot in range(self._in_flight)]
            answers = [
                asyncio.ensure_future(self._answer(slot, id))
                for slot, id in enumerate(ids)
                if written[slot]
            ]
            if self.kill is not None:
                if self.at_first_ack and answers:
                    await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
                os.killpg(self.kill, signal.SIGKILL)
                self.kill = None
                in_flight = sum(not answer.done() for answer in answers)
                print(json.dumps({"killed": in_flight}), flush=True)
            await asyncio.gather(*answers)
            await asyncio.sleep(max(0.0, self._pause_s - (time.monotonic() - started)))

    def _request(self, id: str) -> bytes:
        told = json.loads(self._ready.read_text()) if self._ready.exists() else self._last
        self._last = told
        pair = json.loads(Path(told["keys_file"]).read_text())
        kind = int(id.rpartition("-")[2]) % self._kinds
        is_last = self._kinds > 1 and kind == self._kinds - 1
        event = {
            "id": id,
            "source": "faults",
            "type": f"faults:Event{kind if self._kinds > 1 else ''}",
            "specversion": "1.0",
            "aliyuneventbusname": "default",
            "data": {
                "sent_us": time.monotonic_ns() // 1_000,
                "filler": "x" * (self._last_bytes if is_last else 700),
            },
        }
        body = json.dumps([event]).encode()
        headers = signature.sign_data_plane(
            pair["access_key_id"],
            pair["access_key_secret"],
            method="POST",
            path="/openapi/putEvents",
            headers={"host": "x", "content-type": "application/cloudevents-batch+json"},
            date=time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()),
            nonce=secrets.token_hex(16),
        )
        lines = ["POST /openapi/putEvents HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        lines.append(f"content-length: {len(body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    async def _connect(self, slot: int) -> None:
        """Open the connection of a slot again if it broke; wait for a server that starts."""
        while self._connections[slot] is None and not self.stopping:
            try:
                told = json.loads(self._ready.read_text())
                self._connections[slot] = await asyncio.open_connection(told["host"], told["port"])
            except (OSError, ValueError):
                await asyncio.sleep(0.02)  # the server is down: ask again soon

    def _write(self, slot: int, raw: bytes) -> bool:
        connection = self._connections[slot]
        if connection is None:
            return False
        connection[1].write(raw)
        return True

    async def _answer(self, slot: int, id: str) -> None:
        connection = self._connections[slot]
        assert connection is not None, "only written slots are read"
        try:
            async with asyncio.timeout(ANSWER_S):
                head = await connection[0].readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                body = await connection[0].readexactly(length)
        except (OSError, EOFError, asyncio.IncompleteReadError, TimeoutError) as fault:
            self._refuse(f"{id}: {fault!r}")
            connection[1].close()
            self._connections[slot] = None
            return
        if head.startswith(b"HTTP/1.1 200") and json.loads(body)["FailedEntryCount"] == 0:
            self._ledger.ack(id)
        else:
            self._refuse(f"{id}: {head[:40]!r} {body[:200]!r}")

    def _refuse(self, how: str) -> None:
        if len(self.refused) < REFUSED_TOLD_MAX:
            self.refused.append(how)


async def listen(producer: Producer) -> None:
    """Take orders until told to stop."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        order = json.loads(line)
        if order.get("stop"):
            break
        producer.at_first_ack = bool(order.get("at_first_ack"))
        producer.kill = order["kill"]
    producer.stopping = True


async def main() -> None:
    ready, path, *numbers = sys.argv[1:]
    rate, in_flight, kinds, last_bytes = [*map(int, numbers), *(1, 0)][:4]
    ledger = Ledger(Path(path))
    producer = Producer(Path(ready), ledger, rate, in_flight, kinds, last_bytes)
    writing = asyncio.create_task(ledger.run())
    orders = asyncio.create_task(listen(producer))
    await producer.run()
    await orders
    writing.cancel()
    ledger.close()
    told = {"sent": ledger.sent, "acked": ledger.acked, "refused": producer.refused}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
