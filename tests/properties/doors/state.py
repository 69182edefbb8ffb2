"""The state of the model, what can be read off it, and notes of what was done.

Must never import the product. What only the server can know (ids, times, revisions) is under
`facts` and learned by looking.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.properties.doors import words
from tests.properties.doors.words import Tree

RuleKey = tuple[str, str]
Args = dict[str, Any]


class Refused(Exception):
    """The operation must be refused with this code, and change nothing."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Answer(NamedTuple):
    """What a door must answer."""

    code: str | None
    #: Refused entries of PutTargets and DeleteTargets, as (id, code).
    entries: list[tuple[str, str]]


class State:
    """All resources of one account, as plain dicts."""

    def __init__(self, region: str, account: str) -> None:
        self.region, self.account = region, account
        self.buses: dict[str, Tree] = {}
        self.rules: dict[RuleKey, Tree] = {}
        self.functions: dict[str, Tree] = {}
        self.queues: set[str] = set()
        #: Event sources by bus; no door makes them yet, they are planted in the data directory.
        self.sources: set[str] = set()
        #: Names of the delete table's cells and of the kinds of edit that were done.
        self.cells: set[str] = set()
        self.kinds: set[str] = set()
        #: Whether the last operation changed anything.
        self.changed = False
        self.buses["default"] = {
            "description": "The bus that always exists.", "facts": {"created": 0},
        }  # fmt: skip

    # -- reading

    def own(self, rule: Tree) -> Tree | None:
        """The target that is the trigger which made the rule, while there is one."""
        origin = rule["origin"]
        if origin is None:
            return None
        target = self.target(rule, origin["target_id"])
        assert target is not None, "a rule with an origin has its target"
        return target

    @staticmethod
    def target(rule: Tree, id_: str | None) -> Tree | None:
        return next((each for each in rule["targets"] if each["id"] == id_), None)

    def triggers(self, function: str) -> dict[str, tuple[RuleKey, Tree]]:
        """Every trigger of a function by its name: the rule's key and the target that it is."""
        found: dict[str, tuple[RuleKey, Tree]] = {}
        for key, rule in self.rules.items():
            for target in rule["targets"]:
                if words.function_of(target) == function:
                    found[self.trigger_name(key, target)] = (key, target)
        return found

    def trigger_name(self, key: RuleKey, target: Tree) -> str:
        rule = self.rules[key]
        if target is self.own(rule):
            name: str = rule["origin"]["trigger"]
            return name
        return f"{key[0]}|{key[1]}|{target['id']}"

    def functions_of(self, key: RuleKey) -> set[str]:
        rule = self.rules.get(key)
        named = (words.function_of(each) for each in rule["targets"]) if rule else ()
        return {name for name in named if name}

    # -- what was done

    def _cell(self, operation: str, origin: str, situation: str) -> None:
        self.cells.add(f"{operation}/{origin}/{situation}")

    def _kind(self, operation: str, subject: str) -> None:
        self.kinds.add(f"{operation}/{subject}")


def without_facts(value: Any) -> Any:
    """What operations decide, without what only the server knows."""
    if isinstance(value, dict):
        return {key: without_facts(part) for key, part in value.items() if key != "facts"}
    if isinstance(value, list):
        return [without_facts(part) for part in value]
    return value


def one(rule: Tree, id_: str | None) -> Tree:
    return next(each for each in rule["targets"] if each["id"] == id_)


def origin_of(rule: Tree) -> str:
    return "rule" if rule["origin"] is None else "trigger"


def company(rule: Tree) -> str:
    alone = len(rule["targets"]) == 1
    return "its target is the only one" if alone else "the rule has other targets"
