"""A disk without room: whoever writes is refused with 507, through every door of the bus."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from headrace.core import errors
from headrace.store import memory, ports
from tests import virtual_time
from tests.unit.bus.world import OK, Target, world

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": virtual_time.VirtualLoop}


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return a switch; while it holds something the registry has no room."""
    switch: list[bool] = []
    commit, intern = memory.MemoryRegistry.commit, memory.MemoryRegistry.intern

    async def committing(
        registry: memory.MemoryRegistry,
        changes: Sequence[ports.Change],
        *,
        unless: Sequence[ports.Guard] = (),
    ) -> ports.Revision:
        if switch:
            raise ports.Full("no room")
        return await commit(registry, changes, unless=unless)

    async def interning(registry: memory.MemoryRegistry, name: str) -> int:
        if switch and registry.interned(name) is None:
            raise ports.Full("no room")
        return await intern(registry, name)

    monkeypatch.setattr(memory.MemoryRegistry, "commit", committing)
    monkeypatch.setattr(memory.MemoryRegistry, "intern", interning)
    return switch


async def test_an_event_of_a_new_kind_is_refused_for_want_of_room(full: list[bool]) -> None:
    async with world() as it:
        it.targets["t"] = Target(OK)
        await it.rule("r", "t")
        full.append(True)
        with pytest.raises(errors.StoreFull):
            await it.publish("e1", source="never-seen")
        full.clear()
        assert len(await it.publish("e1", source="never-seen")) == 1
        await virtual_time.passes(1)


async def test_an_edit_is_refused_for_want_of_room_and_changes_nothing(full: list[bool]) -> None:
    async with world() as it:
        it.targets["t"] = Target(OK)
        await it.rule("before", "t")
        full.append(True)
        with pytest.raises(errors.StoreFull):
            await it.catalog.delete_rule("1000000000000001", "default", "before")
        with pytest.raises(errors.StoreFull):
            await it.rule("after", "t")
        full.clear()
        assert it.catalog.get_rule("1000000000000001", "default", "before")
        await it.rule("after", "t")
