"""What is exported of many subscriptions and rules: a bounded number of series, nothing lost."""

from __future__ import annotations

import pytest

from headrace import metrics
from headrace.bus import conservation


def subscription(number: int) -> conservation.SubscriptionBooks:
    return conservation.SubscriptionBooks(number, f"s-{number}", 7, 1, 2, 1, 1, 1, 3, 0, 0, 0)


def test_what_is_beyond_the_bound_is_summed_as_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "SUBSCRIPTIONS_SHOWN_MAX", 3)
    families = {
        family.name: family
        for family in metrics._law_one([subscription(n) for n in range(10)])  # pyright: ignore[reportPrivateUsage]
    }
    opened = {
        sample.labels["subscription"]: sample.value
        for sample in families["headrace_deliveries_enqueued"].samples
    }
    assert opened == {"s-0": 8, "s-1": 8, "s-2": 8, "other": 7 * 8}
    closed = {
        sample.labels["how"]: sample.value
        for sample in families["headrace_deliveries_closed"].samples
        if sample.labels["subscription"] == "other"
    }
    assert closed == {"delivered": 14, "dead": 7, "dropped": 7, "moved_out": 7}
    rules = [conservation.RuleBooks(n, f"r-{n}", 5, 3, 2, 0) for n in range(4)]
    monkeypatch.setattr(metrics, "RULES_SHOWN_MAX", 3)
    (family,) = metrics._law_two(rules)  # pyright: ignore[reportPrivateUsage]
    assert len(family.samples) == 8
    assert sum(sample.value for sample in family.samples) == 4 * 5


def test_all_series_of_the_books_together_stay_below_ten_thousand() -> None:
    many = 5_000
    families = [
        *metrics._law_one([subscription(n) for n in range(many)]),  # pyright: ignore[reportPrivateUsage]
        *metrics._law_two(  # pyright: ignore[reportPrivateUsage]
            [conservation.RuleBooks(n, f"r-{n}", 5, 3, 2, 0) for n in range(many)]
        ),
    ]
    # Beside them: a series for each switch that is remembered (at most 1,000), and about a hundred.
    assert sum(len(family.samples) for family in families) <= 8_100
