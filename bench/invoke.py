"""Invoke: signed, synchronous InvokeFunction over HTTP on a warm Python function.

Floor: the same server library passing the body to one unsandboxed worker over the same kind of
socket, no authentication (`floors/invoke_floor.py`).
"""

from __future__ import annotations

import subprocess
import sys

from bench.rig import harness, load, product

SOURCE = "def handler(event, context):\n    return event\n"
BODY = b"x" * 1024
PATH = "/2023-03-30/functions/echo/invocations"


def figures(outcome: load.Outcome, callers: int) -> dict[str, float]:
    if outcome.failures:
        raise SystemExit(f"{outcome.failures} requests failed: {outcome.first_failure}")
    return {
        f"callers{callers}_per_s": outcome.rate,
        f"callers{callers}_p50_ms": harness.percentile(outcome.latencies_ms, 0.5),
        f"callers{callers}_p99_ms": harness.percentile(outcome.latencies_ms, 0.99),
    }


def ours(requests: int) -> dict[str, float]:
    found: dict[str, float] = {}
    with product.running() as server:
        server.deploy("echo", SOURCE)
        server.text(server.signed("POST", PATH, BODY, action="InvokeFunction"))
        for callers, number in ((1, requests // 8), (32, requests)):
            prepared = [
                server.signed("POST", PATH, BODY, action="InvokeFunction") for _ in range(number)
            ]
            outcome = load.run(server.host, server.port, prepared, connections=callers)
            found |= figures(outcome, callers)
    return found


def floor(requests: int) -> dict[str, float]:
    found: dict[str, float] = {}
    command = [sys.executable, "bench/floors/invoke_floor.py"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=product.ROOT)
    port = int(harness.wait_for_line(process, "port").split()[1])
    request = load.http_request("POST", "/", {"host": "x"}, b'"' + BODY[2:] + b'"')
    for callers, number in ((1, requests // 8), (32, requests)):
        outcome = load.run("127.0.0.1", port, [request] * number, connections=callers)
        found |= figures(outcome, callers)
    process.kill()
    process.wait()
    return found


def main() -> int:
    given = harness.arguments("invoke", __doc__ or "")
    requests = 2_000 if given.quick else 12_000
    number = 2 if given.quick else harness.ROUNDS_MIN
    taken = harness.rounds(lambda: ours(requests), lambda: floor(requests), number=number)
    return harness.report("invoke", taken, save=given.save)


if __name__ == "__main__":
    sys.exit(main())
