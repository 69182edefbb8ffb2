"""When a dead worker is started again."""

from __future__ import annotations

from headrace.supervisor import restarting


def test_the_first_death_is_answered_at_once() -> None:
    assert restarting.Pauses().after(5.0) == 0.0


def test_workers_that_die_young_are_started_ever_more_slowly() -> None:
    pauses = restarting.Pauses()
    waited = [pauses.after(1.0) for _ in range(12)]
    assert waited[:5] == [0.0, 0.1, 0.2, 0.4, 0.8]
    assert waited == sorted(waited)
    assert waited[-1] == restarting.PAUSE_S_MAX


def test_a_worker_that_lived_long_ends_the_row() -> None:
    pauses = restarting.Pauses()
    for _ in range(6):
        pauses.after(1.0)
    assert pauses.after(restarting.STEADY_S) == 0.0
    assert pauses.after(1.0) == restarting.PAUSE_S_MIN
