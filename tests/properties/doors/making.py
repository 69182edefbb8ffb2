"""What the steps are made of: random targets, bodies, settings and trigger configs.

Owns chance only; must never decide what an operation does.
"""

from __future__ import annotations

import json
import random
from typing import Any

from tests.properties.doors import events, state, words
from tests.properties.doors.words import Tree

BUSES = ("orders", "audit", "spare")
#: These are seldom used by anything, so that they can be deleted.
SPARE_BUS, SPARE_QUEUE = "spare", "e"
FUNCTIONS = ("f", "g", "f-a", "h")
TRIGGERS = ("t", "u", "a-t")
#: Some of these are names that triggers make.
RULES = ("r", "s", "f-t", "f-a-t", "g-u")
IDS = ("1", "2", "3")
QUEUES = ("q", "d", "e")
_WORDS = ("", "red", "green", "blue", "in two words", "说明")


class Maker:
    """Makes parts of steps that fit a model."""

    def __init__(self, chance: random.Random, sink: str) -> None:
        """sink: the address of an HTTP receiver."""
        self.chance = chance
        self._sink = sink
        self._made = 0

    def number(self) -> int:
        self._made += 1
        return self._made

    def word(self) -> str:
        return self.chance.choice(_WORDS)

    def one(self, values: Any) -> Any:
        """One of `values`, None if there are none."""
        known = list(values)
        return self.chance.choice(known) if known else None

    def rule_of(self, model: state.State) -> state.RuleKey | None:
        key: state.RuleKey | None = self.one(model.rules)
        return key

    def pattern(self) -> str:
        if self.chance.random() < 0.35:
            return "{}"
        return self.chance.choice(list(events.PATTERNS))

    def _queue(self, model: state.State) -> str | None:
        queue: str | None = self.one(sorted(model.queues - {SPARE_QUEUE}))
        return queue

    def _dead_letter(self, model: state.State) -> Tree | None:
        queue = self._queue(model)
        if queue is None:
            return None
        kept = {"Arn": f"acs:mns:{model.region}:{model.account}:/queues/{queue}"}
        return kept | ({"Network": "PublicNetwork"} if self.chance.random() < 0.3 else {})

    def _body(self) -> list[Tree]:
        chosen = self.chance.randrange(7)
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
        return [{"ResourceKey": self.chance.choice(("Body", "body")), **body}]

    def _settings(self, model: state.State) -> Tree:
        made: Tree = {}
        if self.chance.random() < 0.3:
            made["PushRetryStrategy"] = self.chance.choice(
                ("BACKOFF_RETRY", "EXPONENTIAL_DECAY_RETRY", "BACKOFFRETRY")
            )
        if self.chance.random() < 0.3:
            made["ErrorsTolerance"] = self.chance.choice(("ALL", "NONE"))
        if self.chance.random() < 0.25 and (kept := self._dead_letter(model)):
            made["DeadLetterQueue"] = kept
        if self.chance.random() < 0.25:
            made["ConcurrentConfig"] = {"Concurrency": self.chance.choice((1, 2, 7))}
        return made

    def function_target(self, model: state.State, function: str, id_: str) -> Tree:
        """A target that calls `function`, addressed in one of the forms there are."""
        here = f"acs:fc:{model.region}:{model.account}"
        params = self._body()
        if self.chance.random() < 0.6:
            mode = self.chance.choice(("Sync", "Async"))
            params.append({"ResourceKey": "InvocationType", "Form": "CONSTANT", "Value": mode})
        if self.chance.random() < 0.2:
            params.append({"ResourceKey": "Qualifier", "Form": "CONSTANT", "Value": "LATEST"})
        form = self.chance.randrange(4)
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

    def target(self, model: state.State, id_: str) -> Tree:
        chosen = self.chance.random()
        if chosen < 0.7:
            return self.function_target(model, self.chance.choice(FUNCTIONS), id_)
        return self.elsewhere(model, id_)

    def elsewhere(self, model: state.State, id_: str) -> Tree:
        queue = self._queue(model)
        if queue is not None and self.chance.random() < 0.4:
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
        tree: Tree = {"eventRuleFilterPattern": self.pattern()}
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
            if self.chance.random() < 0.4:
                place[key] = self.chance.choice(values)
        if self.chance.random() < 0.3 and (kept := self._dead_letter(model)):
            options["deadLetterQueue"] = kept
        if delivery:
            tree["eventSinkConfig"] = {"deliveryOption": delivery}
        if options:
            tree["runOptions"] = options
        return json.dumps(tree, indent=self.chance.choice((None, 2)))
