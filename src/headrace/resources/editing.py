"""How a record is read and how it is changed: decode once, compare-and-set, then tell the
listeners.

Every write of the catalog goes through `Editor.run`. It must never hold a rule of one kind of
resource; those live beside their kind (`buses`, `rules`, `functions`, `triggers`).

A write is one registry change set with guards. Inside this process writes queue behind one lock, so
the feed is in commit order; against other processes the guards hold and the write is repeated on
what it finds then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Generic, Literal, TypeVar, cast

import msgspec

from headrace.core import clock, errors
from headrace.resources import inputs, model
from headrace.store import ports, refusing

#: Stands for a revision that is not known yet.
UNCOMMITTED: Final = ports.Revision(0)
#: How often one write is repeated when another process got in first.
EDIT_ATTEMPTS_MAX: Final = 32
_PAGE: Final = 1000

KindName = Literal["bus", "rule", "function", "queue", "source", "switch"]
Resource = (
    model.EventBus | model.Rule | model.Function | model.Queue | model.EventSource | model.Switch
)

R = TypeVar("R", bound=Resource)
T = TypeVar("T")


def is_key_part(name: str) -> bool:
    """Return whether `name` can be part of a key at all; what cannot, cannot exist."""
    return bool(name) and "/" not in name


class Kind(Generic[R]):
    """One kind of record: its word in the registry key, and its codec."""

    def __init__(self, name: KindName, record: type[R]) -> None:
        self.name: Final[KindName] = name
        self.record: Final = record
        self._decoder = msgspec.json.Decoder(record)

    def key(self, account: str, *path: str) -> ports.Key:
        """Return `account/kind/path…`."""
        parts = (account, self.name, *path)
        key = "/".join(parts)
        # `is_key_part` of every part, said so that it costs little: this runs for every delivery.
        assert all(parts), f"an empty part in {parts}"
        assert key.count("/") == len(parts) - 1, f"a slash inside a part of {parts}"
        return key

    def prefix(self, account: str, *path: str) -> ports.Key:
        return "/".join((account, self.name, *path, ""))

    def decode(self, value: bytes) -> R:
        return self._decoder.decode(value)


BUS: Final = Kind("bus", model.EventBus)
RULE: Final = Kind("rule", model.Rule)
FUNCTION: Final = Kind("function", model.Function)
QUEUE: Final = Kind("queue", model.Queue)
SOURCE: Final = Kind("source", model.EventSource)
SWITCH: Final = Kind("switch", model.Switch)


class Stored(msgspec.Struct, Generic[R], frozen=True):
    """A record as it stands in the registry."""

    key: ports.Key
    revision: ports.Revision
    record: R

    @property
    def account(self) -> str:
        return self.key.split("/", 1)[0]


class Changed(msgspec.Struct, frozen=True):
    """One record of a durable change set. `before` None = created, `after` None = deleted."""

    kind: KindName
    account: str
    key: ports.Key
    before: Resource | None
    after: Resource | None
    revision: int


Listener = Callable[[Sequence[Changed]], None]


class Draft:
    """One write in the making: changes, what they rest on, and what the listeners will hear."""

    def __init__(self) -> None:
        self.changes: dict[ports.Key, bytes | None] = {}
        self.guards: dict[ports.Key, ports.Revision] = {}
        self.feed: list[tuple[Kind[Any], ports.Key, Resource | None, Resource | None]] = []

    def put(self, kind: Kind[R], key: ports.Key, record: R, was: Stored[R] | None) -> None:
        """Write `record`; the commit fails if `key` is no longer as `was` says (None: absent)."""
        self.changes[key] = msgspec.json.encode(record)
        self.guard(key, was)
        self.feed.append((kind, key, was.record if was else None, record))

    def delete(self, kind: Kind[R], was: Stored[R]) -> None:
        self.changes[was.key] = None
        self.guard(was.key, was)
        self.feed.append((kind, was.key, was.record, None))

    def guard(self, key: ports.Key, was: Stored[Any] | None) -> None:
        """Let the commit fail unless `key` is still as `was` says."""
        self.guards[key] = was.revision if was else ports.ABSENT

    def touch(self, key: ports.Key) -> None:
        """Move a fence: a delete that saw the fence before this write will not commit after it."""
        self.changes[key] = b"1"


class Editor:
    """Typed reads and compare-and-set writes over one registry."""

    def __init__(self, registry: ports.Registry, time: clock.Clock) -> None:
        self._registry = registry
        self._clock = time
        self._lock = asyncio.Lock()
        self._cache: dict[ports.Key, Stored[Any]] = {}
        self._listeners: list[Listener] = []
        self._running: set[asyncio.Task[Any]] = set()

    def on_change(self, listener: Listener) -> None:
        """Call `listener` after each durable change set, before the writer's await returns, in
        commit order.
        """
        self._listeners.append(listener)

    # -- reading

    def read(self, kind: Kind[R], key: ports.Key) -> Stored[R] | None:
        """Return the record at `key`; each revision is decoded once."""
        found = self._registry.get(key)
        if found is None:
            self._cache.pop(key, None)
            return None
        return self._decoded(kind, found)

    def scan(
        self, kind: Kind[R], prefix: ports.Key, after: ports.Key | None = None
    ) -> Iterator[Stored[R]]:
        """Yield every record under `prefix`, ascending by key. Do not await while iterating."""
        while True:
            page = self._registry.list(prefix, after, _PAGE)
            for found in page.items:
                yield self._decoded(kind, found)
            if page.next is None:
                return
            after = page.next

    def walk(self, kind: Kind[R]) -> Iterator[Stored[R]]:
        """Yield every record of `kind` in every account (for the start of the bus)."""
        after: ports.Key | None = None
        while True:
            page = self._registry.list("", after, _PAGE)
            for found in page.items:
                if found.key.split("/", 2)[1] == kind.name:
                    yield self._decoded(kind, found)
            if page.next is None:
                return
            after = page.next

    def _decoded(self, kind: Kind[R], found: ports.Versioned) -> Stored[R]:
        cached = self._cache.get(found.key)
        if cached is None or cached.revision != found.revision:
            cached = Stored(found.key, found.revision, kind.decode(found.value))
            self._cache[found.key] = cached
        return cast("Stored[R]", cached)

    def fence(self, draft: Draft, key: ports.Key) -> None:
        """Make `draft` fail if anyone touches the fence `key` before it commits."""
        found = self._registry.get(key)
        draft.guards[key] = found.revision if found else ports.ABSENT

    # -- writing

    async def run(self, write: Callable[[Draft], Awaitable[T]]) -> T:
        """Run `write` to fill a draft, commit it, tell the listeners, return what `write` returned.

        Once begun it runs to its end even if the caller is cancelled: a durable change that no
        listener heard of would leave the bus on an old rule set. `write` may run more than once and
        must only read and draft.
        """
        task = asyncio.ensure_future(self._run(write))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _run(self, write: Callable[[Draft], Awaitable[T]]) -> T:
        async with self._lock:
            for _ in range(EDIT_ATTEMPTS_MAX):
                draft = Draft()
                result = await write(draft)
                if not draft.changes:
                    return result

                try:
                    await self._commit(draft)
                except ports.Conflict:
                    continue
                return result
        raise errors.EditConflict(
            f"The record kept changing: gave up after {EDIT_ATTEMPTS_MAX} attempts."
        )

    async def _commit(self, draft: Draft) -> None:
        with refusing.refused():
            revision = await self._registry.commit(
                [ports.Change(key, value) for key, value in draft.changes.items()],
                unless=[ports.Guard(key, revision) for key, revision in draft.guards.items()],
            )
        heard = [
            Changed(kind.name, key.split("/", 1)[0], key, before, after, revision)
            for kind, key, before, after in draft.feed
        ]
        if not heard:
            return
        for listener in self._listeners:
            listener(heard)

    async def intern(self, name: str) -> int:
        """Return the number of `name`, durable on return."""
        with refusing.refused():
            return await self._registry.intern(name)

    def is_interned(self, name: str) -> bool:
        return self._registry.interned(name) is not None

    def now_ms(self) -> int:
        return self._clock.wall_ms()


def edits_with(
    was: Stored[Any] | None, door: inputs.Door, fields: Sequence[str], at_ms: int
) -> tuple[model.Edit, ...]:
    """Return the edit list of a record after one more edit of `fields` through `door`."""
    base = was.revision if was else 0
    kept: tuple[model.Edit, ...] = was.record.edits if was else ()
    return (*kept, model.Edit(base, door, tuple(fields), at_ms))[-model.EDITS_KEPT :]


def check_revision(was: Stored[Any], revision: int | None, what: str) -> None:
    """Raise EditConflict naming what changed since `revision`, unless the record is still at it."""
    if revision is None or was.revision == revision:
        return
    raise errors.EditConflict(
        f"{what} is at revision {was.revision}, not {revision}. "
        f"Changed since: {_since(was.record.edits, revision)}.",
        field="revision",
        expected=was.revision,
        got=revision,
    )


def _since(edits: Sequence[model.Edit], revision: int) -> str:
    since = [edit for edit in edits if edit.base >= revision]
    if not any(edit.base == revision for edit in since):
        if edits and edits[0].base == 0:  # its whole life is remembered
            return f"deleted, and made again; {'; '.join(map(_told, edits))}"
        told = "; ".join(map(_told, since))
        return f"{told} and earlier edits" if told else "earlier edits"
    return "; ".join(map(_told, since))


def _told(edit: model.Edit) -> str:
    at = _utc(edit.at_ms)
    if edit.base == 0:
        return f"created on the {edit.door} at {at}"
    return f"{', '.join(edit.fields)} on the {edit.door} at {at}"


def _utc(at_ms: int) -> str:
    """Return RFC 3339 text."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def changed_fields(before: Resource, after: Resource) -> tuple[str, ...]:
    """Return the names of the fields that differ; targets are named one by one."""
    found: list[str] = []
    for name in before.__struct_fields__:
        if name in ("edits", "modified_ms", "origin"):
            continue
        old, new = getattr(before, name), getattr(after, name)
        if old == new:
            continue
        if name == "targets":
            found.extend(_changed_targets(old, new))
        else:
            found.append(name)
    # The trigger's words follow the rule; they are news only when nothing else changed.
    if not found and getattr(before, "origin", None) != getattr(after, "origin", None):
        found.append("trigger")
    return tuple(found)


def _changed_targets(
    before: Sequence[model.Target], after: Sequence[model.Target]
) -> Iterator[str]:
    old = {target.id: target for target in before}
    new = {target.id: target for target in after}
    for id_ in sorted({*old, *new}):
        if old.get(id_) != new.get(id_):
            yield f"target [{id_}]"


def put_edited(
    editor: Editor,
    draft: Draft,
    kind: Kind[R],
    key: ports.Key,
    pair: tuple[R, R],
    was: Stored[R] | None,
    door: inputs.Door,
) -> R:
    """Draft the second of `pair` with time and edit list; draft nothing if it is what the first
    says.
    """
    before, after = pair
    changed = changed_fields(before, after)
    if not changed:
        return before
    now = editor.now_ms()
    edits = edits_with(was, door, changed, now)
    record = msgspec.structs.replace(after, modified_ms=now, edits=edits)
    draft.put(kind, key, record, was)
    return record
