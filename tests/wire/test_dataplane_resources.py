"""Buses, rules and targets through the data-plane SDK: effect, errors, state after restart."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wire import making, processes, sdk

URL = "http://127.0.0.1:9/hook"
ORDERS = making.pattern(source=["my.shop"])


@pytest.fixture
def bus(data_plane: sdk.DataPlane) -> str:
    made = making.name("bus")
    data_plane.create_event_bus(EventBusName=made)
    return made


@pytest.fixture
def rule(data_plane: sdk.DataPlane, bus: str) -> dict[str, str]:
    """A new rule with target t1, as the arguments that name it."""
    named = {"EventBusName": bus, "RuleName": "orders"}
    data_plane.create_rule(**named, FilterPattern=ORDERS, Targets=[making.http_target(URL)])
    return named


def arn(server: processes.Server, rest: str) -> str:
    return f"acs:eventbridge:{server.region}:{server.account}:{rest}"


def test_bus_is_created_read_listed_and_deleted(
    data_plane: sdk.DataPlane, server: processes.Server
) -> None:
    name = making.name("shop")
    created = data_plane.create_event_bus(
        EventBusName=name, Description="of the shop", Tags={"team": "blue"}
    ).body
    assert created["EventBusARN"] == arn(server, f"eventbus/{name}")
    assert created["RequestId"]
    assert created["ResourceOwnerAccountId"] == server.account
    read = data_plane.get_event_bus(EventBusName=name).body
    assert read["CreateTimestamp"] > 1_700_000_000_000
    assert (read["EventBusName"], read["Description"]) == (name, "of the shop")
    assert read["EventBusARN"] == created["EventBusARN"]
    assert read["Tags"] == {"team": "blue"}
    listed = data_plane.list_event_buses(NamePrefix=name).body
    assert [entry["EventBusName"] for entry in listed["EventBuses"]] == [name]
    assert (listed["Total"], listed["NextToken"]) == (1, "")
    data_plane.delete_event_bus(EventBusName=name)
    with pytest.raises(sdk.SdkError) as refused:
        data_plane.get_event_bus(EventBusName=name)
    assert refused.value.code == "EventBusNotExist"


def test_buses_come_in_pages(data_plane: sdk.DataPlane) -> None:
    prefix = making.name("paged")
    for letter in "abc":
        data_plane.create_event_bus(EventBusName=f"{prefix}-{letter}")
    first = data_plane.list_event_buses(NamePrefix=prefix, Limit=2).body
    second = data_plane.list_event_buses(
        NamePrefix=prefix, Limit=2, NextToken=first["NextToken"]
    ).body
    names = [bus["EventBusName"] for bus in first["EventBuses"] + second["EventBuses"]]
    assert names == [f"{prefix}-{letter}" for letter in "abc"]
    assert second["NextToken"] == ""


def test_bus_errors_have_the_same_codes_as_on_the_control_plane(
    data_plane: sdk.DataPlane, bus: str, rule: dict[str, str]
) -> None:
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("create_event_bus", {"EventBusName": bus}, "EventBusAlreadyExist"),
        ("create_event_bus", {"EventBusName": "-x"}, "EventBusNameInvalid"),
        ("get_event_bus", {"EventBusName": "nowhere"}, "EventBusNotExist"),
        ("delete_event_bus", {"EventBusName": "nowhere"}, "EventBusNotExist"),
        ("delete_event_bus", {"EventBusName": bus}, "EventBusRuleNotEmptyForDelete"),
        ("list_event_buses", {"Limit": 101}, "InvalidArgument"),
    ]
    for operation, args, code in cases:
        with pytest.raises(sdk.SdkError) as refused:
            getattr(data_plane, operation)(**args)
        assert refused.value.code == code, operation
        assert refused.value.message.startswith(
            f"[EventBridgeError-{refused.value.data['requestId']}]"
        )


def test_rule_is_created_and_shows_everything_that_was_sent(
    data_plane: sdk.DataPlane, server: processes.Server, bus: str
) -> None:
    target = making.http_target(
        URL, PushRetryStrategy="EXPONENTIAL_DECAY_RETRY", ConcurrentConfig={"Concurrency": 2}
    )
    created = data_plane.create_rule(
        EventBusName=bus, RuleName="orders", Description="all", Status="DISABLE",
        FilterPattern=ORDERS, Targets=[target], Tags={"team": "blue"},
    ).body  # fmt: skip
    assert created["RuleARN"] == arn(server, f"eventbus/{bus}/rule/orders")
    read = data_plane.get_rule(EventBusName=bus, RuleName="orders").body
    assert read["RuleARN"] == created["RuleARN"]
    assert (read["Description"], read["Status"]) == ("all", "DISABLE")
    assert read["FilterPattern"] == ORDERS
    assert read["Tags"] == {"team": "blue"}
    assert read["Ctime"] == read["Mtime"] > 1_700_000_000_000
    assert read["Targets"] == [target]


def test_rule_is_updated_and_switched(data_plane: sdk.DataPlane, rule: dict[str, str]) -> None:
    data_plane.update_rule(**rule, Description="new", FilterPattern="{}")
    read = data_plane.get_rule(**rule).body
    assert (read["Description"], read["FilterPattern"]) == ("new", "{}")
    assert [target["Id"] for target in read["Targets"]] == ["t1"]
    data_plane.disable_rule(**rule)
    assert data_plane.get_rule(**rule).body["Status"] == "DISABLE"
    data_plane.enable_rule(**rule)
    assert data_plane.get_rule(**rule).body["Status"] == "ENABLE"


def test_rules_are_listed_by_prefix_in_pages(data_plane: sdk.DataPlane, bus: str) -> None:
    for letter in "abc":
        data_plane.create_rule(
            EventBusName=bus, RuleName=f"of-{letter}", FilterPattern=ORDERS, Targets=[]
        )
    data_plane.create_rule(EventBusName=bus, RuleName="x", FilterPattern=ORDERS, Targets=[])
    first = data_plane.list_rules(EventBusName=bus, RuleNamePrefix="of-", Limit=2).body
    second = data_plane.list_rules(
        EventBusName=bus, RuleNamePrefix="of-", Limit=2, NextToken=first["NextToken"]
    ).body
    names = [rule["RuleName"] for rule in first["Rules"] + second["Rules"]]
    assert names == ["of-a", "of-b", "of-c"]
    assert first["Total"] == 3


def test_targets_are_put_listed_and_deleted(
    data_plane: sdk.DataPlane, rule: dict[str, str]
) -> None:
    put = data_plane.create_targets(
        **rule, Targets=[making.http_target(URL + "/2", id="t2"), making.http_target("ftp://x")]
    ).body
    assert put["ErrorEntriesCount"] == 1
    assert put["ErrorEntries"][0]["EntryId"] == "t1"
    assert put["ErrorEntries"][0]["ErrorCode"] == "EventTargetIneffectiveAttribute"
    listed = data_plane.list_targets(**rule).body["Targets"]
    assert [(t["Id"], t["Endpoint"]) for t in listed] == [("t1", URL), ("t2", URL + "/2")]
    assert len(data_plane.list_targets(**rule, Limit=1).body["Targets"]) == 1
    deleted = data_plane.delete_targets(**rule, TargetIds=["t1", "t9"]).body
    assert deleted["ErrorEntriesCount"] == 1
    assert deleted["ErrorEntries"][0]["ErrorCode"] == "EventTargetNotExist"
    assert [t["Id"] for t in data_plane.list_targets(**rule).body["Targets"]] == ["t2"]


def test_deleted_rule_is_gone(data_plane: sdk.DataPlane, rule: dict[str, str]) -> None:
    data_plane.delete_rule(**rule)
    with pytest.raises(sdk.SdkError) as refused:
        data_plane.get_rule(**rule)
    assert refused.value.code == "EventRuleNotExisted"


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("get_rule", {}),
        ("update_rule", {}),
        ("enable_rule", {}),
        ("disable_rule", {}),
        ("delete_rule", {}),
        ("create_targets", {"Targets": [making.http_target(URL)]}),
        ("delete_targets", {"TargetIds": ["t1"]}),
        ("list_targets", {}),
    ],
)
def test_missing_rule_or_bus_is_an_error(
    data_plane: sdk.DataPlane, bus: str, operation: str, more: dict[str, Any]
) -> None:
    call = getattr(data_plane, operation)
    with pytest.raises(sdk.SdkError) as refused:
        call(EventBusName=bus, RuleName="nothing", **more)
    assert refused.value.code == "EventRuleNotExisted"
    with pytest.raises(sdk.SdkError) as refused:
        call(EventBusName="nowhere", RuleName="nothing", **more)
    assert refused.value.code == "EventBusNotExist"


def test_rule_errors_have_the_same_codes_as_on_the_control_plane(
    data_plane: sdk.DataPlane, rule: dict[str, str]
) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        data_plane.create_rule(**rule, FilterPattern="{}", Targets=[])
    assert refused.value.code == "EventRuleAlreadyExist"
    with pytest.raises(sdk.SdkError) as refused:
        data_plane.update_rule(**rule, FilterPattern='{"data":{"a":"b"}}')
    assert refused.value.code == "EventRuleFilterPatternSchemaError"
    assert "data.a" in refused.value.message
    with pytest.raises(sdk.SdkError) as refused:
        data_plane.list_rules(EventBusName="nowhere")
    assert refused.value.code == "EventBusNotExist"


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_resources_are_as_they_were_after_a_restart(
    data_plane: sdk.DataPlane, server: processes.Server, rule: dict[str, str], how: str
) -> None:
    bus, gone = rule["EventBusName"], making.name("gone")
    data_plane.create_event_bus(EventBusName=gone)
    data_plane.delete_event_bus(EventBusName=gone)
    data_plane.create_rule(EventBusName=bus, RuleName="gone", FilterPattern="{}", Targets=[])
    data_plane.delete_rule(EventBusName=bus, RuleName="gone")
    data_plane.create_targets(**rule, Targets=[making.http_target(URL, id="t2")])
    data_plane.delete_targets(**rule, TargetIds=["t1"])
    data_plane.disable_rule(**rule)
    data_plane.update_rule(**rule, Description="new")

    def state() -> list[Any]:
        bodies = [
            data_plane.get_event_bus(EventBusName=bus).body,
            data_plane.list_event_buses(Limit=100).body,
            data_plane.get_rule(**rule).body,
            data_plane.list_rules(EventBusName=bus).body,
            data_plane.list_targets(**rule).body,
        ]
        return [{k: v for k, v in body.items() if k != "RequestId"} for body in bodies]

    before = state()
    server.restart(how)
    assert state() == before
    assert before[2]["Status"] == "DISABLE"
    assert [target["Id"] for target in before[4]["Targets"]] == ["t2"]
    with pytest.raises(sdk.SdkError):
        data_plane.get_event_bus(EventBusName=gone)
