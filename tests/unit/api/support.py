"""What the tests of the faces share: still clock and chance, an ASGI client without sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any


class FixedClock:
    """Moves only when told to."""

    def __init__(self, wall_ms: int = 1_700_000_000_000) -> None:
        self.wall = wall_ms
        self.mono = 0

    def wall_ms(self) -> int:
        return self.wall

    def mono_us(self) -> int:
        return self.mono


class CountingRandom:
    """Never repeats within a test."""

    def __init__(self) -> None:
        self.count = 0

    def random(self) -> float:
        return 0.5

    def getrandbits(self, k: int, /) -> int:
        self.count += 1
        return self.count % (1 << k)


class Reply:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


async def ask(
    app: Any,
    method: str,
    path: str,
    *,
    query: str = "",
    headers: Mapping[str, str] | list[tuple[str, str]] | None = None,
    body: bytes = b"",
    chunks: list[bytes] | None = None,
    gone: asyncio.Event | None = None,
) -> Reply:
    """Send one request to an ASGI application and return its whole answer.

    chunks: sent instead of `body`, without a length.  gone: when set, the client has disconnected.
    """
    pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers or [])
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs]
    parts = [body] if chunks is None else chunks
    if chunks is not None:
        raw.append((b"transfer-encoding", b"chunked"))
    elif body and not any(name == b"content-length" for name, _ in raw):
        raw.append((b"content-length", str(len(body)).encode()))
    inbox = [
        {"type": "http.request", "body": part, "more_body": number < len(parts)}
        for number, part in enumerate(parts, 1)
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        if inbox:
            return inbox.pop(0)
        await (gone or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "raw_path": path.encode(),
        "path": path,
        "query_string": query.encode(),
        "headers": raw,
        "client": ("10.1.2.3", 4),
    }
    await app(scope, receive, send)
    start = sent[0] if sent else {"status": 0, "headers": []}
    return Reply(
        start["status"],
        {name.decode(): value.decode() for name, value in start["headers"]},
        b"".join(message.get("body", b"") for message in sent[1:]),
    )


async def until(holds: Callable[[], bool]) -> None:
    """Let the loop turn until `holds`; TimeoutError when it does not within five seconds."""
    async with asyncio.timeout(5):
        await _turns(holds)


async def _turns(holds: Callable[[], bool]) -> None:
    for _ in iter(holds, True):
        await asyncio.sleep(0)
