"""The books as Prometheus families: both conservation laws, the store, the functions.

Reads when asked, counts nothing of its own. Label sets are bounded: whoever collects them pays for
each, so all together stay below 10,000.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import core as prometheus

from headrace.bus import engine as engines
from headrace.functions import service
from headrace.resources import switches

#: Subscriptions shown one by one, with six series each; the rest is summed as "other".
SUBSCRIPTIONS_SHOWN_MAX = 1_000
#: Rules shown one by one, with two series each; the rest is summed as "other".
RULES_SHOWN_MAX = 1_000
OTHER = "other"

_CLOSED = ("delivered", "dead", "dropped", "moved_out")


class Books:
    """A collector for a prometheus registry."""

    def __init__(self, engine: engines.Engine, functions: service.Functions) -> None:
        self._engine = engine
        self._functions = functions

    def collect(self) -> Iterator[prometheus.Metric]:
        books = self._engine.books()
        yield from _law_one(books.subscriptions)
        yield from _law_two(books.rules)
        balanced = prometheus.GaugeMetricFamily(
            "headrace_books_balanced", "1 while both conservation laws hold."
        )
        balanced.add_metric((), 1.0 if books.balanced else 0.0)
        yield balanced
        yield from self._running()
        yield self._switches()

    def _switches(self) -> prometheus.Metric:
        """Those about the whole server always; the others for as long as they are remembered."""
        family = prometheus.GaugeMetricFamily(
            "headrace_switch_on", "1 while an operator's switch is on.", labels=("switch", "of")
        )
        state = {(kind, ""): False for kind in switches.KINDS if kind not in switches.ABOUT}
        for switch in self._engine.switchboard.known:
            key = (switch.kind, switch.of)
            state[key] = state.get(key, False) or switch.on
        for key, on in state.items():
            family.add_metric(key, float(on))
        return family

    def _running(self) -> Iterator[prometheus.Metric]:
        stats = self._functions.stats()
        for name, value, text in (
            ("headrace_instances", stats.instances, "Function instances alive."),
            ("headrace_starting", stats.starting, "Function instances being started."),
            ("headrace_queued", stats.queued, "Invocations waiting for an instance."),
            (
                "headrace_waiting_events",
                self._engine.committer.waiting,
                "Events waiting for the disk.",
            ),
            (
                "headrace_deliveries_under_way",
                self._engine.dispatcher.under_way,
                "Attempts that have begun and have no settlement yet.",
            ),
            (
                "headrace_invocations_under_way",
                stats.under_way,
                "Invocations taken that have not ended.",
            ),
            (
                "headrace_open_deliveries",
                self._engine.ledger.pending(),
                "Deliveries not closed yet.",
            ),
        ):
            gauge = prometheus.GaugeMetricFamily(name, text)
            gauge.add_metric((), value)
            yield gauge
        for name, value, text in (
            ("headrace_invocations", stats.invocations, "Invocations that ran."),
            (
                "headrace_invocation_errors",
                stats.errors,
                "Invocations that failed in the function.",
            ),
            (
                "headrace_cold_starts",
                stats.cold_starts,
                "Instances started for a waiting invocation.",
            ),
            (
                "headrace_frames_refused_full",
                self._engine.committer.refused_full,
                "Frames without room.",
            ),
        ):
            counter = prometheus.CounterMetricFamily(name, text)
            counter.add_metric((), value)
            yield counter


def _law_one(rows: list[engines.conservation.SubscriptionBooks]) -> Iterator[prometheus.Metric]:
    opened = prometheus.CounterMetricFamily(
        "headrace_deliveries_enqueued", "Deliveries that began.", labels=("subscription",)
    )
    closed = prometheus.CounterMetricFamily(
        "headrace_deliveries_closed", "Deliveries that ended.", labels=("subscription", "how")
    )
    pending = prometheus.GaugeMetricFamily(
        "headrace_deliveries_open", "Deliveries under way or waiting.", labels=("subscription",)
    )
    named = [
        (
            row.name or str(row.subscription),
            [row.enqueued + row.carried_in, row.open, *(getattr(row, how) for how in _CLOSED)],
        )
        for row in rows
    ]
    for name, (began, open_, *ended) in _summed(named, SUBSCRIPTIONS_SHOWN_MAX):
        opened.add_metric((name,), began)
        pending.add_metric((name,), open_)
        for how, count in zip(_CLOSED, ended, strict=True):
            closed.add_metric((name, how), count)
    yield from (opened, closed, pending)


def _law_two(rows: list[engines.conservation.RuleBooks]) -> Iterator[prometheus.Metric]:
    family = prometheus.CounterMetricFamily(
        "headrace_rule_events", "Events a rule was asked about.", labels=("rule", "verdict")
    )
    named = [(row.name or str(row.rule), [row.matched, row.filtered]) for row in rows]
    for name, (matched, filtered) in _summed(named, RULES_SHOWN_MAX):
        family.add_metric((name, "matched"), matched)
        family.add_metric((name, "filtered"), filtered)
    yield family


def _summed(named: list[tuple[str, list[int]]], most: int) -> list[tuple[str, list[int]]]:
    """The first `most` as they are, all others as one."""
    if len(named) <= most:
        return named
    sums = [sum(column) for column in zip(*(counts for _, counts in named[most:]), strict=True)]
    return [*named[:most], (OTHER, sums)]
