"""Retry policies: the documented waits, their bounds, and their ends."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core import errors, retry


class Chance(random.Random):
    """Always the same draw."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self._value = value

    def random(self) -> float:
        return self._value


def waits(policy: retry.RetryPolicy) -> list[int]:
    """All waits of a policy until it gives up."""
    found: list[int] = []
    chance = random.Random(7)
    while (wait := retry.next_wait_ms(policy, len(found) + 1, chance)) is not None:
        found.append(wait)
    return found


def test_backoff_retries_three_times_each_after_ten_to_twenty_seconds() -> None:
    found = waits(retry.policy("BACKOFF_RETRY"))
    assert len(found) == 3
    assert all(10_000 <= wait <= 20_000 for wait in found)
    assert len(set(found)) == 3, "the wait is drawn anew each time"


def test_backoff_waits_span_the_whole_range() -> None:
    policy = retry.policy("BACKOFF_RETRY")
    assert retry.next_wait_ms(policy, 1, Chance(0.0)) == 10_000
    assert retry.next_wait_ms(policy, 1, Chance(0.999999)) == 19_999


def test_decay_retries_176_times_doubling_to_512_seconds_within_a_day() -> None:
    found = waits(retry.policy("EXPONENTIAL_DECAY_RETRY"))
    assert len(found) == 176
    assert [wait // 1000 for wait in found[:10]] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    assert found.count(512_000) == 167
    assert 0.98 * 86_400_000 < sum(found) < 1.02 * 86_400_000


def test_asynchronous_invocations_double_to_a_minute() -> None:
    assert waits(retry.asynchronous(8)) == [
        *(1_000, 2_000, 4_000, 8_000, 16_000, 32_000),
        *(60_000, 60_000),
    ]
    assert waits(retry.asynchronous(0)) == []


def test_a_target_without_a_strategy_gets_backoff() -> None:
    assert retry.policy(None) is retry.policy("") is retry.policy("BACKOFF_RETRY")


def test_the_spelling_of_official_examples_is_understood() -> None:
    assert retry.policy("BACKOFFRETRY").name == "BACKOFF_RETRY"


def test_an_unknown_strategy_is_refused_with_the_field() -> None:
    with pytest.raises(errors.InvalidInput) as refusal:
        retry.policy("NEVER")
    assert refusal.value.field == "PushRetryStrategy"


@pytest.mark.parametrize("count", [-1, 9])
def test_the_number_of_asynchronous_retries_is_bounded(count: int) -> None:
    with pytest.raises(errors.InvalidInput):
        retry.asynchronous(count)


@given(
    st.sampled_from([retry.BACKOFF, retry.DECAY, retry.asynchronous(8), retry.asynchronous(3)]),
    st.integers(1, 10_000),
    st.integers(0, 2**32),
)
def test_every_wait_is_within_the_bounds_and_the_end_is_final(
    policy: retry.RetryPolicy, attempt: int, seed: int
) -> None:
    wait = retry.next_wait_ms(policy, attempt, random.Random(seed))
    if attempt > policy.retries_max:
        assert wait is None
    else:
        assert wait is not None
        assert policy.wait_ms_min <= wait <= policy.wait_ms_max


@given(st.sampled_from([retry.DECAY, retry.asynchronous(8)]), st.integers(1, 175))
def test_doubling_never_waits_less_than_before(policy: retry.RetryPolicy, attempt: int) -> None:
    before = retry.next_wait_ms(policy, attempt, random.Random())
    after = retry.next_wait_ms(policy, attempt + 1, random.Random())
    assert before is None or after is None or after >= before
