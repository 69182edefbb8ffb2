"""The parts under the index: intervals, folded checks, bounds. Each against its plain meaning."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core import jsonpath, jsontext
from headrace.core.pattern import fold, intervals, predicates

BOUNDS = st.sampled_from([-math.inf, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0, math.inf])


@given(st.lists(st.tuples(BOUNDS, BOUNDS), max_size=20))
def test_intervals_find_every_range_around_a_number_bounds_included(
    ranges: list[tuple[float, float]],
) -> None:
    tree = intervals.Intervals([(low, high, n) for n, (low, high) in enumerate(ranges)])
    for number in (-3, -2.0, -1.5, -1, 0, 0.25, 0.5, 1, 1.5, 2.0, 3, 10**400):
        found: list[int] = []
        tree.at(number, found)
        assert sorted(found) == [n for n, (low, high) in enumerate(ranges) if low <= number <= high]


@pytest.mark.parametrize(
    ("test", "taken", "refused"),
    [
        (predicates.Numeric(1.0, 2.0), [1, 2], [0.999, 2.001]),
        (predicates.Numeric(1.0, 2.0, low_open=True), [1.001, 2], [1]),
        (predicates.Numeric(1.0, 2.0, high_open=True), [1, 1.999], [2]),
        (predicates.Numeric(1.0, 2.0, excluded=((1.4, 1.6),)), [1.3, 1.7], [1.4, 1.5, 1.6]),
    ],
)
def test_bounds_of_a_range(
    test: predicates.Numeric, taken: list[float], refused: list[float]
) -> None:
    assert all(test.accepts(number) for number in taken)
    assert not any(test.accepts(number) for number in refused)


SCALARS: list[Any] = [
    None,
    True,
    0,
    7,
    jsontext.Float("7.0"),
    "",
    "7",
    "ab",
    "ba",
    "null",
    "10.0.0.7",
    "10.0.1.7",
    "2001:db8::1",
]
TESTS: list[predicates.Test] = [
    predicates.Equals(None),
    predicates.Equals("7"),
    predicates.Equals("ab"),
    predicates.Prefix("a"),
    predicates.Suffix("a"),
    predicates.Contains("u"),
    predicates.AnythingBut(frozenset(), null=True),
    predicates.AnythingBut(frozenset(("7", "ab"))),
    predicates.AnythingBut(frozenset(("7", "ba")), null=True),
    predicates.AnythingButAffix(predicates.Prefix("1")),
    predicates.Numeric(5, 9),
    predicates.Cidr(10 << 24, (10 << 24) + 255),
    predicates.Address((6, 0x20010DB8000000000000000000000001)),
    predicates.Exists(wanted=False),
    predicates.AllOf((predicates.Prefix("b"), predicates.Suffix("a"))),
]


def test_a_folded_check_is_the_tests_one_by_one() -> None:
    """Every pair and every triple of tests on every kind of scalar."""
    for tests in [*product(TESTS, repeat=2), *product(TESTS, repeat=3)]:
        accepts = fold.fold(tests)
        for value in SCALARS:
            plain = any(test.accepts(value) for test in tests)
            assert accepts(value) is plain, (tests, value)


def test_paths_know_absence_from_null() -> None:
    assert jsonpath.find(("a",), {"a": None}) is None
    assert jsonpath.find(("b",), {"a": None}) is jsonpath.MISSING
    assert repr(jsonpath.MISSING) == "Missing('the path leads nowhere')"
