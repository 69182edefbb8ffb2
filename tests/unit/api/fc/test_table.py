"""The operation table of FC 3.0 is whole, and says what each row is about."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, cast

import pytest

from headrace.api import shapes
from headrace.api.fc import models, table, wire
from headrace.resources import fields

BUILT = {
    "CreateFunction", "GetFunction", "ListFunctions", "UpdateFunction", "DeleteFunction",
    "GetFunctionCode", "InvokeFunction", "CreateTrigger", "GetTrigger", "ListTriggers",
    "UpdateTrigger", "DeleteTrigger", "ListFunctionVersions", "DescribeRegions",
}  # fmt: skip


def row(name: str) -> Any:
    return next(row for row in table.TABLE if row.name == name)


def resource_of(name: str, **args: str) -> str:
    call = SimpleNamespace(args=args, account="1", services=SimpleNamespace(region="r"))
    return row(name).resource(cast("Any", call))


def test_all_73_operations_of_the_sdk_have_a_row() -> None:
    rows = list(table.TABLE)
    assert len(rows) == 73
    assert len({row.path for row in rows}) == 43
    assert all(row.action == f"fc:{row.name}" for row in rows)
    assert all(row.path.startswith("/2023-03-30/") for row in rows)


def test_exactly_the_built_operations_have_a_handler() -> None:
    assert {row.name for row in table.TABLE if row.handler is not None} == BUILT


def test_every_model_is_used_and_every_used_model_is_there() -> None:
    text = wire.OPERATIONS + " ".join(models.MODELS.values())
    used = set(re.findall(r"[>:<\[] ?([A-Z]\w+)", text))
    assert used == models.MODELS.keys()


@pytest.mark.parametrize(
    ("name", "args", "expected"),
    [
        ("CreateFunction", {"functionName": "f"}, "functions/f"),
        ("ListFunctions", {}, "functions/*"),
        ("GetFunction", {"functionName": "f"}, "functions/f"),
        ("GetFunctionCode", {"functionName": "f"}, "functions/f"),
        ("InvokeFunction", {"functionName": "f"}, "functions/f"),
        ("CreateTrigger", {"functionName": "f", "triggerName": "t"}, "functions/f/triggers/t"),
        ("ListTriggers", {"functionName": "f"}, "functions/f/triggers/*"),
        ("DeleteTrigger", {"functionName": "f", "triggerName": "t"}, "functions/f/triggers/t"),
        ("StopAsyncTask", {"functionName": "f", "taskId": "t"}, "functions/f"),
        ("GetLayerVersion", {"layerName": "l", "version": "3"}, "layers/l/versions/3"),
        ("DescribeRegions", {}, "regions/*"),
    ],
)
def test_each_row_names_what_it_is_about(name: str, args: dict[str, str], expected: str) -> None:
    assert resource_of(name, **args) == f"acs:fc:r:1:{expected}"


def test_every_field_of_a_function_has_the_fate_the_catalog_gives_it() -> None:
    for name in ("CreateFunction", "UpdateFunction"):
        for field in row(name).params.fields.values():
            rule = fields.FUNCTION_FIELDS[field.name]
            role = field.note.role if field.note else "honoured"
            assert role == rule.fate, field.name


def test_update_has_no_tags_and_no_resource_group() -> None:
    assert not {"tags", "resourceGroupId"} & row("UpdateFunction").params.fields.keys()


def test_models_nest_as_the_sdk_has_them() -> None:
    listed = row("ListFunctions").answer.fields["functions"]
    assert listed.kind == "list"
    assert isinstance(listed.fields, shapes.Shape)
    health = listed.fields.fields["customRuntimeConfig"].fields
    assert health is not None
    assert health.fields["healthCheckConfig"].fields is not None
