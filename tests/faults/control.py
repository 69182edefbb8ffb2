"""R2: kill -9 in the middle of creating, updating and deleting rules, functions, triggers and code.

Editors of a process of their own (`editors.py`) change a slot each, with a ledger that is fsynced
before anything counts as acknowledged. After every kill and restart each slot must stand as its
ledger says: all that got a 2xx, and of the one step under way everything or nothing. The triggers
that the function side lists must be what the rules of the bus side say. No file may be left over:
no package that no function refers to, no half upload, no half unpacking.

usage: ./dev faults control [--full]
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from bench.rig import product
from headrace import doctor
from headrace.core import crc64
from tests.faults import _left, _steps, scaffold

ROUNDS, ROUNDS_FULL = 8, 100
SLOTS = 6
READY_S_MAX = 2.0


class Figures(msgspec.Struct):
    """What one run saw."""

    rounds: int = 0
    acked: int = 0
    #: By kind of step: answered with a 2xx; under way when the server was killed.
    acked_by: dict[str, int] = {}
    cut_by: dict[str, int] = {}
    #: Of the steps under way: found done whole, found not begun.
    cut_done: int = 0
    cut_undone: int = 0
    in_flight_min: int = 1 << 30
    #: Neither what stood before a step nor what stands after it; or an acknowledged one is gone.
    torn: int = 0
    views_differ: int = 0
    #: At the kills: packages no function refers to, uploads and unpackings that were cut off.
    unneeded_at_kills: int = 0
    halves_at_kills: int = 0
    #: After the starts: files that should not be there.
    orphans: int = 0
    refused: int = 0
    ready_s_max: float = 0.0
    problems: list[str] = []

    def note(self, what: str, text: str) -> None:
        setattr(self, what, getattr(self, what) + 1)
        if len(self.problems) < 8:
            self.problems.append(f"round {self.rounds}: {text}")


class Run:
    """One data directory through many lives."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data = home / "data"
        self.ready = home / "ready.json"
        self.ledger = home / "ledger"
        self.figures = Figures(acked_by={}, cut_by={}, problems=[])
        self.states = [_steps.State() for _ in range(SLOTS)]
        self._read = 0

    def run(self, rounds: int, seed: int) -> Figures:
        server = self.start()
        arguments = (str(self.ready), str(self.ledger), str(seed))
        with scaffold.process("editors.py", *arguments) as editors:
            for _ in range(rounds):
                scaffold.order(
                    editors, {"kill": server.pid, "states": msgspec.to_builtins(self.states)}
                )
                killed = scaffold.answer(editors)["killed"]
                server.wait()
                self.figures.in_flight_min = min(self.figures.in_flight_min, killed)
                self.figures.rounds += 1
                expected = self.expected()
                found = set(_left.packages(self.data))
                self.figures.unneeded_at_kills += len(found - set(self.codes(self.states)))
                self.figures.halves_at_kills += len(_left.halves(self.data))
                server = self.start()
                self.check(expected)
                scaffold.show("control", f"kill {self.figures.rounds} of {rounds}")
            scaffold.order(editors, {"stop": True})
        server.terminate()
        server.wait(60)
        self.figures.problems += doctor.check(self.data).problems[:3]
        return self.figures

    def start(self) -> subprocess.Popen[str]:
        self.ready.unlink(missing_ok=True)
        began = time.monotonic()
        with (self.home / "server.log").open("ab") as log:
            server = product.start(self.data, self.ready, log=log, own_group=True)
        if self.figures.rounds:
            took = round(time.monotonic() - began, 2)
            self.figures.ready_s_max = max(self.figures.ready_s_max, took)
        return server

    # -- what must stand ---------------------------------------------------------------------------

    def expected(self) -> list[tuple[_steps.State, ...]]:
        """Read on in the ledger; return what may stand in each slot: one state, or two."""
        lines = self.ledger.read_text().splitlines()
        fresh, self._read = lines[self._read :], len(lines)
        open_steps: dict[int, _steps.Step] = {}
        for what, slot, kind, number, refusal in map(json.loads, fresh):
            step = _steps.Step(kind, number)
            if what == "s":
                open_steps[slot] = step
                continue
            del open_steps[slot]
            if what == "a":
                self.states[slot] = _steps.after(self.states[slot], step)
                self.figures.acked += 1
                self.figures.acked_by[kind] = self.figures.acked_by.get(kind, 0) + 1
            else:
                self.figures.note("refused", f"{kind} was refused: {refusal}")
        for step in open_steps.values():
            self.figures.cut_by[step.kind] = self.figures.cut_by.get(step.kind, 0) + 1
        return [
            (state, _steps.after(state, open_steps[slot])) if slot in open_steps else (state,)
            for slot, state in enumerate(self.states)
        ]

    def codes(self, states: list[_steps.State]) -> dict[str, int]:
        """Return the digests that functions refer to."""
        found = ((slot, state.code) for slot, state in enumerate(states))
        return {_steps.digest(slot, code): slot for slot, code in found if code is not None}

    # -- what stands -------------------------------------------------------------------------------

    def check(self, expected: list[tuple[_steps.State, ...]]) -> None:
        server = product.read(self.ready)
        rules = _rules(server)
        functions = _functions(server)
        for slot, fitting in enumerate(expected):
            state = self._found(server, slot, rules, functions)
            if state not in fitting:
                self.figures.note("torn", f"slot {slot}: found {state}, expected {fitting}")
            elif len(fitting) == 2:
                self.figures.cut_done += state == fitting[1]
                self.figures.cut_undone += state == fitting[0]
            self.states[slot] = state or fitting[0]
        strangers = set(rules) - {name for slot in range(SLOTS) for name in _named(slot)}
        if strangers:
            self.figures.note("torn", f"rules that nobody made: {strangers}")
        for name in functions:
            self._compare(server, name, rules)
        for path in _left.strange(self.data, set(self.codes(self.states))):
            self.figures.note("orphans", f"left over: {path}")

    def _found(
        self, server: product.Product, slot: int, rules: dict[str, Any], functions: dict[str, Any]
    ) -> _steps.State | None:
        """Return what stands in a slot, None when no single step can have made it."""
        name, function_name = _steps.names(slot)
        whole = True
        rule, function = rules.get(name), functions.get(function_name)
        number = None if rule is None else int(rule["Description"])
        if rule is not None and number is not None:
            whole &= _same(rule["FilterPattern"], _steps.pattern(slot, number, "rule"))
        trigger_rule = rules.get(f"{function_name}-t")
        trigger = None
        if trigger_rule is not None:
            trigger = int(trigger_rule["Description"])
            wanted = _steps.pattern(slot, trigger, "trigger")
            whole &= _same(trigger_rule["FilterPattern"], wanted)
        code = None if function is None else self._code(server, slot, function)
        described = None if function is None else int(function["description"])
        state = _steps.State(
            number, bool(rule and rule["Targets"]), described, code, trigger
        )  # fmt: skip
        return state if whole and (function is None) == (code is None) else None

    def _code(self, server: product.Product, slot: int, function: dict[str, Any]) -> int | None:
        """Return the number of the code that runs, None when it is not that of the record."""
        path = f"/2023-03-30/functions/{function['functionName']}/invocations"
        said = server.text(server.signed("POST", path, b"{}", action="InvokeFunction")).decode()
        told, _, number = said.partition("/")
        if told != str(slot) or not number.isdigit():
            return None
        right = crc64.printed(_steps.package(slot, int(number)))
        return int(number) if function["codeChecksum"] == right else None

    def _compare(self, server: product.Product, function: str, rules: dict[str, Any]) -> None:
        """The function's triggers are what the rules with it as a target say, neither more."""
        raw = server.signed("GET", f"/2023-03-30/functions/{function}/triggers")
        listed = Counter(_told(one) for one in server.call(raw)["triggers"])
        seen = Counter(
            (
                "t" if name == f"{function}-t" else f"{_steps.BUS}|{name}|{target['Id']}",
                _plain(rule["FilterPattern"]),
            )
            for name, rule in rules.items()
            for target in rule["Targets"]
            if target["Endpoint"].endswith(f"functions/{function}")
        )
        if listed != seen:
            self.figures.note("views_differ", f"{function}: {dict(listed)} against {dict(seen)}")


def _named(slot: int) -> tuple[str, str]:
    rule, function = _steps.names(slot)
    return rule, f"{function}-t"


def _rules(server: product.Product) -> dict[str, Any]:
    listed = server.eventbridge("ListRules", EventBusName=_steps.BUS, Limit="100")["Data"]["Rules"]
    return {
        rule["RuleName"]: server.eventbridge(
            "GetRule", EventBusName=_steps.BUS, RuleName=rule["RuleName"]
        )["Data"]
        for rule in listed
    }


def _functions(server: product.Product) -> dict[str, Any]:
    listed = server.call(server.signed("GET", "/2023-03-30/functions?limit=100"))["functions"]
    return {one["functionName"]: one for one in listed}


def _told(trigger: dict[str, Any]) -> tuple[str, str]:
    config = json.loads(trigger["triggerConfig"])
    return trigger["triggerName"], _plain(config["eventRuleFilterPattern"])


def _plain(text: str) -> str:
    return json.dumps(json.loads(text), sort_keys=True)


def _same(one: str, other: str) -> bool:
    return _plain(one) == _plain(other)


def passed(figures: Figures) -> bool:
    zeros = (
        figures.torn, figures.views_differ, figures.orphans, figures.refused, len(figures.problems)
    )  # fmt: skip
    return (
        not any(zeros)
        and set(figures.acked_by) == set(_steps.KINDS)
        and figures.in_flight_min >= 2
        and figures.cut_undone > 0
        and figures.unneeded_at_kills > 0
        and figures.ready_s_max <= READY_S_MAX
    )


def main() -> int:
    """Print the figures as one line; 0 when they are good."""
    rounds = ROUNDS_FULL if "--full" in sys.argv else ROUNDS
    home = scaffold.new_home("control")
    figures = Run(home).run(rounds, seed=rounds)
    return scaffold.report("control", figures, home, good=passed(figures))


if __name__ == "__main__":
    sys.exit(main())
