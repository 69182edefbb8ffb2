"""Switches as records: who turned them, when and why; what cannot be turned."""

from __future__ import annotations

import pytest

from headrace.core import errors
from headrace.resources import model, switches
from tests.unit.resources import world as worlds

pytestmark = pytest.mark.anyio

ACCOUNT = worlds.ACCOUNT


async def turn(
    world: worlds.World, kind: str, of: str = "", *, on: bool = True, reason: str = ""
) -> model.Switch:
    return await world.catalog.turn_switch(ACCOUNT, kind, of, on=on, by="AK1", reason=reason)


async def test_a_switch_remembers_every_turn_and_since_when_it_is_so(world: worlds.World) -> None:
    first = world.clock.now_ms
    await turn(world, "pause-all", reason="incident 7")
    world.clock.now_ms += 1000
    again = await turn(world, "pause-all", reason="still")
    assert (again.on, again.since_ms) == (True, first)
    world.clock.now_ms += 1000
    off = await turn(world, "pause-all", on=False, reason="over")
    assert (off.on, off.since_ms) == (False, first + 2000)
    assert off.flips == (
        model.Flip(True, first, "AK1", "incident 7"),
        model.Flip(True, first + 1000, "AK1", "still"),
        model.Flip(False, first + 2000, "AK1", "over"),
    )
    assert world.catalog.switches() == [off]


async def test_only_the_newest_turns_are_remembered(world: worlds.World) -> None:
    for number in range(20):
        await turn(world, "drain", reason=str(number))
    (known,) = world.catalog.switches()
    assert len(known.flips) == model.FLIPS_KEPT
    assert known.flips[-1].reason == "19"


async def test_switches_survive_in_the_registry(world: worlds.World) -> None:
    await turn(world, "pause-account", "42")
    again = await worlds.World(table=world.table).opened()
    assert [(one.kind, one.of, one.on) for one in again.catalog.switches()] == [
        ("pause-account", "42", True)
    ]


async def test_listeners_hear_of_a_switch_before_it_is_answered(world: worlds.World) -> None:
    turned = await turn(world, "read-only")
    assert [(one.kind, one.after) for one in world.heard] == [("switch", turned)]


@pytest.mark.parametrize(
    ("kind", "of"),
    [
        ("pause", ""),
        ("", ""),
        ("pause-all", "x"),
        ("drain", "worker"),
        ("pause-account", ""),
        ("pause-account", "a/b"),
        ("pause-account", "1" * (switches.ACCOUNT_CHARS_MAX + 1)),
        ("pause-target", ""),
        ("pause-target", "default/r"),
        ("pause-target", "default/r/t/more"),
        ("pause-target", "default//t"),
    ],
)
@pytest.mark.parametrize("on", [True, False])
async def test_what_is_no_switch_is_refused(
    wired: worlds.World, kind: str, of: str, on: bool
) -> None:
    with pytest.raises(errors.InvalidInput):
        await turn(wired, kind, of, on=on)
    assert wired.catalog.switches() == []


@pytest.mark.parametrize(
    ("of", "missing"),
    [
        ("nothing/f-t/f", errors.BusNotFound),
        ("default/nothing/t", errors.RuleNotFound),
        ("default/f-t/nothing", errors.TargetNotFound),
        ("async/nothing", errors.FunctionNotFound),
    ],
)
async def test_a_misspelt_target_is_refused(
    wired: worlds.World, of: str, missing: type[errors.HeadraceError]
) -> None:
    """It would be a pause that pauses nothing."""
    with pytest.raises(missing):
        await turn(wired, "pause-target", of)


async def test_a_pause_of_a_target_that_is_gone_can_be_ended(wired: worlds.World) -> None:
    await turn(wired, "pause-target", "async/g")
    await wired.catalog.delete_function(ACCOUNT, "g")
    assert not (await turn(wired, "pause-target", "async/g", on=False)).on


async def test_what_is_not_on_cannot_be_turned_off(world: worlds.World) -> None:
    """Else a misspelt name would look like success."""
    with pytest.raises(errors.SwitchNotFound, match=r"\[pause-account 42\] is not on"):
        await turn(world, "pause-account", "42", on=False)
    await turn(world, "drain")
    await turn(world, "drain", on=False)
    with pytest.raises(errors.SwitchNotFound):
        await turn(world, "drain", on=False)


async def test_a_reason_has_a_bound(world: worlds.World) -> None:
    await turn(world, "drain", reason="x" * switches.REASON_CHARS_MAX)
    with pytest.raises(errors.InvalidInput):
        await turn(world, "drain", reason="x" * (switches.REASON_CHARS_MAX + 1))


async def test_the_one_longest_off_makes_room_for_another(
    world: worlds.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switches, "SWITCHES_MAX", 3)
    for number in range(3):
        world.clock.now_ms += 1
        await turn(world, "pause-account", str(number))
    with pytest.raises(errors.InvalidInput, match="3 switches are on"):
        await turn(world, "drain")
    for number in (1, 0):
        world.clock.now_ms += 1
        await turn(world, "pause-account", str(number), on=False)
    await turn(world, "drain")
    kept = [switches.name_of(one.kind, one.of) for one in world.catalog.switches()]
    assert kept == ["pause-account 0", "pause-account 2", "drain"]
