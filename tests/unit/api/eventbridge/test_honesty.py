"""Honesty: every documented parameter of a built operation is honoured, refused or echoed.

The lists below are the API reference's, written down by hand, independent of the tables they check.
"""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from headrace.access import policy
from headrace.api import http, operations, shapes
from headrace.api.eventbridge import control, dataplane
from headrace.core import errors
from tests.unit.api import world as worlds

_TARGET = (
    "ConcurrentConfig.Concurrency DeadLetterQueue.Arn DeadLetterQueue.Network"
    " DeadLetterQueue.SecurityGroupId DeadLetterQueue.VSwitchIds DeadLetterQueue.VpcId Endpoint"
    " ErrorsTolerance Id ParamList.Form ParamList.ResourceKey ParamList.Template ParamList.Value"
    " PushRetryStrategy Type"
)
_ENTRY = (
    "Id Type Endpoint PushRetryStrategy ParamList.ResourceKey ParamList.Form ParamList.Value"
    " ParamList.Template ConcurrentConfig.Concurrency"
)


def _below(prefix: str, names: str) -> str:
    return " ".join(f"{prefix}.{name}" for name in names.split())


#: API version 2020-04-01, SDK 8.7.
CONTROL = {
    "CreateEventBus": "Description EventBusName",
    "UpdateEventBus": "Description EventBusName",
    "GetEventBus": "EventBusName",
    "ListEventBuses": "Limit NamePrefix NextToken",
    "DeleteEventBus": "EventBusName",
    "CreateRule": "Description EventBusName FilterPattern RuleName Status "
    + _below("EventTargets", _TARGET),
    "UpdateRule": "Description EventBusName FilterPattern RuleName Status",
    "GetRule": "EventBusName RuleName",
    "ListRules": "EventBusName Limit NextToken RuleNamePrefix",
    "DeleteRule": "EventBusName RuleName",
    "EnableRule": "EventBusName RuleName",
    "DisableRule": "EventBusName RuleName",
    "TestEventPattern": "Event EventPattern",
    "PutTargets": "EventBusName RuleName " + _below("Targets", _TARGET),
    "DeleteTargets": "EventBusName RuleName TargetIds",
    "ListTargets": "Arn EventBusName Limit NextToken RuleName",
    "PutEvents": "EventBusName "
    + _below(
        "EventList", "Data DataContentType DataSchema Id Source SpecVersion Subject Time Type"
    ),
    "QueryEvent": "EventBusName EventId EventSource",
    "QueryEventTraces": "EventBusName EventId",
    "QueryTracedEventByEventId": "EventBusName EventId EventSource",
    "QueryTracedEvents": "EndTime EventBusName EventSource EventType Limit MatchedRule NextToken"
    " StartTime Subject",
    "CheckServiceLinkedRoleForProduct": "ProductName",
    "CreateServiceLinkedRoleForProduct": "ProductName",
}
#: Data-plane SDK 1.3.8.
DATA_PLANE = {
    "putEvents": _below(
        "Events",
        "id source specversion type datacontenttype dataschema subject time extensions data",
    ),
    "createEventBus": "EventBusName Description Tags",
    "deleteEventBus": "EventBusName",
    "getEventBus": "EventBusName",
    "listEventBuses": "NamePrefix Limit NextToken",
    "createRule": "EventBusName Description RuleName Status FilterPattern Tags "
    + _below("Targets", _ENTRY),
    "deleteRule": "EventBusName RuleName",
    "disableRule": "EventBusName RuleName",
    "enableRule": "EventBusName RuleName",
    "getRule": "EventBusName RuleName",
    "listRules": "EventBusName RuleNamePrefix Limit NextToken",
    "updateRule": "EventBusName RuleName Description Status FilterPattern Tags",
    "createTargets": "EventBusName RuleName " + _below("Targets", _ENTRY),
    "deleteTargets": "EventBusName RuleName TargetIds",
    "listTargets": "EventBusName RuleName Limit",
    "testEventPattern": "Event EventPattern",
    "queryEventTraces": "EventBusName EventId",
    "queryEventByEventId": "EventBusName EventSource EventId",
    "queryEventsByPeriod": "EventBusName EventSource StartTime EndTime Limit NextToken EventType"
    " MatchedRule",
    "queryEventsByEventIds": "EventBusName EventSourceName EventIds",
}
BOTH = [(control.TABLE, CONTROL), (dataplane.TABLE, DATA_PLANE)]


@pytest.mark.parametrize(("table", "documented"), BOTH, ids=["control", "data plane"])
def test_every_built_operation_is_documented_and_the_other_way_round(
    table: operations.Table, documented: dict[str, str]
) -> None:
    assert {row.name for row in table if row.handler is not None} == set(documented)


@pytest.mark.parametrize(("table", "documented"), BOTH, ids=["control", "data plane"])
def test_every_documented_parameter_has_an_entry(
    table: operations.Table, documented: dict[str, str]
) -> None:
    lacking = [
        f"{name}: {path}"
        for name, paths in documented.items()
        for path in paths.split()
        if path not in dict(table.named(name).params.walk())
    ]
    assert lacking == []


@pytest.mark.parametrize(("table", "documented"), BOTH, ids=["control", "data plane"])
def test_what_is_not_honoured_says_why(table: operations.Table, documented: dict[str, str]) -> None:
    for row in operations.compatibility(table):
        if row.role in ("echoed", "refused"):
            assert len(row.reason) > 20, row


def test_table_of_roles_counts_every_field_once() -> None:
    rows = list(operations.compatibility(control.TABLE, dataplane.TABLE))
    keys = [(row.api, row.operation, row.field) for row in rows]
    assert len(keys) == len(set(keys))
    assert sum(row.role == "built" for row in rows) == len(CONTROL) + len(DATA_PLANE)
    assert sum(row.role == "unsupported" for row in rows) == 105 + 34 - 23 - 20


# A field said to be honoured must be read by somebody: this finds one in a table that no handler
# looks at.


class _Watched(dict[str, Any]):
    """Arguments that note which of them were read."""

    def __init__(self, given: dict[str, Any], prefix: str, seen: set[str]) -> None:
        super().__init__(given)
        self._prefix = prefix
        self._seen = seen
        for name, value in given.items():
            self[name] = _watch(value, prefix + name, seen)

    def __getitem__(self, name: str) -> Any:
        self._seen.add(self._prefix + name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self._seen.add(self._prefix + name)
        return super().get(name, default)


def _watch(value: Any, path: str, seen: set[str]) -> Any:
    if isinstance(value, dict) and path.rpartition(".")[2] not in ("Tags", "DeadLetterQueue"):
        return _Watched(value, path + ".", seen)
    if isinstance(value, list):
        return [_watch(item, path, seen) for item in value]
    return value


def _sample(field: shapes.Field) -> Any:
    if field.fields is not None:
        inner = {name: _sample(one) for name, one in field.fields.fields.items()}
        return [inner] if field.kind == "list" else inner
    by_kind = {"integer": 7, "list": ["x"], "map": {"k": "v"}, "boolean": True}
    return by_kind.get(field.kind, "x")


def _values(name: str, given: Any) -> Any:
    known = {
        "EventBusName": "default",
        "RuleName": "orders",
        "FilterPattern": "{}",
        "Event": "{}",
        "EventPattern": "{}",
        "Type": "https",
        "Form": "CONSTANT",
        "Status": "ENABLE",
        "PushRetryStrategy": "BACKOFF_RETRY",
        "ErrorsTolerance": "ALL",
        "EventList": "[]",
        "NextToken": "",
    }
    return known.get(name, given)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("table", "name"),
    [
        (table, row.name)
        for table, _ in BOTH
        for row in table
        if row.handler is not None and not row.raw_body
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_honoured_parameter_is_read_by_the_handler(
    world: worlds.World, table: operations.Table, name: str
) -> None:
    row = table.named(name)
    seen: set[str] = set()
    given = {
        field.name: _values(field.name, _sample(field)) for field in row.params.fields.values()
    }
    call = operations.Call(
        world.services,
        policy.Principal(worlds.ACCOUNT, "k", root=True),
        http.Request("POST", "/"),
        _Watched(given, "", seen),
    )
    # The state may forbid it: what counts is what was looked at.
    with contextlib.suppress(errors.HeadraceError):
        await operations.run(row, call)
    unread = [
        path
        for path, field in row.params.walk()
        if path not in seen
        and "DeadLetterQueue." not in path
        and not path.startswith("EventList.")
        and (field.note is None or field.note.role == "honoured")
    ]
    assert unread == []
