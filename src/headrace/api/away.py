"""A connection above the cap, from its answer to its end: closed so that its client reads why.

Must never wait for a client longer than a named time.
"""

from __future__ import annotations

import asyncio

from headrace.api import bounds


class TurnedAway(asyncio.Protocol):
    """A connection above the cap, its answer sent: one that is closed while its request comes in
    would be reset, and its client might never read why.
    """

    def __init__(self, transport: asyncio.Transport, among: set[TurnedAway]) -> None:
        self._transport = transport
        self._among = among
        among.add(self)
        transport.write_eof()
        loop = asyncio.get_running_loop()
        self._late = loop.call_later(bounds.TURNED_AWAY_SECONDS_MAX, transport.abort)

    def data_received(self, data: bytes) -> None:
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._late.cancel()
        self._among.discard(self)
