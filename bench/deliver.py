"""Deliver: from a published event to the return of its function's handler.

Events are published in signed, durable batches of ten; one rule sends them to one Python function
(Sync). Throughput is what is settled while publishing and draining; latency is measured at a third
of that rate, from the publish stamp to the handler's start, on one clock.

Floor: the same libraries without authentication, rules, sandbox or trace
(`floors/deliver_floor.py`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time

from bench.rig import harness, load, product

EVENT_BYTES = 1024
BATCH = 10
CONNECTIONS = 16

SOURCE = """
import json, time
waits = []
def handler(event, context):
    if event.startswith(b'report'):
        told = json.dumps(waits); waits.clear(); return told
    sent = json.loads(event)['data'].get('sent')
    if sent:
        waits.append(time.monotonic() - sent)
    return b'ok'
"""


def batches(server: product.Product, events: int, *, first: int) -> list[bytes]:
    made: list[bytes] = []
    for start in range(first, first + events, BATCH):
        batch = [
            product.cloud_event(number, EVENT_BYTES, "default")
            for number in range(start, start + BATCH)
        ]
        made.append(server.data_plane(json.dumps(batch).encode()))
    return made


def wire(server: product.Product) -> None:
    server.deploy("sink", SOURCE)
    arn = f"acs:fc:cn-hangzhou:{server.account}:functions/sink"
    params = [
        {"ResourceKey": "Body", "Form": "ORIGINAL"},
        {"ResourceKey": "InvocationType", "Form": "CONSTANT", "Value": "Sync"},
    ]
    target = {
        "Id": "t",
        "Type": "acs.fc.function",
        "Endpoint": arn,
        "ParamList": params,
        "ConcurrentConfig": {"Concurrency": 64},
    }
    server.eventbridge(
        "CreateRule",
        EventBusName="default",
        RuleName="deliver",
        FilterPattern='{"source":["bench.shop"]}',
        EventTargets=[target],
    )


def invoke(server: product.Product, payload: bytes) -> bytes:
    path = "/2023-03-30/functions/sink/invocations"
    return server.text(server.signed("POST", path, payload, action="InvokeFunction"))


def delivered(server: product.Product) -> int:
    books = server.call(server.signed("GET", "/headrace/v1/books"))
    return sum(row["delivered"] for row in books["subscriptions"])


def ours(events: int) -> dict[str, float]:
    with product.running() as server:
        wire(server)
        load.run(server.host, server.port, batches(server, 500, first=0), connections=CONNECTIONS)
        settle(server, 500)
        prepared = batches(server, events, first=1_000)
        started = time.perf_counter()
        outcome = load.run(server.host, server.port, prepared, connections=CONNECTIONS)
        if outcome.failures:
            raise SystemExit(outcome.first_failure)
        settle(server, 500 + events)
        rate = events / (time.perf_counter() - started)
        waits = paced(server, rate / 3)
    return {
        "events_per_s": rate,
        "p50_ms": harness.percentile(waits, 0.5),
        "p99_ms": harness.percentile(waits, 0.99),
    }


def settle(server: product.Product, events: int) -> None:
    """Wait until that many deliveries are settled."""
    while delivered(server) < events:
        threading.Event().wait(0.02)


def paced(server: product.Product, rate: float, seconds: float = 2.0) -> list[float]:
    """Publish single events at a fixed rate; return publish → handler start, milliseconds."""
    invoke(server, b"report")
    events = int(rate * seconds)
    for number in range(0, events, BATCH):
        batch = []
        for each in range(number, number + BATCH):
            batch.append(product.cloud_event(each, EVENT_BYTES, "default", sent=time.monotonic()))
        server.text(server.data_plane(json.dumps(batch).encode()))
        threading.Event().wait(BATCH / rate)
    while delivered(server) < events:
        threading.Event().wait(0.02)
    return [wait * 1000 for wait in json.loads(invoke(server, b"report"))]


def floor(events: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "bench/floors/deliver_floor.py", home, str(events)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=product.ROOT)
        port = int(harness.wait_for_line(process, "port").split()[1])
        body = json.dumps(
            [product.cloud_event(number, EVENT_BYTES, "default") for number in range(BATCH)]
        ).encode()
        request = load.http_request("POST", "/", {"host": "x"}, body)
        started = time.perf_counter()
        load.run("127.0.0.1", port, [request] * (events // BATCH), connections=CONNECTIONS)
        harness.wait_for_line(process, "done")
        rate = events / (time.perf_counter() - started)
        process.kill()
        process.wait()
    return {"events_per_s": rate}


def main() -> int:
    given = harness.arguments("deliver", __doc__ or "")
    events = 3_000 if given.quick else 20_000
    number = 2 if given.quick else harness.ROUNDS_MIN
    taken = harness.rounds(lambda: ours(events), lambda: floor(events), number=number)
    return harness.report("deliver", taken, save=given.save)


if __name__ == "__main__":
    sys.exit(main())
