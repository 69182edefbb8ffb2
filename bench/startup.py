"""Startup: from `headrace up` to the first answer, and the memory of an idle server.

Floor: the same interpreter importing the same server libraries and answering one request
(`floors/startup_floor.py`).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.rig import harness, product


def rss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"no memory figure of process {pid}")


def ours() -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as home:
        ready = Path(home) / "ready.json"
        started = time.perf_counter()
        process = product.start(Path(home) / "data", ready)
        took = time.perf_counter() - started
        memory = rss_mb(product.read(ready).pid)
        process.terminate()
        process.wait(30)
    return {"ready_s": took, "idle_rss_mb": memory}


def floor() -> dict[str, float]:
    command = [sys.executable, "bench/floors/startup_floor.py"]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=product.ROOT)
    harness.wait_for_line(process, "port")
    took = time.perf_counter() - started
    memory = rss_mb(process.pid)
    process.kill()
    process.wait()
    return {"ready_s": took, "idle_rss_mb": memory}


def main() -> int:
    given = harness.arguments("startup", __doc__ or "")
    number = 3 if given.quick else 9
    ours()  # the first start compiles byte code
    return harness.report("startup", harness.rounds(ours, floor, number=number), save=given.save)


if __name__ == "__main__":
    sys.exit(main())
