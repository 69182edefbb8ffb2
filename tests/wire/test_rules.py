"""Rules through the control SDK: effect, documented errors, state after restart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.wire import making, processes, sdk

ORDERS = making.pattern(source=["my.shop"])
URL = "http://127.0.0.1:9/hook"


@pytest.fixture
def rule(eventbridge: sdk.EventBridge, bus: str) -> dict[str, str]:
    """A new rule without targets, as the arguments that name it."""
    eventbridge.create_rule(EventBusName=bus, RuleName="orders", FilterPattern=ORDERS)
    return {"EventBusName": bus, "RuleName": "orders"}


def test_rule_is_created_and_shows_everything_that_was_sent(
    eventbridge: sdk.EventBridge, server: processes.Server, bus: str
) -> None:
    target = making.http_target(
        URL,
        body=making.param("Body", "TEMPLATE", json.dumps({"id": "$.id"}), "event ${id}"),
        PushRetryStrategy="EXPONENTIAL_DECAY_RETRY",
        ErrorsTolerance="NONE",
        ConcurrentConfig={"Concurrency": 3},
    )
    created = eventbridge.create_rule(
        EventBusName=bus, RuleName="orders", Description="all of them", FilterPattern=ORDERS,
        Status="DISABLE", EventTargets=[target],
    )  # fmt: skip
    arn = f"acs:eventbridge:{server.region}:{server.account}:eventbus/{bus}/rule/orders"
    assert created.body["Code"] == "Success"
    assert created.data == {"RuleARN": arn}
    read = eventbridge.get_rule(EventBusName=bus, RuleName="orders").data
    assert read.pop("CreatedTimestamp") > 1_700_000_000_000
    (shown,) = read.pop("Targets")
    assert read == {
        "EventBusName": bus, "RuleName": "orders", "RuleARN": arn, "Description": "all of them",
        "FilterPattern": ORDERS, "Status": "DISABLE",
    }  # fmt: skip
    assert shown == target | {"PushSelector": "PARAM_TRANSFORMER", "DetailMap": {}}


def test_unsent_settings_of_rule_and_target_show_what_holds(
    eventbridge: sdk.EventBridge, bus: str
) -> None:
    bare = {"Id": "t1", "Type": "http", "Endpoint": URL, "DeadLetterQueue": {}}
    eventbridge.create_rule(
        EventBusName=bus, RuleName="orders", FilterPattern="{}", EventTargets=[bare]
    )
    read = eventbridge.get_rule(EventBusName=bus, RuleName="orders").data
    assert read["Status"] == "ENABLE"
    (shown,) = read["Targets"]
    assert shown["PushRetryStrategy"] == "BACKOFF_RETRY"
    assert shown["ErrorsTolerance"] == "ALL"
    assert shown["PushSelector"] == "MATCHED_EVENT"
    assert not shown.get("DeadLetterQueue")


def test_update_changes_what_is_given_and_keeps_the_targets(
    eventbridge: sdk.EventBridge, bus: str
) -> None:
    eventbridge.create_rule(
        EventBusName=bus, RuleName="orders", FilterPattern=ORDERS, Description="old",
        EventTargets=[making.http_target(URL)],
    )  # fmt: skip
    before = eventbridge.get_rule(EventBusName=bus, RuleName="orders").data
    other = making.pattern(type=["order"])
    updated = eventbridge.update_rule(EventBusName=bus, RuleName="orders", FilterPattern=other)
    assert updated.body["Code"] == "Success"
    assert updated.data is True
    after = eventbridge.get_rule(EventBusName=bus, RuleName="orders").data
    assert after == before | {"FilterPattern": other}


def test_rule_is_switched_off_and_on(eventbridge: sdk.EventBridge, rule: dict[str, str]) -> None:
    assert eventbridge.disable_rule(**rule).body["Code"] == "Success"
    assert eventbridge.get_rule(**rule).data["Status"] == "DISABLE"
    assert eventbridge.enable_rule(**rule).body["Code"] == "Success"
    assert eventbridge.get_rule(**rule).data["Status"] == "ENABLE"


def test_rules_are_listed_by_prefix_in_pages_with_short_targets(
    eventbridge: sdk.EventBridge, bus: str
) -> None:
    for letter in "abc":
        eventbridge.create_rule(
            EventBusName=bus, RuleName=f"of-{letter}", FilterPattern=ORDERS,
            EventTargets=[making.http_target(URL)],
        )  # fmt: skip
    eventbridge.create_rule(EventBusName=bus, RuleName="other", FilterPattern=ORDERS)
    first = eventbridge.list_rules(EventBusName=bus, RuleNamePrefix="of-", Limit=2).data
    second = eventbridge.list_rules(
        EventBusName=bus, RuleNamePrefix="of-", Limit=2, NextToken=first["NextToken"]
    ).data
    names = [rule["RuleName"] for rule in first["Rules"] + second["Rules"]]
    assert names == ["of-a", "of-b", "of-c"]
    assert first["Total"] == second["Total"] == 3
    assert "NextToken" not in second
    assert first["Rules"][0]["FilterPattern"] == ORDERS
    assert first["Rules"][0]["Targets"] == [
        {
            "Id": "t1", "Type": "http", "Endpoint": URL, "ErrorsTolerance": "ALL",
            "PushSelector": "PARAM_TRANSFORMER",
        }
    ]  # fmt: skip


def test_deleted_rule_is_gone(eventbridge: sdk.EventBridge, rule: dict[str, str]) -> None:
    assert eventbridge.delete_rule(**rule).body["Success"] is True
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.get_rule(**rule)
    assert refused.value.code == "EventRuleNotExisted"


def test_deleting_a_missing_rule_is_no_exception_but_says_so(
    eventbridge: sdk.EventBridge, bus: str
) -> None:
    """Terraform looks for the code on an answer that is no error (spec, 2.4)."""
    answer = eventbridge.delete_rule(EventBusName=bus, RuleName="nothing")
    assert answer.status == 200
    assert answer.body["Code"] == "EventRuleNotExisted"
    assert answer.body["Success"] is False


@pytest.mark.parametrize("operation", ["get_rule", "update_rule", "enable_rule", "disable_rule"])
def test_missing_rule_is_an_error_with_its_code(
    eventbridge: sdk.EventBridge, bus: str, operation: str
) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        getattr(eventbridge, operation)(EventBusName=bus, RuleName="nothing")
    assert (refused.value.code, refused.value.status) == ("EventRuleNotExisted", 409)


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("create_rule", {"RuleName": "r", "FilterPattern": "{}"}),
        ("get_rule", {"RuleName": "r"}),
        ("update_rule", {"RuleName": "r"}),
        ("delete_rule", {"RuleName": "r"}),
        ("enable_rule", {"RuleName": "r"}),
        ("disable_rule", {"RuleName": "r"}),
        ("list_rules", {}),
    ],
)
def test_missing_bus_is_an_error_of_every_operation_on_rules(
    eventbridge: sdk.EventBridge, operation: str, more: dict[str, str]
) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        getattr(eventbridge, operation)(EventBusName="nowhere", **more)
    assert (refused.value.code, refused.value.status) == ("EventBusNotExist", 409)


def test_second_rule_of_a_name_is_refused(
    eventbridge: sdk.EventBridge, rule: dict[str, str]
) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.create_rule(**rule, FilterPattern="{}")
    assert (refused.value.code, refused.value.status) == ("EventRuleAlreadyExist", 409)
    assert eventbridge.get_rule(**rule).data["FilterPattern"] == ORDERS


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"RuleName": "-r"}, "EventRuleNameInvalid"),
        ({"Status": "ON"}, "InvalidArgument"),
        ({"FilterPattern": "{"}, "EventRuleFilterPatternSchemaError"),
        ({"FilterPattern": '{"source":"my.shop"}'}, "EventRuleFilterPatternSchemaError"),
    ],
)
def test_rule_that_breaks_a_rule_is_refused_and_not_kept(
    eventbridge: sdk.EventBridge, bus: str, changed: dict[str, str], code: str
) -> None:
    given = {"EventBusName": bus, "RuleName": "r", "FilterPattern": "{}"} | changed
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.create_rule(**given)
    assert refused.value.code == code
    assert refused.value.status in (400, 409)
    assert eventbridge.list_rules(EventBusName=bus).data["Total"] == 0


def test_pattern_error_names_the_field_and_the_rule_broken(
    eventbridge: sdk.EventBridge, rule: dict[str, str]
) -> None:
    broken = json.dumps({"data": {"amount": [{"numeric": ["~", 5]}]}})
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.update_rule(**rule, FilterPattern=broken)
    assert refused.value.code == "EventRuleFilterPatternSchemaError"
    assert "data.amount" in refused.value.message
    assert "numeric" in refused.value.message
    assert eventbridge.get_rule(**rule).data["FilterPattern"] == ORDERS


@pytest.mark.parametrize(
    ("target", "code"),
    [
        (
            {"Type": "acs.sls", "Endpoint": "acs:sls:cn-hangzhou:1:project/p/logstore/l"},
            "EventTargetClassNotExist",
        ),
        ({"Type": "http", "Endpoint": "ftp://example.com"}, "EventTargetIneffectiveAttribute"),
        (
            making.http_target(URL, body=making.param("Body", "TEMPLATE", "[1]", "${a}")),
            "EventTargetIneffectiveAttribute",
        ),
        (
            making.http_target(URL, body=making.param("Colour", "CONSTANT", "red")),
            "EventTargetIneffectiveAttribute",
        ),
    ],
)
def test_rule_with_a_target_that_cannot_work_is_refused_whole(
    eventbridge: sdk.EventBridge, bus: str, target: dict[str, Any], code: str
) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.create_rule(
            EventBusName=bus, RuleName="r", FilterPattern="{}",
            EventTargets=[making.http_target(URL, id="good"), {**target, "Id": "bad"}],
        )  # fmt: skip
    assert (refused.value.code, refused.value.status) == (code, 409)
    assert "EventTargets[1]" in refused.value.message
    assert eventbridge.list_rules(EventBusName=bus).data["Total"] == 0


def test_pattern_is_tested_without_a_rule(eventbridge: sdk.EventBridge) -> None:
    event = json.dumps({"id": "1", "source": "my.shop", "type": "order", "data": {"amount": 12.5}})

    def result(**fields: Any) -> bool:
        tested = eventbridge.test_event_pattern(Event=event, EventPattern=making.pattern(**fields))
        return tested.data["Result"]

    assert result(source=["my.shop"]) is True
    assert result(source=[{"prefix": "my."}], data={"amount": [{"numeric": [">", 12]}]}) is True
    assert result(source=["other"]) is False
    assert result(data={"amount": [{"numeric": [">", 13]}]}) is False


def test_testing_a_broken_pattern_or_event_is_refused(eventbridge: sdk.EventBridge) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.test_event_pattern(Event="{}", EventPattern='{"source":"x"}')
    assert refused.value.code == "EventRuleFilterPatternSchemaError"
    assert "source" in refused.value.message
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.test_event_pattern(Event="[", EventPattern="{}")
    assert (refused.value.code, refused.value.status) == ("InvalidArgument", 400)


def test_service_linked_roles_are_always_there(eventbridge: sdk.EventBridge) -> None:
    product = "AliyunServiceRoleForEventBridgeSendToFC"
    checked = eventbridge.check_service_linked_role_for_product(ProductName=product)
    assert checked.data["CheckPass"] is True
    made = eventbridge.create_service_linked_role_for_product(ProductName=product)
    assert made.body["Code"] == "Success"


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_rules_are_as_they_were_after_a_restart(
    eventbridge: sdk.EventBridge, server: processes.Server, bus: str, how: str
) -> None:
    for name in ("kept", "off", "on", "gone"):
        eventbridge.create_rule(
            EventBusName=bus, RuleName=name, FilterPattern=ORDERS,
            EventTargets=[making.http_target(URL)],
        )  # fmt: skip
    eventbridge.update_rule(
        EventBusName=bus, RuleName="kept", FilterPattern="{}", Description="new"
    )
    eventbridge.disable_rule(EventBusName=bus, RuleName="off")
    eventbridge.disable_rule(EventBusName=bus, RuleName="on")
    eventbridge.enable_rule(EventBusName=bus, RuleName="on")
    eventbridge.delete_rule(EventBusName=bus, RuleName="gone")
    listed = eventbridge.list_rules(EventBusName=bus).data
    read = eventbridge.get_rule(EventBusName=bus, RuleName="kept").data
    server.restart(how)
    assert eventbridge.list_rules(EventBusName=bus).data == listed
    assert [(rule["RuleName"], rule["Status"]) for rule in listed["Rules"]] == [
        ("kept", "ENABLE"), ("off", "DISABLE"), ("on", "ENABLE"),
    ]  # fmt: skip
    assert eventbridge.get_rule(EventBusName=bus, RuleName="kept").data == read
    assert read["FilterPattern"] == "{}"
    assert read["Description"] == "new"
