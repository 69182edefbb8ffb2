"""Who may hold how many of the outgoing connections: a few for each receiver, the rest for all.

Without a part of its own, a receiver that answers at once waits for those that hold every
connection for half a minute. Pure bookkeeping; must never open or close a connection.
"""

from __future__ import annotations

import asyncio
from collections import deque

#: Connections that a receiver (address and port) has for itself, whatever others hold.
OWN_PER_HOST = 2
#: Connections beyond those, of all receivers; past it deliveries wait for one.
SHARED_MAX = 256
#: Connections to one receiver; past it its deliveries wait.
CONNECTIONS_PER_HOST_MAX = 64


class Shares:
    """Permits to use a connection, by receiver. Lives on one loop, no locks."""

    def __init__(
        self,
        own: int = OWN_PER_HOST,
        shared: int = SHARED_MAX,
        most: int = CONNECTIONS_PER_HOST_MAX,
    ) -> None:
        self._own = own
        self._shared = shared
        self._most = most
        self._held: dict[str, int] = {}
        #: By receiver, in the order in which they get the next shared permit.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def take(self, host: str) -> None:
        """Return with a permit for `host`; `give` it back. Cancelled, it has taken none."""
        if self._may(host) and host not in self._waiting:
            self._hold(host)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(host, deque()).append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.give(host)  # it was ours already
            else:
                self._forget(host, turn)
            raise

    def give(self, host: str) -> None:
        """Give a permit back; who waits longest among the receivers in turn gets it."""
        held = self._held[host]
        if held > self._own:
            self._shared += 1
        if held > 1:
            self._held[host] = held - 1
        else:
            del self._held[host]
        if self._held.get(host, 0) < self._own and self._pass_on(host):
            return
        while self._shared:
            next_one = next((one for one in self._waiting if self._may(one)), None)
            if next_one is None or self._pass_on(next_one):
                return

    @property
    def waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _may(self, host: str) -> bool:
        held = self._held.get(host, 0)
        return held < self._own or (self._shared > 0 and held < self._most)

    def _hold(self, host: str) -> None:
        held = self._held.get(host, 0)
        self._held[host] = held + 1
        if held >= self._own:
            self._shared -= 1
        assert self._shared >= 0, "more permits out than there are"

    def _pass_on(self, host: str) -> bool:
        """Let the first who waits for `host` go on, and put the receiver last in the order; False
        when nobody waits any more."""
        turns = self._waiting.pop(host, None)
        while turns:
            turn = turns.popleft()
            if turn.done():  # cancelled, and not yet aware of it
                continue
            if turns:
                self._waiting[host] = turns
            self._hold(host)
            turn.set_result(None)
            return True
        return False

    def _forget(self, host: str, turn: asyncio.Future[None]) -> None:
        turns = self._waiting.get(host)
        if turns is not None and turn in turns:
            turns.remove(turn)
            if not turns:
                del self._waiting[host]
