"""Disk: what an event, a delivery, a dead letter, a queue message and an invocation leave behind.

    ./dev bench disk [--quick] [--save]

Each kind of traffic goes through a real server on a directory of its own; the server is stopped,
the newest segment sealed as the running server seals it, and every part of the directory measured.
A figure is the bytes that one more costs: what an empty directory has is taken off.
There is no floor: nothing here is about time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.rig import harness, product
from headrace.store.sqlite import disk as disks
from headrace.store.sqlite import segment as segments

EVENTS, EVENTS_QUICK = 2_000, 200
BATCH = 20
SIZES = (256, 1024, 8192)
RULES = (1, 3, 10)
PAYLOAD_BYTES = 256
SOURCE = "def handler(event, context):\n    print('one line of log')\n    return b'ok'\n"
WAIT_S_MAX = 120

Traffic = Callable[[product.Product, int], None]
Parts = dict[str, int]


def main() -> int:
    given = harness.arguments("disk", __doc__ or "")
    events = EVENTS_QUICK if given.quick else EVENTS
    with receiver() as port:
        line = {"bench": "disk", "figures": figures(events, port), "floor": {}, "events": events}
    return harness.told(line, save=given.save)


def figures(events: int, port: int) -> dict[str, float]:
    """Return bytes for one more of each kind, and what the smallest directory has."""
    empty = measured(lambda _server, _events: None, 0)

    def log(traffic: Traffic, what: str) -> float:
        harness.show(what)
        parts = measured(traffic, events)
        return round((parts["log"] - empty["log"]) / events, 1)

    made: dict[str, float] = {}
    for size in SIZES:
        made[f"event_{size}"] = log(pushed(size, 1, f"{port}/200"), f"events of {size} bytes")
    at_rules = {
        count: log(pushed(SIZES[1], count, f"{port}/200"), f"{count} rules") for count in RULES[1:]
    }
    one = made[f"event_{SIZES[1]}"]
    for count, taken in at_rules.items():
        made[f"delivery_of_{count}"] = round((taken - one) / (count - 1), 1)
    made["dead_letter_1024"] = round(
        log(pushed(SIZES[1], 1, f"{port}/400"), "dead letters") - one, 1
    )
    made["queue_message_1024"] = round(log(queued(SIZES[1]), "queue messages") - one, 1)
    harness.show("invocations")
    synchronous = measured(invoked("Sync"), events)
    made["invocation_records"] = round((synchronous["records"] - empty["records"]) / events, 1)
    asynchronous = measured(invoked("Async"), events)
    made["async_log"] = round((asynchronous["log"] - empty["log"]) / events, 1)
    made["async_records"] = round((asynchronous["records"] - empty["records"]) / events, 1)
    return made | {f"empty_{name}": size for name, size in empty.items()}


# -- traffic ---------------------------------------------------------------------------------------


def pushed(size: int, rules: int, where: str) -> Traffic:
    """Events of `size` bytes that `rules` rules push to an HTTP target each."""

    def run(server: product.Product, events: int) -> None:
        target = {"Id": "t", "Type": "http", "Endpoint": f"http://127.0.0.1:{where}"}
        for number in range(rules):
            rule(server, f"r{number}", target)
        publish(server, events, size)

    return run


def queued(size: int) -> Traffic:
    """Events of `size` bytes that one rule puts on a built-in queue, where they stay."""

    def run(server: product.Product, events: int) -> None:
        server.call(server.signed("PUT", "/headrace/v1/queues/kept"))
        target = {
            "Id": "t",
            "Type": "acs.mns.queue",
            "Endpoint": f"acs:mns:cn-hangzhou:{server.account}:queues/kept",
            "ParamList": [
                {"ResourceKey": "queue", "Form": "CONSTANT", "Value": "kept"},
                {"ResourceKey": "Body", "Form": "ORIGINAL"},
            ],
        }
        rule(server, "r", target)
        publish(server, events, size)

    return run


def invoked(mode: str) -> Traffic:
    """Invocations of a function that writes one line of log."""

    def run(server: product.Product, events: int) -> None:
        server.deploy("f", SOURCE)
        path = "/2023-03-30/functions/f/invocations"
        for _ in range(events):
            raw = server.signed(
                "POST", path, b"x" * PAYLOAD_BYTES, action="InvokeFunction", version="2023-03-30",
                x_fc_invocation_type=mode,
            )  # fmt: skip
            server.text(raw)

    return run


def rule(server: product.Product, name: str, target: dict[str, Any]) -> None:
    server.eventbridge(
        "CreateRule",
        EventBusName="default",
        RuleName=name,
        FilterPattern='{"source":["bench.shop"]}',
        EventTargets=[target],
    )


def publish(server: product.Product, events: int, size: int) -> None:
    for first in range(0, events, BATCH):
        batch = [
            product.cloud_event(number, size, "default") for number in range(first, first + BATCH)
        ]
        server.call(server.data_plane(json.dumps(batch).encode()))


@contextlib.contextmanager
def receiver() -> Iterator[int]:
    """Serve HTTP on a thread; the path is the status it answers."""
    told: list[int] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                status = head.split(b" ", 2)[1].strip(b"/")
                writer.write(b"HTTP/1.1 " + status + b" said\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    async def listen() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        told.append(server.sockets[0].getsockname()[1])
        ready.set()

    def run() -> None:
        loop.run_until_complete(listen())
        loop.run_forever()

    threading.Thread(target=run, daemon=True).start()
    ready.wait(10)
    yield told[0]
    loop.call_soon_threadsafe(loop.stop)


# -- measuring -------------------------------------------------------------------------------------


def measured(traffic: Traffic, events: int) -> Parts:
    """Return the bytes of each part of a directory after `traffic`, its log sealed."""
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as home:
        data, ready = Path(home) / "data", Path(home) / "ready.json"
        process = product.start(data, ready)
        try:
            server = product.read(ready)
            traffic(server, events)
            rest(server)
        finally:
            process.terminate()
            process.wait(60)
        seal(data / "shard-0000")
        return parts(data)


def rest(server: product.Product) -> None:
    """Wait until nothing is open but what stays: queue messages and dead letters."""
    pause = threading.Event()
    until = time.monotonic() + WAIT_S_MAX
    while any(
        row["open"]
        for row in server.call(server.signed("GET", "/headrace/v1/books"))["subscriptions"]
        if "/queue/" not in row["name"] and not row["name"].endswith("/~dead")
    ):
        if time.monotonic() > until:
            raise SystemExit(f"deliveries are still open after {WAIT_S_MAX} s")
        pause.wait(0.05)


def seal(folder: Path) -> None:
    """Seal what a server seals at the next roll, by the same code."""
    disk = disks.Disk()
    for path in segments.listed(folder):
        connection = segments.open_to_write(disk, path)
        segments.index(connection)
        if not segments.seal(disk, connection, folder):
            raise SystemExit(f"{path} cannot be sealed: somebody reads it")
        connection.close()


def parts(data: Path) -> Parts:
    """Return name -> bytes: the log, what is kept ready beside it, and the other files."""
    shard = data / "shard-0000"
    log = size_of(*segments.listed(shard))
    return {
        "log": log,
        "ready": size_of(*shard.iterdir()) - log,
        "registry": size_of(*data.glob("registry.db*")),
        "records": size_of(*(data / "records").glob("*")),
        "nonces": size_of(data / "nonces"),
    }


def size_of(*paths: Path) -> int:
    return sum(path.stat().st_size for path in paths)


if __name__ == "__main__":
    sys.exit(main())
