"""Cold start: from `invoke` of a function without an instance to its answer, behind the sandbox.

Every sample is a function of its own, so that each one spawns a sandbox, starts the interpreter,
loads the code, runs a trivial handler and returns. In process, without HTTP: that is `invoke`.
The code is unpacked before, as it is at deployment.

Floor: the same walls around an interpreter that does nothing (`floors/coldstart_floor.py`).
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import uvloop

from bench.rig import harness
from headrace import outside
from headrace.functions import cache, invocation, launcher, sandbox, service
from headrace.functions.sandbox import bubblewrap
from headrace.resources import model
from headrace.store import memory

ACCOUNT = "1"
CODE = "def handler(event, context):\n    return event\n"
SAMPLES, SAMPLES_QUICK = 30, 8


def package() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("index.py", CODE)
    return out.getvalue()


def function(name: str, digest: str) -> model.Function:
    return model.Function(
        name=name,
        function_id=name,
        runtime="python3",
        handler="index.handler",
        code_sha256=digest,
        code_checksum="0",
        code_bytes=len(CODE),
    )


async def cold_starts(root: Path, walls: sandbox.Sandbox, count: int) -> list[float]:
    """Milliseconds of `count` first invocations, one after the other."""
    digest = hashlib.sha256(package()).hexdigest()
    functions = {f"f{number}": function(f"f{number}", digest) for number in range(count)}
    spawner = launcher.Launcher(walls, root)
    spawner.prepare()
    packages = cache.Packages(root / "code")

    async def blob_path(digest: str) -> Path:
        raise KeyError(digest)

    running = service.Functions(
        spawner=spawner,
        packages=packages,
        lookup=lambda _, name: functions.get(name),
        blob_path=blob_path,
        records=memory.MemoryRecords(),
        clock=outside.SystemClock(),
        random=outside.fast_random(),
        region="cn-hangzhou",
    )
    await running.check_package(package())
    taken: list[float] = []
    for name in list(functions):
        call = invocation.Call(account=ACCOUNT, function=name, payload=b"x", request_id=f"1-{name}")
        began = time.perf_counter()
        answer = await running.invoke(call)
        taken.append((time.perf_counter() - began) * 1000)
        assert (answer.payload, answer.error_type, answer.cold) == (b"x", None, True), answer
        # Instances that wait for more would fill the machine from sample to sample.
        functions.pop(name)
        running.refresh(ACCOUNT, name)
    await running.close()
    return taken


def ours(walls: sandbox.Sandbox, count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        taken = uvloop.run(cold_starts(Path(folder), walls, count))
    return figures(taken)


def floor(bwrap: str, count: int) -> dict[str, float]:
    script = Path(__file__).parent / "floors" / "coldstart_floor.py"
    done = subprocess.run(
        [sys.executable, str(script), bwrap, str(count)], check=True, capture_output=True
    )
    return figures(json.loads(done.stdout))


def figures(taken: list[float]) -> dict[str, float]:
    return {
        "p50_ms": round(harness.percentile(taken, 0.50), 2),
        "p99_ms": round(harness.percentile(taken, 0.99), 2),
        "min_ms": round(min(taken), 2),
    }


def main() -> int:
    options = harness.arguments("coldstart", "Cold start of a sandboxed Python function.")
    walls = sandbox.choose("bubblewrap")
    assert isinstance(walls, bubblewrap.Bubblewrap)
    count = SAMPLES_QUICK if options.quick else SAMPLES
    taken = harness.rounds(lambda: ours(walls, count), lambda: floor(walls.program, count))
    return harness.report("coldstart", taken, save=options.save)


if __name__ == "__main__":
    raise SystemExit(main())
