"""Shares: one alone may have all, competitors get at least their part, nothing lies idle."""

from __future__ import annotations

import random

import pytest

from headrace.core import shares


def fill(one: shares.Shares, account: str) -> int:
    """Take single units as long as that is allowed; return how many that were."""
    count = 0
    while one.allows(account, 1):
        one.take(account, 1)
        count += 1
    return count


def test_one_account_alone_may_have_all() -> None:
    one = shares.Shares(100)
    assert fill(one, "a") == 100
    assert not one.contended("a")


def test_who_comes_into_a_full_house_gets_its_share() -> None:
    one = shares.Shares(100)
    fill(one, "a")
    assert fill(one, "b") == 50
    assert one.contended("a")
    assert one.contended("b")


def test_who_holds_more_than_its_share_gets_nothing_new_until_it_is_back_at_it() -> None:
    one = shares.Shares(100)
    fill(one, "a")
    fill(one, "b")
    for held in range(100, 50, -1):
        assert not one.allows("a", 1), held
        one.give_back("a", 1)
    assert fill(one, "a") == 0
    one.give_back("a", 1)
    assert fill(one, "a") == 1


def test_what_others_do_not_want_is_not_kept_for_them() -> None:
    one = shares.Shares(100)
    one.take("b", 5)
    assert fill(one, "a") == 95
    one.give_back("b", 5)
    assert fill(one, "a") == 5


def test_an_account_that_has_nothing_gets_one_thing_however_large() -> None:
    one = shares.Shares(10)
    assert one.allows("a", 1_000)
    one.take("a", 1_000)
    assert not one.allows("a", 1)
    assert one.allows("b", 1_000)


def test_the_share_is_a_part_of_what_all_that_have_something_may_have() -> None:
    one = shares.Shares(90)
    assert one.share("a") == 90
    one.take("b", 1)
    assert (one.share("a"), one.share("b")) == (45, 90)
    one.take("c", 1)
    assert one.share("a") == 30


def test_what_is_the_first_of_its_kind_exceeds_by_half_and_leaves_the_rest_to_others() -> None:
    one = shares.Shares(10)
    one.take("a", 10)
    while one.may_exceed("a", first=True):
        assert not one.may_exceed("a", first=False), "nobody else wants any"
        one.take("a", 1)
    assert one.taken == 15
    while one.may_exceed("b", first=False):
        one.take("b", 1)
    assert (one.taken, one.taken_by("b")) == (20, 5)
    for account in "cd":
        assert one.may_exceed(account, first=False), "it has nothing"
        one.take(account, 1)
        assert not one.may_exceed(account, first=True)


@pytest.mark.parametrize("most", [1, 2, 3])
def test_with_more_accounts_than_there_is_each_gets_one(most: int) -> None:
    one = shares.Shares(most)
    for account in "abcdefgh":
        assert one.allows(account, 1)
        assert one.taken < most or one.may_exceed(account, first=False)
        one.take(account, 1)
    assert not any(one.allows(account, 1) for account in "abcdefgh")


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_nobody_below_its_share_is_refused_and_the_sum_is_bounded(
    seed: int,
) -> None:
    chance, one = random.Random(seed), shares.Shares(64)
    held = dict.fromkeys("abcde", 0)
    for _ in range(3_000):
        account = chance.choice("abcde")
        if chance.random() < 0.6:
            if one.allows(account, 1):
                one.take(account, 1)
                held[account] += 1
            else:
                assert held[account] >= one.share(account) or one.taken >= 2 * one.most
        elif held[account]:
            one.give_back(account, 1)
            held[account] -= 1
        assert one.taken == sum(held.values()) <= 2 * one.most + len(held)
        assert all(one.taken_by(account) == count for account, count in held.items())
