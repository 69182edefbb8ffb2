"""The registry in memory. `MemoryTable` stands for the database: hand it to a second registry to
reopen it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from headrace.core import clock as clocks
from headrace.store import ports
from headrace.store.view import RegistryView


class MemoryTable:
    """What a database would hold of a registry."""

    def __init__(self) -> None:
        self.sets: list[ports.ChangeSet] = []
        self.names: dict[str, int] = {}
        #: name → (owner, fence, expires_ms)
        self.leases: dict[str, tuple[str, int, int]] = {}


class MemoryRegistry:
    """Satisfies `ports.Registry`."""

    def __init__(
        self, clock: clocks.Clock, *, table: MemoryTable | None = None, owner: str = "server"
    ) -> None:
        self._clock = clock
        self._table = table if table is not None else MemoryTable()
        self._owner = owner
        self._view = RegistryView()
        self._held: dict[str, int] = {}

    async def open(self) -> ports.Revision:
        self._catch_up()
        return self._view.revision

    def get(self, key: ports.Key) -> ports.Versioned | None:
        return self._view.get(key)

    def list(
        self, prefix: ports.Key, after: ports.Key | None = None, limit: int = 1000
    ) -> ports.Page[ports.Versioned]:
        return self._view.page(prefix, after, limit)

    async def commit(
        self, changes: Sequence[ports.Change], *, unless: Sequence[ports.Guard] = ()
    ) -> ports.Revision:
        self._catch_up()
        for guard in unless:
            self._view.check(guard)
        changes = tuple(changes)
        self._table.sets.append(ports.ChangeSet(ports.Revision(self._view.revision + 1), changes))
        self._catch_up()
        return self._view.revision

    async def watch(self, after: ports.Revision) -> AsyncIterator[ports.ChangeSet]:
        cursor = int(after)
        while True:
            self._catch_up()
            for change_set in self._table.sets[cursor:]:
                cursor = int(change_set.revision)
                yield change_set
            await self._view.passed(ports.Revision(cursor))

    async def reached(self, revision: ports.Revision, timeout_s: float) -> bool:
        self._catch_up()
        return await self._view.reached(revision, timeout_s)

    async def intern(self, name: str) -> int:
        number = self._table.names.setdefault(name, len(self._table.names) + 1)
        self._view.learn(name, number)
        return number

    def interned(self, name: str) -> int | None:
        return self._view.interned(name)

    def name_of(self, number: int) -> str | None:
        return self._view.name_of(number)

    async def lease(self, name: str, ttl_ms: int) -> ports.Lease:
        now_ms = self._clock.wall_ms()
        owner, fence, expires_ms = self._table.leases.get(name, (self._owner, 0, 0))
        if owner != self._owner and now_ms < expires_ms:
            raise ports.LeaseHeld(f"{name} is held by {owner}")
        if owner != self._owner or self._held.get(name) != fence:
            fence += 1
        self._held[name] = fence
        self._table.leases[name] = (self._owner, fence, now_ms + ttl_ms)
        return ports.Lease(name, fence, now_ms + ttl_ms)

    async def close(self) -> None:
        self._view.close()

    def _catch_up(self) -> None:
        for change_set in self._table.sets[self._view.revision :]:
            self._view.apply(change_set)
        for name, number in self._table.names.items():
            self._view.learn(name, number)
