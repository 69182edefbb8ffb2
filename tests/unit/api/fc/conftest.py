"""The FC face on the real catalog; functions and bus are doubles that note what they are asked."""

from __future__ import annotations

import base64
import io
import random
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest

from headrace.api import http, operations
from headrace.api.fc import face, faults
from headrace.core import errors, limits
from headrace.functions import cache, invocation
from headrace.resources import catalog, model
from headrace.store.memory import registry

ACCOUNT = "1234567890123456"
REGION = "cn-hangzhou"


class Clock:
    def __init__(self) -> None:
        self.wall = 1_700_000_000_000

    def wall_ms(self) -> int:
        return self.wall

    def mono_us(self) -> int:
        return 0


class Functions:
    """Stands for functions.service: keeps the calls, answers what a test says."""

    def __init__(self) -> None:
        self.calls: list[invocation.Call] = []
        self.answer: invocation.Invocation | errors.HeadraceError = invocation.Invocation(
            request_id="R-1", payload=b"\x00raw\xff", error_type=None, duration_us=12_345,
            billed_ms=13, memory_mb=9.2, instance_id="c-1", cold=False,
            log_tail=b"x" * 5000 + b"end", code_checksum="42",
        )  # fmt: skip

    async def invoke(self, call: invocation.Call) -> invocation.Invocation:
        self.calls.append(call)
        if isinstance(self.answer, errors.HeadraceError):
            raise self.answer
        return self.answer


class Open:
    """No switch is on, until a test says so."""

    closed = False

    def __init__(self) -> None:
        #: Raised for what changes something, and for what runs a function.
        self.changes: errors.HeadraceError | None = None
        self.calls: errors.HeadraceError | None = None

    def refuse_changes(self) -> None:
        if self.changes is not None:
            raise self.changes

    def refuse_calls(self) -> None:
        if self.calls is not None:
            raise self.calls


class Engine:
    """Stands for bus.engine: keeps what was enqueued."""

    def __init__(self) -> None:
        self.queued: list[tuple[str, model.Function, bytes, str]] = []
        self.switchboard = Open()

    async def enqueue_call(
        self, account: str, function: model.Function, payload: bytes, *, request_id: str
    ) -> int:
        self.queued.append((account, function, payload, request_id))
        return 7


class Packages:
    """Code packages in memory, checked by the real checker."""

    def __init__(self, root: Path) -> None:
        self._cache = cache.Packages(root)
        self.kept: dict[str, bytes] = {}

    async def put(self, package: bytes) -> str:
        digest = self._cache.check(package)
        self.kept[digest] = package
        return digest

    async def get(self, sha256: str) -> bytes:
        return self.kept[sha256]


class Door:
    """A client without sockets: sends one request and gives the answer as the server would."""

    def __init__(self, services: Any, packages: Packages) -> None:
        self.services = services
        self.packages = packages
        self.functions: Functions = services.functions
        self.engine: Engine = services.engine
        self.face = face.Face(services, packages)

    async def raw(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        query: str = "",
        headers: dict[str, str] | None = None,
        prefix: str = "/2023-03-30",
    ) -> http.Response:
        raw_path = prefix + path
        request = http.Request(
            method, unquote(raw_path), raw_path=raw_path, query=query, request_id="REQ-1",
            headers={"host": "127.0.0.1:7280", **(headers or {})}, body=body,
        )  # fmt: skip
        try:
            answer = await self.face(request)
        except errors.HeadraceError as error:
            answer = faults.refuse(error, request.request_id)
        assert isinstance(answer, http.Response)
        return answer

    async def ask(
        self, method: str, path: str, body: object = None, **options: Any
    ) -> tuple[int, Any]:
        """Return status and decoded body; `body` is sent as JSON."""
        sent = b"" if body is None else msgspec.json.encode(body)
        answer = await self.raw(method, path, sent, **options)
        assert dict(answer.headers)[b"x-fc-request-id"] == b"REQ-1"
        return answer.status, msgspec.json.decode(answer.body) if answer.body else None

    async def create(self, name: str = "hello", **fields: Any) -> dict[str, Any]:
        status, made = await self.ask("POST", "/functions", function_body(name, **fields))
        assert status == 200, made
        return made


def zipped(text: str = "def handler(event, context):\n    return event\n") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        # A date of its own: two made in different seconds are the same bytes.
        archive.writestr(zipfile.ZipInfo("index.py"), text)
    return out.getvalue()


def function_body(name: str = "hello", **fields: Any) -> dict[str, Any]:
    return {
        "functionName": name,
        "runtime": "python3.10",
        "handler": "index.handler",
        "code": {"zipFile": base64.b64encode(zipped()).decode()},
        **fields,
    }


def headers_of(answer: http.Response) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in answer.headers}


@pytest.fixture
async def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Door:
    clock = Clock()
    chance = random.Random(7)
    kept = registry.MemoryRegistry(clock)
    await kept.open()
    made = catalog.Catalog(kept, clock, chance, region=REGION)
    allowed: list[tuple[str, str]] = []
    services = SimpleNamespace(
        catalog=made,
        engine=Engine(),
        functions=Functions(),
        authorize=lambda principal, action, resource: allowed.append((action, resource)),
        allowed=allowed,
        limits=limits.WIDE,
        account=ACCOUNT,
        region=REGION,
        clock=clock,
        random=chance,
    )

    def identify(given: Any, request: http.Request) -> Any:
        if "authorization" not in request.headers and request.headers.get("x-unsigned"):
            raise errors.SignatureMissing
        return SimpleNamespace(account=ACCOUNT)

    monkeypatch.setattr(operations, "identify", identify)
    return Door(services, Packages(tmp_path / "code"))
