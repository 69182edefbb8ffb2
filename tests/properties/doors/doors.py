"""The two doors: a step done through the official SDK it belongs to, and what either door shows.

EventBridge's SDK is the bus side, Function Compute's the function side; queues have no SDK here and
go through the native API. Must never judge an answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.properties.doors import choice, state
from tests.wire import making, processes, sdk, signing

REVISION = "x-headrace-revision"
#: Code of a call whose answer was lost: it may have been done or not.
LOST = "lost"

HANDLER = """
import base64

def handler(event, context):
    print("took {version}", base64.b64encode(event).decode(), flush=True)
"""


class Outcome(NamedTuple):
    """What a door answered; `code` is None when it accepted."""

    code: str | None
    body: dict[str, Any]
    message: str = ""
    entries: tuple[tuple[str, str], ...] = ()
    revision: int | None = None


class Doors:
    """Both doors of one server."""

    def __init__(self, server: processes.Server, python: Path) -> None:
        self.server = server
        # The second is for the other of two writers: a driver answers one call at a time.
        self._drivers = [sdk.Driver(python, "control.py") for _ in range(2)]
        self._eventbridge = [sdk.EventBridge(each, self._place) for each in self._drivers]
        self._functions = [sdk.Functions(each, self._place) for each in self._drivers]

    def close(self) -> None:
        for driver in self._drivers:
            driver.close()

    def _place(self) -> sdk.Place:
        return self.server.place

    # -- steps

    def do(self, step: choice.Step, *, writer: int = 0, revision: int | None = None) -> Outcome:
        """Do one step; `revision` guards it on the function side."""
        headers = {} if revision is None else {REVISION: str(revision)}
        call = getattr(self, f"_{step.op}")
        try:
            answer: sdk.Reply = call(_Side(self, writer, headers), **step.args)
        except sdk.SdkError as fault:
            return Outcome(fault.code or LOST, {}, fault.message)
        body = answer.body
        if body.get("Success") is False:  # DeleteRule of a missing rule answers 200 with its code
            return Outcome(body["Code"], body, body["Message"])
        return Outcome(None, body, "", _entries(body), _revision(answer))

    def _create_bus(self, side: _Side, name: str, description: str) -> sdk.Reply:
        return side.bus.create_event_bus(EventBusName=name, Description=description)

    def _update_bus(self, side: _Side, name: str, description: str) -> sdk.Reply:
        return side.bus.update_event_bus(EventBusName=name, Description=description)

    def _delete_bus(self, side: _Side, name: str) -> sdk.Reply:
        return side.bus.delete_event_bus(EventBusName=name)

    def _create_rule(
        self, side: _Side, bus: str, name: str, pattern: str, description: str, **more: Any
    ) -> sdk.Reply:
        return side.bus.create_rule(
            EventBusName=bus, RuleName=name, FilterPattern=pattern, Description=description,
            Status=more["status"], EventTargets=more["targets"],
        )  # fmt: skip

    def _update_rule(self, side: _Side, bus: str, name: str, **fields: str) -> sdk.Reply:
        words = {"pattern": "FilterPattern", "description": "Description", "status": "Status"}
        named = {words[field]: value for field, value in fields.items()}
        return side.bus.update_rule(EventBusName=bus, RuleName=name, **named)

    def _enable_rule(self, side: _Side, bus: str, name: str) -> sdk.Reply:
        return side.bus.enable_rule(EventBusName=bus, RuleName=name)

    def _disable_rule(self, side: _Side, bus: str, name: str) -> sdk.Reply:
        return side.bus.disable_rule(EventBusName=bus, RuleName=name)

    def _delete_rule(self, side: _Side, bus: str, name: str) -> sdk.Reply:
        return side.bus.delete_rule(EventBusName=bus, RuleName=name)

    def _put_targets(self, side: _Side, bus: str, rule: str, targets: list[Any]) -> sdk.Reply:
        return side.bus.put_targets(EventBusName=bus, RuleName=rule, Targets=targets)

    def _delete_targets(self, side: _Side, bus: str, rule: str, ids: list[str]) -> sdk.Reply:
        return side.bus.delete_targets(EventBusName=bus, RuleName=rule, TargetIds=ids)

    def _create_trigger(
        self, side: _Side, function: str, name: str, type: str = "eventbridge", **fields: str
    ) -> sdk.Reply:
        body = {"triggerName": name, "triggerType": type, **_trigger(fields)}
        return side.functions.create_trigger(function, body=body)

    def _update_trigger(self, side: _Side, function: str, name: str, **fields: str) -> sdk.Reply:
        return side.functions.update_trigger(
            function, name, body=_trigger(fields), headers=side.headers
        )

    def _delete_trigger(self, side: _Side, function: str, name: str) -> sdk.Reply:
        return side.functions.delete_trigger(function, name, headers=side.headers)

    def _create_function(self, side: _Side, name: str, version: int, description: str) -> sdk.Reply:
        body = making.function_input(name, source(version), description=description)
        return side.functions.create_function(body=body)

    def _update_function(self, side: _Side, name: str, **fields: Any) -> sdk.Reply:
        body = {key: value for key, value in fields.items() if key != "version"}
        if "version" in fields:
            body["code"] = making.function_input(name, source(fields["version"]))["code"]
        return side.functions.update_function(name, body=body, headers=side.headers)

    def _delete_function(self, side: _Side, name: str) -> sdk.Reply:
        return side.functions.delete_function(name, headers=side.headers)

    def _create_queue(self, _side: _Side, name: str) -> sdk.Reply:
        return self.native("PUT", f"queues/{name}")

    def _delete_queue(self, _side: _Side, name: str) -> sdk.Reply:
        return self.native("DELETE", f"queues/{name}")

    # -- what the doors show

    def get(self, look: Callable[[], sdk.Reply]) -> Outcome:
        try:
            answer = look()
        except sdk.SdkError as fault:
            return Outcome(fault.code or LOST, {}, fault.message)
        return Outcome(None, answer.body, "", (), _revision(answer))

    def rule(self, key: state.RuleKey) -> Outcome:
        bus = self._eventbridge[0]
        return self.get(lambda: bus.get_rule(EventBusName=key[0], RuleName=key[1]))

    def trigger(self, function: str, name: str) -> Outcome:
        return self.get(lambda: self._functions[0].get_trigger(function, name))

    def function(self, name: str) -> Outcome:
        return self.get(lambda: self._functions[0].get_function(name))

    def triggers(self, function: str, limit: int, *, remote: bool = True) -> Outcome:
        hidden = {} if remote else {"x-fc-disable-list-remote-eb-triggers": "true"}
        return self._pages(
            lambda token: self._functions[0].list_triggers(
                function, limit=limit, nextToken=token, headers=hidden
            ),
            lambda body: body["triggers"],
            lambda body: body.get("nextToken"),
        )

    def functions(self, limit: int) -> Outcome:
        return self._pages(
            lambda token: self._functions[0].list_functions(limit=limit, nextToken=token),
            lambda body: body["functions"],
            lambda body: body.get("nextToken"),
        )

    def listed(self, operation: str, items: str, limit: int, **args: str) -> Outcome:
        """Every page of ListEventBuses, ListRules or ListTargets."""
        call = getattr(self._eventbridge[0], operation)
        return self._pages(
            lambda token: call(Limit=limit, NextToken=token, **args),
            lambda body: body["Data"][items],
            lambda body: body["Data"].get("NextToken"),
        )

    def _pages(
        self,
        page: Callable[[str | None], sdk.Reply],
        items: Callable[[dict[str, Any]], list[Any]],
        token: Callable[[dict[str, Any]], str | None],
    ) -> Outcome:
        found: list[Any] = []
        after: str | None = None
        while True:
            seen = self.get(lambda after=after: page(after))
            if seen.code is not None:
                return seen
            found += items(seen.body)
            after = token(seen.body)
            if not after:
                return Outcome(None, {"items": found})

    def put_events(self, bus: str, entries: list[dict[str, Any]]) -> Outcome:
        call = self._eventbridge[0].put_events
        return self.get(lambda: call(EventBusName=bus, EventList=entries))

    def native(self, method: str, path: str, **query: str) -> sdk.Reply:
        """Ask Headrace's own API. Raises: SdkError as the SDKs do."""
        place = self.server.place
        request = signing.acs3(place, method, f"/headrace/v1/{path}", query=query)
        try:
            answer = signing.send(place, request)
        except OSError as fault:
            raise sdk.SdkError("", str(fault), None, {}) from fault
        body = answer.json()
        if answer.status >= 400:
            raise sdk.SdkError(body["code"], body["message"], answer.status, body)
        return sdk.Reply(body, answer.status, answer.headers, answer.body)


class _Side:
    """What one writer calls through."""

    def __init__(self, doors: Doors, writer: int, headers: dict[str, str]) -> None:
        self.bus = doors._eventbridge[writer]
        self.functions = doors._functions[writer]
        self.headers = headers


def source(version: int) -> str:
    """The code of a function: it prints which code took which payload."""
    return HANDLER.replace("{version}", str(version))


def _trigger(fields: dict[str, str]) -> dict[str, str]:
    wire = {"config": "triggerConfig", "role": "invocationRole"}
    return {wire.get(field, field): value for field, value in fields.items()}


def _entries(body: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    data = body.get("Data")
    if not isinstance(data, dict) or "ErrorEntries" not in data:
        return ()
    found = [(each["EntryId"], each["ErrorCode"]) for each in data["ErrorEntries"]]
    assert len(found) == data["ErrorEntriesCount"], json.dumps(data)
    return tuple(found)


def _revision(answer: sdk.Reply) -> int | None:
    text = answer.headers.get(REVISION)
    return None if text is None else int(text)
