"""The bus for users' tests: what it promises is what the server does, in milliseconds."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Iterator
from typing import Any

import pytest

from headrace import testing
from headrace.core import errors
from headrace.testing import bus as buses
from headrace.testing import virtual


@pytest.fixture
def bus() -> Iterator[testing.Bus]:
    with testing.Bus() as made:
        yield made


def test_an_event_reaches_the_callables_whose_pattern_it_matches(bus: testing.Bus) -> None:
    paid: list[Any] = []
    every: list[Any] = []
    bus.rule("paid", {"type": ["order.paid"]}, paid.append)
    bus.rule("all", None, every.append)
    bus.publish({"type": "order.paid", "data": {"total": 12}})
    bus.publish({"type": "order.made"})
    assert [event["data"] for event in paid] == [{"total": 12}]
    assert [event["type"] for event in every] == ["order.paid", "order.made"]
    assert [one.state for one in bus.deliveries()] == ["delivered"] * 3


def test_a_receiver_that_fails_is_retried_after_10_to_20_seconds_three_times(
    bus: testing.Bus,
) -> None:
    def fails(event: Any) -> None:
        raise ValueError("no stock")

    bus.rule("r", None, fails)
    event_id = bus.publish()
    bus.advance("9s")
    assert bus.delivery(event_id).state == "pending"
    assert bus.delivery(event_id).retries == 0
    bus.advance("2m")
    made = bus.delivery(event_id)
    assert (made.state, made.retries) == ("dead", 3)
    waits = [one.wait_s for one in made.attempts]
    assert all(wait is not None and 10 <= wait <= 20 for wait in waits[:3])
    assert waits[3] is None
    (letter,) = bus.dead_letters()
    assert (letter.event["id"], letter.rule, letter.target) == (event_id, "r", "1")
    assert letter.error == "[500]ValueError: no stock"


def test_a_day_of_177_attempts_takes_no_time(bus: testing.Bus) -> None:
    bus.rule("r", None, lambda event: 503, retry="EXPONENTIAL_DECAY_RETRY")
    event_id = bus.publish()
    bus.advance("1d1h")
    assert len(bus.delivery(event_id).attempts) == 177
    assert [one.wait_s for one in bus.delivery(event_id).attempts[:4]] == [1, 2, 4, 8]
    assert len(bus.dead_letters()) == 1


def test_a_dead_letter_is_sent_again_to_its_target(bus: testing.Bus) -> None:
    answers = iter([410, 200])
    bus.rule("r", None, lambda event: next(answers))
    event_id = bus.publish()
    bus.resend(bus.dead_letters()[0])
    assert bus.dead_letters() == []
    assert [one.state for one in bus.deliveries(event_id)] == ["dead", "delivered"]


def test_a_wish_of_the_receiver_is_heard(bus: testing.Bus) -> None:
    answers: list[object] = [testing.Answer(429, retry_after_s=300), None]
    bus.rule("r", None, lambda event: answers.pop(0))
    event_id = bus.publish()
    bus.advance("299s")
    assert bus.delivery(event_id).state == "pending"
    bus.advance("2s")
    assert bus.delivery(event_id).state == "delivered"
    assert bus.delivery(event_id).attempts[0].status == 429


def test_an_async_receiver_takes_virtual_time_and_at_most_its_minute(bus: testing.Bus) -> None:
    async def slow(event: dict[str, Any]) -> None:
        await virtual.passes(event["data"])

    bus.rule("r", None, slow)
    quick, late = bus.publish({"data": 30}), bus.publish({"data": 100})
    assert bus.delivery(quick).state == "pending"
    bus.advance(30)
    assert bus.delivery(quick).state == "delivered"
    bus.advance(31)
    assert "no complete answer within 60.0 s" in bus.delivery(late).attempts[0].error


def test_what_was_acknowledged_is_delivered_after_a_crash(bus: testing.Bus) -> None:
    seen: list[str] = []
    answers = iter([500, 200])

    def receive(event: dict[str, Any]) -> int:
        seen.append(event["id"])
        return next(answers)

    bus.rule("r", None, receive)
    event_id = bus.publish()
    bus.crash()
    bus.advance("1m")
    assert seen == [event_id, event_id]
    assert [one.number for one in bus.delivery(event_id).attempts] == [1, 2]


def test_rules_are_edited_switched_off_and_deleted(bus: testing.Bus) -> None:
    bus.rule("r", {"type": ["a"]}, lambda event: 500)
    bus.update("r", {"type": ["b"]})
    unmatched = bus.publish({"type": "a"})
    assert bus.deliveries(unmatched) == []
    assert "type" in bus.why(unmatched, "r")
    bus.update("r", enabled=False)
    assert bus.deliveries(bus.publish({"type": "b"})) == []
    bus.update("r", enabled=True)
    taken = bus.publish({"type": "b"})
    bus.delete("r")
    assert bus.delivery(taken, rule="r").state == "dropped"


def test_wrong_patterns_and_events_are_refused_as_by_the_server(bus: testing.Bus) -> None:
    with pytest.raises(errors.PatternInvalid):
        bus.rule("r", {"type": "not a list"}, lambda event: None)
    with pytest.raises(errors.EventRefused):
        bus.publish({"type": ""})
    with pytest.raises(errors.BusNotFound):
        bus.publish(bus="nowhere")


def test_the_same_seed_gives_the_same_waits() -> None:
    def waits(seed: int) -> list[float | None]:
        with testing.Bus(seed=seed) as bus:
            bus.rule("r", None, lambda event: 500)
            bus.publish()
            bus.advance("2m")
            return [one.wait_s for one in bus.delivery().attempts]

    assert waits(1) == waits(1) != waits(2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("3h", 10_800), ("1h30m", 5_400), ("250ms", 0.25), (7, 7), ("1.5s", 1.5)],
)
def test_a_span_of_time_is_read(text: str | float, expected: float) -> None:
    assert buses.seconds(text) == expected


def test_a_timedelta_is_a_span_of_time_and_nonsense_is_refused() -> None:
    assert buses.seconds(datetime.timedelta(hours=2)) == 7_200
    for nonsense in ("", "3", "h", "3 h", "3hx", "-1s"):
        with pytest.raises(ValueError, match="no span of time"):
            buses.seconds(nonsense)


def test_inside_a_running_loop_it_says_what_to_do() -> None:
    async def inside() -> None:
        testing.Bus()

    with pytest.raises(RuntimeError, match="plain test function"):
        asyncio.run(inside())


def test_public_names_are_those_that_are_documented() -> None:
    """Users' tests are written against them: adding is fine, taking away is not."""
    assert sorted(testing.__all__) == ["Answer", "Attempt", "Bus", "DeadLetter", "Delivery"]
    assert all(getattr(testing, name) is not None for name in testing.__all__)
    with pytest.raises(AttributeError):
        _ = testing.Nothing
