"""Instances and invocations are divided: among accounts, and among the functions of one."""

from __future__ import annotations

import pytest

from headrace.core import calling, errors
from headrace.functions import holdings, scaling
from tests.unit.functions import crowd

SECOND = scaling.SECOND_US
MS = 1000
FLOOD, QUIET = scaling.Settings(account="1"), scaling.Settings(account="2")


def a_crowd(service_us: dict[str, int], instances_max: int) -> crowd.Crowd:
    """A pool of so many instances; how long a request takes is told by its function's name."""
    bounds = scaling.Limits(instances_max=instances_max, starts_max=4)
    sim = crowd.Crowd(bounds)
    sim.service_us = lambda request: service_us[str(sim.groups[request])]
    return sim


def alive(sim: crowd.Crowd, *names: str) -> int:
    return sum(group in names for group in (*sim.ready.values(), *sim.starting.values()))


def test_one_account_alone_may_hold_all_instances() -> None:
    sim = a_crowd({"slow": 60 * SECOND, "too": 60 * SECOND}, 20)
    for _ in range(50):
        sim.ask("slow", FLOOD)
        sim.ask("too", FLOOD)
    sim.run(2 * SECOND)
    assert alive(sim, "slow", "too") == 20


def test_an_account_that_comes_into_a_full_house_gets_its_share_at_once() -> None:
    """The flood's instances run for an hour: nothing becomes free."""
    sim = a_crowd({"slow": 3600 * SECOND, "too": 3600 * SECOND, "quiet": 100 * MS}, 20)
    for _ in range(50):
        sim.ask("slow", FLOOD)
        sim.ask("too", FLOOD)
    sim.run(2 * SECOND)
    asked = [sim.ask("quiet", QUIET) for _ in range(100)]
    sim.run(sim.now_us + 500 * MS)
    assert alive(sim, "quiet") == 10
    sim.run(sim.now_us + 3 * SECOND)
    waits = [sim.ended[request][1] - sim.came[request] for request in asked]
    assert {sim.ended[request][0] for request in asked} == {"done"}
    assert max(waits) <= 2 * SECOND, "a hundred of 100 ms on ten instances, and their starts"


def test_an_account_above_its_share_lets_instances_go_as_they_become_free() -> None:
    sim = a_crowd({"flood": 200 * MS, "quiet": 60 * SECOND}, 20)
    for at in range(0, 20 * SECOND, 8 * MS):
        sim.settings["flood"] = FLOOD
        sim.ask_at(at, "flood")
    sim.run(2 * SECOND)
    assert alive(sim, "flood") == 20
    for _ in range(30):
        sim.ask("quiet", QUIET)
    sim.run(6 * SECOND)
    assert (alive(sim, "flood"), alive(sim, "quiet")) == (10, 10)


def test_starts_go_to_the_account_that_has_least() -> None:
    """Only so many start at a time: a thousand functions of one account are not ahead of one of the
    other.
    """
    sim = a_crowd({**{f"f{n}": SECOND for n in range(200)}, "quiet": MS}, 100)
    for number in range(200):
        sim.ask(f"f{number}", FLOOD)
    sim.run(100 * MS)
    request = sim.ask("quiet", QUIET)
    sim.run(sim.now_us + 10 * SECOND)
    how, at = sim.ended[request]
    assert how == "done"
    assert at - sim.came[request] <= 100 * MS


def test_slow_functions_leave_one_instance_to_each_other_one_of_their_account() -> None:
    sim = a_crowd({"slow": 3600 * SECOND, "too": 3600 * SECOND, "quick": 10 * MS}, 20)
    for _ in range(50):
        sim.ask("slow", FLOOD)
        sim.ask("too", FLOOD)
    sim.run(2 * SECOND)
    asked = [sim.ask("quick", FLOOD) for _ in range(20)]
    sim.run(sim.now_us + 500 * MS)
    assert {sim.ended[request][0] for request in asked} == {"done"}
    assert alive(sim, "quick") == 1
    sim.run(sim.now_us + 5 * SECOND)
    assert alive(sim, "quick") == 0, "beyond the bound it goes as soon as it is idle"


def test_functions_that_run_for_hours_leave_other_accounts_their_share() -> None:
    """One account has more functions than there are instances, and each has one in any case."""
    names = [f"f{n}" for n in range(100)]
    hours = dict.fromkeys((*names, "b", "c", "d"), 3600 * SECOND)
    sim = a_crowd(hours, 20)
    for name in names:
        sim.ask(name, FLOOD)
    sim.run(2 * SECOND)
    assert alive(sim, *names) == 30
    for account, gets in (("b", 10), ("c", 1), ("d", 1)):
        for _ in range(30):
            sim.ask(account, scaling.Settings(account=account))
        sim.run(sim.now_us + 2 * SECOND)
        assert alive(sim, account) == gets


def call(account: str, payload: bytes = b"") -> calling.Call:
    return calling.Call(account, "f", payload, "r")


def test_invocations_of_an_account_that_floods_leave_the_other_its_share() -> None:
    held = holdings.Holdings(scaling.Limits(invocations_max=100))
    for _ in range(100):
        held.take(call("1"))
    with pytest.raises(errors.Throttled, match="100 invocations wait or run") as alone:
        held.take(call("1"))
    assert not isinstance(alone.value, errors.ShareUsed)
    for _ in range(50):
        held.take(call("2"))
    for account in ("1", "2"):
        with pytest.raises(errors.ShareUsed, match="50 invocations") as caught:
            held.take(call(account))
        assert (caught.value.status, caught.value.code) == (429, "ResourceThrottled")
        assert caught.value.field == "functions"
    for _ in range(100):
        held.give_back(call("1"))
    for _ in range(50):
        held.take(call("2"))


def test_payloads_are_divided_by_their_bytes_and_a_large_one_is_taken_alone() -> None:
    held = holdings.Holdings(scaling.Limits(payload_bytes_max=100))
    large = call("1", b"x" * 300)
    held.take(large)
    with pytest.raises(errors.Throttled, match="bytes of payloads"):
        held.take(call("1", b"x"))
    held.take(call("1"))
    held.take(call("2", b"x" * 50))
    held.give_back(large)
    held.take(call("1", b"x" * 50))
