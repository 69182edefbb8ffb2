"""Steps with two writers on one record, and what is left when both have their answer.

Who wins is up to the server; that exactly one does, that the loser is told of the other side's
change, and that nothing of the winner's is lost, is judged here.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent import futures
from typing import Any

from tests.properties.doors import choice, compare, doors, events, model

Step = choice.Step


class Races:
    def __init__(
        self,
        through: doors.Doors,
        known: model.Model,
        chooser: choice.Chooser,
        record: Callable[[str, Any], None],
    ) -> None:
        """record: called with every step and its answer, for the report."""
        self._doors = through
        self.model = known
        self._chooser = chooser
        self._record = record

    def run(self) -> bool:
        """Do one race that fits; False when none does."""
        races = (
            self._two_on_a_trigger, self._two_on_a_function, self._stale_after_the_bus_side,
            self._stale_delete, self._one_on_each_side, self._two_without_revision,
            self._two_of_one_name,
        )  # fmt: skip
        return any(race() for race in self._chooser.chance.sample(races, len(races)))

    # -- one revision, two writers

    def _two_on_a_trigger(self) -> bool:
        found = self._trigger()
        if found is None:
            return False
        place = {"function": found[0], "name": found[1]}
        first = Step("update_trigger", place | {"description": self._words()})
        second = Step("update_trigger", place | {"description": self._words()})
        if self._chooser.chance.random() < 0.3:
            second = Step("delete_trigger", place)
        self._exactly_one(first, second, self._revision_of(found), "function side")
        return True

    def _two_on_a_function(self) -> bool:
        name = self._chooser.one(self.model.functions)
        if name is None:
            return False
        shown = self._doors.function(name)
        steps = [
            Step("update_function", {"name": name, "description": self._words()}) for _ in range(2)
        ]
        self._exactly_one(steps[0], steps[1], _known(shown.revision), "function side")
        return True

    def _exactly_one(self, first: Step, second: Step, revision: int, side: str) -> None:
        answers = self._both(first, second, revision=revision)
        won = [n for n, answer in enumerate(answers) if answer.code is None]
        if len(won) != 1:
            raise compare.Mismatch("of two writers on one revision one must win", doors=answers)
        lost = answers[1 - won[0]]
        winner = (first, second)[won[0]]
        if winner.op == "delete_trigger":
            # Gone; or changed, where the deletion left the rule to its other targets.
            if lost.code not in ("TriggerNotFound", "EditConflict"):
                raise compare.Mismatch("the record was deleted first", door=lost)
        else:
            _names(lost, side, "description")
        self._apply(winner)

    def _stale_after_the_bus_side(self) -> bool:
        """Read on the function side, edit on the bus side, write back what was read."""
        found = self._trigger()
        if found is None:
            return False
        key, _ = self.model.triggers(found[0])[found[1]]
        revision = self._revision_of(found)
        edit = Step("update_rule", {"bus": key[0], "name": key[1], "description": self._words()})
        self._accepted(edit)
        place = {"function": found[0], "name": found[1]}
        stale = Step("update_trigger", place | {"description": self._words()})
        answer = self._doors.do(stale, revision=revision)
        self._record("stale", [stale, answer])
        _names(answer, "bus side", "description")
        # Read again, and the same edit goes through.
        self._accepted(stale, revision=self._revision_of(found))
        return True

    def _stale_delete(self) -> bool:
        found = self._trigger()
        if found is None:
            return False
        key, _ = self.model.triggers(found[0])[found[1]]
        revision = self._revision_of(found)
        status = self.model.rules[key]["status"]
        op = "disable_rule" if status == "ENABLE" else "enable_rule"
        self._accepted(Step(op, {"bus": key[0], "name": key[1]}))
        stale = Step("delete_trigger", {"function": found[0], "name": found[1]})
        answer = self._doors.do(stale, revision=revision)
        self._record("stale", [stale, answer])
        _names(answer, "bus side", "status")
        return True

    # -- both sides at once

    def _one_on_each_side(self) -> bool:
        """The bus side has no revision: its write always holds; the other's may come too late."""
        found = self._trigger()
        if found is None:
            return False
        key, _ = self.model.triggers(found[0])[found[1]]
        now = self.model.rules[key]["pattern"]
        pattern = next(each for each in events.PATTERNS if each != now)
        bus = Step("update_rule", {"bus": key[0], "name": key[1], "pattern": pattern})
        place = {"function": found[0], "name": found[1]}
        function = Step("update_trigger", place | {"description": self._words()})
        answers = self._both(bus, function, revision=self._revision_of(found))
        if answers[0].code is not None:
            raise compare.Mismatch("the bus side names no revision and must win", doors=answers)
        if answers[1].code is None:
            self._apply(function)
        else:
            _names(answers[1], "bus side", "pattern")
        self._apply(bus)
        return True

    def _two_without_revision(self) -> bool:
        """Two edits of different fields: neither is lost, whichever came first."""
        key = self._chooser.rule_of(self.model)
        if key is None:
            return False
        place = {"bus": key[0], "name": key[1]}
        steps = (
            Step("update_rule", place | {"description": self._words()}),
            Step("update_rule", place | {"pattern": '{"source":["shop"]}', "status": "ENABLE"}),
        )
        answers = self._both(*steps)
        if any(answer.code for answer in answers):
            raise compare.Mismatch("edits of different fields must both hold", doors=answers)
        for step in steps:
            self._apply(step)
        return True

    def _two_of_one_name(self) -> bool:
        """A rule and the trigger that would make it: one is made, the other refused."""
        function = self._chooser.one(self.model.functions)
        key = ("default", f"{function}-race")
        if function is None or key in self.model.rules:
            return False
        rule = {
            "bus": key[0], "name": key[1], "pattern": "{}", "description": "", "targets": [],
            "status": "ENABLE",
        }  # fmt: skip
        trigger = {
            "function": function, "name": "race", "config": self._chooser.config(self.model)
        }  # fmt: skip
        steps = (Step("create_rule", rule), Step("create_trigger", trigger))
        answers = self._both(*steps)
        codes = sorted(str(answer.code) for answer in answers)
        if codes != ["EventRuleAlreadyExist", "None"]:
            raise compare.Mismatch("one of two of one name must be made", doors=answers)
        won = 0 if answers[0].code is None else 1
        self._apply(steps[won])
        if won == 1:
            self.model.learn_trigger(function, "race", answers[1].body["triggerId"])
        return True

    # -- parts

    def _trigger(self) -> tuple[str, str] | None:
        known = [
            (function, name)
            for function in self.model.functions
            for name in self.model.triggers(function)
        ]
        found: tuple[str, str] | None = self._chooser.one(known)
        return found

    def _words(self) -> str:
        """A description that nothing has yet."""
        return f"writer {self._chooser.number()}"

    def _revision_of(self, found: tuple[str, str]) -> int:
        return _known(self._doors.trigger(*found).revision)

    def _both(
        self, first: Step, second: Step, *, revision: int | None = None
    ) -> list[doors.Outcome]:
        """Do two steps at once, each through a client of its own."""
        with futures.ThreadPoolExecutor(2) as pool:
            sent = [
                pool.submit(self._doors.do, step, writer=writer, revision=revision)
                for writer, step in enumerate((first, second))
            ]
            answers = [each.result() for each in sent]
        self._record("at once", [first, second, revision, *answers])
        return answers

    def _accepted(self, step: Step, *, revision: int | None = None) -> None:
        answer = self._doors.do(step, revision=revision)
        self._record("step", [step, revision, answer])
        if answer.code is not None:
            raise compare.Mismatch("a write on the newest revision must hold", door=answer)
        self._apply(step)

    def _apply(self, step: Step) -> None:
        due = self.model.apply(step.op, step.args)
        if due.code is not None:
            raise compare.Mismatch(f"the model refuses what was done: {due.code}", step=step)


def _known(revision: int | None) -> int:
    if revision is None:
        raise compare.Mismatch("a record that exists shows no revision")
    return revision


def _names(answer: doors.Outcome, side: str, field: str) -> None:
    """The loser must be told what the other side changed."""
    told = answer.message
    if answer.code != "EditConflict" or side not in told or field not in told:
        raise compare.Mismatch(f"must be EditConflict naming {field} on the {side}", door=answer)
