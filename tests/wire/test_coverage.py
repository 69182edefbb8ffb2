"""Every operation that the server says it has is driven by an official SDK somewhere in here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.wire import native

#: Which facade of `sdk` calls the operations of which API.
APIS = {
    "EventBridge": "eventbridge",
    "EventBridge data plane": "data_plane",
    "Function Compute": "functions",
}
#: The SDK's own name for an operation, where it differs.
RENAMED = {"query_events_by_event_ids": "query_events"}
MODULES = sorted(Path(__file__).parent.glob("test_*.py"))


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


@pytest.mark.parametrize("api", APIS)
def test_every_built_operation_is_driven_by_its_sdk(own_api: native.Native, api: str) -> None:
    rows = own_api.get("compatibility")["rows"]
    built = {r["operation"] for r in rows if r["api"] == api and r["role"] == "built"}
    assert len(built) > 10
    text = "\n".join(module.read_text() for module in MODULES if APIS[api] in module.read_text())
    undriven = {
        name
        for name in built
        if not re.search(rf"\b{APIS[api]}\.{RENAMED.get(snake(name), snake(name))}\b", text)
    }
    assert not undriven
