"""ClientToken: a repeat gets the first answer and acts once, within its account and time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from headrace.api import bounds, idempotency
from headrace.core import errors
from tests.unit.api import support

pytestmark = pytest.mark.anyio

KEY = ("1", "CreateEventBus", "token")


class Acts:
    def __init__(self) -> None:
        self.count = 0

    async def __call__(self) -> int:
        self.count += 1
        return self.count


async def test_repeat_gets_the_first_answer_and_acts_once() -> None:
    answers = idempotency.Answers(support.FixedClock())
    act = Acts()
    assert [await answers.once(KEY, b"1", act) for _ in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("other", [("2", *KEY[1:]), (KEY[0], "CreateRule", "token")])
async def test_token_counts_within_one_account_and_operation(other: tuple[str, str, str]) -> None:
    answers = idempotency.Answers(support.FixedClock())
    act = Acts()
    await answers.once(KEY, b"", act)
    assert await answers.once(other, b"", act) == 2


async def test_token_with_other_parameters_is_refused() -> None:
    answers = idempotency.Answers(support.FixedClock())
    await answers.once(KEY, b"1", Acts())
    with pytest.raises(idempotency.TokenReused):
        await answers.once(KEY, b"2", Acts())


async def test_answer_is_forgotten_after_ten_minutes() -> None:
    clock = support.FixedClock()
    answers = idempotency.Answers(clock)
    act = Acts()
    await answers.once(KEY, b"", act)
    clock.mono += bounds.IDEMPOTENT_MS * 1000 - 1
    assert await answers.once(KEY, b"", act) == 1
    clock.mono += 1
    assert await answers.once(KEY, b"", act) == 2


async def test_failure_is_not_kept() -> None:
    answers = idempotency.Answers(support.FixedClock())

    async def fail() -> Any:
        raise errors.Throttled

    with pytest.raises(errors.Throttled):
        await answers.once(KEY, b"", fail)
    assert await answers.once(KEY, b"", Acts()) == 1


async def test_concurrent_repeat_waits_for_the_first() -> None:
    answers = idempotency.Answers(support.FixedClock())
    go = asyncio.Event()

    async def slow() -> str:
        await go.wait()
        return "done"

    act = Acts()
    first = asyncio.create_task(answers.once(KEY, b"", slow))
    second = asyncio.create_task(answers.once(KEY, b"", act))
    await asyncio.sleep(0)
    go.set()
    assert await asyncio.gather(first, second) == ["done", "done"]
    assert act.count == 0


async def test_first_caller_that_gives_up_frees_the_token() -> None:
    answers = idempotency.Answers(support.FixedClock())
    first = asyncio.create_task(answers.once(KEY, b"", asyncio.Event().wait))
    await asyncio.sleep(0)
    second = asyncio.create_task(answers.once(KEY, b"", Acts()))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(errors.Unavailable):
        await second
    assert await answers.once(KEY, b"", Acts()) == 1


async def test_number_of_kept_answers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "IDEMPOTENT_ANSWERS_MAX", 2)
    answers = idempotency.Answers(support.FixedClock())
    act = Acts()
    for number in range(5):
        await answers.once(("1", "X", str(number)), b"", act)
    assert await answers.once(("1", "X", "4"), b"", act) == 5
    assert await answers.once(("1", "X", "0"), b"", act) == 6
