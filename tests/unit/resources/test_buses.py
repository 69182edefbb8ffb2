"""Event buses: `default` without creating it, names, paging, what may be deleted."""

from __future__ import annotations

import pytest

from headrace.core import errors, limits
from headrace.resources import inputs
from tests.unit.resources import world as worlds

pytestmark = pytest.mark.anyio

ACCOUNT = worlds.ACCOUNT


async def test_the_default_bus_exists_in_every_account_without_being_created(
    world: worlds.World,
) -> None:
    for account in (ACCOUNT, "another"):
        assert world.catalog.get_bus(account, "default").system
        names = [bus.name for bus in world.catalog.list_buses(account).items]
        assert names == ["default"]


async def test_the_default_bus_can_be_described_but_not_created_or_deleted(
    world: worlds.World,
) -> None:
    await world.catalog.update_bus(ACCOUNT, "default", description="mine")
    assert world.catalog.get_bus(ACCOUNT, "default").description == "mine"
    assert world.catalog.list_buses(ACCOUNT).total == 1
    with pytest.raises(errors.BusExists):
        await world.catalog.create_bus(ACCOUNT, "default")
    with pytest.raises(errors.BusNameInvalid):
        await world.catalog.delete_bus(ACCOUNT, "default")


async def test_a_bus_is_seen_by_its_account_only(world: worlds.World) -> None:
    made = await world.catalog.create_bus(ACCOUNT, "orders", "all orders", {"team": "shop"})
    assert world.catalog.get_bus(ACCOUNT, "orders") == made
    assert made.created_ms == world.clock.now_ms
    assert made.tags == {"team": "shop"}
    with pytest.raises(errors.BusNotFound, match=r"\[orders\] not existed"):
        world.catalog.get_bus("another", "orders")


async def test_a_second_bus_of_the_same_name_is_refused(world: worlds.World) -> None:
    await world.catalog.create_bus(ACCOUNT, "orders")
    with pytest.raises(errors.BusExists):
        await world.catalog.create_bus(ACCOUNT, "orders")


@pytest.mark.parametrize("name", ["", "-a", "a/b", "a|b", "eventbridge-reserved-x", "a" * 128])
async def test_bus_names_follow_the_rule(world: worlds.World, name: str) -> None:
    with pytest.raises(errors.BusNameInvalid):
        await world.catalog.create_bus(ACCOUNT, name)


@pytest.mark.parametrize("name", ["", "a/b", "nothing"])
async def test_a_name_that_cannot_exist_is_not_found(world: worlds.World, name: str) -> None:
    with pytest.raises(errors.BusNotFound):
        world.catalog.get_bus(ACCOUNT, name)
    with pytest.raises(errors.BusNotFound):
        await world.catalog.update_bus(ACCOUNT, name, description="new")
    with pytest.raises(errors.BusNotFound):
        await world.catalog.delete_bus(ACCOUNT, name)


async def test_buses_come_in_pages_without_gap_or_repeat(world: worlds.World) -> None:
    for number in range(7):
        await world.catalog.create_bus(ACCOUNT, f"bus{number}")
    seen: list[str] = []
    token: str | None = None
    while True:
        page = world.catalog.list_buses(ACCOUNT, limit=3, token=token)
        assert page.total == 8
        seen += [bus.name for bus in page.items]
        token = page.next
        if token is None:
            break
    assert seen == [*(f"bus{number}" for number in range(7)), "default"]


async def test_a_page_goes_on_after_a_name_that_was_deleted(world: worlds.World) -> None:
    for name in ("a", "b", "c"):
        await world.catalog.create_bus(ACCOUNT, name)
    first = world.catalog.list_buses(ACCOUNT, limit=2)
    await world.catalog.delete_bus(ACCOUNT, "b")
    second = world.catalog.list_buses(ACCOUNT, limit=2, token=first.next)
    assert [bus.name for bus in second.items] == ["c", "default"]


@pytest.mark.parametrize("limit", [0, -1, 101])
async def test_a_limit_out_of_range_is_refused(world: worlds.World, limit: int) -> None:
    with pytest.raises(errors.LimitInvalid, match="Specified parameter Limit is not valid"):
        world.catalog.list_buses(ACCOUNT, limit=limit)


@pytest.mark.parametrize("token", ["%%%", "é", "a"])
async def test_a_token_that_is_not_ours_is_refused(world: worlds.World, token: str) -> None:
    with pytest.raises(errors.NextTokenInvalid):
        world.catalog.list_buses(ACCOUNT, token=token)


async def test_strict_limits_bound_the_custom_buses() -> None:
    world = await worlds.World(bounds=limits.STRICT).opened()
    for number in range(50):
        await world.catalog.create_bus(ACCOUNT, f"b{number}")
    with pytest.raises(errors.Refused) as refused:
        await world.catalog.create_bus(ACCOUNT, "one-more")
    assert refused.value.code == "EventBusCountExceedLimit"


async def test_sources_are_kept_and_listed(world: worlds.World) -> None:
    given = inputs.SourceInput("s.1", "HttpEvent", "hook", {"Type": "HTTP"})
    made = await world.catalog.create_source(ACCOUNT, "default", given)
    assert world.catalog.get_source(ACCOUNT, "default", "s.1") == made
    with pytest.raises(errors.SourceExists):
        await world.catalog.create_source(ACCOUNT, "default", given)
    await world.catalog.update_source(ACCOUNT, "default", "s.1", description="changed")
    kept = world.catalog.list_sources(ACCOUNT).items[0]
    assert (kept.description, kept.parameters) == ("changed", {"Type": "HTTP"})
    await world.catalog.delete_source(ACCOUNT, "default", "s.1")
    with pytest.raises(errors.SourceNotFound):
        world.catalog.get_source(ACCOUNT, "default", "s.1")
