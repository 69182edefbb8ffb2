"""The function side of the model: triggers, functions; and the built-in queues.

Restated from the specification (architecture §6 with its delete table, eventbridge.md §5). Must
never import the product. A trigger is a rule whose `origin` is set.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from tests.properties.doors import events, rules, state, words
from tests.properties.doors.words import Tree

_CONFIG_KEYS = {
    "triggerEnable", "asyncInvocationType", "eventRuleFilterPattern", "eventSourceConfig",
    "eventSinkConfig", "runOptions", words.READING_KEY,
}  # fmt: skip
_FUNCTION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class Model(rules.Rules):
    """Every operation of both doors."""

    def apply(self, op: str, args: state.Args) -> state.Answer:
        """Do one operation, or leave everything as it was; tell what the door must answer."""
        self.changed = False
        try:
            entries = getattr(self, f"_{op}")(**copy.deepcopy(args))
        except state.Refused as refused:
            return state.Answer(refused.code, [])
        return state.Answer(None, entries or [])

    # -- triggers

    def _create_trigger(
        self, function: str, name: str, config: str, description: str = "", role: str = "",
        type: str = "eventbridge", qualifier: str = "",
    ) -> None:  # fmt: skip
        self._function(function)
        if not _FUNCTION_NAME.fullmatch(name) or type != "eventbridge":
            raise state.Refused("InvalidArgument")
        if qualifier not in ("", "LATEST"):
            raise state.Refused("VersionNotFound")
        text, tree = _parsed(config)
        key = ("default", f"{function}-{name}")
        existing = self.rules.get(key)
        if existing is not None:
            origin = existing["origin"]
            mine = origin is not None and (origin["function"], origin["trigger"]) == (
                function,
                name,
            )
            raise state.Refused("TriggerAlreadyExists" if mine else "EventRuleAlreadyExist")
        said = words.said(tree)
        target = words.own_target(
            said, id_=None, function=function, region=self.region, account=self.account
        )
        self._check_queues(target, "InvalidArgument")
        origin = {
            "function": function, "trigger": name, "target_id": None, "role": role,
            "text": text, "sent": tree, "last": None, "modified": False,
        }  # fmt: skip
        self._kind("create_trigger", "new")
        status = "ENABLE" if said["enable"] else "DISABLE"
        self._add_rule(key, said["pattern"], [target], description, status, origin)

    def learn_trigger(self, function: str, name: str, id_: str) -> None:
        """The server gave the new trigger this id; the target in its rule has the same."""
        rule = self.rules["default", f"{function}-{name}"]
        rule["origin"]["target_id"] = rule["targets"][0]["id"] = id_

    def _update_trigger(
        self, function: str, name: str, config: str | None = None, description: str | None = None,
        role: str | None = None, qualifier: str | None = None,
    ) -> None:  # fmt: skip
        parsed = None if config is None else _parsed(config)
        if qualifier not in (None, "LATEST"):
            raise state.Refused("VersionNotFound")
        self._function(function)
        key, id_ = self._trigger(function, name)
        after = copy.deepcopy(self.rules[key])
        target = self.target(after, id_)
        assert target is not None
        own = target is self.own(after)
        if role and not own:
            raise state.Refused("InvalidArgument")
        before = copy.deepcopy(after)
        if description is not None:
            after["description"] = description
        if role is not None and own:
            after["origin"]["role"] = role
        if parsed is not None and own:
            self._reconfigure_own(after, target, *parsed)
        elif parsed is not None:
            _reconfigure_remote(after, target, parsed[1])
        for each in after["targets"]:
            if each["id"] == id_:
                self._check_queues(each, "InvalidArgument")
        self._note_update(before, after, id_, own=own, qualified=qualifier is not None)
        self._write(key, after)

    def _reconfigure_own(self, rule: Tree, target: Tree, text: str | None, tree: Tree) -> None:
        """A trigger's config says all of its rule: what it leaves out goes back to the default."""
        said = words.said(tree)
        fresh = words.own_target(
            said, id_=target["id"], function=rule["origin"]["function"], region=self.region,
            account=self.account,
        )  # fmt: skip
        fresh["facts"] = target["facts"]
        rule["targets"][rule["targets"].index(target)] = fresh
        rule["pattern"] = said["pattern"]
        rule["status"] = "ENABLE" if said["enable"] else "DISABLE"
        rule["origin"] |= {"text": text, "sent": tree, "last": None}

    def _note_update(
        self, before: Tree, after: Tree, id_: str | None, *, own: bool, qualified: bool
    ) -> None:
        if not own:
            if state.without_facts(before) != state.without_facts(after):
                self._kind("update_trigger", "a bus-made rule")
            return
        if qualified:
            self._kind("update_trigger", "qualifier")
        if before["description"] != after["description"]:
            self._kind("update_trigger", "description")
        if before["origin"]["role"] != after["origin"]["role"]:
            self._kind("update_trigger", "invocationRole")
        was = words.of_rule(before, state.one(before, id_)) or {}
        now = words.of_rule(after, state.one(after, id_)) or {}
        for name, subject in (
            ("pattern", "pattern"), ("enable", "enable"), ("async", "invocation type"),
            ("schema", "schema"), ("retry", "retry"), ("errors", "errors"),
            ("dead_letter", "dead letter"), ("concurrency", "concurrency"),
        ):  # fmt: skip
            if was and now and was[name] != now[name]:
                self._kind("update_trigger", subject)

    def _delete_trigger(self, function: str, name: str) -> None:
        self._function(function)
        key, id_ = self._trigger(function, name)
        after = copy.deepcopy(self.rules[key])
        target = self.target(after, id_)
        assert target is not None
        origin = after["origin"]
        is_own = origin is not None and origin["target_id"] == id_
        if origin is not None and not is_own:
            self._cell("delete_trigger", "rule", "the bus side added it to a trigger's rule")
        else:
            self._cell("delete_trigger", state.origin_of(after), state.company(after))
        if is_own and len(after["targets"]) == 1:
            del self.rules[key]
            self.changed = True
            return
        after["targets"].remove(target)
        if is_own:
            after["origin"] = None
        self._write(key, after)

    def _trigger(self, function: str, name: str) -> tuple[state.RuleKey, str | None]:
        found = self.triggers(function).get(name)
        if found is None:
            raise state.Refused("TriggerNotFound")
        key, target = found
        return key, target["id"]

    # -- functions and queues

    def _create_function(self, name: str, version: int, description: str) -> None:
        if not _FUNCTION_NAME.fullmatch(name):
            raise state.Refused("InvalidArgument")
        if name in self.functions:
            raise state.Refused("FunctionAlreadyExists")
        self.functions[name] = {
            "version": version, "description": description, "timeout": 10,
            "facts": {"id": None, "created": None, "modified": None, "revision": None},
        }  # fmt: skip
        self.changed = True

    def _update_function(self, name: str, **fields: Any) -> None:
        self._function(name)
        function = self.functions[name]
        if any(function[field] != value for field, value in fields.items()):
            function["facts"] |= {"modified": None, "revision": None}
            self.changed = True
        function |= fields

    def _delete_function(self, name: str) -> None:
        self._function(name)
        made = [r for r in self.rules.values() if r["origin"] and r["origin"]["function"] == name]
        if made:
            self._cell("delete_function", "trigger", "triggers point at it")
            raise state.Refused("FunctionNotEmpty")
        if self.triggers(name):
            self._cell("delete_function", "rule", "only bus-made targets point at it")
        else:
            self._cell("delete_function", "-", "nothing points at it")
        del self.functions[name]
        self.changed = True

    def _function(self, name: str) -> None:
        if name not in self.functions:
            raise state.Refused("FunctionNotFound")

    def _create_queue(self, name: str) -> None:
        if name in self.queues:
            raise state.Refused("QueueAlreadyExist")
        self.queues.add(name)
        self.changed = True

    def _delete_queue(self, name: str) -> None:
        if name not in self.queues:
            raise state.Refused("QueueNotExist")
        targets = [each for rule in self.rules.values() for each in rule["targets"]]
        if any(words.queue_of(each) == name for each in targets):
            self._cell("delete_queue", "-", "a target feeds it")
            raise state.Refused("QueueInUse")
        if any(words.dead_letter_queue_of(each) == name for each in targets):
            self._cell("delete_queue", "-", "it keeps dead letters of a target")
            raise state.Refused("QueueInUse")
        self._cell("delete_queue", "-", "nothing points at it")
        self.queues.discard(name)
        self.changed = True


def _reconfigure_remote(rule: Tree, target: Tree, tree: Tree) -> None:
    """A config sent for a bus-made rule changes only the keys that it holds."""
    said, given = words.said(tree), words.given(tree)
    rule["pattern"] = said["pattern"]
    if "enable" in given:
        rule["status"] = "ENABLE" if said["enable"] else "DISABLE"
    if "schema" in given:
        words.with_param(target, words.body_param(said["schema"]))
    if "async" in given:
        words.with_param(target, words.invocation_param(said["async"]))
    for name in ("retry", "errors", "dead_letter", "concurrency"):
        if name in given:
            target[name] = said[name]


def _parsed(text: str) -> tuple[str | None, Tree]:
    """A triggerConfig as it is kept (None: not word for word) and what it holds."""
    try:
        tree = words.read(text)
    except ValueError:
        raise state.Refused("InvalidArgument") from None
    strategy = words.strategy(words.get(tree, words.PATHS["retry"]))
    if (
        set(tree) - _CONFIG_KEYS
        or tree.get("eventRuleFilterPattern") not in events.PATTERNS
        or words.get(tree, ("runOptions", "mode")) not in (None, "event-driven")
        or strategy not in (None, "BACKOFF_RETRY", "EXPONENTIAL_DECAY_RETRY")
    ):
        raise state.Refused("InvalidArgument")
    if words.READING_KEY in tree:
        del tree[words.READING_KEY]
        return None, tree
    return text, tree
