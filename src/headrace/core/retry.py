"""Retry policies: how long to wait before an attempt is repeated, and when to give up.

Pure arithmetic. It must never know what is retried, nor read a clock: chance is passed in.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from headrace.core import clock, errors, limits

Growth = Literal["random", "doubling"]


class RetryPolicy(msgspec.Struct, frozen=True):
    """How often and after which waits; the first attempt is not a retry."""

    name: str
    retries_max: int
    growth: Growth
    #: random: the shortest wait; doubling: the first one.
    wait_ms_min: int
    wait_ms_max: int


#: Source: EventBridge "Retry policies": 3 retries, each after 10 to 20 s.
BACKOFF = RetryPolicy("BACKOFF_RETRY", 3, "random", 10_000, 20_000)
#: Source: the same: 176 retries within a day, after 1, 2, 4 ... 512 s, then always 512 s.
DECAY = RetryPolicy("EXPONENTIAL_DECAY_RETRY", 176, "doubling", 1_000, 512_000)

_POLICIES = {
    "BACKOFF_RETRY": BACKOFF,
    # Official examples spell it this way too.
    "BACKOFFRETRY": BACKOFF,
    "EXPONENTIAL_DECAY_RETRY": DECAY,
    "EXPONENTIALDECAYRETRY": DECAY,
}


def policy(name: str | None) -> RetryPolicy:
    """Return the policy a target names; BACKOFF_RETRY when it names none.

    Raises: InvalidInput.
    """
    if not name:
        return BACKOFF
    found = _POLICIES.get(name)
    if found is None:
        raise errors.InvalidInput(
            f"The retry strategy [{name}] is not known.",
            field="PushRetryStrategy",
            expected=("BACKOFF_RETRY", "EXPONENTIAL_DECAY_RETRY"),
            got=name,
        )
    return found


def asynchronous(retries: int) -> RetryPolicy:
    """Return the policy of a function's asynchronous invocations: 1, 2, 4 ... s, at most 60 s.

    retries: 0..ASYNC_RETRIES_MAX (maxAsyncRetryAttempts; 3 is the API's default).
    """
    if not 0 <= retries <= limits.ASYNC_RETRIES_MAX:
        raise errors.InvalidInput(
            f"maxAsyncRetryAttempts must be 0 to {limits.ASYNC_RETRIES_MAX}.",
            field="maxAsyncRetryAttempts",
            got=retries,
        )
    return RetryPolicy("ASYNC", retries, "doubling", 1_000, limits.ASYNC_WAIT_MS_MAX)


def next_wait_ms(policy: RetryPolicy, attempt: int, random: clock.Random) -> int | None:
    """Return the wait before retry `attempt`, or None when the policy is exhausted.

    attempt: 1-based; 1 is the first retry.  Result: wait_ms_min..wait_ms_max.
    """
    assert attempt >= 1, f"attempt {attempt} is not a retry"
    if attempt > policy.retries_max:
        return None
    if policy.growth == "random":
        return policy.wait_ms_min + int(random.random() * (policy.wait_ms_max - policy.wait_ms_min))
    # The shift is bounded so that a late attempt cannot make a huge number first.
    return min(policy.wait_ms_min << min(attempt - 1, 32), policy.wait_ms_max)
