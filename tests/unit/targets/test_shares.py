"""Who may hold how many of the outgoing connections."""

from __future__ import annotations

import asyncio

import pytest

from headrace.targets import shares

pytestmark = pytest.mark.anyio


def begun(given: shares.Shares, host: str) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(given.take(host))


async def turns() -> None:
    """Let whatever can go on go on."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_receiver_that_comes_last_has_its_own_part() -> None:
    given = shares.Shares(own=2, shared=3)
    for _ in range(5):
        await given.take("slow")
    waiting = begun(given, "slow")
    await turns()
    assert not waiting.done()
    await given.take("fast")
    await given.take("fast")
    third = begun(given, "fast")
    await turns()
    assert not third.done()
    given.give("fast")
    await turns()
    assert third.done(), "its own part comes back to it, not to who waits longer"
    assert not waiting.done()
    waiting.cancel()


async def test_what_is_shared_goes_round_among_the_receivers() -> None:
    given = shares.Shares(own=0, shared=1)
    await given.take("holder")
    ended: list[str] = []
    tasks = [begun(given, host) for host in ("a", "a", "a", "b")]
    for task, name in zip(tasks, ("a1", "a2", "a3", "b1"), strict=True):
        task.add_done_callback(lambda _, name=name: ended.append(name))
    await turns()
    given.give("holder")
    for host in ("a", "b", "a"):
        await turns()
        given.give(host)
    await turns()
    assert ended == ["a1", "b1", "a2", "a3"]


async def test_who_gives_up_waiting_takes_nothing_with_it() -> None:
    given = shares.Shares(own=0, shared=1)
    await given.take("a")
    waiting = begun(given, "b")
    await turns()
    waiting.cancel()
    await turns()
    assert given.waiting == 0
    given.give("a")
    await asyncio.wait_for(given.take("c"), 1)


async def test_who_gives_up_just_when_it_is_its_turn_gives_it_on() -> None:
    given = shares.Shares(own=0, shared=1)
    await given.take("a")
    first, second = begun(given, "b"), begun(given, "c")
    await turns()
    given.give("a")
    first.cancel()
    await turns()
    assert first.cancelled()
    assert second.done()


async def test_all_permits_come_back() -> None:
    given = shares.Shares(own=1, shared=2)
    for _ in range(3):
        for host in ("a", "a", "b"):
            await given.take(host)
        for host in ("a", "b", "a"):
            given.give(host)
    tasks = [begun(given, "a") for _ in range(4)]
    await turns()
    assert [task.done() for task in tasks] == [True, True, True, False]
    tasks[3].cancel()


async def test_one_receiver_has_a_bound_of_its_own() -> None:
    given = shares.Shares(own=1, shared=9, most=2)
    await given.take("a")
    await given.take("a")
    waiting = begun(given, "a")
    await turns()
    assert not waiting.done()
    await given.take("b")
    await given.take("b")
    given.give("b")
    await turns()
    assert not waiting.done(), "what is shared is there, but not for more of this one"
    given.give("a")
    await turns()
    assert waiting.done()


async def test_who_was_cancelled_in_this_very_turn_is_passed_by() -> None:
    """Its task does not know yet; the permit must go to the next, of whatever receiver."""
    given = shares.Shares(own=0, shared=1)
    await given.take("holder")
    gone, next_one = begun(given, "a"), begun(given, "b")
    await turns()
    gone.cancel()
    given.give("holder")
    await turns()
    assert gone.cancelled()
    assert next_one.done()
    given.give("b")
    await given.take("c")
    assert given.waiting == 0
