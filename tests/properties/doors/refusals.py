"""Steps that must be refused: each is wrong in one way only, so that one code is right.

Owns chance only; the model says which code it must be.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.properties.doors import choice, events, making, state

Refusal = Callable[[choice.Chooser, state.State], choice.Step | None]
Step = choice.Step


def step(chooser: choice.Chooser, model: state.State) -> choice.Step:
    while True:
        found = chooser.one(_ALL)(chooser, model)
        if found is not None:
            return found


def _bus(chooser: choice.Chooser, model: state.State) -> Step | None:
    used = {bus for bus, _ in model.rules} | model.sources
    missing = chooser.one([name for name in making.BUSES if name not in model.buses])
    steps = [
        Step("create_bus", {"name": chooser.one(model.buses), "description": "again"}),
        Step("create_bus", {"name": "-orders", "description": ""}),
        Step("delete_bus", {"name": "default"}),
        *(Step("delete_bus", {"name": name}) for name in sorted(used)),
    ]
    if missing:
        steps += [
            Step("update_bus", {"name": missing, "description": "nowhere"}),
            Step("delete_bus", {"name": missing}),
        ]
    return chooser.one(steps)


def _bus_with_source(chooser: choice.Chooser, model: state.State) -> Step | None:
    """Only a bus that has no rules shows that its source holds it."""
    used = {bus for bus, _ in model.rules}
    name = chooser.one(sorted(model.sources - used))
    return name and Step("delete_bus", {"name": name})


def _new_rule(chooser: choice.Chooser, model: state.State) -> Step | None:
    target = chooser.target(model, "1")
    good = {
        "bus": "default", "name": "never", "pattern": "{}", "description": "", "status": "ENABLE",
        "targets": [target],
    }  # fmt: skip
    faults: list[dict[str, Any]] = [
        {"name": "-never"},
        {"pattern": chooser.one(events.BAD_PATTERNS)},
        {"bus": "nowhere"},
        {"status": "ON"},
        {"targets": [target, target]},
        {"targets": [target | {"Type": "acs.nothing"}]},
        {"targets": [_lost_queue(model, "1")]},
    ]
    if model.rules:
        bus, name = chooser.one(model.rules)
        faults.append({"bus": bus, "name": name})
    return Step("create_rule", good | chooser.one(faults))


def _lost_queue(model: state.State, id_: str) -> dict[str, Any]:
    endpoint = f"acs:mns:{model.region}:{model.account}:queues/lost"
    return {"Id": id_, "Type": "acs.mns.queue", "Endpoint": endpoint, "ParamList": []}


def _missing_rule(chooser: choice.Chooser, model: state.State) -> Step | None:
    place = {"bus": chooser.one(["default", "nowhere"]), "name": "nothing"}
    placed = {"bus": place["bus"], "rule": place["name"]}
    return chooser.one(
        [
            Step("update_rule", place | {"description": "x"}),
            Step("enable_rule", place),
            Step("disable_rule", place),
            Step("delete_rule", place),
            Step("put_targets", placed | {"targets": [chooser.target(model, "1")]}),
            Step("delete_targets", placed | {"ids": ["1"]}),
        ]
    )


def _bad_rule_edit(chooser: choice.Chooser, model: state.State) -> Step | None:
    key = chooser.rule_of(model)
    if key is None:
        return None
    place = {"bus": key[0], "name": key[1]}
    return chooser.one(
        [
            Step("update_rule", place | {"pattern": chooser.one(events.BAD_PATTERNS)}),
            Step("update_rule", place | {"status": "ON"}),
            Step("delete_targets", {"bus": key[0], "rule": key[1], "ids": ["none", "such"]}),
        ]
    )


def _bad_entries(chooser: choice.Chooser, model: state.State) -> Step | None:
    """PutTargets takes the good entries all the same."""
    key = chooser.rule_of(model)
    if key is None:
        return None
    good = chooser.target(model, "1")
    entries = [
        chooser.target(model, "2") | {"Type": "acs.nothing"},
        {"Id": "2", "Type": "http", "Endpoint": "ftp://nowhere", "ParamList": []},
        _lost_queue(model, "2"),
        chooser.target(model, "2") | {"PushRetryStrategy": "NEVER"},
        good,
    ]
    targets = [chooser.one(entries)] + ([good] if chooser.chance.random() < 0.5 else [])
    return Step("put_targets", {"bus": key[0], "rule": key[1], "targets": targets})


def _bad_configs(chooser: choice.Chooser, model: state.State) -> list[str]:
    tree = json.loads(chooser.config(model))
    lost = f"acs:mns:{model.region}:{model.account}:/queues/lost"
    wrong: list[dict[str, Any]] = [
        {"colour": "red"},
        {"eventRuleFilterPattern": chooser.one(events.BAD_PATTERNS)},
        {"runOptions": {"mode": "event-streaming"}},
        {"runOptions": {"retryStrategy": {"PushRetryStrategy": "NEVER"}}},
        {"runOptions": {"deadLetterQueue": {"Arn": lost}}},
    ]
    return ["{", "{}", json.dumps(tree | chooser.one(wrong))]


def _new_trigger(chooser: choice.Chooser, model: state.State) -> Step | None:
    function = chooser.one(model.functions)
    missing = chooser.one([name for name in making.FUNCTIONS if name not in model.functions])
    config = chooser.config(model)
    steps = [
        Step("create_trigger", {"function": owner, "name": name, "config": config})
        for owner, name in chooser.own_triggers(model)
    ]
    for bus, rule in model.rules:
        for owner in model.functions:
            if bus == "default" and rule.startswith(f"{owner}-"):
                args = {"function": owner, "name": rule[len(owner) + 1 :], "config": config}
                steps.append(Step("create_trigger", args))
    if missing:
        args = {"function": missing, "name": "t", "config": config}
        steps.append(Step("create_trigger", args))
    if function:
        good = {"function": function, "name": "never", "config": config}
        bad = chooser.one(_bad_configs(chooser, model))
        steps += [
            Step("create_trigger", good | {"name": "1st"}),
            Step("create_trigger", good | {"type": "carrier-pigeon"}),
            Step("create_trigger", good | {"qualifier": "7"}),
            Step("create_trigger", good | {"config": bad}),
        ]
    return chooser.one(steps)


def _bad_trigger_edit(chooser: choice.Chooser, model: state.State) -> Step | None:
    function = chooser.one(model.functions)
    if function is None:
        return None
    lost = {"function": function, "name": chooser.one(["nothing", "default|r|none", "a|b"])}
    steps = [
        Step("update_trigger", lost | {"description": "x"}),
        Step("delete_trigger", lost),
        Step("delete_trigger", {"function": "nothing", "name": "t"}),
        Step("update_trigger", {"function": "nothing", "name": "t", "description": "x"}),
    ]
    for name in model.triggers(function):
        known = {"function": function, "name": name}
        bad = chooser.one(_bad_configs(chooser, model))
        steps += [
            Step("update_trigger", known | {"config": bad}),
            Step("update_trigger", known | {"qualifier": "7"}),
        ]
        if "|" in name:
            steps.append(Step("update_trigger", known | {"role": "acs:ram::1:role/r"}))
    return chooser.one(steps)


def _function(chooser: choice.Chooser, model: state.State) -> Step | None:
    steps = [
        Step("create_function", {"name": "1st", "version": 0, "description": ""}),
        Step("update_function", {"name": "nothing", "description": "x"}),
        Step("delete_function", {"name": "nothing"}),
    ]
    steps += [
        Step("create_function", {"name": name, "version": 0, "description": "again"})
        for name in model.functions
    ]
    owners = {function for function, _ in chooser.own_triggers(model)}
    steps += [Step("delete_function", {"name": name}) for name in sorted(owners)]
    return chooser.one(steps)


def _queue(chooser: choice.Chooser, model: state.State) -> Step | None:
    steps = [Step("delete_queue", {"name": "lost"})]
    steps += [Step("create_queue", {"name": name}) for name in sorted(model.queues)]
    return chooser.one(steps)


_ALL: tuple[Refusal, ...] = (
    _bus, _bus_with_source, _new_rule, _missing_rule, _bad_rule_edit, _bad_entries, _new_trigger,
    _new_trigger, _bad_trigger_edit, _bad_trigger_edit, _function, _queue,
)  # fmt: skip
