"""Counts of what the server answered, for the metrics.

Plain integers on the hot path, turned into metric families only when someone reads `/metrics`.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import core as metrics

#: Upper bounds of the latency buckets, microseconds.
_BOUNDS_US = (500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 1_000_000, 10_000_000)


class _Route:
    __slots__ = ("buckets", "statuses", "total_us")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.buckets = [0] * (len(_BOUNDS_US) + 1)
        self.total_us = 0


class Counts:
    """A collector for a prometheus registry: requests by route and status, and their time."""

    def __init__(self) -> None:
        self._routes: dict[str, _Route] = {}

    def add(self, route: str, status: int, took_us: int) -> None:
        counts = self._routes.get(route)
        if counts is None:
            counts = self._routes[route] = _Route()
        counts.statuses[status] = counts.statuses.get(status, 0) + 1
        counts.total_us += took_us
        number = 0
        for bound in _BOUNDS_US:
            if took_us <= bound:
                break
            number += 1
        counts.buckets[number] += 1

    def collect(self) -> Iterator[metrics.Metric]:
        requests = metrics.CounterMetricFamily(
            "headrace_http_requests", "Requests answered.", labels=("route", "status")
        )
        seconds = metrics.HistogramMetricFamily(
            "headrace_http_seconds",
            "Time from the request's head to its answer.",
            labels=("route",),
        )
        for route, counts in self._routes.items():
            for status, number in counts.statuses.items():
                requests.add_metric((route, str(status)), number)
            running = 0
            buckets: list[tuple[str, float]] = []
            for bound, number in zip((*_BOUNDS_US, None), counts.buckets, strict=True):
                running += number
                buckets.append(("+Inf" if bound is None else str(bound / 1e6), float(running)))
            seconds.add_metric((route,), buckets, counts.total_us / 1e6)
        yield requests
        yield seconds
