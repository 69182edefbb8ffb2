"""The registry's view in memory: sorted keys, the newest revision, the interned names, who waits
for what.

Engines feed it change sets in order; it must never do I/O.
"""

from __future__ import annotations

import asyncio
import bisect

from headrace.store import ports


class RegistryView:
    """What `get`, `list`, `interned` read."""

    def __init__(self) -> None:
        self.revision = ports.Revision(0)
        self._values: dict[str, ports.Versioned] = {}
        self._keys: list[str] = []
        self._numbers: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._waiters: set[asyncio.Future[None]] = set()
        self._closed = False

    def get(self, key: str) -> ports.Versioned | None:
        return self._values.get(key)

    def page(self, prefix: str, after: str | None, limit: int) -> ports.Page[ports.Versioned]:
        """Ascending by key, keys > `after` that begin with `prefix`."""
        assert limit >= 1, f"limit {limit}"
        start = bisect.bisect_left(self._keys, prefix)
        if after is not None:
            start = max(start, bisect.bisect_right(self._keys, after))
        keys = self._keys[start : start + limit + 1]
        fitting = [key for key in keys if key.startswith(prefix)]
        items = [self._values[key] for key in fitting[:limit]]
        return ports.Page(items, items[-1].key if len(fitting) > limit else None)

    def check(self, guard: ports.Guard) -> None:
        """Raises: Conflict."""
        found = self._values.get(guard.key)
        revision = found.revision if found is not None else ports.ABSENT
        if revision != guard.revision:
            raise ports.Conflict(guard.key, guard.revision, revision)

    def load(self, revision: ports.Revision, values: list[ports.Versioned]) -> None:
        """Start from a table that was read whole."""
        assert not self._values, "a view is loaded once"
        self._values = {value.key: value for value in values}
        self._keys = sorted(self._values)
        self.revision = revision

    def apply(self, change_set: ports.ChangeSet) -> None:
        assert change_set.revision == self.revision + 1, "change sets come in order, without a gap"
        for change in change_set.changes:
            if change.value is None:
                self._drop(change.key)
            else:
                self._set(ports.Versioned(change.key, change_set.revision, change.value))
        self.revision = change_set.revision
        self._wake()

    def learn(self, name: str, number: int) -> None:
        self._numbers[name] = number
        self._names[number] = name

    def interned(self, name: str) -> int | None:
        return self._numbers.get(name)

    def name_of(self, number: int) -> str | None:
        return self._names.get(number)

    async def passed(self, revision: ports.Revision) -> None:
        """Return once the view is newer than `revision`. Raises: StoreError when it is closed."""
        while self.revision <= revision:
            if self._closed:
                raise ports.StoreError("the registry is closed")
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    async def reached(self, revision: ports.Revision, timeout_s: float) -> bool:
        if self.revision >= revision:
            return True
        try:
            await asyncio.wait_for(self.passed(ports.Revision(revision - 1)), timeout_s)
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Wake whoever waits; `watch` then ends with an error."""
        self._closed = True
        self._wake()

    def _set(self, value: ports.Versioned) -> None:
        if value.key not in self._values:
            bisect.insort(self._keys, value.key)
        self._values[value.key] = value

    def _drop(self, key: str) -> None:
        if self._values.pop(key, None) is not None:
            del self._keys[bisect.bisect_left(self._keys, key)]

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
