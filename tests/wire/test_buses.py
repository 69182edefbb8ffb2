"""Event buses through the control SDK: effect, documented errors, state after restart."""

from __future__ import annotations

import time

import pytest

from tests.wire import making, processes, sdk


def test_bus_is_created_and_read_back(
    eventbridge: sdk.EventBridge, server: processes.Server
) -> None:
    name = making.name("bus")
    before_ms = int(time.time() * 1000)
    created = eventbridge.create_event_bus(EventBusName=name, Description="of the shop")
    arn = f"acs:eventbridge:{server.region}:{server.account}:eventbus/{name}"
    assert created.status == 200
    assert created.body["Code"] == "Success"
    assert created.body["Success"] is True
    assert created.body["RequestId"]
    assert created.data == {"EventBusARN": arn}
    read = eventbridge.get_event_bus(EventBusName=name).data
    assert before_ms <= read.pop("CreateTimestamp") <= time.time() * 1000
    assert read == {"EventBusName": name, "EventBusARN": arn, "Description": "of the shop"}


def test_default_bus_exists_without_being_created(eventbridge: sdk.EventBridge) -> None:
    assert eventbridge.get_event_bus(EventBusName="default").data["EventBusName"] == "default"
    listed = eventbridge.list_event_buses(NamePrefix="default").data
    assert [bus["EventBusName"] for bus in listed["EventBuses"]] == ["default"]


def test_updated_description_is_read_back(eventbridge: sdk.EventBridge, bus: str) -> None:
    assert eventbridge.update_event_bus(EventBusName=bus, Description="new").body["Success"]
    assert eventbridge.get_event_bus(EventBusName=bus).data["Description"] == "new"


def test_buses_are_listed_by_prefix_in_pages(eventbridge: sdk.EventBridge) -> None:
    prefix = making.name("paged")
    names = [f"{prefix}-{letter}" for letter in "abcde"]
    for name in names:
        eventbridge.create_event_bus(EventBusName=name)
    seen: list[str] = []
    token = None
    for size in (2, 2, 1):
        page = eventbridge.list_event_buses(NamePrefix=prefix, Limit=2, NextToken=token).data
        assert page["Total"] == 5
        assert len(page["EventBuses"]) == size
        seen += [bus["EventBusName"] for bus in page["EventBuses"]]
        token = page.get("NextToken")
    assert seen == names
    assert token is None


def test_deleted_bus_is_gone(eventbridge: sdk.EventBridge, bus: str) -> None:
    assert eventbridge.delete_event_bus(EventBusName=bus).data is True
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.get_event_bus(EventBusName=bus)
    assert refused.value.code == "EventBusNotExist"


@pytest.mark.parametrize("operation", ["get_event_bus", "update_event_bus", "delete_event_bus"])
@pytest.mark.parametrize("name", ["nowhere", "../..", "a|b"])
def test_missing_bus_is_an_error_with_its_code(
    eventbridge: sdk.EventBridge, operation: str, name: str
) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        getattr(eventbridge, operation)(EventBusName=name)
    assert (refused.value.code, refused.value.status) == ("EventBusNotExist", 409)
    assert f"The event bus [{name}] not existed!" in refused.value.message
    assert refused.value.data["RequestId"]


def test_second_bus_of_a_name_is_refused(eventbridge: sdk.EventBridge, bus: str) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.create_event_bus(EventBusName=bus, Description="again")
    assert (refused.value.code, refused.value.status) == ("EventBusAlreadyExist", 409)
    assert eventbridge.get_event_bus(EventBusName=bus).data["Description"] == ""


@pytest.mark.parametrize("name", ["-shop", "a b", "x" * 128, "eventbridge-reserved-a", "店"])
def test_bus_name_that_breaks_the_rule_is_refused(eventbridge: sdk.EventBridge, name: str) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.create_event_bus(EventBusName=name)
    assert (refused.value.code, refused.value.status) == ("EventBusNameInvalid", 409)


def test_default_bus_can_be_neither_created_nor_deleted(eventbridge: sdk.EventBridge) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.create_event_bus(EventBusName="default")
    assert refused.value.status == 409
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.delete_event_bus(EventBusName="default")
    assert refused.value.status == 409
    assert eventbridge.get_event_bus(EventBusName="default").status == 200


def test_bus_with_rules_is_not_deleted(eventbridge: sdk.EventBridge, bus: str) -> None:
    eventbridge.create_rule(EventBusName=bus, RuleName="r", FilterPattern="{}")
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.delete_event_bus(EventBusName=bus)
    assert refused.value.code == "EventBusRuleNotEmptyForDelete"
    assert refused.value.status == 409
    eventbridge.delete_rule(EventBusName=bus, RuleName="r")
    assert eventbridge.delete_event_bus(EventBusName=bus).data is True


def test_missing_name_is_told_by_parameter(eventbridge: sdk.EventBridge) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.create_event_bus(Description="of nothing")
    assert (refused.value.code, refused.value.status) == ("MissingParameter", 400)
    assert "EventBusName" in refused.value.message


@pytest.mark.parametrize("limit", [0, -1, 101])
def test_limit_out_of_range_has_the_documented_words(
    eventbridge: sdk.EventBridge, limit: int
) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.list_event_buses(Limit=limit)
    assert (refused.value.code, refused.value.status) == ("InvalidArgument", 400)
    assert "Specified parameter Limit is not valid." in refused.value.message


def test_token_that_no_page_gave_is_refused(eventbridge: sdk.EventBridge) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.list_event_buses(NextToken="made up")
    assert (refused.value.code, refused.value.status) == ("NextTokenInvalid", 400)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_buses_are_as_they_were_after_a_restart(
    eventbridge: sdk.EventBridge, server: processes.Server, how: str
) -> None:
    kept, gone = making.name("kept"), making.name("gone")
    eventbridge.create_event_bus(EventBusName=kept, Description="old")
    eventbridge.create_event_bus(EventBusName=gone)
    eventbridge.update_event_bus(EventBusName=kept, Description="new")
    eventbridge.delete_event_bus(EventBusName=gone)
    before = eventbridge.get_event_bus(EventBusName=kept).data
    listed = eventbridge.list_event_buses(Limit=100).data
    server.restart(how)
    assert eventbridge.get_event_bus(EventBusName=kept).data == before
    assert before["Description"] == "new"
    assert eventbridge.list_event_buses(Limit=100).data == listed
    with pytest.raises(sdk.SdkError) as refused:
        eventbridge.get_event_bus(EventBusName=gone)
    assert refused.value.code == "EventBusNotExist"
