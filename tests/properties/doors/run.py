"""One run: random steps through both doors of a real server, each compared with the model.

Every 20th step everything is compared and probe events are published; about every 100th the whole
process group is killed with -9 and started again, every other time with an operation under way.
"""

from __future__ import annotations

import copy
import os
import random
import sys
import threading
import time
import traceback
from collections import deque
from pathlib import Path
from typing import Any

from headrace.resources import deletes
from tests.properties.doors import (
    choice,
    compare,
    doors,
    model,
    planting,
    probes,
    races,
    refusals,
    state,
)
from tests.wire import processes, receivers

STEPS, PROBE_EVERY, KILL_EVERY = 2_000, 20, 100
#: Of the steps: at least so many changed something.
APPLIED_SHARE = 0.6
_REFUSED_SHARE, _RACE_SHARE, _NEW_SHARE = 0.15, 0.05, 0.3
_TRIES = 12
_HELD_BY_SOURCE = "delete_bus/-/it has sources"
_KILL_SECONDS_MAX = 0.008
_HISTORY = 12


class Run:
    """One server through many lives, and the model beside it."""

    def __init__(self, home: Path, *, seed: int, steps: int) -> None:
        self._chance = random.Random(seed)
        self._seed, self._steps = seed, steps
        self._home = home
        python = Path(_sdk_python())
        self._server = processes.Server(home)
        self._server.start()
        self._doors = doors.Doors(self._server, python)
        self._receiver = receivers.Receiver()
        hook = self._receiver.hook("sink")
        self.model = model.Model(self._server.region, self._server.account)
        self._chooser = choice.Chooser(self._chance, hook.url)
        self._comparer = compare.Comparer(self._doors, self.model, self._chance)
        self._probes = probes.Probes(self._doors, self.model, hook, self._chance)
        self._races = races.Races(self._doors, self.model, self._chooser, self._note)
        self._history: deque[tuple[int, str, Any]] = deque(maxlen=_HISTORY)
        self._step = 0
        self.applied = self.refused = self.raced = self.kills = self.mismatches = 0

    def close(self) -> None:
        self._doors.close()
        self._receiver.close()
        self._server.close()

    # -- the loop

    def run(self) -> None:
        """Do every step; stop and tell all at the first mismatch."""
        try:
            self._begin()
            while self._step < self._steps:
                self._step += 1
                self._one()
                if self._step % PROBE_EVERY == 0:
                    self._comparer.everything()
                    self._probes.probe()
            self._probes.finish()
        except (compare.Mismatch, AssertionError) as found:
            self.mismatches += 1
            self._tell(found)

    def _begin(self) -> None:
        """The server as it is when new must be what the model says of nothing."""
        self._comparer.everything()

    def _one(self) -> None:
        if self._step % KILL_EVERY == KILL_EVERY // 2:
            self._killed()
            return
        chosen = self._chance.random()
        if chosen < _RACE_SHARE and self._raced():
            return
        if chosen < _RACE_SHARE + _NEW_SHARE and self.missed():
            self._do(self._new())
        else:
            self._do(self._any())

    def _any(self) -> choice.Step:
        if self._chance.random() < _REFUSED_SHARE:
            return refusals.step(self._chooser, self.model)
        return self._chooser.accepted(self.model)

    def _new(self) -> choice.Step:
        """Of a few steps the first that does something no step did yet, else any."""
        ruled = {bus for bus, _ in self.model.rules}
        if _HELD_BY_SOURCE not in self.model.cells and (held := self.model.sources - ruled):
            # A source is there by planting alone, so chance would seldom come by.
            return choice.Step("delete_bus", {"name": min(held)})
        done = len(self.model.kinds) + len(self.model.cells)
        for _ in range(_TRIES):
            step = self._any()
            tried = copy.deepcopy(self.model)
            tried.apply(step.op, step.args)
            if len(tried.kinds) + len(tried.cells) > done:
                return step
        return self._any()

    def _do(self, step: choice.Step) -> None:
        gone = self._views_before(step)
        due = self.model.apply(step.op, step.args)
        answer = self._doors.do(step)
        self._note("step", [step, due, answer])
        if answer.code != due.code or sorted(answer.entries) != sorted(due.entries):
            raise compare.Mismatch("the answer is another one", model=due, door=answer)
        self.applied += self.model.changed
        self.refused += due.code is not None
        if step.op == "create_trigger" and due.code is None:
            self._learn(step, answer)
        if step.op in ("create_trigger", "update_trigger") and due.code is None:
            found = self.model.triggers(step.args["function"]).get(step.args["name"])
            if found is not None:
                self._comparer.trigger(*found, answer.body)
        self._compare(step, gone)

    def _learn(self, step: choice.Step, answer: doors.Outcome) -> None:
        args = step.args
        self.model.learn_trigger(args["function"], args["name"], answer.body["triggerId"])

    # -- comparing what a step touched

    def _touched(self, step: choice.Step) -> list[state.RuleKey]:
        args = step.args
        if step.op.endswith("_rule"):
            return [(args["bus"], args["name"])]
        if step.op.endswith("_targets"):
            return [(args["bus"], args["rule"])]
        if step.op.endswith("_trigger"):
            known = self.model.triggers(args["function"]).get(args["name"])
            parts = args["name"].split("|")
            named = ("default", f"{args['function']}-{args['name']}")
            return [known[0] if known else tuple(parts[:2]) if len(parts) == 3 else named]
        if step.op in ("create_function", "delete_function"):
            return sorted({key for key, _ in self.model.triggers(args["name"]).values()})
        return []

    def _views_before(self, step: choice.Step) -> dict[state.RuleKey, set[tuple[str, str]]]:
        return {key: self._comparer.triggers_of(key) for key in self._touched(step)}

    def _compare(self, step: choice.Step, gone: dict[state.RuleKey, set[tuple[str, str]]]) -> None:
        for key in sorted({*gone, *self._touched(step)}):
            self._comparer.rule(key, gone.get(key, set()))
        if step.op.endswith("_function"):
            self._comparer.function(step.args["name"])

    # -- two writers

    def _raced(self) -> bool:
        if not self._races.run():
            return False
        self.applied += 1
        self.raced += 1
        self._comparer.everything()
        return True

    # -- kill -9

    def _killed(self) -> None:
        self.kills += 1
        under_way = self.kills % 2 == 0
        if under_way:
            self._kill_under(self._accepted())
        else:
            self._server.kill()
            self._plant()
            self._server.start()
        self._comparer.everything()

    def _accepted(self) -> choice.Step:
        """A step that the model accepts."""
        while True:
            step = self._chooser.accepted(self.model)
            due = copy.deepcopy(self.model).apply(step.op, step.args)
            if due.code is None:
                return step

    def _kill_under(self, step: choice.Step) -> None:
        """Kill while an operation is under way: it was done as a whole, or not at all."""
        answers: list[doors.Outcome] = []
        caller = threading.Thread(target=lambda: answers.append(self._doors.do(step)))
        wait_s = self._chance.uniform(0.0, _KILL_SECONDS_MAX)
        begun = time.monotonic()
        caller.start()
        caller.join(max(0.0, wait_s - (time.monotonic() - begun)))
        self._server.kill()
        caller.join()
        self._server.start()
        self._note("killed under", [step, answers[0]])
        code = answers[0].code
        if code not in (None, doors.LOST):
            raise compare.Mismatch("the model accepts it", door=answers[0])
        if code is None or self._was_done(step):
            self.model.apply(step.op, step.args)
            self.applied += self.model.changed
            if step.op == "create_trigger":
                self._learn_by_looking(step)

    def _was_done(self, step: choice.Step) -> bool:
        """Whether the doors show the model after `step`; else they must show the one before."""
        after = copy.deepcopy(self.model)
        due = after.apply(step.op, step.args)
        if due.code is not None or not after.changed:
            return True
        if step.op == "create_trigger":
            shown = self._doors.trigger(step.args["function"], step.args["name"])
            return shown.code is None
        try:
            compare.Comparer(self._doors, after, self._chance).everything()
        except compare.Mismatch:
            return False
        return True

    def _learn_by_looking(self, step: choice.Step) -> None:
        self._learn(step, self._doors.trigger(step.args["function"], step.args["name"]))

    def _plant(self) -> None:
        """Put an event source on an empty bus; take it away once it kept the bus from going."""
        data = self._home / "data"
        account, region = self.model.account, self.model.region
        for bus in sorted(self.model.sources):
            if _HELD_BY_SOURCE not in self.model.cells:
                return
            planting.change(data, account, region, bus, present=False)
            self.model.sources.discard(bus)
            return
        used = {bus for bus, _ in self.model.rules} | {"default"}
        bus = self._chooser.one([name for name in self.model.buses if name not in used])
        if bus is not None:
            planting.change(data, account, region, bus, present=True)
            self.model.sources.add(bus)

    # -- telling

    def _note(self, what: str, about: Any) -> None:
        self._history.append((self._step, what, about))

    def _tell(self, found: Exception) -> None:
        print(f"doors: MISMATCH, seed {self._seed}, step {self._step}: {found}", file=sys.stderr)
        for step, what, about in self._history:
            print(f"doors: step {step} {what}: {compare.told(about)}", file=sys.stderr)
        if isinstance(found, compare.Mismatch):
            for name, value in found.shown.items():
                print(f"doors: {name}: {compare.told(value)}", file=sys.stderr)
        else:
            traceback.print_exception(found)
        print(f"doors: model: {self._told_model()}", file=sys.stderr)

    def _told_model(self) -> str:
        known = self.model
        return compare.told(
            {
                "buses": known.buses,
                "functions": known.functions,
                "queues": sorted(known.queues),
                "sources": sorted(known.sources),
                "rules": {"/".join(key): rule for key, rule in known.rules.items()},
            }
        )

    # -- figures

    def figures(self) -> dict[str, Any]:
        """The line of the acceptance, key for key."""
        return {
            "steps": self._step,
            "applied": self.applied,
            "edit_kinds": _share(self.model.kinds, {kind.id for kind in deletes.EDIT_KINDS}),
            "delete_cells": _share(self.model.cells, {cell.id for cell in deletes.DELETE_TABLE}),
            "probes": self._probes.count,
            "mismatch": self.mismatches,
        }

    def missed(self) -> list[str]:
        """Kinds of edit and cells of the delete table that no step did."""
        everything = {kind.id for kind in deletes.EDIT_KINDS}
        everything |= {cell.id for cell in deletes.DELETE_TABLE}
        return sorted(everything - self.model.kinds - self.model.cells)

    def told(self) -> str:
        """What the figures leave out."""
        return (
            f"seed {self._seed}: {self.refused} refused, {self.raced} races, {self.kills} kills, "
            f"{self._probes.runs} runs of functions seen, {self._probes.late_runs} late"
        )


def _sdk_python() -> str:
    found = os.environ.get("HEADRACE_SDK_PYTHON")
    if not found:
        raise SystemExit("HEADRACE_SDK_PYTHON is not set: run this through ./dev")
    return found


def _share(done: set[str], known: set[str]) -> str:
    unknown = done - known
    assert not unknown, f"the model did what no table names: {sorted(unknown)}"
    return f"{len(done)}/{len(known)}"


def passed(figures: dict[str, Any], *, whole: bool) -> bool:
    """whole: also every kind of edit and every cell must have been done."""
    good = figures["mismatch"] == 0 and figures["applied"] >= APPLIED_SHARE * figures["steps"]
    if not whole:
        return bool(good)
    shares = (figures["edit_kinds"].split("/"), figures["delete_cells"].split("/"))
    return bool(good) and all(done == known for done, known in shares)


def once(home: Path, *, seed: int, steps: int) -> Run:
    """Do one run in an empty directory."""
    made = Run(home, seed=seed, steps=steps)
    try:
        made.run()
    finally:
        made.close()
    return made
