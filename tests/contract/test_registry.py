"""The registry's promises, on every engine."""

from __future__ import annotations

import asyncio

import pytest

from headrace.store import ports
from tests.contract import engines

pytestmark = pytest.mark.anyio

ABSENT = ports.ABSENT


def put(key: str, value: bytes | None = b"v") -> ports.Change:
    return ports.Change(key, value)


async def test_a_commit_is_in_the_view_and_survives_reopening(kit: engines.Kit) -> None:
    registry = kit.registry()
    assert await registry.open() == 0
    revision = await registry.commit([put("a/bus/x", b"1"), put("a/bus/y", b"2")])
    assert registry.get("a/bus/x") == ports.Versioned("a/bus/x", revision, b"1")
    await registry.close()
    again = kit.registry()
    assert await again.open() == revision
    assert again.get("a/bus/y") == ports.Versioned("a/bus/y", revision, b"2")
    await again.close()


async def test_a_guard_that_fails_is_named_and_nothing_is_written(kit: engines.Kit) -> None:
    registry = kit.registry()
    await registry.open()
    first = await registry.commit([put("a/x", b"1")], unless=[ports.Guard("a/x", ABSENT)])
    second = await registry.commit([put("a/x", b"2")], unless=[ports.Guard("a/x", first)])
    guards = [ports.Guard("a/x", second), ports.Guard("a/y", second)]
    with pytest.raises(ports.Conflict) as caught:
        await registry.commit([put("a/x", b"3"), put("a/y", b"3")], unless=guards)
    assert (caught.value.key, caught.value.expected, caught.value.found) == ("a/y", second, ABSENT)
    found = registry.get("a/x")
    assert found is not None
    assert (found.revision, found.value) == (second, b"2")
    assert registry.get("a/y") is None
    with pytest.raises(ports.Conflict):
        await registry.commit([put("a/x")], unless=[ports.Guard("a/x", ABSENT)])
    assert await registry.commit([], unless=[ports.Guard("a/x", second)]) == second + 1
    await registry.close()


async def test_of_two_writers_on_one_revision_one_wins(kit: engines.Kit) -> None:
    """Also when they are two registries on one table, each with a view of its own."""
    one, other = kit.registry("one"), kit.registry("other")
    await one.open()
    await other.open()
    revision = await one.commit([put("a/x", b"0")])
    guard = ports.Guard("a/x", revision)
    outcomes = await asyncio.gather(
        *(
            registry.commit([put("a/x", b"%d" % number)], unless=[guard])
            for number, registry in enumerate([one, other, one, other])
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, int) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, ports.Conflict) for outcome in outcomes) == 3
    await one.close()
    await other.close()


async def test_a_deleted_key_is_absent_again(kit: engines.Kit) -> None:
    registry = kit.registry()
    await registry.open()
    await registry.commit([put("a/x"), put("a/y")])
    await registry.commit([put("a/x", None), put("a/never", None)])
    assert registry.get("a/x") is None
    assert [one.key for one in registry.list("a/").items] == ["a/y"]
    await registry.commit([put("a/x")], unless=[ports.Guard("a/x", ABSENT)])
    await registry.close()


async def test_list_is_ascending_by_prefix_and_in_pages(kit: engines.Kit) -> None:
    registry = kit.registry()
    await registry.open()
    await registry.commit([put(f"a/bus/{number:02d}") for number in (5, 1, 3, 4, 2)])
    await registry.commit([put("a/bus-x"), put("b/bus/1"), put("a/rule/1")])
    keys: list[str] = []
    after: str | None = None
    while True:
        page = registry.list("a/bus/", after, 2)
        keys += [one.key for one in page.items]
        after = page.next
        if after is None:
            break
        assert after == keys[-1]
    assert keys == [f"a/bus/{number:02d}" for number in range(1, 6)]
    assert registry.list("c/").items == []
    await registry.close()


async def test_watch_yields_every_set_in_order_past_and_future(kit: engines.Kit) -> None:
    registry = kit.registry()
    await registry.open()
    await registry.commit([put("a/1"), put("a/2", b"x")])
    start = await registry.commit([put("a/2", None)])
    seen: list[ports.ChangeSet] = []

    async def follow() -> None:
        async for change_set in registry.watch(ports.Revision(1)):
            seen.append(change_set)
            if len(seen) == 4:
                return

    follower = asyncio.create_task(follow())
    await registry.commit([])
    await asyncio.gather(registry.commit([put("a/3")]), registry.commit([put("a/4")]))
    await asyncio.wait_for(follower, 10)
    assert [one.revision for one in seen] == [start, start + 1, start + 2, start + 3]
    assert seen[0].changes == (put("a/2", None),)
    assert seen[1].changes == ()
    await registry.close()


async def test_reached_tells_when_a_revision_is_applied(kit: engines.Kit) -> None:
    registry = kit.registry()
    await registry.open()
    revision = await registry.commit([put("a/1")])
    assert await registry.reached(revision, 0)
    assert not await registry.reached(ports.Revision(revision + 1), 0.01)
    waiting = asyncio.create_task(registry.reached(ports.Revision(revision + 1), 10))
    await registry.commit([put("a/2")])
    assert await waiting
    await registry.close()


async def test_interned_numbers_are_stable_and_never_shared(kit: engines.Kit) -> None:
    registry = kit.registry()
    await registry.open()
    names = [f"acme/{number}" for number in range(20)]
    numbers = await asyncio.gather(*(registry.intern(name) for name in names + names))
    assert numbers[:20] == numbers[20:]
    assert len(set(numbers)) == 20
    assert min(numbers) >= 1
    assert registry.interned("acme/7") == numbers[7]
    assert registry.name_of(numbers[7]) == "acme/7"
    assert registry.interned("unknown") is None
    assert registry.name_of(10_000) is None
    await registry.close()
    again = kit.registry()
    await again.open()
    assert again.interned("acme/7") == numbers[7]
    assert await again.intern("new") not in numbers
    await again.close()


async def test_a_lease_has_one_holder_and_a_rising_fence(kit: engines.Kit) -> None:
    one, other = kit.registry("one"), kit.registry("other")
    await one.open()
    await other.open()
    first = await one.lease("timers", 1_000)
    assert first.expires_ms == kit.clock.now_ms + 1_000
    with pytest.raises(ports.LeaseHeld):
        await other.lease("timers", 1_000)
    kit.clock.now_ms += 900
    renewed = await one.lease("timers", 1_000)
    assert (renewed.fence, renewed.expires_ms) == (first.fence, kit.clock.now_ms + 1_000)
    kit.clock.now_ms += 1_000
    taken = await other.lease("timers", 1_000)
    assert taken.fence > renewed.fence
    with pytest.raises(ports.LeaseHeld):
        await one.lease("timers", 1_000)
    kit.clock.now_ms += 1_000
    assert (await one.lease("timers", 1_000)).fence > taken.fence
    assert (await other.lease("another", 1_000)).fence == 1
    await one.close()
    await other.close()


async def test_a_holder_that_starts_again_gets_its_lease_with_a_new_fence(kit: engines.Kit) -> None:
    before = kit.registry("one")
    await before.open()
    fence = (await before.lease("timers", 60_000)).fence
    await before.close()
    after = kit.registry("one")
    await after.open()
    assert (await after.lease("timers", 60_000)).fence == fence + 1
    await after.close()


async def test_closing_ends_a_watch(kit: engines.Kit) -> None:
    registry = kit.registry()
    revision = await registry.open()
    walk = registry.watch(revision)
    waiting = asyncio.ensure_future(anext(walk))
    await registry.commit([put("a/1")])
    await waiting
    again = asyncio.ensure_future(anext(walk))
    await asyncio.sleep(0)
    await registry.close()
    with pytest.raises(ports.StoreError):
        await again
