"""Triggers through the FC face: what was sent is what is read, and the bus's rules are seen."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.resources import inputs
from tests.unit.api.fc.conftest import ACCOUNT, REGION, Door, headers_of

pytestmark = pytest.mark.anyio

CONFIG = json.dumps(
    {
        "triggerEnable": True,
        "asyncInvocationType": False,
        "eventRuleFilterPattern": '{"source":["shop"]}',
        "eventSourceConfig": {"eventSourceType": "Default"},
    },
    indent=1,
)
PATH = "/functions/hello/triggers"


def body(name: str = "orders", **fields: Any) -> dict[str, Any]:
    given = {"triggerName": name, "triggerType": "eventbridge", "triggerConfig": CONFIG}
    return {**given, **fields}


async def test_a_trigger_is_shown_with_the_wires_keys_and_its_config_as_sent(door: Door) -> None:
    await door.create()
    status, made = await door.ask("POST", PATH, body(description="d", invocationRole="r"))
    assert status == 200, made
    assert made["triggerName"] == "orders"
    assert made["triggerType"] == "eventbridge"
    assert made["triggerConfig"] == CONFIG
    assert (made["description"], made["invocationRole"]) == ("d", "r")
    assert made["qualifier"] == "LATEST"
    prefix = f"acs:fc:{REGION}:{ACCOUNT}:functions/hello"
    assert made["targetArn"].startswith(prefix)
    assert made["sourceArn"].endswith("eventbus/default/rule/hello-orders")
    assert made["createdTime"] == "2023-11-14T22:13:20Z"
    assert await door.ask("GET", PATH + "/orders") == (200, made)


async def test_a_second_trigger_of_a_name_is_a_409(door: Door) -> None:
    await door.create()
    await door.ask("POST", PATH, body())
    status, error = await door.ask("POST", PATH, body())
    assert (status, error["Code"]) == (409, "TriggerAlreadyExists")


async def test_a_trigger_of_no_function_is_a_404(door: Door) -> None:
    status, error = await door.ask("POST", PATH, body())
    assert (status, error["Code"]) == (404, "FunctionNotFound")
    await door.create()
    status, error = await door.ask("GET", PATH + "/none")
    assert (status, error["Code"]) == (404, "TriggerNotFound")


@pytest.mark.parametrize(
    "fields",
    [
        {"triggerName": None},
        {"triggerType": None},
        {"triggerConfig": None},
        {"triggerConfig": "{"},
        {"triggerConfig": "[]"},
        {"triggerConfig": {"a": 1}},
        {"triggerConfig": '{"eventRuleFilterPattern":"{","eventSourceConfig":{}}'},
        {"triggerName": "1bad"},
        {"surprise": 1},
    ],
)
async def test_a_trigger_that_is_wrong_is_refused(door: Door, fields: dict[str, Any]) -> None:
    await door.create()
    status, error = await door.ask("POST", PATH, body(**fields))
    assert (status, error["Code"]) == (400, "InvalidArgument"), error
    assert (await door.ask("GET", PATH))[1] == {"triggers": []}


async def test_an_update_changes_config_and_description_only(door: Door) -> None:
    await door.create()
    await door.ask("POST", PATH, body())
    config = CONFIG.replace("shop", "bank")
    patch = {"triggerConfig": config, "description": "new"}
    status, after = await door.ask("PUT", PATH + "/orders", patch)
    assert status == 200, after
    assert (after["triggerConfig"], after["description"]) == (config, "new")
    rule, _ = door.services.catalog.get_rule(ACCOUNT, "default", "hello-orders")
    assert json.loads(rule.pattern) == {"source": ["bank"]}
    for fixed in ({"triggerType": "timer"}, {"sourceArn": "x"}):
        assert (await door.ask("PUT", PATH + "/orders", fixed))[0] == 400


async def test_an_edit_on_a_revision_that_passed_is_a_409(door: Door) -> None:
    await door.create()
    await door.ask("POST", PATH, body())
    seen = headers_of(await door.raw("GET", PATH + "/orders"))["x-headrace-revision"]
    guard = {"x-headrace-revision": seen}
    assert (await door.ask("PUT", PATH + "/orders", {"description": "1"}, headers=guard))[0] == 200
    status, error = await door.ask("PUT", PATH + "/orders", {"description": "2"}, headers=guard)
    assert (status, error["Code"]) == (409, "EditConflict")
    assert (await door.ask("DELETE", PATH + "/orders", headers=guard))[0] == 409


async def test_delete_is_a_204_and_takes_the_rule_along(door: Door) -> None:
    await door.create()
    await door.ask("POST", PATH, body())
    assert await door.ask("DELETE", PATH + "/orders") == (204, None)
    assert door.services.catalog.list_rules(ACCOUNT, "default").items == []


async def remote_rule(door: Door) -> None:
    target = inputs.TargetInput(
        id="t1",
        type="acs.fc.function",
        endpoint=f"acs:fc:{REGION}:{ACCOUNT}:functions/hello",
        params=[inputs.ParamInput("Body", "ORIGINAL")],
    )
    rule = inputs.RuleInput(name="by-hand", pattern='{"source":["x"]}', targets=[target])
    await door.services.catalog.create_rule(ACCOUNT, "default", rule)


async def test_rules_of_the_bus_that_call_the_function_are_listed_too(door: Door) -> None:
    await door.create()
    await remote_rule(door)
    await door.ask("POST", PATH, body())
    _, listed = await door.ask("GET", PATH)
    names = [trigger["triggerName"] for trigger in listed["triggers"]]
    assert sorted(names) == ["default|by-hand|t1", "orders"]


@pytest.mark.parametrize(("value", "shown"), [("true", 0), ("false", 1), ("TRUE", 0)])
async def test_a_header_leaves_out_what_the_bus_made(door: Door, value: str, shown: int) -> None:
    await door.create()
    await remote_rule(door)
    headers = {"x-fc-disable-list-remote-eb-triggers": value}
    _, listed = await door.ask("GET", PATH, headers=headers)
    assert len(listed["triggers"]) == shown


async def test_a_remote_trigger_is_read_by_its_encoded_name(door: Door) -> None:
    await door.create()
    await remote_rule(door)
    status, one = await door.ask("GET", PATH + "/default%7Cby-hand%7Ct1")
    assert status == 200, one
    assert one["triggerName"] == "default|by-hand|t1"
    config = json.loads(one["triggerConfig"])
    assert json.loads(config["eventRuleFilterPattern"]) == {"source": ["x"]}
