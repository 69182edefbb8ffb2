"""What one request is taken apart into: its buses, its refusals, the rules that see its events."""

from __future__ import annotations

import asyncio

import pytest

from headrace.bus import accept
from headrace.core import errors, event, limits
from headrace.resources import inputs
from tests import virtual_time
from tests.unit.bus.world import ACCOUNT, World, world

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": virtual_time.VirtualLoop}


def named(id: str, bus: object, source: str = "shop") -> event.Event:
    """An event that names a bus; ...: it names none."""
    given = {} if bus is ... else {"aliyuneventbusname": bus}
    return event.build({"id": id, "source": source, "type": "order", **given}, limits.WIDE)


async def rule(it: World, bus: str, name: str, pattern: str = "{}") -> None:
    target = inputs.TargetInput(name, "http", "http://example.com/")
    await it.catalog.create_rule(ACCOUNT, bus, inputs.RuleInput(name, pattern, targets=[target]))


async def test_each_event_of_a_request_goes_to_the_bus_it_names() -> None:
    async with world() as it:
        for bus in ("one", "two"):
            await it.catalog.create_bus(ACCOUNT, bus)
            await rule(it, bus, f"on-{bus}")
        entries = [
            named("1", "one"), named("2", "two"), named("3", "nowhere"), named("4", "one"),
            named("5", 1), named("6", True), named("7", ...), named("8", "nowhere"),
            named("9", "a/b"), named("10", "two"), named("11", ""),
        ]  # fmt: skip
        answers = await it.engine.publish(ACCOUNT, entries, bus=None, addr="127.0.0.1")
        told = [
            one.code if isinstance(one, errors.EventRefused) else one.event_id for one in answers
        ]
        missing, empty = "EventBusNotExist", "EventBusEmpty"
        refused = [empty, empty, empty, missing, missing]
        assert told == ["1", "2", missing, "4", *refused, "10", empty]
        await virtual_time.passes(1)
        assert it.targets["on-one"].ids == ["1", "4"]
        assert it.targets["on-two"].ids == ["2", "10"]


async def test_the_bus_of_the_request_counts_whatever_its_events_say() -> None:
    async with world() as it:
        await it.catalog.create_bus(ACCOUNT, "one")
        await rule(it, "one", "on-one", '{"aliyuneventbusname":["one"]}')
        entries = [named("1", "default"), named("2", 7), named("3", "nowhere"), named("4", ...)]
        answers = await it.engine.publish(ACCOUNT, entries, bus="one", addr="127.0.0.1")
        assert all(isinstance(one, accept.Accepted) for one in answers)
        await virtual_time.passes(1)
        assert it.targets["on-one"].ids == ["1", "2", "3", "4"]


async def test_all_events_of_a_request_meet_the_rules_as_they_are_once_all_is_allotted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A rule that was made while a new type waits for its number sees the whole request."""
    async with world() as it:
        await it.publish("0")
        registry = it.engine.accepter._registry  # pyright: ignore[reportPrivateUsage]
        intern, go = registry.intern, asyncio.Event()

        async def slow(name: str) -> int:
            await go.wait()
            return await intern(name)

        monkeypatch.setattr(registry, "intern", slow)
        entries = [named("1", ...), named("2", ..., "new"), named("3", ..., "new")]
        sent = asyncio.ensure_future(
            it.engine.publish(ACCOUNT, entries, bus="default", addr="127.0.0.1")
        )
        await asyncio.sleep(0)
        monkeypatch.setattr(registry, "intern", intern)
        await rule(it, "default", "late")
        go.set()
        await sent
        await virtual_time.passes(1)
        assert it.targets["late"].ids == ["1", "2", "3"]


async def test_a_large_request_is_decoded_bit_by_bit_so_that_others_have_their_turn() -> None:
    async with world() as it:
        await it.rule("deep", "t", pattern='{"data":{"never":["x"]}}')
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async def turns_while(*ids: str, size: int) -> int:
            before = turns
            await it.publish(*ids, data={"filler": "x" * size})
            return turns - before

        await it.publish("first")
        task = asyncio.create_task(other())
        small = await turns_while("a", "b", "c", "d", "e", "f", size=100)
        large = await turns_while("a", "b", "c", "d", "e", "f", size=accept.READ_AT_ONCE_BYTES)
        task.cancel()
        assert large >= small + 5
