"""The control API as its SDK and Terraform see it: shapes, codes, paging, parameters."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.api import shapes
from headrace.api.eventbridge import control, unsupported
from headrace.core import limits
from tests.unit.api import support
from tests.unit.api import world as worlds

pytestmark = pytest.mark.anyio

BUS_ARN = f"acs:eventbridge:{worlds.REGION}:{worlds.ACCOUNT}:eventbus/"
PATTERN = '{"source":["shop"]}'


def target(number: str = "1", **more: Any) -> dict[str, Any]:
    return {
        "Id": number,
        "Type": "https",
        "Endpoint": "https://hook.example.com/in",
        "ParamList": [
            {"ResourceKey": "url", "Form": "CONSTANT", "Value": "https://hook.example.com/in"},
            {"ResourceKey": "Body", "Form": "ORIGINAL"},
        ],
        **more,
    }


async def make_rule(world: worlds.World, name: str = "orders", **more: Any) -> None:
    await world.ok(
        "CreateRule", EventBusName="default", RuleName=name, FilterPattern=PATTERN, **more
    )


def fits(wanted: shapes.Shape, answer: Any) -> None:
    """Fail if `answer` holds a field that the operation's answer shape does not."""
    shapes.read(wanted, {k: v for k, v in answer.items() if k not in ENVELOPE})


ENVELOPE = ("RequestId", "Code", "Message", "Success")


# Buses ----------------------------------------------------------------------------------------


async def test_bus_is_made_read_changed_listed_and_deleted(world: worlds.World) -> None:
    made = await world.ok("CreateEventBus", EventBusName="shop", Description="orders")
    assert made["Data"] == {"EventBusARN": BUS_ARN + "shop"}
    got = (await world.ok("GetEventBus", EventBusName="shop"))["Data"]
    assert got == {
        "EventBusName": "shop",
        "EventBusARN": BUS_ARN + "shop",
        "Description": "orders",
        "CreateTimestamp": world.now,
    }
    await world.ok("UpdateEventBus", EventBusName="shop", Description="new")
    assert (await world.ok("GetEventBus", EventBusName="shop"))["Data"]["Description"] == "new"
    listed = (await world.ok("ListEventBuses"))["Data"]
    assert [bus["EventBusName"] for bus in listed["EventBuses"]] == ["default", "shop"]
    assert listed["Total"] == 2
    assert "NextToken" not in listed
    assert (await world.ok("DeleteEventBus", EventBusName="shop"))["Data"] is True
    assert (await world.refused("GetEventBus", EventBusName="shop"))[:2] == (
        409,
        "EventBusNotExist",
    )


async def test_bus_codes_of_terraform_and_the_sdk(world: worlds.World) -> None:
    await world.ok("CreateEventBus", EventBusName="shop")
    assert (await world.refused("CreateEventBus", EventBusName="shop"))[1] == "EventBusAlreadyExist"
    assert await world.refused("DeleteEventBus", EventBusName="none") == (
        409,
        "EventBusNotExist",
        "The event bus [none] not existed!",
    )
    await world.ok("CreateRule", EventBusName="shop", RuleName="r", FilterPattern="{}")
    code = (await world.refused("DeleteEventBus", EventBusName="shop"))[1]
    assert code == "EventBusRuleNotEmptyForDelete"


async def test_pages_follow_each_other_by_token(world: worlds.World) -> None:
    for name in ("a", "b", "c"):
        await world.ok("CreateEventBus", EventBusName=name)
    names: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = (await world.ok("ListEventBuses", Limit="2", **token))["Data"]
        names += [bus["EventBusName"] for bus in page["EventBuses"]]
        if "NextToken" not in page:
            break
        assert len(page["EventBuses"]) == 2
        token = {"NextToken": page["NextToken"]}
    assert names == ["a", "b", "c", "default"]
    prefixed = (await world.ok("ListEventBuses", NamePrefix="b"))["Data"]
    assert [bus["EventBusName"] for bus in prefixed["EventBuses"]] == ["b"]


@pytest.mark.parametrize("limit", ["0", "101", "-1"])
async def test_limit_out_of_range_has_the_documented_words(world: worlds.World, limit: str) -> None:
    for action, more in (("ListEventBuses", {}), ("ListRules", {"EventBusName": "default"})):
        assert await world.refused(action, Limit=limit, **more) == (
            400,
            "InvalidArgument",
            "Specified parameter Limit is not valid.",
        )


# Rules and targets ----------------------------------------------------------------------------


async def test_rule_shows_everything_that_was_sent(world: worlds.World) -> None:
    dead = {"Arn": f"acs:mns:{worlds.REGION}:{worlds.ACCOUNT}:/queues/dead", "Network": "x"}
    await world.services.catalog.create_queue(worlds.ACCOUNT, "dead")
    sent = target(
        PushRetryStrategy="EXPONENTIAL_DECAY_RETRY",
        ErrorsTolerance="ALL",
        DeadLetterQueue=dead,
        ConcurrentConfig={"Concurrency": 3},
    )
    await make_rule(world, Description="d", Status="DISABLE", EventTargets=[sent])
    answer = await world.ok("GetRule", EventBusName="default", RuleName="orders")
    fits(control.TABLE.named("GetRule").answer, answer)
    rule = answer["Data"]
    assert rule["RuleARN"] == BUS_ARN + "default/rule/orders"
    assert (rule["FilterPattern"], rule["Status"]) == (PATTERN, "DISABLE")
    assert (rule["Description"], rule["CreatedTimestamp"]) == ("d", world.now)
    shown = rule["Targets"][0]
    assert {key: shown[key] for key in sent} == sent
    assert (shown["PushSelector"], shown["DetailMap"]) == ("PARAM_TRANSFORMER", {})


async def test_target_shows_the_effective_value_of_what_was_not_sent(
    world: worlds.World,
) -> None:
    await make_rule(world, EventTargets=[target(DeadLetterQueue={})])
    rule = (await world.ok("GetRule", EventBusName="default", RuleName="orders"))["Data"]
    shown = rule["Targets"][0]
    assert shown["PushRetryStrategy"] == "BACKOFF_RETRY"
    assert shown["ErrorsTolerance"] == "ALL"
    assert "DeadLetterQueue" not in shown
    assert "ConcurrentConfig" not in shown


async def test_rule_without_targets_is_taken_and_listed(world: worlds.World) -> None:
    await make_rule(world)
    answer = await world.ok("ListRules", EventBusName="default")
    fits(control.TABLE.named("ListRules").answer, answer)
    rule = answer["Data"]["Rules"][0]
    assert (rule["RuleName"], rule["Targets"], rule["Status"]) == ("orders", [], "ENABLE")


async def test_rule_is_switched_updated_and_deleted(world: worlds.World) -> None:
    names = {"EventBusName": "default", "RuleName": "orders"}
    await make_rule(world)
    await world.ok("DisableRule", **names)
    assert (await world.ok("GetRule", **names))["Data"]["Status"] == "DISABLE"
    await world.ok("EnableRule", **names)
    assert (await world.ok("GetRule", **names))["Data"]["Status"] == "ENABLE"
    updated = await world.ok("UpdateRule", **names, FilterPattern="{}", Description="all")
    assert updated["Data"] is True
    rule = (await world.ok("GetRule", **names))["Data"]
    assert (rule["FilterPattern"], rule["Description"], rule["Status"]) == ("{}", "all", "ENABLE")
    await world.ok("DeleteRule", **names)
    assert (await world.refused("GetRule", **names))[:2] == (409, "EventRuleNotExisted")


async def test_deleting_a_missing_rule_is_no_error_but_says_so(world: worlds.World) -> None:
    """Terraform reads the code from an answer with status 200."""
    reply = await world.rpc("DeleteRule", EventBusName="default", RuleName="none")
    body = json.loads(reply.body)
    assert reply.status == 200
    assert (body["Code"], body["Success"]) == ("EventRuleNotExisted", False)


async def test_rule_codes(world: worlds.World) -> None:
    await make_rule(world)
    names = {"EventBusName": "default", "RuleName": "orders"}
    assert (await world.refused("CreateRule", **names, FilterPattern="{}"))[1] == (
        "EventRuleAlreadyExist"
    )
    assert (await world.refused("UpdateRule", **names, FilterPattern='{"source":1}'))[:2] == (
        409,
        "EventRuleFilterPatternSchemaError",
    )
    assert (
        await world.refused("CreateRule", EventBusName="none", RuleName="r", FilterPattern="{}")
    )[1] == "EventBusNotExist"
    for action in ("EnableRule", "DisableRule", "PutTargets"):
        more = {"Targets": [target()]} if action == "PutTargets" else {}
        code = await world.refused(action, EventBusName="default", RuleName="none", **more)
        assert code[:2] == (409, "EventRuleNotExisted"), action


async def test_targets_are_put_updated_listed_and_deleted(world: worlds.World) -> None:
    names = {"EventBusName": "default", "RuleName": "orders"}
    await make_rule(world)
    put = await world.ok("PutTargets", **names, Targets=[target("1"), target("2")])
    assert put["Data"] == {"ErrorEntries": [], "ErrorEntriesCount": 0}
    await world.ok("PutTargets", **names, Targets=[target("1", ErrorsTolerance="NONE")])
    answer = await world.ok("ListTargets", **names)
    fits(control.TABLE.named("ListTargets").answer, answer)
    listed = answer["Data"]["Targets"]
    assert [(t["Id"], t["ErrorsTolerance"], t["RuleName"]) for t in listed] == [
        ("1", "NONE", "orders"),
        ("2", "ALL", "orders"),
    ]
    gone = await world.ok("DeleteTargets", **names, TargetIds=["1", "nine"])
    entries = gone["Data"]["ErrorEntries"]
    assert [entry["EntryId"] for entry in entries] == ["nine"]
    assert gone["Data"]["ErrorEntriesCount"] == 1
    left = (await world.ok("ListTargets", **names))["Data"]
    assert [t["Id"] for t in left["Targets"]] == ["2"]


async def test_refused_targets_are_listed_and_the_others_kept(world: worlds.World) -> None:
    names = {"EventBusName": "default", "RuleName": "orders"}
    await make_rule(world)
    put = await world.ok("PutTargets", **names, Targets=[target("1"), target("2", Type="acs.nope")])
    entries = put["Data"]["ErrorEntries"]
    assert [entry["EntryId"] for entry in entries] == ["2"]
    assert entries[0]["ErrorCode"]
    assert entries[0]["ErrorMessage"]
    listed = (await world.ok("ListTargets", **names))["Data"]["Targets"]
    assert [t["Id"] for t in listed] == ["1"]


# Parameters -----------------------------------------------------------------------------------


async def test_query_form_json_and_flattened_make_the_same_rule(world: worlds.World) -> None:
    flat = {
        "EventTargets.1.Id": "1",
        "EventTargets.1.Type": "https",
        "EventTargets.1.Endpoint": "https://hook.example.com/in",
        "EventTargets.1.ParamList.1.ResourceKey": "url",
        "EventTargets.1.ParamList.1.Form": "CONSTANT",
        "EventTargets.1.ParamList.1.Value": "https://hook.example.com/in",
        "EventTargets.1.ParamList.2.ResourceKey": "Body",
        "EventTargets.1.ParamList.2.Form": "ORIGINAL",
    }
    await make_rule(world, "json", EventTargets=[target()])
    await make_rule(world, "form", form=True, EventTargets=[target()])
    await make_rule(world, "flat", **flat)
    shown = [
        (await world.ok("GetRule", EventBusName="default", RuleName=name))["Data"]["Targets"]
        for name in ("json", "form", "flat")
    ]
    assert shown[0] == shown[1] == shown[2]


async def test_param_list_takes_the_small_first_letters_of_the_console(
    world: worlds.World,
) -> None:
    params = [{"resourceKey": "Body", "form": "CONSTANT", "value": {"a": 1}}]
    await make_rule(world, EventTargets=[target(ParamList=params)])
    rule = (await world.ok("GetRule", EventBusName="default", RuleName="orders"))["Data"]
    assert rule["Targets"][0]["ParamList"] == [
        {"ResourceKey": "Body", "Form": "CONSTANT", "Value": '{"a":1}'}
    ]


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_rpc_v1_is_taken_from_form_and_query(world: worlds.World, method: str) -> None:
    params = {
        "Action": "CreateEventBus",
        "EventBusName": "tf",
        "RegionId": "cn-hangzhou",
        "ClientToken": "t",
    }
    reply = await world.rpc_v1(params, method=method)
    assert json.loads(reply.body)["Code"] == "Success"
    await world.ok("GetEventBus", EventBusName="tf")


async def test_unknown_parameter_is_refused_by_name(world: worlds.World) -> None:
    status, code, message = await world.refused("GetEventBus", EventBusName="default", Colour="x")
    assert (status, code) == (400, "InvalidParameter")
    assert "Colour" in message
    status, _, message = await world.refused(
        "CreateRule",
        EventBusName="default",
        RuleName="r",
        FilterPattern="{}",
        EventTargets=[target(Colour="x")],
    )
    assert status == 400
    assert "EventTargets.1.Colour" in message


async def test_parameters_of_the_protocol_are_taken_with_every_action(
    world: worlds.World,
) -> None:
    await world.ok(
        "GetEventBus", EventBusName="default", RegionId="cn-beijing", ClientToken="t", Format="JSON"
    )


async def test_missing_parameter_is_named(world: worlds.World) -> None:
    status, code, message = await world.refused("CreateRule", EventBusName="default", RuleName="r")
    assert (status, code) == (400, "MissingParameter")
    assert "FilterPattern" in message


async def test_client_token_makes_a_create_repeatable(world: worlds.World) -> None:
    first = await world.rpc("CreateEventBus", EventBusName="shop", ClientToken="t")
    again = await world.rpc("CreateEventBus", EventBusName="shop", ClientToken="t")
    assert json.loads(again.body)["Data"] == json.loads(first.body)["Data"]
    assert (await world.refused("CreateEventBus", EventBusName="other", ClientToken="t"))[1] == (
        "IdempotentParameterMismatch"
    )
    assert (await world.refused("CreateEventBus", EventBusName="shop", ClientToken="u"))[1] == (
        "EventBusAlreadyExist"
    )


# Actions that are not there -------------------------------------------------------------------


async def test_every_action_of_the_cloud_is_built_or_named_as_unsupported() -> None:
    rows = list(control.TABLE)
    assert len(rows) == 105
    built = {row.name for row in rows if row.handler is not None}
    assert built.isdisjoint(unsupported.ACTIONS)
    assert len(built) == 23


@pytest.mark.parametrize("action", ["CreateEventStreaming", "AskLuma", "Frobnicate"])
async def test_action_that_is_not_built_has_the_apis_own_code(
    world: worlds.World, action: str
) -> None:
    status, code, message = await world.refused(action, Whatever="1")
    assert (status, code) == (404, "InvalidAction.NotFound")
    assert action in message


async def test_other_version_and_no_action_are_refused(world: worlds.World) -> None:
    reply = await world.send("POST", "/", headers={"x-acs-action": "X", "x-acs-version": "2014"})
    assert json.loads(reply.body)["Code"] == "InvalidVersion"
    reply = await world.send("POST", "/")
    assert json.loads(reply.body)["Code"] == "MissingParameter"


# Identity -------------------------------------------------------------------------------------


async def test_unsigned_and_wrongly_signed_requests_are_refused(world: worlds.World) -> None:
    headers = {"x-acs-action": "ListEventBuses", "x-acs-version": control.VERSION}
    bare = await support.ask(world.app, "POST", "/", headers=headers)
    assert bare.status == 403
    assert json.loads(bare.body)["Code"] == "MissingSignature"
    wrong = worlds.keys.Key(worlds.KEY.access_key_id, "another", worlds.ACCOUNT)
    reply = await world.send("POST", "/", headers=headers, key=wrong)
    assert reply.status == 403
    assert json.loads(reply.body)["Code"] == "SignatureDoesNotMatch"


async def test_action_is_not_told_apart_before_the_caller_is_known(world: worlds.World) -> None:
    for action in ("ListEventBuses", "AskLuma", "Frobnicate"):
        headers = {"x-acs-action": action, "x-acs-version": control.VERSION}
        reply = await support.ask(world.app, "POST", "/", headers=headers)
        assert json.loads(reply.body)["Code"] == "MissingSignature"


async def test_denied_action_is_refused_and_does_nothing(world: worlds.World) -> None:
    asked: list[tuple[str, str]] = []

    def deny(principal: Any, action: str, resource: str) -> None:
        asked.append((action, resource))
        raise worlds.policy.errors.AccessDenied

    world.services.authorize = deny
    assert (await world.refused("CreateEventBus", EventBusName="shop"))[:2] == (403, "AccessDenied")
    assert asked == [("eventbridge:CreateEventBus", BUS_ARN + "shop")]
    world.services.authorize = worlds.policy.authorize
    assert (await world.refused("GetEventBus", EventBusName="shop"))[1] == "EventBusNotExist"


async def test_every_built_operation_names_action_and_answers_an_arn() -> None:
    for row in control.TABLE:
        if row.handler is not None:
            assert row.action == f"eventbridge:{row.name}"


# Odds and ends --------------------------------------------------------------------------------


async def test_pattern_is_tested_without_a_rule(world: worlds.World) -> None:
    event = {"id": "1", "source": "shop", "type": "order", "specversion": "1.0"}
    for pattern, result in ((PATTERN, True), ('{"source":["bank"]}', False)):
        answer = await world.ok("TestEventPattern", form=True, Event=event, EventPattern=pattern)
        assert answer["Data"] == {"Result": result}
    assert (await world.refused("TestEventPattern", Event=event, EventPattern="{"))[1] == (
        "EventRuleFilterPatternSchemaError"
    )
    assert (await world.refused("TestEventPattern", Event="[1]", EventPattern="{}"))[0] == 400


async def test_service_linked_roles_are_always_there(world: worlds.World) -> None:
    product = "AliyunServiceRoleForEventBridgeSendToFC"
    checked = await world.ok("CheckServiceLinkedRoleForProduct", ProductName=product)
    assert checked["Data"] == {"CheckPass": True, "StsRoleName": product}
    made = await world.ok("CreateServiceLinkedRoleForProduct", ProductName=product)
    assert made["HttpCode"] == 200


async def test_strict_limits_reach_the_face() -> None:
    async with worlds.world(limits.STRICT) as world:
        events = [{"Id": str(n), "Source": "s", "Type": "t"} for n in range(17)]
        status, _, message = await world.refused(
            "PutEvents", form=True, EventBusName="default", EventList=events
        )
        assert status == 400
        assert "16" in message
        large = [event | {"Data": "x" * 200_000} for event in events[:6]]
        status, code, _ = await world.refused(
            "PutEvents", form=True, EventBusName="default", EventList=large
        )
        assert (status, code) == (413, "EntityTooLarge")


async def test_client_token_is_bounded(world: worlds.World) -> None:
    """Ten thousand are kept: one must not be as large as a header."""
    name, token = "shop", "t" * 257
    status, code, _ = await world.refused("CreateEventBus", EventBusName=name, ClientToken=token)
    assert (status, code) == (400, "InvalidArgument")
