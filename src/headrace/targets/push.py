"""HTTP targets before their first push: the client is loaded when somebody needs it.

Importing the HTTP client takes longer than all the rest of a start, so it happens in a thread at
the first push. Owns nothing else; what a push does is `http`.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from headrace.core import clock as clocks
from headrace.core import delivery
from headrace.targets import egress as egresses

if TYPE_CHECKING:
    from headrace.targets import http


class Pushers:
    """All HTTP targets of a server and the one client they share."""

    def __init__(self, egress: egresses.Egress, clock: clocks.Clock) -> None:
        self._egress = egress
        self._clock = clock
        self._client: http.HttpClient | None = None

    def sender(self, url: str) -> delivery.Sender:
        """Return the sender of one target; nothing is loaded yet."""
        return _Push(url, self)

    async def open(self, url: str) -> http.HttpSender:
        """Load the client, once, and return the sender that pushes to `url`."""
        module = await asyncio.to_thread(importlib.import_module, "headrace.targets.http")
        if self._client is None:
            self._client = module.HttpClient(self._egress)
        return module.HttpSender(url, self._client, self._clock)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()


class _Push:
    """One target."""

    def __init__(self, url: str, pushers: Pushers) -> None:
        self._url = url
        self._pushers = pushers
        self._sender: http.HttpSender | None = None

    async def send(
        self, batch: Sequence[delivery.Message], deadline_us: int
    ) -> Sequence[delivery.Outcome]:
        if self._sender is None:
            self._sender = await self._pushers.open(self._url)
        return await self._sender.send(batch, deadline_us)

    async def close(self) -> None:
        """Connections belong to the client."""
