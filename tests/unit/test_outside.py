"""The outside world: clocks that move, chance that differs, one thread that keeps order."""

from __future__ import annotations

import threading
import time

from headrace import outside


def test_the_wall_clock_is_the_machines_and_the_other_never_goes_back() -> None:
    clock = outside.SystemClock()
    assert abs(clock.wall_ms() - time.time() * 1000) < 5_000
    readings = [clock.mono_us() for _ in range(1000)]
    assert readings == sorted(readings)


def test_chance_differs_from_start_to_start() -> None:
    for make in (outside.system_random, outside.fast_random):
        assert make().getrandbits(128) != make().getrandbits(128)
        assert 0 <= make().random() < 1


def test_the_writer_is_one_named_thread_that_keeps_order() -> None:
    seen: list[tuple[int, str]] = []
    with outside.writer_executor("journal") as executor:
        for i in range(100):
            executor.submit(lambda i=i: seen.append((i, threading.current_thread().name)))
    assert [number for number, _ in seen] == list(range(100))
    assert {name for _, name in seen} == {"journal_0"}


def test_the_boot_id_stays_while_the_machine_runs() -> None:
    assert len(outside.boot_id()) == 16
    assert outside.boot_id() == outside.boot_id()


def test_pooled_chance_has_the_asked_number_of_bits_and_does_not_repeat() -> None:
    chance = outside.system_random()
    seen = {chance.getrandbits(128) for _ in range(5_000)}
    assert len(seen) == 5_000
    for bits in (1, 7, 8, 13, 256, 10_000):
        drawn = [chance.getrandbits(bits) for _ in range(50)]
        assert all(0 <= value < 1 << bits for value in drawn)
        assert bits < 8 or len(set(drawn)) > 1
