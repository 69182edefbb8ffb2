"""Probe events: published through PutEvents, then *which functions ran with which payload*.

A function prints the version of its code and what it was given; the log of its invocations is read
back. HTTP and queue targets are looked at in the same way. Must never ask the product what should
have happened: that is the model's to say.
"""

from __future__ import annotations

import base64
import contextlib
import random
import re
import time
from collections import Counter
from typing import Any

from tests.properties.doors import compare, doors, events, state, words
from tests.properties.doors.words import Tree
from tests.wire import receivers, waiting

_TOOK = re.compile(r"took (\d+) (\S*)")
_NAMED = re.compile(r"probe-\d+-\d+-\d+")
_LINES_MAX = 10_000
_QUIET_SECONDS_MAX = 60.0
_OVERLAP_MS = 10_000
_LATE_SECONDS_MAX = 15.0
#: One arrival: "function f version 3", "sink" or "queue q", and the payload in canonical form.
Arrival = tuple[str, str]


class Probes:
    def __init__(
        self,
        seen: doors.Doors,
        model: state.State,
        hook: receivers.Hook,
        chance: random.Random,
    ) -> None:
        self.model = model
        self._doors = seen
        self._hook = hook
        self._chance = chance
        self._known: set[str] = set()
        #: Log lines before this moment were read already.
        self._since_ms = 0
        #: Ids of events that met a target whose function was missing: their runs come when they
        #: come (a retry after the function was made again), or never.
        self._late: set[str] = set()
        self.count = 0
        self.runs = 0
        self.late_runs = 0

    def probe(self) -> None:
        """Publish to every bus; wait until nothing is on its way; compare what arrived."""
        self.count += 1
        due: Counter[Arrival] = Counter()
        perhaps: Counter[Arrival] = Counter()
        for number, bus in enumerate(sorted(self.model.buses)):
            sent = [self._event(number, n) for n in range(self._chance.choice((3, 4)))]
            self._publish(bus, sent)
            for event in sent:
                self._expect(bus, event, due, perhaps)
        waiting.wait_for(self._quiet, "end of all deliveries", seconds=_QUIET_SECONDS_MAX)
        self._check(due, perhaps)

    def finish(self) -> None:
        """What came after the last probe must be late runs only."""
        self._check(Counter(), Counter())

    # -- sending

    def _event(self, bus: int, number: int) -> Tree:
        id_ = f"probe-{self.count}-{bus}-{number}"
        event: Tree = {
            "id": id_,
            "source": self._chance.choice(events.SOURCES),
            "type": self._chance.choice(events.TYPES),
        }
        if self._chance.random() < 0.3:
            event["subject"] = f"subject of {id_}"
        chosen = self._chance.random()
        if chosen < 0.8:
            event["data"] = {"of": id_, "amount": self._chance.randrange(100), "parts": [1, None]}
        elif chosen < 0.9:
            event["data"] = [id_, {"nested": True}]
        return event

    def _publish(self, bus: str, sent: list[Tree]) -> None:
        names = {
            "id": "Id", "source": "Source", "type": "Type", "subject": "Subject", "data": "Data",
        }  # fmt: skip
        entries = [
            {names[field]: value for field, value in event.items()} | {"SpecVersion": "1.0"}
            for event in sent
        ]
        answer = self._doors.put_events(bus, entries)
        if answer.code is not None or answer.body["Data"]["FailedEntryCount"]:
            raise compare.Mismatch(f"events for {bus} were refused", door=answer)

    # -- what is due

    def _expect(
        self, bus: str, event: Tree, due: Counter[Arrival], perhaps: Counter[Arrival]
    ) -> None:
        stamped = events.stamped(
            event, bus=bus, account=self.model.account, region=self.model.region
        )
        for key, rule in self.model.rules.items():
            if key[0] != bus or rule["status"] != "ENABLE":
                continue
            if not events.PATTERNS[rule["pattern"]](event):
                continue
            for target in rule["targets"]:
                self._expect_at(target, stamped, due, perhaps)

    def _expect_at(
        self, target: Tree, event: Tree, due: Counter[Arrival], perhaps: Counter[Arrival]
    ) -> None:
        payload = events.payload(target, event)
        function = words.function_of(target)
        if function is None:
            queue = words.queue_of(target)
            due["sink" if queue is None else f"queue {queue}", payload] += 1
        elif function not in self.model.functions:
            target["facts"]["late"] = True
            self._late.add(event["id"])
        else:
            version = self.model.functions[function]["version"]
            # A target that stands at an earlier event (ErrorsTolerance NONE) may hold this one up.
            held_up = target["facts"]["late"] and target["errors"] == "NONE"
            if held_up:
                self._late.add(event["id"])
            (perhaps if held_up else due)[f"function {function} version {version}", payload] += 1

    # -- what arrived

    def _quiet(self) -> bool:
        """Whether every delivery that can end has ended."""
        slow = {
            f"subscription/{bus}/{name}/{target['id']}"
            for (bus, name), rule in self.model.rules.items()
            for target in rule["targets"]
            if target["facts"]["late"]
        }
        rows = self._doors.native("GET", "books").body["subscriptions"]
        return not any(
            row["open"]
            for row in rows
            if (name := row["name"].partition("/")[2].rpartition("/")[0]) not in slow
            and name.startswith(("subscription/", "function/"))
        )

    def _check(self, due: Counter[Arrival], perhaps: Counter[Arrival]) -> None:
        came: Counter[Arrival] = Counter()

        def complete() -> bool:
            came.update(self._arrived())
            return not due - came

        # One look is enough, unless a target still has an older delivery to repeat.
        if not complete():
            with contextlib.suppress(AssertionError):  # told below, with all that did arrive
                waiting.wait_for(complete, "arrivals", seconds=_LATE_SECONDS_MAX)
        self.runs += sum(n for (place, _), n in came.items() if place.startswith("function"))
        missing = due - came
        for arrival, number in (came - due - perhaps).items():
            if not self._may_be_late(arrival):
                raise compare.Mismatch(
                    f"arrived {number} times too often: {arrival}", due=_shown(due),
                    came=_shown(came),
                )  # fmt: skip
            self.late_runs += number
        if missing:
            raise compare.Mismatch(
                f"never arrived: {_shown(missing)}", due=_shown(due), came=_shown(came)
            )

    def _may_be_late(self, arrival: Arrival) -> bool:
        """Whether a retry can have brought it; a constant does not name its event."""
        return bool(self._late) and set(_NAMED.findall(arrival[1])) <= self._late

    def _arrived(self) -> Counter[Arrival]:
        came: Counter[Arrival] = Counter()
        now_ms = int(time.time() * 1000)
        for name in sorted(self.model.functions):
            for version, payload in self._runs_of(name):
                came[f"function {name} version {version}", payload] += 1
        while self._hook.received:
            came["sink", events.seen(self._hook.received.pop(0).body)] += 1
        for name in sorted(self.model.queues):
            for body in self._taken_from(name):
                came[f"queue {name}", events.seen(body.encode())] += 1
        self._since_ms = now_ms - _OVERLAP_MS
        return came

    def _runs_of(self, function: str) -> list[tuple[str, str]]:
        """Runs that were not seen before, each as the code's version and the payload."""
        query = {"kind": "log", "start_ms": str(self._since_ms), "limit": str(_LINES_MAX)}
        lines = self._doors.native("GET", f"functions/{function}/logs", **query).body["lines"]
        assert len(lines) < _LINES_MAX, "the log is longer than one answer"
        found: list[tuple[str, str]] = []
        for line in lines:
            if line["request_id"] in self._known:
                continue
            self._known.add(line["request_id"])
            took = _TOOK.findall(line["text"])
            if len(took) != 1:
                raise compare.Mismatch(
                    f"the log of one run of {function} shows {len(took)} runs", log=line["text"]
                )
            found.append((took[0][0], events.seen(base64.b64decode(took[0][1]))))
        return found

    def _taken_from(self, queue: str) -> list[str]:
        """The messages of a queue, which is empty afterwards; dead letters are not looked at."""
        seen: dict[str, Any] = self._doors.native(
            "GET", f"queues/{queue}/messages", limit="100"
        ).body
        assert seen["total"] <= 100, "a queue holds more than one answer shows"
        self._doors.native("DELETE", f"queues/{queue}/messages")
        return [each["body"] for each in seen["messages"] if "ebdlqrule" not in each["body"]]


def _shown(arrivals: Counter[Arrival]) -> list[str]:
    return sorted(f"{number} x {place}: {text}" for (place, text), number in arrivals.items())
