"""What terraform-provider-alicloud relies on (eventbridge.md 2.4): RPC v1, all in the form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.wire import making, processes, sdk, signing

URL = "http://127.0.0.1:9/hook"


class Provider:
    """Calls as the provider's RPC core does: parameters, RegionId and ClientToken in the form."""

    def __init__(self, server: processes.Server) -> None:
        self._server = server

    def __call__(self, action: str, token: str | None = None, **given: str) -> signing.Answer:
        sent = {"RegionId": self._server.region, **given}
        if token is not None:
            sent["ClientToken"] = token
        return signing.send(self._server.place, signing.rpc_v1(self._server.place, action, sent))

    def ok(self, action: str, **given: str) -> Any:
        """Return Data; the provider fails unless Code says Success."""
        answer = self(action, **given)
        body = answer.json()
        assert (answer.status, body["Code"], body["Success"]) == (200, "Success", True), body
        return body.get("Data")


@pytest.fixture
def provider(server: processes.Server) -> Provider:
    return Provider(server)


@pytest.fixture
def bus(provider: Provider) -> str:
    name = making.name("tf")
    provider.ok("CreateEventBus", EventBusName=name, Description="by terraform")
    return name


def test_bus_goes_through_create_read_update_delete(provider: Provider, bus: str) -> None:
    assert provider.ok("GetEventBus", EventBusName=bus)["Description"] == "by terraform"
    provider.ok("UpdateEventBus", EventBusName=bus, Description="new")
    assert provider.ok("GetEventBus", EventBusName=bus)["Description"] == "new"
    provider.ok("DeleteEventBus", EventBusName=bus)
    answer = provider("GetEventBus", EventBusName=bus)
    assert answer.status >= 400
    assert answer.json()["Code"] == "EventBusNotExist"
    answer = provider("DeleteEventBus", EventBusName=bus)
    assert answer.status >= 400
    assert answer.json()["Code"] == "EventBusNotExist"


def test_rule_goes_through_create_read_update_switch_delete(provider: Provider, bus: str) -> None:
    named = {"EventBusName": bus, "RuleName": "orders"}
    target = making.http_target(URL, DeadLetterQueue={}, PushRetryStrategy="BACKOFF_RETRY")
    provider.ok(
        "CreateRule", **named, FilterPattern="{}", Status="ENABLE", Description="d",
        EventTargets=json.dumps([target]),
    )  # fmt: skip
    read = provider.ok("GetRule", **named)
    assert read["FilterPattern"] == "{}"
    (shown,) = read["Targets"]
    assert not shown.get("DeadLetterQueue")
    assert shown["PushRetryStrategy"] == "BACKOFF_RETRY"
    assert shown["ParamList"] == target["ParamList"]
    provider.ok("UpdateRule", **named, FilterPattern='{"source":["a"]}', Description="d2")
    moved = making.http_target(URL + "/new", DeadLetterQueue={})
    assert provider.ok("PutTargets", **named, Targets=json.dumps([moved]))["ErrorEntriesCount"] == 0
    provider.ok("DisableRule", **named)
    read = provider.ok("GetRule", **named)
    assert (read["Status"], read["Description"]) == ("DISABLE", "d2")
    assert [target["Endpoint"] for target in read["Targets"]] == [URL + "/new"]
    provider.ok("EnableRule", **named)
    assert provider.ok("DeleteTargets", **named, TargetIds='["t1"]')["ErrorEntriesCount"] == 0
    assert not provider.ok("GetRule", **named)["Targets"]
    provider.ok("DeleteRule", **named)


def test_missing_rule_is_an_error_on_read_and_none_on_delete(provider: Provider, bus: str) -> None:
    named = {"EventBusName": bus, "RuleName": "nothing"}
    answer = provider("GetRule", **named)
    assert answer.status >= 400
    assert answer.json()["Code"] == "EventRuleNotExisted"
    answer = provider("DeleteRule", **named)
    body = answer.json()
    assert (answer.status, body["Code"], body["Success"]) == (200, "EventRuleNotExisted", False)


def test_repeated_create_with_one_client_token_acts_once(provider: Provider) -> None:
    name = making.name("tf")
    first = provider("CreateEventBus", token="token-1", EventBusName=name)
    again = provider("CreateEventBus", token="token-1", EventBusName=name)
    assert first.status == again.status == 200
    assert first.json()["Data"] == again.json()["Data"]
    other = provider("CreateEventBus", token="token-2", EventBusName=name)
    assert (other.status, other.json()["Code"]) == (409, "EventBusAlreadyExist")


def test_parameters_may_come_flattened(provider: Provider, bus: str) -> None:
    provider.ok(
        "CreateRule", **{
            "EventBusName": bus, "RuleName": "flat", "FilterPattern": "{}",
            "EventTargets.1.Id": "t1", "EventTargets.1.Type": "http",
            "EventTargets.1.Endpoint": URL,
            "EventTargets.1.ParamList.1.ResourceKey": "Body",
            "EventTargets.1.ParamList.1.Form": "ORIGINAL",
        }
    )  # fmt: skip
    (shown,) = provider.ok("GetRule", EventBusName=bus, RuleName="flat")["Targets"]
    assert (shown["Id"], shown["Endpoint"]) == ("t1", URL)
    assert shown["ParamList"] == [{"ResourceKey": "Body", "Form": "ORIGINAL"}]


def test_unknown_parameter_is_refused_by_name(provider: Provider, bus: str) -> None:
    answer = provider("GetEventBus", EventBusName=bus, Colour="red")
    assert (answer.status, answer.json()["Code"]) == (400, "InvalidParameter")
    assert "Colour" in answer.json()["Message"]


def test_service_linked_roles_are_always_there(provider: Provider) -> None:
    product = "AliyunServiceRoleForEventBridgeSendToFC"
    checked = provider.ok("CheckServiceLinkedRoleForProduct", ProductName=product)
    assert checked["CheckPass"] is True
    provider.ok("CreateServiceLinkedRoleForProduct", ProductName=product)


def test_official_sdk_that_signs_by_rpc_v1_is_understood(
    control_driver: sdk.Driver, server: processes.Server
) -> None:
    older = sdk.EventBridge(control_driver, lambda: server.place, signature="v2")
    name = making.name("old")
    older.create_event_bus(EventBusName=name, Description="a b&c=d/é")
    assert older.get_event_bus(EventBusName=name).data["Description"] == "a b&c=d/é"
    older.create_rule(
        EventBusName=name, RuleName="r", FilterPattern="{}",
        EventTargets=[making.http_target(URL)],
    )  # fmt: skip
    (shown,) = older.get_rule(EventBusName=name, RuleName="r").data["Targets"]
    assert shown["Endpoint"] == URL
    put = older.put_events(EventBusName=name, EventList=[making.entry("e1", Data={"a": 1})])
    assert put.data["FailedEntryCount"] == 0
    wrong = sdk.EventBridge(
        control_driver, lambda: server.place._replace(secret="x" * 40), signature="v2"
    )
    with pytest.raises(sdk.SdkError) as refused:
        wrong.get_event_bus(EventBusName=name)
    assert (refused.value.code, refused.value.status) == ("SignatureDoesNotMatch", 403)
