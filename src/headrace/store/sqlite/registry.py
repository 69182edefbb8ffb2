"""The registry on SQLite: one file, one table of records, one log of change sets, the view in
memory.

Low rate; one thread of its own. The view follows the file, never the other way round, so that
several processes on one file see one order. Must never answer a commit before it is durable.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import apsw

from headrace.core import clock as clocks
from headrace.store import ports
from headrace.store.sqlite import directory as directories
from headrace.store.sqlite import disk as disks
from headrace.store.view import RegistryView

T = TypeVar("T")
#: What `open` reads: the revision, the records, the interned names.
_Loaded = tuple[ports.Revision, list[ports.Versioned], list[tuple[int, str]]]

#: Change sets kept for watchers; a watcher further behind lists anew.
CHANGE_SETS_MAX = 10_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    key TEXT PRIMARY KEY, revision INTEGER NOT NULL, value BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS change (
    revision INTEGER NOT NULL, turn INTEGER NOT NULL, key TEXT NOT NULL, value BLOB,
    PRIMARY KEY (revision, turn)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meta (
    one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS name (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS lease (
    name TEXT PRIMARY KEY, owner TEXT NOT NULL, fence INTEGER NOT NULL, expires_ms INTEGER NOT NULL
) WITHOUT ROWID;
INSERT OR IGNORE INTO meta VALUES (1, 0);
"""


class SqliteRegistry:
    """Satisfies `ports.Registry`. `owner` names this process among those that take leases."""

    def __init__(
        self, directory: directories.Directory, clock: clocks.Clock, *, owner: str = "server"
    ) -> None:
        self._path = directory.registry
        self._disk = directory.disk
        self._clock = clock
        self._owner = owner
        self._view = RegistryView()
        self._held: dict[str, int] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="headrace-registry")
        self._connection: disks.Connection | None = None
        self._broken: str | None = None

    async def open(self) -> ports.Revision:
        revision, values, names = await self._run(self._open)
        self._view.load(revision, values)
        for number, name in names:
            self._view.learn(name, number)
        return revision

    def get(self, key: ports.Key) -> ports.Versioned | None:
        return self._view.get(key)

    def list(
        self, prefix: ports.Key, after: ports.Key | None = None, limit: int = 1000
    ) -> ports.Page[ports.Versioned]:
        return self._view.page(prefix, after, limit)

    async def commit(
        self, changes: Sequence[ports.Change], *, unless: Sequence[ports.Guard] = ()
    ) -> ports.Revision:
        revision = await self._run(lambda: self._commit(tuple(changes), tuple(unless)))
        await self._catch_up()
        assert self._view.revision >= revision, "the view follows the file"
        return revision

    async def watch(self, after: ports.Revision) -> AsyncIterator[ports.ChangeSet]:
        cursor = after
        while True:
            for change_set in await self._run(lambda start=cursor: self._sets(start)):
                cursor = change_set.revision
                yield change_set
            await self._view.passed(cursor)

    async def reached(self, revision: ports.Revision, timeout_s: float) -> bool:
        if self._view.revision < revision:
            await self._catch_up()
        return await self._view.reached(revision, timeout_s)

    async def intern(self, name: str) -> int:
        known = self._view.interned(name)
        if known is not None:
            return known
        number = await self._run(lambda: self._intern(name))
        self._view.learn(name, number)
        return number

    def interned(self, name: str) -> int | None:
        return self._view.interned(name)

    def name_of(self, number: int) -> str | None:
        return self._view.name_of(number)

    async def lease(self, name: str, ttl_ms: int) -> ports.Lease:
        return await self._run(lambda: self._lease(name, ttl_ms))

    async def close(self) -> None:
        self._view.close()
        await self._run(self._close)
        self._thread.shutdown(wait=False)

    # ------------------------------------------------------------ in the registry's thread

    async def _run(self, job: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)

    async def _catch_up(self) -> None:
        start = self._view.revision
        for change_set in await self._run(lambda: self._sets(start)):
            # Two commits may catch up at once: the sets are the same, each is applied once.
            if change_set.revision > self._view.revision:
                self._view.apply(change_set)

    def _open(self) -> _Loaded:
        try:
            return self._load()
        except apsw.Error as error:
            raise disks.translated(error, self._connection) from error

    def _load(self) -> _Loaded:
        connection = self._connection = self._disk.create(self._path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        with self._transaction() as inside:
            inside.execute(_SCHEMA)
        # The file's name, and that of its log: SQLite ignores it when its own sync fails.
        self._disk.sync_directory(self._path.parent)
        connection.execute("BEGIN")
        row = connection.execute("SELECT revision FROM meta").fetchone()
        assert row is not None, "the schema writes the row"
        records = connection.execute("SELECT key, revision, value FROM record")
        values = [ports.Versioned(key, revision, value) for key, revision, value in records]
        names = list(connection.execute("SELECT number, name FROM name"))
        connection.execute("COMMIT")
        return ports.Revision(row[0]), values, names

    def _commit(
        self, changes: tuple[ports.Change, ...], unless: tuple[ports.Guard, ...]
    ) -> ports.Revision:
        with self._transaction() as connection:
            for guard in unless:
                _check(connection, guard)
            row = connection.execute(
                "UPDATE meta SET revision = revision + 1 RETURNING revision"
            ).fetchone()
            assert row is not None, "the schema writes the row"
            revision: int = row[0]
            for turn, change in enumerate(changes):
                connection.execute(
                    "INSERT INTO change VALUES (?, ?, ?, ?)",
                    (revision, turn, change.key, change.value),
                )
                _write(connection, revision, change)
            connection.execute(
                "DELETE FROM change WHERE revision <= ?", (revision - CHANGE_SETS_MAX,)
            )
        return ports.Revision(revision)

    def _sets(self, after: int) -> list[ports.ChangeSet]:
        connection = self._usable()
        sets: dict[int, list[ports.Change]] = {}
        connection.execute("BEGIN")
        row = connection.execute("SELECT revision FROM meta").fetchone()
        for revision, key, value in connection.execute(
            "SELECT revision, key, value FROM change WHERE revision > ? ORDER BY revision, turn",
            (after,),
        ):
            sets.setdefault(revision, []).append(ports.Change(key, value))
        connection.execute("COMMIT")
        assert row is not None, "the schema writes the row"
        if after < row[0] - CHANGE_SETS_MAX:
            raise ports.Compacted(f"revision {after} is more than {CHANGE_SETS_MAX} sets behind")
        # A set without changes has no rows, and no gap is allowed.
        return [
            ports.ChangeSet(ports.Revision(revision), tuple(sets.get(revision, ())))
            for revision in range(after + 1, row[0] + 1)
        ]

    def _intern(self, name: str) -> int:
        with self._transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO name (name) VALUES (?)", (name,))
            row = connection.execute("SELECT number FROM name WHERE name = ?", (name,)).fetchone()
        assert row is not None, "it was just written"
        return row[0]

    def _lease(self, name: str, ttl_ms: int) -> ports.Lease:
        now_ms = self._clock.wall_ms()
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT owner, fence, expires_ms FROM lease WHERE name = ?", (name,)
            ).fetchone()
            owner, fence, expires_ms = row or (self._owner, 0, 0)
            if owner != self._owner and now_ms < expires_ms:
                raise ports.LeaseHeld(f"{name} is held by {owner}")
            if owner != self._owner or self._held.get(name) != fence:
                fence += 1
            connection.execute(
                "INSERT OR REPLACE INTO lease VALUES (?, ?, ?, ?)",
                (name, self._owner, fence, now_ms + ttl_ms),
            )
        self._held[name] = fence
        return ports.Lease(name, fence, now_ms + ttl_ms)

    def _usable(self) -> disks.Connection:
        if self._broken is not None:
            raise ports.Broken(self._broken)
        if self._connection is None:
            raise ports.StoreError("the registry is not open")
        return self._connection

    @contextlib.contextmanager
    def _transaction(self) -> Generator[disks.Connection]:
        connection = self._usable()
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except BaseException as error:
            judged = disks.translated(error, connection) if isinstance(error, apsw.Error) else error
            if isinstance(judged, ports.Broken):
                self._broken = str(judged)
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise judged from error

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _check(connection: disks.Connection, guard: ports.Guard) -> None:
    row = connection.execute("SELECT revision FROM record WHERE key = ?", (guard.key,)).fetchone()
    found: int = row[0] if row is not None else ports.ABSENT
    if found != guard.revision:
        raise ports.Conflict(guard.key, guard.revision, found)


def _write(connection: disks.Connection, revision: int, change: ports.Change) -> None:
    if change.value is None:
        connection.execute("DELETE FROM record WHERE key = ?", (change.key,))
    else:
        connection.execute(
            "INSERT OR REPLACE INTO record VALUES (?, ?, ?)", (change.key, revision, change.value)
        )
