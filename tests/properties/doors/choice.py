"""The next step: a random operation that fits what the model says exists.

Owns chance only; must never decide what an operation does. The same seed and the same history give
the same choice.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.properties.doors import making, state, words
from tests.properties.doors.words import Tree


class Step(NamedTuple):
    op: str
    args: dict[str, Any]


class Chooser(making.Maker):
    """Chooses steps for one model."""

    def __init__(self, chance: random.Random, sink: str) -> None:
        super().__init__(chance, sink)
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

    def accepted(self, model: state.State) -> Step:
        weights = [weight for weight, _ in self._good]
        while True:
            (make,) = self.chance.choices([make for _, make in self._good], weights)
            step = make(model)
            if step is not None:
                return step

    # -- the bus side

    def _create_bus(self, model: state.State) -> Step | None:
        name = self.one([name for name in making.BUSES if name not in model.buses])
        return name and Step("create_bus", {"name": name, "description": self.word()})

    def _update_bus(self, model: state.State) -> Step:
        name = self.one(model.buses)
        # An empty text is not sent by every client of this door, so it says something.
        return Step("update_bus", {"name": name, "description": self.word() or "plain"})

    def _delete_bus(self, model: state.State) -> Step | None:
        used = {bus for bus, _ in model.rules} | model.sources | {"default"}
        name = self.one([name for name in model.buses if name not in used])
        return name and Step("delete_bus", {"name": name})

    def _create_rule(self, model: state.State) -> Step | None:
        buses = set(model.buses)
        if self.chance.random() < 0.9:
            buses.discard(making.SPARE_BUS)
        places = [
            (bus, name)
            for bus in sorted(buses)
            for name in (making.RULES if bus == "default" else making.RULES[:2])
            if (bus, name) not in model.rules
        ]
        if not places:
            return None
        bus, name = self.one(places)
        ids = self.chance.sample(making.IDS, self.chance.choice((0, 1, 1, 2)))
        args = {
            "bus": bus, "name": name, "pattern": self.pattern(), "description": self.word(),
            "targets": [self.target(model, id_) for id_ in ids],
            "status": "DISABLE" if self.chance.random() < 0.2 else "ENABLE",
        }  # fmt: skip
        return Step("create_rule", args)

    def _update_rule(self, model: state.State) -> Step | None:
        key = self.rule_of(model)
        if key is None:
            return None
        args: dict[str, Any] = {"bus": key[0], "name": key[1]}
        if self.chance.random() < 0.6:
            args["pattern"] = self.pattern()
        if self.chance.random() < 0.5:
            args["description"] = self.word() or "plain"
        if self.chance.random() < 0.2:
            args["status"] = self.chance.choice(("ENABLE", "DISABLE"))
        return Step("update_rule", args)

    def _enable_rule(self, model: state.State) -> Step | None:
        off = [key for key, rule in model.rules.items() if rule["status"] == "DISABLE"]
        return _named("enable_rule", self.one(off))

    def _disable_rule(self, model: state.State) -> Step | None:
        on = [key for key, rule in model.rules.items() if rule["status"] == "ENABLE"]
        return _named("disable_rule", self.one(on))

    def _delete_rule(self, model: state.State) -> Step | None:
        """One time in two a trigger's rule with other targets, if there is one."""
        return _named("delete_rule", self._mostly(_shared(model), model))

    def _put_new_target(self, model: state.State) -> Step | None:
        """A target more, one time in two beside a trigger's own."""
        key = self._mostly([key for key, rule in model.rules.items() if rule["origin"]], model)
        if key is None:
            return None
        ids = self.chance.sample(making.IDS, self.chance.choice((1, 1, 2)))
        return _put(key, [self.target(model, id_) for id_ in ids])

    def _mostly(self, favoured: list[state.RuleKey], model: state.State) -> state.RuleKey | None:
        if favoured and self.chance.random() < 0.5:
            key: state.RuleKey | None = self.one(favoured)
            return key
        return self.rule_of(model)

    def _put_over(self, model: state.State) -> Step | None:
        """Change the settings of a target that stays where it points, mostly a trigger's."""
        found = self._placed(model)
        if found is None:
            return None
        key, target = found
        function = words.function_of(target)
        if function is None:
            return _put(key, [self.elsewhere(model, target["id"])])
        return _put(key, [self.function_target(model, function, target["id"])])

    def _put_elsewhere(self, model: state.State) -> Step | None:
        found = self._placed(model)
        return found and _put(found[0], [self.target(model, found[1]["id"])])

    def _placed(self, model: state.State) -> tuple[state.RuleKey, Tree] | None:
        """A target and its rule; one in two is a trigger's own if there is any."""
        everything = [(key, each) for key, rule in model.rules.items() for each in rule["targets"]]
        own = [(k, each) for k, each in everything if each is model.own(model.rules[k])]
        found: tuple[state.RuleKey, Tree] | None = self.one(
            own if own and self.chance.random() < 0.5 else everything
        )
        return found

    def _delete_targets(self, model: state.State) -> Step | None:
        found = self._added(model) if self.chance.random() < 0.3 else None
        found = found or self._placed(model)
        if found is None:
            return None
        key, target = found
        others = [each["id"] for each in model.rules[key]["targets"] if each is not target]
        ids = [target["id"]]
        if others and self.chance.random() < 0.3:
            ids.append(self.one(others))
        return Step("delete_targets", {"bus": key[0], "rule": key[1], "ids": ids})

    def _added(self, model: state.State) -> tuple[state.RuleKey, Tree] | None:
        """A target that the bus side added to a trigger's rule."""
        found: tuple[state.RuleKey, Tree] | None = self.one(
            (key, each)
            for key in _shared(model)
            for each in model.rules[key]["targets"]
            if each is not model.own(model.rules[key])
        )
        return found

    # -- the function side

    def _create_trigger(self, model: state.State) -> Step | None:
        free = [
            (function, name)
            for function in model.functions
            for name in making.TRIGGERS
            if ("default", f"{function}-{name}") not in model.rules
        ]
        if not free:
            return None
        function, name = self.one(free)
        args: dict[str, Any] = {"function": function, "name": name, "config": self.config(model)}
        if self.chance.random() < 0.4:
            args["description"] = self.word()
        if self.chance.random() < 0.2:
            args["role"] = "acs:ram::1:role/r"
        if self.chance.random() < 0.2:
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
        found = self.one(self.own_triggers(model))
        if found is None:
            return None
        args: dict[str, Any] = {"function": found[0], "name": found[1]}
        if self.chance.random() < 0.7:
            args["config"] = self.config(model)
        if self.chance.random() < 0.4:
            args["description"] = self.word()
        if self.chance.random() < 0.2:
            args["role"] = self.chance.choice(("acs:ram::1:role/r", "acs:ram::1:role/s", ""))
        if self.chance.random() < 0.2:
            args["qualifier"] = "LATEST"
        return Step("update_trigger", args)

    def _update_remote(self, model: state.State) -> Step | None:
        found = self.one(self._remote_triggers(model))
        if found is None:
            return None
        args: dict[str, Any] = {"function": found[0], "name": found[1]}
        if self.chance.random() < 0.8:
            args["config"] = self.config(model)
        if self.chance.random() < 0.4:
            args["description"] = self.word()
        return Step("update_trigger", args)

    def _send_back(self, model: state.State) -> Step | None:
        """What a deployment tool does: read a trigger, send the config back as it was read."""
        found = self.one(self.own_triggers(model))
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
        added = self._added(model)
        if added is not None and self.chance.random() < 0.3:
            name = "|".join((*added[0], added[1]["id"]))
            remote = [each for each in remote if each[1] == name] or remote
        found = self.one(remote if remote and self.chance.random() < 0.6 else own)
        return found and Step("delete_trigger", {"function": found[0], "name": found[1]})

    def _create_function(self, model: state.State) -> Step | None:
        name = self.one([name for name in making.FUNCTIONS if name not in model.functions])
        args = {"name": name, "version": self.number(), "description": self.word()}
        return name and Step("create_function", args)

    def _update_function(self, model: state.State) -> Step | None:
        name = self.one(model.functions)
        if name is None:
            return None
        args: dict[str, Any] = {"name": name}
        if self.chance.random() < 0.5:
            args["version"] = self.number()
        else:
            args |= {"description": self.word(), "timeout": self.chance.choice((10, 12, 20))}
        return Step("update_function", args)

    def _delete_function(self, model: state.State) -> Step | None:
        owners = {function for function, _ in self.own_triggers(model)}
        name = self.one([name for name in model.functions if name not in owners])
        return name and Step("delete_function", {"name": name})

    # -- queues

    def _create_queue(self, model: state.State) -> Step | None:
        name = self.one([name for name in making.QUEUES if name not in model.queues])
        return name and Step("create_queue", {"name": name})

    def _delete_queue(self, model: state.State) -> Step | None:
        """Free or in use: the model knows which."""
        name = self.one(sorted(model.queues))
        return name and Step("delete_queue", {"name": name})


def _shared(model: state.State) -> list[state.RuleKey]:
    """Rules of triggers that have other targets, too."""
    rules = model.rules.items()
    return [key for key, rule in rules if rule["origin"] and len(rule["targets"]) > 1]


def _named(op: str, key: state.RuleKey | None) -> Step | None:
    return key and Step(op, {"bus": key[0], "name": key[1]})


def _put(key: state.RuleKey, targets: list[Tree]) -> Step:
    return Step("put_targets", {"bus": key[0], "rule": key[1], "targets": targets})
