"""Targets of rules through the control SDK: effect, per-entry errors, state after restart."""

from __future__ import annotations

import pytest

from tests.wire import making, native, processes, sdk

URL = "http://127.0.0.1:9/hook"
NO_ERRORS = {"ErrorEntries": [], "ErrorEntriesCount": 0}


@pytest.fixture
def rule(eventbridge: sdk.EventBridge, bus: str) -> dict[str, str]:
    eventbridge.create_rule(EventBusName=bus, RuleName="orders", FilterPattern="{}")
    return {"EventBusName": bus, "RuleName": "orders"}


def ids(eventbridge: sdk.EventBridge, rule: dict[str, str]) -> list[str]:
    return [target["Id"] for target in eventbridge.list_targets(**rule).data["Targets"]]


def test_put_target_is_added_and_a_second_put_replaces_it(
    eventbridge: sdk.EventBridge, rule: dict[str, str]
) -> None:
    first = making.http_target(URL, ConcurrentConfig={"Concurrency": 2})
    put = eventbridge.put_targets(**rule, Targets=[first, making.http_target(URL, id="t2")])
    assert put.body["Code"] == "Success"
    assert put.data == NO_ERRORS
    assert ids(eventbridge, rule) == ["t1", "t2"]
    changed = making.http_target(URL + "/new", body=making.param("Body", "JSONPATH", "$.data"))
    assert eventbridge.put_targets(**rule, Targets=[changed]).data == NO_ERRORS
    shown = {t["Id"]: t for t in eventbridge.get_rule(**rule).data["Targets"]}
    assert list(shown) == ["t1", "t2"]
    assert shown["t1"]["Endpoint"] == URL + "/new"
    assert shown["t1"]["ParamList"] == changed["ParamList"]
    assert "ConcurrentConfig" not in shown["t1"]


def test_listed_target_shows_rule_bus_and_settings(
    eventbridge: sdk.EventBridge, rule: dict[str, str]
) -> None:
    target = making.http_target(URL, ConcurrentConfig={"Concurrency": 2})
    eventbridge.put_targets(**rule, Targets=[target])
    (shown,) = eventbridge.list_targets(**rule).data["Targets"]
    assert shown == target | rule | {"ErrorsTolerance": "ALL"}


def test_targets_are_listed_in_pages_and_by_address(
    eventbridge: sdk.EventBridge, own_api: native.Native, server: processes.Server,
    rule: dict[str, str],
) -> None:  # fmt: skip
    queue = making.name("queue")
    own_api.put(f"queues/{queue}")
    kept = making.queue_target(server, queue, id="q")
    puts = [making.http_target(URL, id=f"t{n}") for n in range(3)]
    eventbridge.put_targets(**rule, Targets=[*puts, kept])
    first = eventbridge.list_targets(**rule, Limit=3).data
    second = eventbridge.list_targets(**rule, Limit=3, NextToken=first["NextToken"]).data
    assert first["Total"] == second["Total"] == 4
    seen = [target["Id"] for target in first["Targets"] + second["Targets"]]
    assert sorted(seen) == ["q", "t0", "t1", "t2"]
    (found,) = eventbridge.list_targets(Arn=kept["Endpoint"]).data["Targets"]
    assert (found["Id"], found["RuleName"]) == ("q", "orders")


def test_target_that_cannot_work_is_listed_and_the_others_take_effect(
    eventbridge: sdk.EventBridge, rule: dict[str, str]
) -> None:
    good = making.http_target(URL, id="good")
    bad = making.http_target("ftp://nowhere", id="bad")
    put = eventbridge.put_targets(**rule, Targets=[good, bad])
    assert put.status == 200
    assert put.data["ErrorEntriesCount"] == 1
    (refused,) = put.data["ErrorEntries"]
    assert refused["EntryId"] == "bad"
    assert refused["ErrorCode"] == "EventTargetIneffectiveAttribute"
    assert refused["ErrorMessage"]
    assert ids(eventbridge, rule) == ["good"]


def test_id_given_twice_has_the_documented_code(
    eventbridge: sdk.EventBridge, rule: dict[str, str]
) -> None:
    put = eventbridge.put_targets(
        **rule, Targets=[making.http_target(URL, id="same"), making.http_target(URL, id="same")]
    )
    codes = {entry["ErrorCode"] for entry in put.data["ErrorEntries"]}
    assert codes == {"EventRuleTargetIdDuplicate"}


def test_deleted_targets_are_gone_and_unknown_ids_are_listed(
    eventbridge: sdk.EventBridge, rule: dict[str, str]
) -> None:
    eventbridge.put_targets(
        **rule, Targets=[making.http_target(URL, id=name) for name in ("a", "b", "c")]
    )
    assert eventbridge.delete_targets(**rule, TargetIds=["a", "c"]).data == NO_ERRORS
    assert ids(eventbridge, rule) == ["b"]
    again = eventbridge.delete_targets(**rule, TargetIds=["a", "b"]).data
    assert again["ErrorEntriesCount"] == 1
    assert again["ErrorEntries"][0]["EntryId"] == "a"
    assert again["ErrorEntries"][0]["ErrorCode"] == "EventTargetNotExist"
    assert ids(eventbridge, rule) == []


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("put_targets", {"Targets": [making.http_target(URL)]}),
        ("delete_targets", {"TargetIds": ["t1"]}),
        ("list_targets", {}),
    ],
)
def test_missing_rule_or_bus_is_an_error(
    eventbridge: sdk.EventBridge, bus: str, operation: str, more: dict[str, object]
) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        getattr(eventbridge, operation)(EventBusName=bus, RuleName="nothing", **more)
    assert (refused.value.code, refused.value.status) == ("EventRuleNotExisted", 409)
    with pytest.raises(sdk.SdkError) as refused:
        getattr(eventbridge, operation)(EventBusName="nowhere", RuleName="nothing", **more)
    assert (refused.value.code, refused.value.status) == ("EventBusNotExist", 409)


def test_put_without_targets_names_the_parameter(
    eventbridge: sdk.EventBridge, rule: dict[str, str]
) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.put_targets(**rule)
    assert (refused.value.code, refused.value.status) == ("MissingParameter", 400)
    assert "Targets" in refused.value.message


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_targets_are_as_they_were_after_a_restart(
    eventbridge: sdk.EventBridge, server: processes.Server, rule: dict[str, str], how: str
) -> None:
    eventbridge.put_targets(
        **rule, Targets=[making.http_target(URL, id=name) for name in ("a", "b", "c")]
    )
    eventbridge.put_targets(
        **rule, Targets=[making.http_target(URL + "/new", id="b", ErrorsTolerance="NONE")]
    )
    eventbridge.delete_targets(**rule, TargetIds=["a"])
    before = eventbridge.list_targets(**rule).data
    server.restart(how)
    assert eventbridge.list_targets(**rule).data == before
    assert [(t["Id"], t["Endpoint"]) for t in before["Targets"]] == [
        ("b", URL + "/new"),
        ("c", URL),
    ]
