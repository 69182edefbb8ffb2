"""What the rules were at every moment, from the registry alone, and what they match.

Shares no code with the matcher: each pattern of the simulation comes with a predicate in Python.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from headrace.resources import model
from headrace.store import memory

Predicate = Callable[[Mapping[str, Any]], bool]

SOURCES = ("shop", "stock", "cars")
TYPES = ("made", "paid", "sent")

#: Pattern text -> what it means.
PATTERNS: dict[str, Predicate] = {
    json.dumps(pattern): predicate
    for pattern, predicate in (
        ({}, lambda event: True),
        ({"source": ["shop"]}, lambda event: event["source"] == "shop"),
        ({"source": [{"prefix": "s"}]}, lambda event: event["source"].startswith("s")),
        ({"type": ["made", "paid"]}, lambda event: event["type"] in ("made", "paid")),
        (
            {"source": ["stock"], "type": [{"anything-but": "sent"}]},
            lambda event: event["source"] == "stock" and event["type"] != "sent",
        ),
        ({"data": {"n": [{"numeric": [">", 70]}]}}, lambda event: event["data"]["n"] > 70),
        ({"data": {"n": [{"numeric": [">=", 10, "<", 25]}]}}, lambda e: 10 <= e["data"]["n"] < 25),
        ({"data": {"tag": [{"exists": True}]}}, lambda event: "tag" in event["data"]),
        (
            {"type": ["sent"], "data": {"tag": ["x"]}},
            lambda event: event["type"] == "sent" and event["data"].get("tag") == "x",
        ),
    )
}


class Rulebook:
    """Rules by the revision of the registry."""

    def __init__(self, table: memory.MemoryTable) -> None:
        self._table = table
        self._rules: dict[str, model.Rule] = {}
        self._read = 0

    def expected(
        self, generation: int, event: Mapping[str, Any]
    ) -> tuple[list[int], list[int], list[int]]:
        """Numbers of the rules that are enabled at a generation, of those that match, and of the
        subscriptions of the latter."""
        self._advance(generation)
        enabled = [rule for rule in self._rules.values() if rule.status == "ENABLE"]
        matched = [rule for rule in enabled if PATTERNS[rule.pattern](event)]
        numbers = [target.subscription for rule in matched for target in rule.targets]
        return [r.number for r in enabled], [r.number for r in matched], numbers

    def _advance(self, generation: int) -> None:
        assert generation >= self._read, "generations do not go back"
        for change_set in self._table.sets[self._read : generation]:
            for change in change_set.changes:
                if change.key.split("/", 2)[1] != "rule":
                    continue
                if change.value is None:
                    self._rules.pop(change.key, None)
                else:
                    self._rules[change.key] = msgspec.json.decode(change.value, type=model.Rule)
        self._read = generation

    def is_living(self, subscription: int) -> bool:
        """Is there a target or function of this number in the registry now?"""
        newest: dict[str, bytes | None] = {}
        for change_set in self._table.sets:
            for change in change_set.changes:
                newest[change.key] = change.value
        for key, value in newest.items():
            if value is None:
                continue
            kind = key.split("/", 2)[1]
            if kind == "rule":
                rule = msgspec.json.decode(value, type=model.Rule)
                if any(target.subscription == subscription for target in rule.targets):
                    return True
            elif kind == "function":
                function = msgspec.json.decode(value, type=model.Function)
                if function.async_subscription == subscription:
                    return True
        return False
