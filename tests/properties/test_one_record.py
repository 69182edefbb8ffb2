"""One integration, two doors: whatever is done through either, both sides say the same.

A state machine drives random operations of the bus side and of the function side against one
catalog over the memory engine. After each step the two views are compared with each other, with the
change feed, and with what the function side sent; a restart in between must change nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headrace.core import errors
from headrace.resources import editing, inputs, model
from tests.unit.resources import world as worlds

T = TypeVar("T")

ACCOUNT = worlds.ACCOUNT
ARN = worlds.dead_letter_arn("d")

functions = st.sampled_from(["f", "g", "f-a"])
triggers = st.sampled_from(["t", "u", "a-t"])
buses = st.sampled_from(["default", "orders"])
#: Some of these are names that triggers make.
rules = st.sampled_from(["r", "f-t", "f-a-t", "g-u"])
ids = st.sampled_from(["1", "2"])
patterns = st.sampled_from(["{}", '{"source":["a"]}', '{"type":["b"]}'])
retries = st.sampled_from([None, "BACKOFF_RETRY", "EXPONENTIAL_DECAY_RETRY"])
tolerances = st.sampled_from([None, "ALL", "NONE"])
dead_letters = st.sampled_from([None, {"Arn": ARN}])
bodies = st.sampled_from(
    [
        ("ORIGINAL", None),
        ("JSONPATH", "$.data"),
        ("CONSTANT", "x"),
    ]
)


@st.composite
def configs(draw: st.DrawFn) -> str:
    """A triggerConfig as some client writes it: any subset of the keys, any white space."""
    tree: dict[str, Any] = {"eventRuleFilterPattern": draw(patterns)}
    optional: dict[str, st.SearchStrategy[Any]] = {
        "triggerEnable": st.booleans(),
        "asyncInvocationType": st.booleans(),
        "eventSourceConfig": st.just({"eventSourceType": "Default"}),
        "eventSinkConfig": st.sampled_from(["CloudEvents", "RawData"]).map(
            lambda schema: {"deliveryOption": {"eventSchema": schema}}
        ),
        "runOptions": st.fixed_dictionaries(
            {},
            optional={
                "errorsTolerance": st.sampled_from(["ALL", "NONE"]),
                "retryStrategy": st.just({"PushRetryStrategy": "BACKOFF_RETRY"}),
                "deadLetterQueue": st.just({"Arn": ARN}),
                "maximumTasks": st.just(3),
            },
        ),
    }
    tree.update(draw(st.fixed_dictionaries({}, optional=optional)))
    return json.dumps(tree, indent=draw(st.sampled_from([None, 2])))


class TwoDoors(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.world = self.run(worlds.World().opened())
        self.mirror: dict[str, Any] = {}
        self.numbers: dict[int, str] = {}
        #: (function, trigger) -> text as sent, while only the function side has touched it.
        self.sent: dict[tuple[str, str], str] = {}
        #: (bus, rule) -> a revision that was read at some time.
        self.read: dict[tuple[str, str], int] = {}
        self.run(self.world.with_function("f", "g", "f-a"))
        self.run(self.world.catalog.create_bus(ACCOUNT, "orders"))
        self.run(self.world.catalog.create_queue(ACCOUNT, "d"))
        self.follow()

    def teardown(self) -> None:
        self.runner.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def attempt(self, work: Coroutine[Any, Any, Any]) -> bool:
        """Run one operation; a refusal is fine, and must leave no change behind."""
        before = len(self.world.heard)
        self.world.clock.now_ms += 1
        try:
            self.run(work)
        except errors.HeadraceError:
            assert len(self.world.heard) == before
            return False
        self.follow()
        return True

    def follow(self) -> None:
        for change in self.world.heard:
            assert self.mirror.get(change.key) == change.before
            if change.after is None:
                del self.mirror[change.key]
            else:
                self.mirror[change.key] = change.after
        self.world.heard.clear()

    def bus_touched(self, name: str) -> None:
        """Forget what was sent for the trigger that made this rule."""
        for function, trigger in list(self.sent):
            if f"{function}-{trigger}" == name:
                del self.sent[function, trigger]

    # -- the function side

    @rule(function=functions, name=triggers, config=configs())
    def create_trigger(self, function: str, name: str, config: str) -> None:
        if self.attempt(self.world.trigger(name, of=function, config=config)):
            self.sent[function, name] = config

    @rule(function=functions, name=triggers, config=configs(), description=st.none() | st.text())
    def update_trigger(
        self, function: str, name: str, config: str, description: str | None
    ) -> None:
        patch = inputs.TriggerPatch(config=config, description=description)
        if self.attempt(self.world.catalog.update_trigger(ACCOUNT, function, name, patch)):
            self.sent[function, name] = config

    @rule(function=functions, name=triggers, role=st.text(max_size=3))
    def update_role(self, function: str, name: str, role: str) -> None:
        patch = inputs.TriggerPatch(invocation_role=role)
        self.attempt(self.world.catalog.update_trigger(ACCOUNT, function, name, patch))

    @rule(function=functions, name=triggers)
    def delete_trigger(self, function: str, name: str) -> None:
        if self.attempt(self.world.catalog.delete_trigger(ACCOUNT, function, name)):
            self.sent.pop((function, name), None)

    def listed(self, origin: str) -> list[tuple[str, inputs.Trigger]]:
        """All triggers of one origin, with their function."""
        return [
            (function, view)
            for function in ("f", "g", "f-a")
            for view in self.world.catalog.list_triggers(ACCOUNT, function).items
            if view.origin == origin
        ]

    @precondition(lambda self: self.listed("rule"))
    @rule(data=st.data(), config=configs())
    def update_a_bus_made_trigger(self, data: st.DataObject, config: str) -> None:
        function, view = data.draw(st.sampled_from(self.listed("rule")))
        patch = inputs.TriggerPatch(config=config)
        assert self.attempt(self.world.catalog.update_trigger(ACCOUNT, function, view.name, patch))
        self.bus_touched(view.rule)

    @precondition(lambda self: self.listed("rule"))
    @rule(data=st.data())
    def delete_a_bus_made_trigger(self, data: st.DataObject) -> None:
        function, view = data.draw(st.sampled_from(self.listed("rule")))
        assert self.attempt(self.world.catalog.delete_trigger(ACCOUNT, function, view.name))

    @precondition(lambda self: self.listed("trigger"))
    @rule(data=st.data(), function=functions, id_=ids)
    def add_a_target_to_a_trigger(self, data: st.DataObject, function: str, id_: str) -> None:
        _, view = data.draw(st.sampled_from(self.listed("trigger")))
        given = [worlds.calls(function, id_)]
        assert self.attempt(self.world.catalog.put_targets(ACCOUNT, view.bus, view.rule, given))

    @rule(function=functions)
    def delete_function(self, function: str) -> None:
        owned = [each for each in self.sent if each[0] == function]
        done = self.attempt(self.world.catalog.delete_function(ACCOUNT, function))
        assert not (done and owned), "a function with triggers of its own was deleted"
        self.attempt(self.world.catalog.create_function(ACCOUNT, worlds.function(function)))

    # -- the bus side

    @rule(bus=buses, name=rules, pattern=patterns, function=functions, id_=ids)
    def create_rule(self, bus: str, name: str, pattern: str, function: str, id_: str) -> None:
        given = inputs.RuleInput(name, pattern, targets=[worlds.calls(function, id_)])
        self.attempt(self.world.catalog.create_rule(ACCOUNT, bus, given))

    @rule(
        bus=buses,
        name=rules,
        pattern=st.none() | patterns,
        status=st.sampled_from([None, "ENABLE", "DISABLE"]),
        description=st.none() | st.text(max_size=3),
    )
    def update_rule(
        self, bus: str, name: str, pattern: str | None, status: str | None, description: str | None
    ) -> None:
        patch = inputs.RulePatch(pattern, description, status)
        done = self.attempt(self.world.catalog.update_rule(ACCOUNT, bus, name, patch))
        if done and (pattern is not None or status is not None):
            self.bus_touched(name)

    @rule(bus=buses, name=rules)
    def delete_rule(self, bus: str, name: str) -> None:
        if self.attempt(self.world.catalog.delete_rule(ACCOUNT, bus, name)) and bus == "default":
            self.bus_touched(name)

    @rule(bus=buses, name=rules, id_=ids, function=functions)
    def put_another_target(self, bus: str, name: str, id_: str, function: str) -> None:
        given = [worlds.calls(function, id_)]
        self.attempt(self.world.catalog.put_targets(ACCOUNT, bus, name, given))

    @rule(bus=buses, name=rules)
    def delete_targets(self, bus: str, name: str) -> None:
        self.attempt(self.world.catalog.delete_targets(ACCOUNT, bus, name, ["1", "2"]))

    @rule(
        data=st.data(),
        retry=retries,
        tolerance=tolerances,
        dead_letter=dead_letters,
        body=bodies,
        function=functions,
    )
    def put_over_an_existing_target(
        self,
        data: st.DataObject,
        retry: str | None,
        tolerance: str | None,
        dead_letter: dict[str, str] | None,
        body: tuple[str, str | None],
        function: str,
    ) -> None:
        placed = self.world.catalog.list_targets(ACCOUNT).items
        if not placed:
            return
        chosen = data.draw(st.sampled_from(placed))
        settings_ = {"retry": retry, "errors": tolerance, "dead_letter": dead_letter}
        given = worlds.calls(
            function, chosen.target.id, params=[inputs.ParamInput("body", *body)], **settings_
        )
        put = self.world.catalog.put_targets(ACCOUNT, chosen.bus, chosen.rule, [given])
        if self.attempt(put):
            self.bus_touched(chosen.rule)

    # -- stale writes and restarts

    @rule(bus=buses, name=rules)
    def read_a_revision(self, bus: str, name: str) -> None:
        try:
            self.read[bus, name] = self.world.catalog.get_rule(ACCOUNT, bus, name)[1]
        except errors.RuleNotFound:
            self.read.pop((bus, name), None)

    @precondition(lambda self: self.read)
    @rule(data=st.data(), description=st.text(max_size=3))
    def write_on_a_revision(self, data: st.DataObject, description: str) -> None:
        bus, name = data.draw(st.sampled_from(sorted(self.read)))
        revision = self.read[bus, name]
        try:
            _, now = self.world.catalog.get_rule(ACCOUNT, bus, name)
        except errors.RuleNotFound:
            return
        patch = inputs.RulePatch(description=description)
        write = self.world.catalog.update_rule(ACCOUNT, bus, name, patch, revision=revision)
        try:
            self.run(write)
        except errors.EditConflict:
            assert revision != now
        else:
            assert revision == now
        self.follow()

    @rule()
    def restart(self) -> None:
        again = self.run(worlds.World(table=self.world.table).opened())
        for function in ("f", "g", "f-a"):
            listed = again.catalog.list_triggers(ACCOUNT, function)
            assert listed == self.world.catalog.list_triggers(ACCOUNT, function)
        again.clock.now_ms = self.world.clock.now_ms
        self.world = again

    # -- what must always hold

    def all_rules(self) -> list[model.Rule]:
        return [
            each
            for bus in ("default", "orders")
            for each in self.world.catalog.list_rules(ACCOUNT, bus).items
        ]

    @invariant()
    def every_function_target_is_exactly_one_trigger(self) -> None:
        for function in ("f", "g", "f-a"):
            views = self.world.catalog.list_triggers(ACCOUNT, function).items
            seen = sorted((view.bus, view.rule, view.target_id) for view in views)
            placed = sorted(
                (each.name, target.id)
                for each in self.all_rules()
                for target in each.targets
                if _points_at(target, function)
            )
            assert sorted((name, id_) for _, name, id_ in seen) == placed
            assert len(set(seen)) == len(seen)
            assert len({view.name for view in views}) == len(views)
            for view in views:
                assert self.world.view(view.name, of=function) == view

    @invariant()
    def both_sides_say_the_same(self) -> None:
        for function in ("f", "g", "f-a"):
            for view in self.world.catalog.list_triggers(ACCOUNT, function).items:
                rule_ = self.world.stored_rule(view.rule, view.bus)
                (target,) = [each for each in rule_.targets if each.id == view.target_id]
                assert view.description == rule_.description
                config = json.loads(view.config)
                if view.status == "ModifiedByEventBridge":
                    assert config["x-headrace-pattern"] == rule_.pattern
                    assert _body(target) not in (("ORIGINAL", None), ("JSONPATH", "$.data"))
                    continue
                assert view.status == rule_.status
                assert config["eventRuleFilterPattern"] == rule_.pattern
                assert config.get("triggerEnable", True) == (rule_.status == "ENABLE")
                assert config.get("asyncInvocationType", False) == _is_async(target)
                options = config.get("runOptions", {})
                strategy = options.get("retryStrategy", {}).get("PushRetryStrategy")
                assert strategy == target.retry
                assert options.get("errorsTolerance") == target.errors
                dead = target.dead_letter
                arn = options.get("deadLetterQueue", {}).get("Arn")
                assert arn == (dead.arn if dead else None)
                if view.origin == "trigger":
                    _check_schema(config, target)

    @invariant()
    def what_was_sent_comes_back_while_only_the_function_side_wrote(self) -> None:
        for (function, name), text in self.sent.items():
            assert self.world.view(name, of=function).config == text

    @invariant()
    def a_rule_is_a_trigger_only_while_its_target_points_at_the_function(self) -> None:
        for each in self.all_rules():
            if each.origin is None:
                continue
            (own,) = [target for target in each.targets if target.id == each.origin.target_id]
            assert _points_at(own, each.origin.function)
            assert each.bus == "default"
            assert each.name == f"{each.origin.function}-{each.origin.trigger}"
            view = self.world.view(each.origin.trigger, of=each.origin.function)
            assert view.id == each.origin.trigger_id

    @invariant()
    def every_number_has_one_owner_for_ever(self) -> None:
        live: dict[int, str] = {}
        for each in self.all_rules():
            assert each.number not in live
            live[each.number] = f"rule {each.bus}/{each.name}"
            for target in each.targets:
                assert target.subscription not in live
                live[target.subscription] = f"target {each.bus}/{each.name}/{target.id}"
        for number, owner in live.items():
            assert number > 0
            assert self.world.registry.name_of(number) is not None
            assert self.numbers.setdefault(number, owner) == owner

    @invariant()
    def the_feed_tells_the_whole_state(self) -> None:
        kinds: list[Any] = [
            editing.BUS,
            editing.RULE,
            editing.FUNCTION,
            editing.QUEUE,
        ]
        found = {
            stored.key: stored.record for kind in kinds for stored in self.world.catalog.walk(kind)
        }
        assert found == self.mirror


def _points_at(target: model.Target, function: str) -> bool:
    """Read it independently of the code under test."""
    named = {entry.key.lower(): entry.value for entry in target.params}.get("functionname")
    return target.type == "acs.fc.function" and (
        named == function or (named is None and target.endpoint.endswith(f"/{function}"))
    )


def _body(target: model.Target) -> tuple[str, str | None]:
    found = [entry for entry in target.params if entry.key.lower() == "body"]
    return (found[0].form, found[0].value) if found else ("ORIGINAL", None)


def _is_async(target: model.Target) -> bool:
    found = [entry.value for entry in target.params if entry.key.lower() == "invocationtype"]
    return (found[0] if found else "Async") == "Async"


def _check_schema(config: dict[str, Any], target: model.Target) -> None:
    schema = config.get("eventSinkConfig", {}).get("deliveryOption", {}).get("eventSchema")
    expected = {"ORIGINAL": "CloudEvents", "JSONPATH": "RawData"}[_body(target)[0]]
    assert (schema or "CloudEvents") == expected


TestTwoDoors = TwoDoors.TestCase
TestTwoDoors.settings = settings(max_examples=60, stateful_step_count=40)
