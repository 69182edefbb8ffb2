"""All that a server says of what it holds, through every door; and what of it another one lacks.

What is compared is what clients read: the answers of the two clouds' APIs and of our own. Members
that a later version adds are no difference; a member that is gone or says something else is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, cast

from tests.upgrade.client import Client

#: Members that say something about the moment of the question.
MOMENT = {"under_way", "url"}
#: What the status says of the directory, not of the machine and the version.
STATUS = ("account", "region", "buses", "functions", "dead_letters", "balanced", "switches")


def everything(server: Client) -> dict[str, Any]:
    """Return name -> answer, of every resource, event, delivery, log and counter."""
    said: dict[str, Any] = {}
    said |= _buses(server)
    said |= _functions(server)
    said |= _events(server)
    said |= _own(server)
    return without_moment(said)


def _buses(server: Client) -> dict[str, Any]:
    said: dict[str, Any] = {"ListEventBuses": server.control("ListEventBuses")}
    said["listEventBuses"] = server.data_plane("listEventBuses", {})
    for bus in bus_names(server):
        said[f"GetEventBus {bus}"] = server.control("GetEventBus", EventBusName=bus)
        said[f"getEventBus {bus}"] = server.data_plane("getEventBus", {"EventBusName": bus})
        listed = server.control("ListRules", EventBusName=bus)
        said[f"ListRules {bus}"] = listed
        for rule in (row["RuleName"] for row in listed["Data"]["Rules"]):
            named = {"EventBusName": bus, "RuleName": rule}
            said[f"GetRule {bus}/{rule}"] = server.control("GetRule", **named)
            said[f"ListTargets {bus}/{rule}"] = server.control("ListTargets", **named)
            said[f"getRule {bus}/{rule}"] = server.data_plane("getRule", named)
            said[f"listTargets {bus}/{rule}"] = server.data_plane("listTargets", named)
    return said


def bus_names(server: Client) -> list[str]:
    buses = server.control("ListEventBuses")["Data"]["EventBuses"]
    return [bus["EventBusName"] for bus in buses]


def _functions(server: Client) -> dict[str, Any]:
    listed = server.functions("GET", "functions")
    said: dict[str, Any] = {"ListFunctions": listed}
    for name in (row["functionName"] for row in listed["functions"]):
        said[f"GetFunction {name}"] = server.functions("GET", f"functions/{name}")
        code = server.functions("GET", f"functions/{name}/code")
        sha256 = hashlib.sha256(server.download(code["url"])).hexdigest()
        said[f"GetFunctionCode {name}"] = {**code, "sha256": sha256}
        triggers = server.functions("GET", f"functions/{name}/triggers")
        said[f"ListTriggers {name}"] = triggers
        for trigger in (row["triggerName"] for row in triggers["triggers"]):
            path = f"functions/{name}/triggers/{trigger.replace('|', '%7C')}"
            said[f"GetTrigger {name}/{trigger}"] = server.functions("GET", path)
        said[f"ReadLogs {name}"] = server.own("GET", f"functions/{name}/logs", limit="1000")
    return said


def _events(server: Client) -> dict[str, Any]:
    said: dict[str, Any] = {}
    explained: set[tuple[str, str]] = set()
    for bus in bus_names(server):
        found = server.own("GET", "events", bus=bus, limit="100")
        assert not found.get("next"), "more events on one bus than are asked for"
        said[f"SearchEvents {bus}"] = found
        for event in found["events"]:
            id, source = event["id"], event["source"]
            name = f"{bus} {source} {id}"
            own = {"bus": bus, "source": source}
            cloud = {"EventBusName": bus, "EventId": id}
            said[f"TraceEvent {name}"] = server.own("GET", f"events/{id}/trace", **own)
            if (bus, event["type"]) not in explained:  # the rules say the same of its kind
                said[f"ExplainEvent {name}"] = server.own("GET", f"events/{id}/why", **own)
                explained.add((bus, event["type"]))
            said[f"QueryEventTraces {name}"] = server.control("QueryEventTraces", **cloud)
            said[f"QueryEvent {name}"] = server.control("QueryEvent", EventSource=source, **cloud)
            said[f"queryEventTraces {name}"] = server.data_plane("queryEventTraces", cloud)
    return said


def _own(server: Client) -> dict[str, Any]:
    said: dict[str, Any] = {"ListQueues": server.own("GET", "queues")}
    for queue in (row["name"] for row in said["ListQueues"]["queues"]):
        path = f"queues/{queue}/messages"
        said[f"PeekMessages {queue}"] = server.own("GET", path, limit="1000")
    letters = server.own("GET", "dead-letters", limit="100")
    said["ListDeadLetters"] = letters
    for letter in (row["id"] for row in letters["dead_letters"]):
        said[f"GetDeadLetter {letter}"] = server.own("GET", f"dead-letters/{letter}")
    said["ListSwitches"] = server.own("GET", "switches", all="true")
    said["GetBooks"] = server.own("GET", "books")
    status = server.own("GET", "status")
    said["GetStatus"] = {name: status[name] for name in STATUS}
    return said


def without_moment(value: Any) -> Any:
    """Return `value` without what depends on when and where it was asked."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {k: without_moment(one) for k, one in members.items() if k not in MOMENT}
    if isinstance(value, list):
        return [without_moment(one) for one in cast("list[Any]", value)]
    return value


def differences(expected: Any, found: Any, path: str = "") -> Iterator[str]:
    """Yield a sentence for each place where `found` lacks or changes something of `expected`."""
    if isinstance(expected, dict) and isinstance(found, dict):
        members, others = cast("dict[str, Any]", expected), cast("dict[str, Any]", found)
        for name, value in members.items():
            if name not in others:
                yield f"{path}/{name} is gone, it was {value!r}"
            else:
                yield from differences(value, others[name], f"{path}/{name}")
    elif isinstance(expected, list) and isinstance(found, list):
        rows, other_rows = cast("list[Any]", expected), cast("list[Any]", found)
        if len(rows) != len(other_rows):
            yield f"{path} has {len(other_rows)} rows, it had {len(rows)}"
        for at, (row, other) in enumerate(zip(rows, other_rows, strict=False)):
            yield from differences(row, other, f"{path}/{at}")
    elif expected != found or type(expected) is not type(found):
        yield f"{path} is {found!r}, it was {expected!r}"
