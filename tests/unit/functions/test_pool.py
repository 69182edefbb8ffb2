"""The pool's decisions, by simulation: who waits, what is started, let go, refused."""

from __future__ import annotations

import random

import hypothesis
import pytest
from hypothesis import strategies as some

from headrace.functions import pool, scaling
from tests.unit.functions import crowd

SECOND = 1_000_000
MS = 1000


def limits(**fields: int) -> scaling.Limits:
    return scaling.Limits(**fields)


def test_first_request_starts_an_instance_and_the_next_reuses_it() -> None:
    sim = crowd.Crowd(service_us=lambda _: 5 * MS)
    for second in range(5):
        sim.ask_at(second * SECOND)
    sim.run(6 * SECOND)
    assert sim.outcomes() == {"done": 5}
    assert sim.starts == 1
    assert sim.waits_us() == [5 * MS] * 4 + [25 * MS]


def test_quick_function_is_served_by_few_instances_at_any_rate() -> None:
    """10,000 requests a second of 50 µs need half an instance, not hundreds."""
    sim = crowd.Crowd(service_us=lambda _: 50)
    for n in range(20_000):
        sim.ask_at(n * 100)
    sim.run(4 * SECOND)
    assert sim.outcomes() == {"done": 20_000}
    assert sim.peak <= 3
    waits = sim.waits_us()
    assert waits[len(waits) * 99 // 100] < 35 * MS


def test_burst_on_a_quick_function_is_sent_ahead() -> None:
    sim = crowd.Crowd(service_us=lambda _: 50)
    for n in range(10):
        sim.ask_at(n * 10 * MS)
    sim.run(SECOND)
    for _ in range(100):
        sim.ask()
    assert max(len(running) for running in sim.running.values()) == sim.limits.pipeline_max
    sim.run(2 * SECOND)
    assert sim.outcomes() == {"done": 110}
    assert sim.waits_us()[-2] < 21 * MS


def test_slow_function_gets_an_instance_for_each_request() -> None:
    sim = crowd.Crowd(limits(starts_max=4), service_us=lambda _: SECOND)
    for _ in range(20):
        sim.ask()
    sim.run(3 * SECOND)
    assert sim.outcomes() == {"done": 20}
    assert sim.starts == 20
    assert sim.waits_us()[-1] == SECOND + 5 * 20 * MS, "five rounds of four starts"


def test_slow_requests_are_never_sent_ahead() -> None:
    """What was sent ahead cannot be taken back from a handler that hangs."""
    sim = crowd.Crowd(service_us=lambda _: 50 * MS)
    for n in range(40):
        sim.ask_at(n * 20 * MS)
    while sim.now_us < 2 * SECOND:
        sim.run(sim.now_us + MS)
        assert all(len(running) <= 1 for running in sim.running.values())


def test_request_is_not_sent_behind_one_that_hangs() -> None:
    sim = crowd.Crowd(service_us=lambda request: 60 * SECOND if request == 50 else 100)
    for n in range(100):
        sim.ask_at(n * 10 * MS)
    sim.run(5 * SECOND)
    assert sim.outcomes() == {"done": 99}
    assert sim.waits_us()[-1] < 60 * MS


def test_waiting_is_preferred_when_it_is_shorter_than_a_start() -> None:
    """A second request 15 ms before the first one's end does not start a process of 20 ms."""
    sim = crowd.Crowd(service_us=lambda _: 15 * MS)
    sim.ask()
    sim.run(SECOND)
    sim.ask()
    sim.ask()
    sim.run(2 * SECOND)
    assert sim.starts == 1
    assert sim.waits_us()[:2] == [15 * MS, 30 * MS]


def test_concurrent_function_fills_its_slots_before_it_grows() -> None:
    sim = crowd.Crowd(service_us=lambda _: SECOND)
    for _ in range(20):
        sim.ask("f", scaling.Settings(concurrency=10))
    sim.run(3 * SECOND)
    assert sim.outcomes() == {"done": 20}
    assert sim.starts == 2


def test_starts_in_flight_are_bounded_across_functions() -> None:
    """And every function gets its turn."""
    sim = crowd.Crowd(limits(starts_max=2), service_us=lambda _: 10 * SECOND)
    for n in range(40):
        sim.ask(f"busy {n % 2}")
    sim.ask("late")
    sim.run(2 * SECOND)
    began = [request for request, count in sim.ran.items() if count]
    assert 41 in began
    assert began.index(41) <= 8, "it does not wait until the others have all they want"


def test_full_house_makes_room_by_letting_an_idle_instance_go() -> None:
    sim = crowd.Crowd(limits(instances_max=2), service_us=lambda _: MS)
    for n, key in enumerate(["a", "b", "c", "a"]):
        sim.ask_at(n * SECOND, key)
    sim.run(5 * SECOND)
    assert sim.outcomes() == {"done": 4}
    assert sim.starts == 4
    assert sim.peak == 2


def test_full_house_without_idle_ones_refuses_after_a_wait() -> None:
    bounds = limits(instances_max=1, queue_wait_us_max=SECOND)
    sim = crowd.Crowd(bounds, service_us=lambda _: 10 * SECOND)
    for name in "abc":  # of two, the second goes beyond the bound
        sim.ask(name)
    sim.run(3 * SECOND)
    assert sim.ended[3][0] == "rejected"
    assert SECOND <= sim.ended[3][1] <= SECOND + crowd.TICK_US


def test_queue_is_bounded() -> None:
    bounds = limits(queue_per_group_max=5, instances_per_group_max=1)
    sim = crowd.Crowd(bounds, service_us=lambda _: SECOND)
    for _ in range(8):
        sim.ask()
    assert sim.outcomes() == {"rejected": 3}
    sim.run(9 * SECOND)
    assert sim.outcomes() == {"rejected": 3, "done": 5}


def test_idle_instances_are_let_go_one_by_one_as_load_falls() -> None:
    """The last used is used first, so a burst's surplus ages and goes."""
    sim = crowd.Crowd(limits(idle_us=10 * SECOND), service_us=lambda _: 100 * MS)
    for _ in range(10):
        sim.ask()
    for second in range(1, 30):
        sim.ask_at(second * SECOND)
    sim.run(29 * SECOND)
    assert len(sim.ready) == 1
    sim.run(50 * SECOND)
    assert not sim.ready
    assert sim.pool.empty


def test_function_may_choose_how_long_it_idles() -> None:
    sim = crowd.Crowd(service_us=lambda _: MS)
    sim.ask("short", scaling.Settings(idle_us=2 * SECOND))
    sim.ask("long")
    sim.run(5 * SECOND)
    assert list(sim.ready.values()) == ["long"]


def test_failed_start_fails_those_who_waited_for_it_and_the_next_one_tries_again() -> None:
    sim = crowd.Crowd(start_fails=lambda instance: instance == 1)
    sim.ask()
    sim.run(SECOND)
    assert sim.ended[1] == ("failed", 20 * MS)
    sim.ask()
    sim.run(2 * SECOND)
    assert sim.ended[2][0] == "done"


def test_failed_start_spares_those_who_have_other_instances() -> None:
    sim = crowd.Crowd(service_us=lambda _: 30 * MS, start_fails=lambda instance: instance > 1)
    sim.ask()
    sim.run(SECOND)
    for _ in range(6):
        sim.ask()
    sim.run(2 * SECOND)
    assert sim.outcomes() == {"done": 7}
    assert sim.starts > 1


def test_function_that_never_starts_does_not_make_a_storm() -> None:
    """1,000 requests a second for ten seconds: some dozens of starts, and nobody waits for long."""
    sim = crowd.Crowd(start_fails=lambda _: True)
    for n in range(10_000):
        sim.ask_at(n * MS)
    sim.run(20 * SECOND)
    assert sim.outcomes() == {"failed": 10_000}
    assert sim.starts < 25
    assert sim.waits_us("failed")[-1] < 2.2 * SECOND


def test_function_that_always_crashes_does_not_make_a_storm() -> None:
    sim = crowd.Crowd(limits(starts_max=2), dies=lambda _: True, service_us=lambda _: MS)
    for n in range(1000):
        sim.ask_at(n * 10 * MS)
    sim.run(10 * SECOND)
    assert sim.starts < 40


def test_success_forgives_earlier_failures() -> None:
    sim = crowd.Crowd(start_fails=lambda instance: instance in (1, 2, 3, 4, 6))
    for n in range(6):
        sim.ask_at(n * 5 * SECOND)
    sim.run(60 * SECOND)
    assert [sim.ended[n][0] for n in range(1, 7)] == ["failed"] * 4 + ["done"] * 2


def test_death_sends_what_had_not_begun_to_another_instance() -> None:
    sim = crowd.Crowd(service_us=lambda _: 50, dies=lambda request: request == 13)
    for n in range(10):
        sim.ask_at(n * 10 * MS)
    sim.run(SECOND)
    for _ in range(10):
        sim.ask()
    sim.run(2 * SECOND)
    assert sim.ended[13][0] == "died"
    assert sim.outcomes() == {"done": 19, "died": 1}
    assert set(sim.ran.values()) == {1}, "nothing ran twice"


def test_death_sends_what_had_not_begun_to_an_instance_that_has_nothing_to_do() -> None:
    """One instance dies with requests sent ahead while the other is idle: it takes them at once."""
    machine = pool.Pool(scaling.Limits(starts_max=2))
    for request in (1, 2):
        machine.request(0, request, "f", scaling.Settings())
    machine.started(20 * MS, 1)
    machine.done(20 * MS + 50, 1, 50)
    machine.done(20 * MS + 100, 1, 50)
    sent = [machine.request(21 * MS, request, "f", scaling.Settings()) for request in (3, 4, 5)]
    assert sent == [(pool.Dispatch(request, 1, ahead=request > 3),) for request in (3, 4, 5)]
    machine.started(22 * MS, 2)
    assert machine.died(23 * MS, 1, (4, 5)) == [
        pool.Dispatch(4, 2, ahead=False), pool.Dispatch(5, 2, ahead=True),
    ]  # fmt: skip
    assert not machine.waiting


def test_retired_group_finishes_what_runs_and_hands_back_what_waits() -> None:
    sim = crowd.Crowd(limits(instances_per_group_max=1), service_us=lambda _: SECOND)
    sim.ask()
    sim.run(100 * MS)
    waiting = [sim.ask(), sim.ask()]
    orphans, commands = sim.pool.retire("f")
    assert (list(orphans), list(commands)) == (waiting, [])
    again: list[pool.Command] = []
    sim.settings["new"] = scaling.Settings()
    for request in orphans:
        sim.groups[request] = "new"
        again.extend(sim.pool.request(sim.now_us, request, "new", sim.settings["new"]))
    sim.do(again)
    sim.run(5 * SECOND)
    assert sim.outcomes() == {"done": 3}
    assert 1 in sim.stopped, "the old instance went when it had finished"


def test_retiring_stops_idle_and_starting_instances_at_once() -> None:
    machine = pool.Pool(scaling.Limits())
    machine.request(0, 1, "f", scaling.Settings())
    assert machine.retire("f") == ([1], [pool.Stop(1)])
    assert machine.started(10, 1) == ()
    assert machine.empty


def test_canceled_request_is_forgotten_only_while_it_waits() -> None:
    machine = pool.Pool(scaling.Limits())
    machine.request(0, 1, "f", scaling.Settings())
    assert machine.cancel(1, "f")
    assert machine.started(10, 1) == ()
    assert machine.request(20, 2, "f", scaling.Settings()) == (pool.Dispatch(2, 1, ahead=False),)
    assert not machine.cancel(2, "f")
    assert not machine.cancel(3, "absent")


@pytest.mark.parametrize("seed", range(5))
def test_mixed_load_is_served_in_fair_time(seed: int) -> None:
    """Twenty functions of all speeds at 400 requests a second: none is refused, none starves."""
    chance = random.Random(seed)
    speeds = {f"f{n}": int(10 ** chance.uniform(1.5, 5.5)) for n in range(20)}
    sim = crowd.Crowd(limits(starts_max=2, instances_max=100))
    sim.service_us = lambda request: int(speeds[str(sim.groups[request])] * chance.uniform(0.5, 2))
    at_us = 0.0
    while at_us < 10 * SECOND:
        at_us += chance.expovariate(400 / SECOND)
        sim.ask_at(int(at_us), chance.choice(list(speeds)))
    sim.run(30 * SECOND)
    assert set(sim.outcomes()) == {"done"}
    for key, speed in speeds.items():
        waits = sorted(at - sim.came[r] for r, (_, at) in sim.ended.items() if sim.groups[r] == key)
        late = waits[len(waits) * 95 // 100]
        assert late < 2 * speed + 700 * MS, f"{key} ({speed} µs): p95 {late} µs"


steps = some.lists(
    some.tuples(some.sampled_from("abc"), some.integers(0, 50_000)), min_size=1, max_size=80
)


@hypothesis.given(
    steps=steps,
    seed=some.integers(0, 1000),
    concurrency=some.sampled_from([1, 1, 3]),
    starts_max=some.integers(1, 3),
    instances_max=some.integers(1, 6),
    queue_max=some.integers(1, 30),
)
def test_every_request_ends_exactly_once_whatever_happens(
    steps: list[tuple[str, int]],
    seed: int,
    concurrency: int,
    starts_max: int,
    instances_max: int,
    queue_max: int,
) -> None:
    """Slow and quick ones, failing starts, deaths, cancels; bounds hold at every step."""
    chance = random.Random(seed)
    bounds = limits(
        starts_max=starts_max,
        instances_max=instances_max,
        queue_per_group_max=queue_max,
        idle_us=SECOND,
    )
    sim = crowd.Crowd(
        bounds,
        service_us=lambda _: int(10 ** chance.uniform(1, 5.5)),
        start_fails=lambda _: chance.random() < 0.2,
        dies=lambda _: chance.random() < 0.1,
    )
    settings = scaling.Settings(concurrency=concurrency)
    for key, wait_us in steps:
        request = sim.ask(key, settings)
        if chance.random() < 0.1 and sim.pool.cancel(request, key):
            sim.ended[request] = ("canceled", sim.now_us)
        sim.check()
        sim.run(sim.now_us + wait_us)
    sim.run(sim.now_us + 40 * SECOND)
    assert set(sim.ended) == set(sim.came)
    assert all(count == 1 for count in sim.ran.values())
    assert not sim.ready
    assert not sim.starting
    assert sim.pool.empty
