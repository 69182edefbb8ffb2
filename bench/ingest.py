"""Ingest: signed, durable PutEvents over HTTP, one and ten events of 1 KiB a request.

Floor: the same server library with no authentication and no rules, writing the same bytes to one
SQLite table with group commit (`floors/ingest_floor.py`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile

from bench.rig import harness, load, product

CONNECTIONS = 32
EVENT_BYTES = 1024


def requests_of(server: product.Product, requests: int, events: int, first: int) -> list[bytes]:
    made: list[bytes] = []
    for index in range(requests):
        numbers = range(first + index * events, first + (index + 1) * events)
        batch = [product.cloud_event(number, EVENT_BYTES, "bench") for number in numbers]
        made.append(server.data_plane(json.dumps(batch).encode()))
    return made


def measured(outcome: load.Outcome, events: int, name: str) -> dict[str, float]:
    if outcome.failures:
        raise SystemExit(f"{outcome.failures} requests failed: {outcome.first_failure}")
    return {
        f"{name}_events_per_s": outcome.rate * events,
        f"{name}_requests_per_s": outcome.rate,
        f"{name}_p50_ms": harness.percentile(outcome.latencies_ms, 0.5),
        f"{name}_p99_ms": harness.percentile(outcome.latencies_ms, 0.99),
    }


def ours(requests: int) -> dict[str, float]:
    figures: dict[str, float] = {}
    with product.running() as server:
        server.eventbridge("CreateEventBus", EventBusName="bench")
        for name, events in (("single", 1), ("batch", 10)):
            prepared = requests_of(server, requests // (1 if events == 1 else 3), events, 0)
            outcome = load.run(server.host, server.port, prepared, connections=CONNECTIONS)
            figures |= measured(outcome, events, name)
    return figures


def floor(requests: int) -> dict[str, float]:
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "bench/floors/ingest_floor.py", home]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=product.ROOT)
        port = int(harness.wait_for_line(process, "port").split()[1])
        try:
            for name, events in (("single", 1), ("batch", 10)):
                batch = [
                    product.cloud_event(number, EVENT_BYTES, "bench") for number in range(events)
                ]
                body = json.dumps(batch).encode()
                request = load.http_request("POST", "/", {"host": "x"}, body)
                many = [request] * (requests // (1 if events == 1 else 3))
                outcome = load.run("127.0.0.1", port, many, connections=CONNECTIONS)
                figures |= measured(outcome, events, name)
        finally:
            process.kill()
            process.wait()
    return figures


def main() -> int:
    given = harness.arguments("ingest", __doc__ or "")
    requests = 3_000 if given.quick else 20_000
    number = 2 if given.quick else harness.ROUNDS_MIN
    taken = harness.rounds(lambda: ours(requests), lambda: floor(requests), number=number)
    return harness.report("ingest", taken, save=given.save)


if __name__ == "__main__":
    sys.exit(main())
