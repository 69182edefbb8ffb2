"""A whole server in memory for the tests of the faces: real catalog, bus, keys, signatures.

Targets are receivers that note what they were sent and answer as they were told.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from urllib.parse import urlencode

import prometheus_client

from headrace.access import authenticate, keys, nonces, policy
from headrace.api import assembly, services
from headrace.api.eventbridge import control, dataplane
from headrace.bus import engine
from headrace.core import delivery, limits, signature
from headrace.functions import history, invocation
from headrace.resources import catalog, model
from headrace.store import memory
from tests.unit.api import support

ACCOUNT = "1234567890123456"
REGION = "cn-hangzhou"
KEY = keys.Key("AKtest", "secret-of-the-test", ACCOUNT)
HOST = "127.0.0.1:7280"


class Receiver:
    """A target that answers what it is told to."""

    def __init__(self) -> None:
        self.seen: list[delivery.Message] = []
        self.answer = delivery.delivered(200)
        #: While not set, sending waits.
        self.gate: asyncio.Event | None = None

    async def send(
        self, batch: Sequence[delivery.Message], deadline_us: int
    ) -> Sequence[delivery.Outcome]:
        if self.gate is not None:
            await self.gate.wait()
        self.seen.extend(batch)
        return [self.answer] * len(batch)

    async def close(self) -> None:
        """Nothing to let go."""


class Idle:
    """Functions where none runs."""

    def stats(self) -> invocation.Stats:
        return invocation.Stats(*[0] * len(invocation.Stats.__struct_fields__))


class World:
    """The application and its client."""

    def __init__(self, app: Any, container: services.Services, receiver: Receiver) -> None:
        self.app = app
        self.services = container
        self.receiver = receiver
        self._nonces = itertools.count()

    @property
    def now(self) -> int:
        return self.services.clock.wall_ms()

    def _nonce(self) -> str:
        return f"nonce-{next(self._nonces)}"

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        key: keys.Key = KEY,
    ) -> support.Reply:
        """Send one request signed by ACS3."""
        signed = signature.sign_acs3(
            key.access_key_id,
            key.secret,
            method=method,
            path=path,
            query=query,
            headers={"host": HOST, **(headers or {})},
            body=body,
            date=iso(self.now),
            nonce=self._nonce(),
        )
        return await support.ask(self.app, method, path, query=query, headers=signed, body=body)

    async def rpc(self, action: str, /, *, form: bool = False, **params: Any) -> support.Reply:
        """Call the control API as the official SDK does: parameters in the query, or in a form."""
        text = urlencode({k: v if isinstance(v, str) else json.dumps(v) for k, v in params.items()})
        headers = {"x-acs-action": action, "x-acs-version": control.VERSION}
        if form:
            headers["content-type"] = "application/x-www-form-urlencoded"
            return await self.send("POST", "/", headers=headers, body=text.encode())
        return await self.send("POST", "/", query=text, headers=headers)

    async def ok(self, action: str, /, **params: Any) -> Any:
        """Call the control API and return the body of a success."""
        reply = await self.rpc(action, **params)
        body = json.loads(reply.body)
        assert (reply.status, body["Code"], body["Success"]) == (200, "Success", True), body
        return body

    async def refused(self, action: str, /, **params: Any) -> tuple[int, str, str]:
        """Call the control API and return status, code and message of its refusal."""
        reply = await self.rpc(action, **params)
        body = json.loads(reply.body)
        assert body["RequestId"] == reply.headers["x-acs-request-id"]
        assert body["Success"] is False, body
        return reply.status, body["Code"], body["Message"]

    async def rpc_v1(self, params: Mapping[str, str], *, method: str = "POST") -> support.Reply:
        """Call the control API as Terraform does: RPC v1, everything in the form (or query)."""
        signed = signature.sign_rpc(
            KEY.access_key_id,
            KEY.secret,
            method=method,
            parameters={"Version": control.VERSION, "Format": "JSON", **params},
            timestamp=iso(self.now),
            nonce=self._nonce(),
        )
        text = urlencode(signed)
        if method == "GET":
            return await support.ask(self.app, "GET", "/", query=text)
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return await support.ask(self.app, "POST", "/", headers=headers, body=text.encode())

    async def openapi(self, name: str, value: object, content_type: str = "") -> support.Reply:
        """Call the data plane as its SDK does."""
        headers = signature.sign_data_plane(
            KEY.access_key_id,
            KEY.secret,
            method="POST",
            path=dataplane.PREFIX + name,
            headers={
                "host": HOST,
                "content-type": content_type or "application/json; charset=utf-8",
                "x-eventbridge-version": "2015-06-06",
            },
            date=formatdate(self.now / 1000, usegmt=True),
            nonce=self._nonce(),
        )
        return await support.ask(
            self.app,
            "POST",
            dataplane.PREFIX + name,
            headers=headers,
            body=value if isinstance(value, bytes) else json.dumps(value).encode(),
        )

    async def flat(self, name: str, value: object) -> Any:
        """Call the data plane and return the body of a success."""
        reply = await self.openapi(name, value)
        body = json.loads(reply.body)
        assert reply.status == 200, body
        assert body["ResourceOwnerAccountId"] == ACCOUNT
        return body

    async def native(
        self, method: str, path: str, value: object = None, query: str = ""
    ) -> tuple[int, Any]:
        """Call our own API; return status and JSON."""
        body = b"" if value is None else json.dumps(value).encode()
        reply = await self.send(method, "/headrace/v1" + path, query=query, body=body)
        return reply.status, json.loads(reply.body)

    async def settled(self, event_id: str, pushes: int = 1, bus: str = "default") -> None:
        """Return when this many attempts for the event are on record."""
        for _ in range(10_000):
            steps = await self.services.engine.traces(ACCOUNT, bus, event_id)
            if sum(step.verdict != "" for step in steps if step.action == "PushEvent") >= pushes:
                return
            await asyncio.sleep(0)
        raise AssertionError(f"{event_id} was not attempted {pushes} times")

    async def until(self, holds: Callable[[], bool]) -> None:
        """Let the server's tasks run until `holds`."""
        for _ in range(10_000):
            if holds():
                return
            await asyncio.sleep(0)
        raise AssertionError("it never held")


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@asynccontextmanager
async def world(bounds: limits.Limits = limits.WIDE) -> AsyncIterator[World]:
    """Start a server in memory, and stop it."""
    clock = support.FixedClock()
    chance = random.Random(7)
    registry = memory.MemoryRegistry(clock)
    revision = await registry.open()
    records = catalog.Catalog(registry, clock, chance, region=REGION, bounds=bounds)
    receiver = Receiver()

    def sender_of(account: str, rule: model.Rule, target: model.Target) -> delivery.Sender:
        return receiver

    def call_sender(account: str, function: model.Function) -> delivery.Sender:
        return receiver

    def broken(error: BaseException) -> None:
        raise AssertionError("the store broke") from error

    bus = engine.Engine(
        memory.MemoryJournal(),
        registry,
        records,
        clock=clock,
        random=chance,
        region=REGION,
        wiring=engine.Wiring(sender_of, call_sender, broken),
    )
    await bus.open([ACCOUNT], revision)
    container = services.Services(
        catalog=records,
        engine=bus,
        functions=Idle(),  # type: ignore[arg-type]
        authenticator=authenticate.Authenticator(
            keys.Keyring([KEY]), clock, nonces.Nonces.in_memory(entries=1024)
        ),
        authorize=policy.authorize,
        limits=bounds,
        account=ACCOUNT,
        region=REGION,
        clock=clock,
        random=chance,
        facts={"version": "0"},
        tables=(control.TABLE, dataplane.TABLE),
        logs=history.History(memory.MemoryRecords()),
    )
    app = assembly.build(
        container, registry=prometheus_client.CollectorRegistry(), unready=lambda: ""
    )
    try:
        yield World(app, container, receiver)
    finally:
        await bus.close(0.0)
