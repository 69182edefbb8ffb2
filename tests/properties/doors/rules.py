"""The bus side of the model: buses, rules and the targets in them.

Restated from the specification (architecture §6 with its delete table, eventbridge.md §1 and §2).
Must never import the product.
"""

from __future__ import annotations

import copy
import re

from tests.properties.doors import events, state, words
from tests.properties.doors.words import Tree

_HTTP = ("http", "https")
_BUS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_RULE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class Rules(state.State):
    """Operations of the bus side."""

    # -- buses

    def _create_bus(self, name: str, description: str) -> None:
        if not _BUS_NAME.fullmatch(name):
            raise state.Refused("EventBusNameInvalid")
        if name in self.buses:
            raise state.Refused("EventBusAlreadyExist")
        self.buses[name] = {"description": description, "facts": {"created": None}}
        self.changed = True

    def _update_bus(self, name: str, description: str) -> None:
        self._bus(name)
        self.changed = self.buses[name]["description"] != description
        self.buses[name]["description"] = description

    def _delete_bus(self, name: str) -> None:
        self._bus(name)
        if name == "default":
            self._cell("delete_bus", "-", "the default bus")
            raise state.Refused("EventBusNameInvalid")
        if any(bus == name for bus, _ in self.rules):
            self._cell("delete_bus", "-", "it has rules")
            raise state.Refused("EventBusRuleNotEmptyForDelete")
        if name in self.sources:
            self._cell("delete_bus", "-", "it has sources")
            raise state.Refused("EventBusSourceNotEmptyForDelete")
        self._cell("delete_bus", "-", "it is empty")
        del self.buses[name]
        self.changed = True

    def _bus(self, name: str) -> None:
        if name not in self.buses:
            raise state.Refused("EventBusNotExist")

    # -- rules

    def _create_rule(
        self, bus: str, name: str, pattern: str, targets: list[Tree], description: str, status: str
    ) -> None:
        if not _RULE_NAME.fullmatch(name):
            raise state.Refused("EventRuleNameInvalid")
        _check_pattern(pattern)
        if status not in ("ENABLE", "DISABLE"):
            raise state.Refused("InvalidArgument")
        made = [self._checked(each) for each in targets]
        if len({each["id"] for each in made}) < len(made):
            raise state.Refused("EventRuleTargetIdDuplicate")
        self._bus(bus)
        if (bus, name) in self.rules:
            raise state.Refused("EventRuleAlreadyExist")
        for each in made:
            self._check_queues(each)
        if any(words.function_of(each) for each in made):
            self._kind("create_rule", "function target")
        self._add_rule((bus, name), pattern, made, description, status, None)

    def _update_rule(
        self,
        bus: str,
        name: str,
        pattern: str | None = None,
        description: str | None = None,
        status: str | None = None,
    ) -> None:
        if pattern is not None:
            _check_pattern(pattern)
        if status not in (None, "ENABLE", "DISABLE"):
            raise state.Refused("InvalidArgument")
        after = self._rule(bus, name)
        for field, value in (("pattern", pattern), ("description", description)):
            if value is not None and value != after[field]:
                after[field] = value
                self._kind("update_rule", field)
        after["status"] = status or after["status"]
        self._write((bus, name), after)

    def _enable_rule(self, bus: str, name: str) -> None:
        after = self._rule(bus, name)
        if after["status"] != "ENABLE":
            self._kind("enable_rule", "status")
        after["status"] = "ENABLE"
        self._write((bus, name), after)

    def _disable_rule(self, bus: str, name: str) -> None:
        after = self._rule(bus, name)
        if after["status"] != "DISABLE":
            self._kind("disable_rule", "status")
        self._cell("disable_rule", state.origin_of(after), "any")
        after["status"] = "DISABLE"
        self._write((bus, name), after)

    def _delete_rule(self, bus: str, name: str) -> None:
        rule = self._rule(bus, name)
        if rule["origin"] is None:
            self._cell("delete_rule", "rule", "any")
        else:
            self._cell("delete_rule", "trigger", state.company(rule))
        del self.rules[bus, name]
        self.changed = True

    def _rule(self, bus: str, name: str) -> Tree:
        """A copy of the rule, to be changed and written back."""
        self._bus(bus)
        if (bus, name) not in self.rules:
            raise state.Refused("EventRuleNotExisted")
        return copy.deepcopy(self.rules[bus, name])

    def _add_rule(
        self, key: state.RuleKey, pattern: str, targets: list[Tree], description: str, status: str,
        origin: Tree | None,
    ) -> None:  # fmt: skip
        self.rules[key] = {
            "pattern": pattern, "targets": targets, "description": description, "status": status,
            "origin": origin, "facts": {"created": None, "modified": None, "revision": None},
        }  # fmt: skip
        self.changed = True

    def _write(self, key: state.RuleKey, after: Tree) -> None:
        """Put a changed rule back, with the trigger's own words in step; nothing if it is equal."""
        _reconcile(after)
        before = self.rules[key]
        if state.without_facts(before) != state.without_facts(after):
            after["facts"] |= {"modified": None, "revision": None}
            self.changed = True
        self.rules[key] = after

    # -- targets

    def _put_targets(self, bus: str, rule: str, targets: list[Tree]) -> list[tuple[str, str]]:
        after = self._rule(bus, rule)
        ids = [each["Id"] for each in targets]
        refused: list[tuple[str, str]] = []
        for given in targets:
            try:
                if ids.count(given["Id"]) > 1:
                    raise state.Refused("EventRuleTargetIdDuplicate")
                made = self._checked(given)
                self._check_queues(made)
            except state.Refused as wrong:
                refused.append((given["Id"], wrong.code))
                continue
            self._put_one(after, made)
        self._write((bus, rule), after)
        return refused

    def _put_one(self, rule: Tree, made: Tree) -> None:
        old = self.target(rule, made["id"])
        if old is None:
            if rule["origin"] is not None:
                self._note_added(rule, made)
            rule["targets"].append(made)
            return
        made["facts"] = old["facts"]
        if rule["origin"] is not None and made["id"] == rule["origin"]["target_id"]:
            self._note_own(rule, old, made)
        elif rule["origin"] is None and words.function_of(old) not in (
            None, words.function_of(made),
        ):  # fmt: skip
            self._cell("put_targets", "rule", "a function target, now pointing elsewhere")
        rule["targets"][rule["targets"].index(old)] = made

    def _note_added(self, rule: Tree, made: Tree) -> None:
        function = words.function_of(made)
        if function is None:
            self._kind("put_targets", "another target")
        elif function != rule["origin"]["function"]:
            self._kind("put_targets", "another function")

    def _note_own(self, rule: Tree, old: Tree, made: Tree) -> None:
        if words.function_of(made) != rule["origin"]["function"]:
            self._cell("put_targets", "trigger", "the trigger's own target, now pointing elsewhere")
            return
        self._cell(
            "put_targets", "trigger", "the trigger's own target, still pointing at the function"
        )
        was, now = words.schema_of(old), words.schema_of(made)
        if now is None:
            self._kind("put_targets", "body without a word")
        elif was != now:
            self._kind("put_targets", "schema")
        if words.is_async(old) != words.is_async(made):
            self._kind("put_targets", "invocation type")
        for field, subject in (
            ("retry", "retry"), ("errors", "errors"), ("dead_letter", "dead letter"),
            ("concurrency", "concurrency"),
        ):  # fmt: skip
            if old[field] != made[field]:
                self._kind("put_targets", subject)

    def _delete_targets(self, bus: str, rule: str, ids: list[str]) -> list[tuple[str, str]]:
        after = self._rule(bus, rule)
        refused = [(id_, "EventTargetNotExist") for id_ in ids if not self.target(after, id_)]
        for id_ in ids:
            target = self.target(after, id_)
            if target is None:
                continue
            self._note_deleted(after, target)
            after["targets"].remove(target)
            if after["origin"] is not None and after["origin"]["target_id"] == id_:
                after["origin"] = None
        self._write((bus, rule), after)
        return refused

    def _note_deleted(self, rule: Tree, target: Tree) -> None:
        if rule["origin"] is not None:
            is_own = target["id"] == rule["origin"]["target_id"]
            situation = "the trigger's own target" if is_own else "another target"
            self._cell("delete_targets", "trigger", situation)
        elif words.function_of(target):
            self._cell("delete_targets", "rule", "a function target")

    def _checked(self, given: Tree) -> Tree:
        """The target that the bus side asks for. A function need not exist."""
        if given["Type"] not in (words.FUNCTION, words.QUEUE, *_HTTP):
            raise state.Refused("EventTargetClassNotExist")
        if given["Type"] in _HTTP and not given["Endpoint"].startswith("http"):
            raise state.Refused("EventTargetIneffectiveAttribute")
        retry = words.strategy(given.get("PushRetryStrategy"))
        if retry not in (None, "BACKOFF_RETRY", "EXPONENTIAL_DECAY_RETRY"):
            raise state.Refused("EventTargetIneffectiveAttribute")
        return {
            "id": given["Id"],
            "type": given["Type"],
            "endpoint": given.get("Endpoint", ""),
            "params": given.get("ParamList", []),
            "retry": retry,
            "errors": given.get("ErrorsTolerance"),
            "dead_letter": given.get("DeadLetterQueue"),
            "concurrency": given.get("ConcurrentConfig", {}).get("Concurrency"),
            "facts": words.target_facts(),
        }

    def _check_queues(self, target: Tree, code: str = "EventTargetIneffectiveAttribute") -> None:
        """A queue that is named must exist: a misspelt one would swallow events in silence."""
        for named in (words.queue_of(target), words.dead_letter_queue_of(target)):
            if named is not None and named not in self.queues:
                raise state.Refused(code)


def _reconcile(rule: Tree) -> None:
    """Keep a trigger's own words in step with its rule, or end the trigger."""
    origin = rule["origin"]
    if origin is None:
        return
    target = state.one(rule, origin["target_id"])
    if words.function_of(target) != origin["function"]:
        rule["origin"] = None
        return
    now = words.of_rule(rule, target)
    origin["modified"] = now is None
    if now is None:
        return
    sent = words.said(origin["sent"])
    origin["last"] = None if sent == now else words.patched(origin["sent"], sent, now)


def _check_pattern(text: str) -> None:
    if text not in events.PATTERNS:
        raise state.Refused("EventRuleFilterPatternSchemaError")
