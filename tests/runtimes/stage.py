"""A stage for functions: deploy code from text, invoke it, look at records and processes.

Used by tests and benches. Needs nothing but the functions package itself; blobs and records are
plain Python.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import AsyncIterator, Mapping, Set
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from headrace import outside
from headrace.functions import cache, history, invocation, launcher, sandbox, scaling, service
from headrace.resources import model
from headrace.store import ports

ACCOUNT = "1234567890"


def packed(files: Mapping[str, str | bytes]) -> bytes:
    """A zip of these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return out.getvalue()


class KeptRecords:
    """Records in a list."""

    def __init__(self) -> None:
        self.lines: list[ports.LogLine] = []

    async def open(self) -> None: ...

    def write(self, line: ports.LogLine) -> None:
        self.lines.append(line)

    async def read(self, query: ports.LineQuery) -> list[ports.LogLine]:
        fits = [
            line
            for line in self.lines
            if line.stream == query.stream and query.fits(line.at_ms, line.request_id, line.kind)
        ]
        return fits[-query.limit :]

    def dropped(self) -> int:
        return 0

    async def close(self) -> None: ...

    def _shown(self) -> list[ports.LogLine]:
        return history.shown(self.lines)

    def log_of(self, request_id: str) -> str:
        found = [x for x in self._shown() if x.request_id == request_id and x.kind == "log"]
        assert len(found) == 1, f"{len(found)} logs of {request_id}"
        return found[0].body.decode()

    def record_of(self, request_id: str) -> dict[str, object]:
        found = [x for x in self._shown() if x.request_id == request_id and x.kind == "invocation"]
        assert len(found) == 1, f"{len(found)} records of {request_id}"
        return msgspec.json.decode(found[0].body)


class Stage:
    """Functions over a directory of blobs and a dict of functions."""

    def __init__(self, root: Path, walls: sandbox.Sandbox, **options: object) -> None:
        self.root = root
        self.functions: dict[str, model.Function] = {}
        self.records = KeptRecords()
        self.packages = cache.Packages(root / "unpacked")
        spawner = launcher.Launcher(walls, root)
        spawner.prepare()
        self.service = service.Functions(
            spawner=spawner,
            packages=self.packages,
            lookup=self._lookup,
            blob_path=self._blob_path,
            records=self.records,
            clock=outside.SystemClock(),
            random=outside.fast_random(),
            region="cn-hangzhou",
            **options,  # pyright: ignore[reportArgumentType]
        )
        self._calls = 0
        #: Of other suites that share this process: clients and servers they keep.
        self._others = descendants()

    def processes(self) -> set[int]:
        """Every living process that this stage has started, directly or not."""
        return descendants(self._others)

    def _lookup(self, account: str, name: str) -> model.Function | None:
        return self.functions.get(name) if account == ACCOUNT else None

    async def _blob_path(self, digest: str) -> Path:
        path = self.root / "blobs" / digest
        if not path.exists():
            raise KeyError(digest)
        return path

    def deploy(
        self, name: str, code: str | Mapping[str, str | bytes], **fields: object
    ) -> model.Function:
        """Put a function there; text is the whole of index.py."""
        data = packed({"index.py": code} if isinstance(code, str) else code)
        digest = hashlib.sha256(data).hexdigest()
        blob = self.root / "blobs" / digest
        blob.parent.mkdir(exist_ok=True)
        blob.write_bytes(data)
        settings: dict[str, object] = {
            "function_id": f"id-{name}",
            "runtime": "python3.11",
            "handler": "index.handler",
            "code_checksum": "1",
            **fields,
        }
        function = model.Function(
            name=name,
            code_sha256=digest,
            code_bytes=len(data),
            **settings,  # pyright: ignore[reportArgumentType]
        )
        self.functions[name] = function
        return function

    async def invoke(
        self, name: str, payload: bytes = b"", **fields: object
    ) -> invocation.Invocation:
        """Invoke with a fresh request id and the log tail."""
        self._calls += 1
        settings: dict[str, object] = {
            "account": ACCOUNT,
            "request_id": f"1-{self._calls:08x}-0000",
            "log_tail": True,
            **fields,
        }
        call = invocation.Call(
            function=name,
            payload=payload,
            **settings,  # pyright: ignore[reportArgumentType]
        )
        return await self.service.invoke(call)


@asynccontextmanager
async def open_stage(root: Path, walls: sandbox.Sandbox, **options: object) -> AsyncIterator[Stage]:
    stage = Stage(root, walls, **options)
    try:
        yield stage
    finally:
        await stage.service.close(grace_s=1.0)


def descendants(apart_from: Set[int] = frozenset()) -> set[int]:
    """Every living process below this one, as /proc has it; the ones of a sandbox included.

    apart_from: these, and what is below them, do not count.
    """
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            text = Path("/proc", entry, "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parent = int(text.rpartition(")")[2].split()[1])
        children.setdefault(parent, []).append(int(entry))
    found: set[int] = set()
    todo = [os.getpid()]
    while todo:
        mine = set(children.get(todo.pop(), ())) - apart_from
        found |= mine
        todo += mine
    return found


def command_lines() -> list[bytes]:
    """What any user of the host can read of our processes' command lines."""
    return [Path("/proc", str(pid), "cmdline").read_bytes() for pid in descendants()]


def limits(**fields: object) -> scaling.Limits:
    return scaling.Limits(**fields)  # pyright: ignore[reportArgumentType]


def hook(handler: str, timeout_s: int = 3) -> model.LifecycleHook:
    return model.LifecycleHook(handler=handler, timeout_s=timeout_s)
