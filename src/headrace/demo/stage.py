"""What the steps of the story stand on: doors, receiver, names, and waiting with a deadline.

Owns nothing that a step decides. Must never end a wait silently: a deadline is a broken step.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from headrace.demo import doors, receiver, wire, words

T = TypeVar("T")

BUS = "default"
#: Longest wait for anything that should take milliseconds on a machine that is not busy.
WAIT_S = 20.0
_LOOK_S = 0.02


class Broken(Exception):
    """A step did not come out as it must; the argument is the cause."""


class Stopped(Exception):
    """The server is told to stop while the story is told."""


class Names(NamedTuple):
    """Names of one telling; the second one on a data directory gets others."""

    function: str
    trigger: str
    #: The rule that the trigger is.
    trigger_rule: str
    rule: str
    queue: str
    source: str
    #: Ends the ids of its events.
    suffix: str


def names_of(telling: int) -> Names:
    """Return the names of the telling with this number, from 1."""
    suffix = "" if telling == 1 else f"-{telling}"
    function = f"orders{suffix}"
    return Names(
        function, "on-order", f"{function}-on-order", f"shipping{suffix}", f"archive{suffix}",
        f"shop.orders{suffix}", suffix,
    )  # fmt: skip


class Stage:
    """One telling on one server."""

    def __init__(
        self,
        door: doors.Door,
        place: doors.Place,
        *,
        account: str,
        say: words.Words,
        sabotage: str | None,
        stop: threading.Event,
    ) -> None:
        """sabotage: the step to break, None for none.  stop: ends every wait."""
        self.door = door
        self.place = place
        self.account = account
        #: Headrace's own API: trace, why, dead letters, queues, books.
        self.own = wire.Wire(place)
        self.say = say
        self.sabotage = sabotage
        self.receiver = receiver.Receiver()
        self.names = names_of(1)
        #: Ids of what was published, in order.
        self.event_ids: list[str] = []
        self._stop = stop

    def close(self) -> None:
        self.receiver.close()

    def wait(self, what: str, look: Callable[[], T | None]) -> T:
        """Return what `look` finds, once it finds something. Raises: Broken, Stopped."""
        deadline = time.monotonic() + WAIT_S
        while True:
            found = look()
            if found is not None:
                return found
            if time.monotonic() > deadline:
                raise Broken(f"{what}: not within {WAIT_S:.0f} s")
            if self._stop.wait(_LOOK_S):
                raise Stopped

    def publish(self, *events: doors.Object) -> None:
        """Publish through the data plane; all must be accepted. Raises: Broken, doors.Refused."""
        answer = self.door.put_events(events)
        for entry in answer["EntryList"]:
            if entry.get("ErrorCode"):
                raise Broken(f"{entry['ErrorCode']}: {entry.get('ErrorMessage')}")
        self.event_ids.extend(entry["EventId"] for entry in answer["EntryList"])

    def event(self, prefix: str, number: int, type: str, data: doors.Object) -> doors.Object:
        """Return a CloudEvent of ours; its id is prefix and number."""
        return {
            "id": f"{prefix}-{number}{self.names.suffix}",
            "source": self.names.source,
            "specversion": "1.0",
            "type": type,
            "subject": f"orders/{number}",
            "datacontenttype": "application/json",
            "aliyuneventbusname": BUS,
            "data": data,
        }

    def pushes(self, event_id: str, target: str) -> list[dict[str, Any]]:
        """Return the attempts at one target of our rule, oldest first."""
        trace = self.own.native("GET", "events", event_id, "trace", source=self.names.source)
        steps: list[dict[str, Any]] = trace["steps"]
        return [
            step
            for step in steps
            if step["action"] == "PushEvent"
            and step["verdict"]
            and (step["rule"], step["target"]) == (self.names.rule, target)
        ]

    def verdicts(self, event_id: str) -> doors.Object:
        """Return what every rule says of an event, and why."""
        return self.own.native("GET", "events", event_id, "why", source=self.names.source)

    def delivered(self, event_id: str, target: str) -> dict[str, Any]:
        """Wait for the first attempt at a target; return it. Raises: Broken if it failed."""
        step = self.wait(
            f"{event_id} at target {target}",
            lambda: next(iter(self.pushes(event_id, target)), None),
        )
        if step["verdict"] != "delivered":
            raise Broken(_failure(step))
        return step


def _failure(step: dict[str, Any]) -> str:
    return ": ".join(filter(None, (step["endpoint"], step["status"], _told(step["detail"]))))


def _told(detail: str) -> str:
    """Return what a target said of its failure; of a function's error object the words."""
    try:
        error = json.loads(detail)
        return f"{error['errorType']}: {error['errorMessage']}"
    except (ValueError, TypeError, KeyError):
        return detail
