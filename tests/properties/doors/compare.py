"""Both doors against the model: one record, one function, or everything.

Learns into `facts` what only the server knows, once, and insists on it from then on. Raises
Mismatch with both views; must never change what the model decided.
"""

from __future__ import annotations

import json
import random
import time
from typing import Any

from tests.properties.doors import doors, state, views, words
from tests.properties.doors.words import Tree

_CLOCK_SECONDS_MAX = 3600


class Mismatch(Exception):
    """A door and the model disagree."""

    def __init__(self, what: str, **shown: Any) -> None:
        super().__init__(what)
        self.what = what
        self.shown = shown


class Comparer:
    def __init__(self, seen: doors.Doors, model: state.State, chance: random.Random) -> None:
        self._doors = seen
        self.model = model
        self._chance = chance

    # -- one record through both doors

    def rule(self, key: state.RuleKey, gone: set[tuple[str, str]]) -> None:
        """gone: triggers (function, name) that the record was seen as before."""
        shown = self._doors.rule(key)
        if key not in self.model.rules:
            known = key[0] in self.model.buses
            self._refused(shown, "EventRuleNotExisted" if known else "EventBusNotExist", key)
            now: set[tuple[str, str]] = set()
        else:
            self._rule(key, shown)
            now = self._views(key)
        for function, name in sorted(gone - now):
            known = function in self.model.functions
            code = "TriggerNotFound" if known else "FunctionNotFound"
            self._refused(self._doors.trigger(function, name), code, (function, name))

    def _rule(self, key: state.RuleKey, shown: doors.Outcome) -> None:
        self._accepted(shown, key)
        data = shown.body["Data"]
        facts = self.model.rules[key]["facts"]
        if facts["created"] is None:
            facts["created"] = _recent(data["CreatedTimestamp"])
        self._same(views.rule(self.model, key), data, f"rule {key}")

    def triggers_of(self, key: state.RuleKey) -> set[tuple[str, str]]:
        """The triggers that a rule is seen as; a missing function shows none."""
        rule = self.model.rules.get(key)
        return {
            (function, self.model.trigger_name(key, target))
            for target in (rule["targets"] if rule else ())
            if (function := words.function_of(target)) and function in self.model.functions
        }

    def _views(self, key: state.RuleKey) -> set[tuple[str, str]]:
        rule = self.model.rules[key]
        for target in rule["targets"]:
            function = words.function_of(target)
            if not function:
                continue
            name = self.model.trigger_name(key, target)
            shown = self._doors.trigger(function, name)
            if function not in self.model.functions:
                self._refused(shown, "FunctionNotFound", (function, name))
                continue
            self._accepted(shown, (function, name))
            self.trigger(key, target, shown.body)
            self._revision(rule["facts"], shown.revision, f"trigger {function}/{name}")
        return self.triggers_of(key)

    def trigger(self, key: state.RuleKey, target: Tree, shown: Tree) -> None:
        """One view from the function side; also what CreateTrigger and UpdateTrigger answer."""
        facts = self.model.rules[key]["facts"]
        about = f"trigger {shown.get('triggerName')} of rule {key}"
        own = target is self.model.own(self.model.rules[key])
        if not own and target["facts"]["remote_id"] is None:
            target["facts"]["remote_id"] = shown["triggerId"]
        if facts["modified"] is None:
            facts["modified"] = shown["lastModifiedTime"]
        shown = dict(shown)
        text = shown.pop("triggerConfig")
        expected = views.trigger(self.model, key, target)
        if expected["createdTime"] is None:
            expected["createdTime"] = shown["createdTime"]
        self._same(expected, shown, about)
        if shown["lastModifiedTime"] < shown["createdTime"]:
            raise Mismatch(f"{about} was changed before it was made", shown=shown)
        due = views.config(self.model, key, target)
        self._same(due, text if isinstance(due, str) else words.read(text), f"{about}: config")

    def _revision(self, facts: Tree, seen: int | None, about: str) -> None:
        """A change moves it on; what changes nothing leaves it."""
        last = facts.get("last_revision", 0)
        if seen is None:
            raise Mismatch(f"{about} shows no revision")
        if facts["revision"] is None and seen > last:
            facts["revision"] = facts["last_revision"] = seen
        elif facts["revision"] != seen:
            raise Mismatch(f"{about} is at revision {seen}", known=facts)

    # -- functions and buses

    def function(self, name: str) -> None:
        shown = self._doors.function(name)
        if name not in self.model.functions:
            self._refused(shown, "FunctionNotFound", name)
            return
        self._accepted(shown, name)
        self._function(name, shown.body)
        self._revision(self.model.functions[name]["facts"], shown.revision, f"function {name}")

    def _function(self, name: str, shown: Tree) -> None:
        facts = self.model.functions[name]["facts"]
        for fact, field in (
            ("id", "functionId"), ("created", "createdTime"), ("modified", "lastModifiedTime"),
        ):  # fmt: skip
            if facts[fact] is None:
                facts[fact] = shown[field]
        expected = views.function(self.model, name)
        self._same(expected, {key: shown.get(key) for key in expected}, f"function {name}")

    # -- everything

    def everything(self) -> None:
        """Every list of both sides, every record by itself, in pages of a random size."""
        limit = self._chance.choice((2, 3, 100))
        for key in sorted(self.model.rules):
            self.rule(key, set())
        self._buses(limit)
        for bus in self.model.buses:
            keys = sorted(key for key in self.model.rules if key[0] == bus)
            self._list(
                self._doors.listed("list_rules", "Rules", limit, EventBusName=bus),
                [views.listed_rule(self.model, key) for key in keys],
                f"rules of {bus}",
            )
        self._targets(limit)
        self._functions(limit)
        shown = self._doors.get(lambda: self._doors.native("GET", "queues"))
        self._accepted(shown, "queues")
        names = [each["name"] for each in shown.body["queues"]]
        self._same(sorted(self.model.queues), names, "queues")

    def _buses(self, limit: int) -> None:
        shown = self._doors.listed("list_event_buses", "EventBuses", limit)
        self._accepted(shown, "buses")
        for each in shown.body["items"]:
            known = self.model.buses.get(each["EventBusName"])
            if known is not None and known["facts"]["created"] is None:
                known["facts"]["created"] = _recent(each["CreateTimestamp"])
        expected = [views.bus(self.model, name) for name in sorted(self.model.buses)]
        self._list(shown, expected, "buses")

    def _targets(self, limit: int) -> None:
        expected = [
            views.listed_target(key, target)
            for key in sorted(self.model.rules)
            for target in sorted(self.model.rules[key]["targets"], key=_id_of)
        ]
        self._list(self._doors.listed("list_targets", "Targets", limit), expected, "targets")

    def _functions(self, limit: int) -> None:
        shown = self._doors.functions(limit)
        self._accepted(shown, "functions")
        names = [each["functionName"] for each in shown.body["items"]]
        self._same(sorted(self.model.functions), names, "functions")
        for each in shown.body["items"]:
            self._function(each["functionName"], each)
        for name in sorted(self.model.functions):
            self.function(name)
            self._triggers(name, limit)

    def _triggers(self, function: str, limit: int) -> None:
        found = self.model.triggers(function)
        shown = self._doors.triggers(function, limit)
        self._accepted(shown, function)
        names = [each["triggerName"] for each in shown.body["items"]]
        self._same(sorted(found), names, f"triggers of {function}")
        for each in shown.body["items"]:
            key, target = found[each["triggerName"]]
            self.trigger(key, target, each)
        own = self._doors.triggers(function, limit, remote=False)
        self._accepted(own, function)
        expected = [each for each in shown.body["items"] if "|" not in each["triggerName"]]
        self._same(expected, own.body["items"], f"triggers of {function} without remote ones")

    # -- parts

    def _list(self, shown: doors.Outcome, expected: list[Any], about: str) -> None:
        self._accepted(shown, about)
        self._same(expected, shown.body["items"], about)

    def _same(self, expected: Any, actual: Any, about: str) -> None:
        found = views.difference(expected, actual)
        if found:
            raise Mismatch(f"{about}: {found}", model=expected, door=actual)

    def _accepted(self, shown: doors.Outcome, about: object) -> None:
        if shown.code is not None:
            raise Mismatch(f"{about} cannot be read: {shown.code} {shown.message}")

    def _refused(self, shown: doors.Outcome, code: str, about: object) -> None:
        if shown.code != code:
            raise Mismatch(f"{about} must be {code}", door=shown)


def _recent(at_ms: int) -> int:
    now = time.time()
    if not now - _CLOCK_SECONDS_MAX < at_ms / 1000 <= now + 1:
        raise Mismatch(f"a creation time is {at_ms}")
    return at_ms


def _id_of(target: Tree) -> str:
    id_: str = target["id"]
    return id_


def told(value: Any) -> str:
    """A value as a report shows it."""
    return json.dumps(value, ensure_ascii=False, default=str)
