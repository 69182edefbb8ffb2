"""The next step: a random operation that fits what the model says exists, or one to be refused.

Owns chance only; must never decide what an operation does. The same seed and the same history give
the same choice.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.properties.doors import events, state, words
from tests.properties.doors.words import Tree

BUSES = ("orders", "audit")
FUNCTIONS = ("f", "g", "f-a", "h")
TRIGGERS = ("t", "u", "a-t")
#: Some of these are names that triggers make.
RULES = ("r", "s", "f-t", "f-a-t", "g-u")
IDS = ("1", "2", "3")
QUEUES = ("q", "d", "e")
_WORDS = ("", "red", "green", "blue", "in two words", "说明")


class Step(NamedTuple):
    op: str
    args: dict[str, Any]


class Chooser:
    """Chooses steps for one model."""

    def __init__(self, chance: random.Random, sink: str) -> None:
        """sink: the address of an HTTP receiver."""
        self._chance = chance
        self._sink = sink
        self._made = 0
        self._good: tuple[tuple[int, Callable[[state.State], Step | None]], ...] = (
            (2, self._create_bus), (2, self._update_bus), (2, self._delete_bus),
            (8, self._create_rule), (8, self._update_rule), (3, self._enable_rule),
            (3, self._disable_rule), (4, self._delete_rule), (8, self._put_new_target),
            (12, self._put_over), (4, self._put_elsewhere), (4, self._delete_targets),
            (9, self._create_trigger), (10, self._update_trigger), (4, self._update_remote),
            (3, self._send_back), (5, self._delete_trigger), (8, self._create_function),
            (3, self._update_function), (2, self._delete_function), (2, self._create_queue),
            (1, self._delete_queue),
        )  # fmt: skip

    def step(self, model: state.State) -> Step:
        """One operation; about one in six must be refused."""
        if self._chance.random() < 0.12:
            return self.refused(model)
        return self.accepted(model)

    def accepted(self, model: state.State) -> Step:
        weights = [weight for weight, _ in self._good]
        while True:
            (make,) = self._chance.choices([make for _, make in self._good], weights)
            step = make(model)
            if step is not None:
                return step

    # -- parts

    def number(self) -> int:
        self._made += 1
        return self._made

    def word(self) -> str:
        return self._chance.choice(_WORDS)

    def _one(self, values: Any) -> Any:
        """One of `values`, None if there are none."""
        known = list(values)
        return self._chance.choice(known) if known else None

    def _rule_of(self, model: state.State) -> state.RuleKey | None:
        key: state.RuleKey | None = self._one(model.rules)
        return key

    def _pattern(self) -> str:
        if self._chance.random() < 0.35:
            return "{}"
        return self._chance.choice(list(events.PATTERNS))

    def _dead_letter(self, model: state.State) -> Tree | None:
        queue = self._one(sorted(model.queues))
        if queue is None:
            return None
        kept = {"Arn": f"acs:mns:{model.region}:{model.account}:/queues/{queue}"}
        return kept | ({"Network": "PublicNetwork"} if self._chance.random() < 0.3 else {})

    def _body(self) -> list[Tree]:
        chosen = self._chance.randrange(7)
        if chosen == 0:
            return []
        if chosen == 1:
            body = {"Form": "CONSTANT", "Value": f"constant-{self.number()}"}
        elif chosen == 2:
            body = {"Form": "JSONPATH", "Value": "$.data.amount"}
        elif chosen == 3:
            body = {
                "Form": "TEMPLATE", "Value": '{"id":"$.id","n":"$.data.amount"}',
                "Template": "order ${id} of ${n}",
            }  # fmt: skip
        elif chosen == 4:
            body = {"Form": "ORIGINAL"}
        else:
            body = {"Form": "JSONPATH", "Value": "$.data"}
        return [{"ResourceKey": self._chance.choice(("Body", "body")), **body}]

    def _settings(self, model: state.State) -> Tree:
        made: Tree = {}
        if self._chance.random() < 0.3:
            made["PushRetryStrategy"] = self._chance.choice(
                ("BACKOFF_RETRY", "EXPONENTIAL_DECAY_RETRY", "BACKOFFRETRY")
            )
        if self._chance.random() < 0.3:
            made["ErrorsTolerance"] = self._chance.choice(("ALL", "NONE"))
        if self._chance.random() < 0.25 and (kept := self._dead_letter(model)):
            made["DeadLetterQueue"] = kept
        if self._chance.random() < 0.25:
            made["ConcurrentConfig"] = {"Concurrency": self._chance.choice((1, 2, 7))}
        return made

    def function_target(self, model: state.State, function: str, id_: str) -> Tree:
        """A target that calls `function`, addressed in one of the forms there are."""
        here = f"acs:fc:{model.region}:{model.account}"
        params = self._body()
        if self._chance.random() < 0.6:
            mode = self._chance.choice(("Sync", "Async"))
            params.append({"ResourceKey": "InvocationType", "Form": "CONSTANT", "Value": mode})
        if self._chance.random() < 0.2:
            params.append({"ResourceKey": "Qualifier", "Form": "CONSTANT", "Value": "LATEST"})
        form = self._chance.randrange(4)
        endpoint = (
            f"{here}:functions/{function}",
            f"{here}:functions/{function}/LATEST",
            f"{here}:services/s.LATEST/functions/{function}",
            f"{here}:functions/{function}",
        )[form]
        if form == 3:
            named = {"ResourceKey": "functionName", "Form": "CONSTANT", "Value": function}
            params.insert(0, named)
        return {
            "Id": id_, "Type": words.FUNCTION, "Endpoint": endpoint, "ParamList": params,
            **self._settings(model),
        }  # fmt: skip

    def _target(self, model: state.State, id_: str) -> Tree:
        chosen = self._chance.random()
        if chosen < 0.7:
            return self.function_target(model, self._chance.choice(FUNCTIONS), id_)
        return self._elsewhere(model, id_)

    def _elsewhere(self, model: state.State, id_: str) -> Tree:
        queue = self._one(sorted(model.queues))
        if queue is not None and self._chance.random() < 0.4:
            params = [{"ResourceKey": "queue", "Form": "CONSTANT", "Value": queue}, *self._body()]
            endpoint = f"acs:mns:{model.region}:{model.account}:queues/{queue}"
            return {
                "Id": id_, "Type": words.QUEUE, "Endpoint": endpoint, "ParamList": params,
                **self._settings(model),
            }  # fmt: skip
        return {
            "Id": id_, "Type": "http", "Endpoint": self._sink, "ParamList": self._body(),
            **self._settings(model),
        }  # fmt: skip

    def config(self, model: state.State) -> str:
        """A triggerConfig as some client writes it: any subset of the keys, any white space."""
        tree: Tree = {"eventRuleFilterPattern": self._pattern()}
        options: Tree = {}
        delivery: Tree = {}
        for key, place, values in (
            ("triggerEnable", tree, (True, True, False)),
            ("asyncInvocationType", tree, (True, False)),
            ("eventSourceConfig", tree, (
                {"eventSourceType": "Default"},
                {"eventSourceType": "Default", "eventSourceParameters": {}},
            )),
            ("eventSchema", delivery, ("CloudEvents", "RawData")),
            ("concurrency", delivery, (1, 3)),
            ("mode", options, ("event-driven",)),
            ("errorsTolerance", options, ("ALL", "NONE")),
            ("retryStrategy", options, (
                {"PushRetryStrategy": "BACKOFF_RETRY"},
                {"PushRetryStrategy": "EXPONENTIAL_DECAY_RETRY", "MaximumRetryAttempts": 3},
            )),
            ("maximumTasks", options, (3,)),
        ):  # fmt: skip
            if self._chance.random() < 0.4:
                place[key] = self._chance.choice(values)
        if self._chance.random() < 0.3 and (kept := self._dead_letter(model)):
            options["deadLetterQueue"] = kept
        if delivery:
            tree["eventSinkConfig"] = {"deliveryOption": delivery}
        if options:
            tree["runOptions"] = options
        return json.dumps(tree, indent=self._chance.choice((None, 2)))

    # -- the bus side

    def _create_bus(self, model: state.State) -> Step | None:
        name = self._one([name for name in BUSES if name not in model.buses])
        return name and Step("create_bus", {"name": name, "description": self.word()})

    def _update_bus(self, model: state.State) -> Step:
        name = self._one(model.buses)
        # An empty text is not sent by every client of this door, so it says something.
        return Step("update_bus", {"name": name, "description": self.word() or "plain"})

    def _delete_bus(self, model: state.State) -> Step | None:
        used = {bus for bus, _ in model.rules} | model.sources | {"default"}
        name = self._one([name for name in model.buses if name not in used])
        return name and Step("delete_bus", {"name": name})

    def _create_rule(self, model: state.State) -> Step | None:
        places = [
            (bus, name)
            for bus in model.buses
            for name in (RULES if bus == "default" else RULES[:2])
            if (bus, name) not in model.rules
        ]
        if not places:
            return None
        bus, name = self._one(places)
        ids = self._chance.sample(IDS, self._chance.choice((0, 1, 1, 2)))
        args = {
            "bus": bus, "name": name, "pattern": self._pattern(), "description": self.word(),
            "targets": [self._target(model, id_) for id_ in ids],
            "status": "DISABLE" if self._chance.random() < 0.2 else "ENABLE",
        }  # fmt: skip
        return Step("create_rule", args)

    def _update_rule(self, model: state.State) -> Step | None:
        key = self._rule_of(model)
        if key is None:
            return None
        args: dict[str, Any] = {"bus": key[0], "name": key[1]}
        if self._chance.random() < 0.6:
            args["pattern"] = self._pattern()
        if self._chance.random() < 0.5:
            args["description"] = self.word() or "plain"
        if self._chance.random() < 0.2:
            args["status"] = self._chance.choice(("ENABLE", "DISABLE"))
        return Step("update_rule", args)

    def _enable_rule(self, model: state.State) -> Step | None:
        off = [key for key, rule in model.rules.items() if rule["status"] == "DISABLE"]
        return _named("enable_rule", self._one(off))

    def _disable_rule(self, model: state.State) -> Step | None:
        on = [key for key, rule in model.rules.items() if rule["status"] == "ENABLE"]
        return _named("disable_rule", self._one(on))

    def _delete_rule(self, model: state.State) -> Step | None:
        return _named("delete_rule", self._rule_of(model))

    def _put_new_target(self, model: state.State) -> Step | None:
        key = self._rule_of(model)
        if key is None:
            return None
        ids = self._chance.sample(IDS, self._chance.choice((1, 1, 2)))
        return _put(key, [self._target(model, id_) for id_ in ids])

    def _put_over(self, model: state.State) -> Step | None:
        """Change the settings of a target that stays where it points, mostly a trigger's."""
        found = self._placed(model)
        if found is None:
            return None
        key, target = found
        function = words.function_of(target)
        if function is None:
            return _put(key, [self._elsewhere(model, target["id"])])
        return _put(key, [self.function_target(model, function, target["id"])])

    def _put_elsewhere(self, model: state.State) -> Step | None:
        found = self._placed(model)
        return found and _put(found[0], [self._target(model, found[1]["id"])])

    def _placed(self, model: state.State) -> tuple[state.RuleKey, Tree] | None:
        """A target and its rule; one in two is a trigger's own if there is any."""
        everything = [(key, each) for key, rule in model.rules.items() for each in rule["targets"]]
        own = [(k, each) for k, each in everything if each is model.own(model.rules[k])]
        found: tuple[state.RuleKey, Tree] | None = self._one(
            own if own and self._chance.random() < 0.5 else everything
        )
        return found

    def _delete_targets(self, model: state.State) -> Step | None:
        found = self._placed(model)
        if found is None:
            return None
        key, target = found
        others = [each["id"] for each in model.rules[key]["targets"] if each is not target]
        ids = [target["id"]]
        if others and self._chance.random() < 0.3:
            ids.append(self._one(others))
        return Step("delete_targets", {"bus": key[0], "rule": key[1], "ids": ids})

    # -- the function side

    def _create_trigger(self, model: state.State) -> Step | None:
        free = [
            (function, name)
            for function in model.functions
            for name in TRIGGERS
            if ("default", f"{function}-{name}") not in model.rules
        ]
        if not free:
            return None
        function, name = self._one(free)
        args: dict[str, Any] = {"function": function, "name": name, "config": self.config(model)}
        if self._chance.random() < 0.4:
            args["description"] = self.word()
        if self._chance.random() < 0.2:
            args["role"] = "acs:ram::1:role/r"
        if self._chance.random() < 0.2:
            args["qualifier"] = "LATEST"
        return Step("create_trigger", args)

    def own_triggers(self, model: state.State) -> list[tuple[str, str]]:
        origins = [rule["origin"] for rule in model.rules.values() if rule["origin"]]
        return [(origin["function"], origin["trigger"]) for origin in origins]

    def _remote_triggers(self, model: state.State) -> list[tuple[str, str]]:
        return [
            (function, name)
            for function in model.functions
            for name in model.triggers(function)
            if "|" in name
        ]

    def _update_trigger(self, model: state.State) -> Step | None:
        found = self._one(self.own_triggers(model))
        if found is None:
            return None
        args: dict[str, Any] = {"function": found[0], "name": found[1]}
        if self._chance.random() < 0.7:
            args["config"] = self.config(model)
        if self._chance.random() < 0.4:
            args["description"] = self.word()
        if self._chance.random() < 0.2:
            args["role"] = self._chance.choice(("acs:ram::1:role/r", "acs:ram::1:role/s", ""))
        if self._chance.random() < 0.2:
            args["qualifier"] = "LATEST"
        return Step("update_trigger", args)

    def _update_remote(self, model: state.State) -> Step | None:
        found = self._one(self._remote_triggers(model))
        if found is None:
            return None
        args: dict[str, Any] = {"function": found[0], "name": found[1]}
        if self._chance.random() < 0.8:
            args["config"] = self.config(model)
        if self._chance.random() < 0.4:
            args["description"] = self.word()
        return Step("update_trigger", args)

    def _send_back(self, model: state.State) -> Step | None:
        """What a deployment tool does: read a trigger, send the config back as it was read."""
        found = self._one(self.own_triggers(model))
        if found is None:
            return None
        rule = model.rules["default", f"{found[0]}-{found[1]}"]
        origin = rule["origin"]
        tree = dict(origin["last"] or origin["sent"])
        if origin["modified"]:
            tree[words.READING_KEY] = rule["pattern"]
        args = {"function": found[0], "name": found[1], "config": json.dumps(tree)}
        return Step("update_trigger", args)

    def _delete_trigger(self, model: state.State) -> Step | None:
        remote = self._remote_triggers(model)
        own = self.own_triggers(model)
        own = [each for each in own if each[0] in model.functions]
        found = self._one(remote if remote and self._chance.random() < 0.6 else own)
        return found and Step("delete_trigger", {"function": found[0], "name": found[1]})

    def _create_function(self, model: state.State) -> Step | None:
        name = self._one([name for name in FUNCTIONS if name not in model.functions])
        args = {"name": name, "version": self.number(), "description": self.word()}
        return name and Step("create_function", args)

    def _update_function(self, model: state.State) -> Step | None:
        name = self._one(model.functions)
        if name is None:
            return None
        args: dict[str, Any] = {"name": name}
        if self._chance.random() < 0.5:
            args["version"] = self.number()
        else:
            args |= {"description": self.word(), "timeout": self._chance.choice((10, 12, 20))}
        return Step("update_function", args)

    def _delete_function(self, model: state.State) -> Step | None:
        owners = {function for function, _ in self.own_triggers(model)}
        name = self._one([name for name in model.functions if name not in owners])
        return name and Step("delete_function", {"name": name})

    # -- queues

    def _create_queue(self, model: state.State) -> Step | None:
        name = self._one([name for name in QUEUES if name not in model.queues])
        return name and Step("create_queue", {"name": name})

    def _delete_queue(self, model: state.State) -> Step | None:
        """Free or in use: the model knows which."""
        name = self._one(sorted(model.queues))
        return name and Step("delete_queue", {"name": name})


def _named(op: str, key: state.RuleKey | None) -> Step | None:
    return key and Step(op, {"bus": key[0], "name": key[1]})


def _put(key: state.RuleKey, targets: list[Tree]) -> Step:
    return Step("put_targets", {"bus": key[0], "rule": key[1], "targets": targets})
