"""Operations of the cloud that are not built: each API's own error, through its own SDK."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wire import making, sdk


@pytest.mark.parametrize(
    ("operation", "args"),
    [
        ("create_event_source", {"EventBusName": "default", "EventSourceName": "s"}),
        ("list_user_defined_event_sources", {}),
        ("create_event_streaming", {"EventStreamingName": "s"}),
        ("start_event_streaming", {"EventStreamingName": "s"}),
        ("list_event_streamings", {}),
        ("create_connection", {"ConnectionName": "c"}),
        ("get_api_destination", {"ApiDestinationName": "a"}),
        ("event_center_query_events", {}),
        ("list_agents", {}),
    ],
)
def test_eventbridge_action_that_is_not_built_says_so(
    eventbridge: sdk.EventBridge, operation: str, args: dict[str, Any]
) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        getattr(eventbridge, operation)(**args)
    assert (refused.value.code, refused.value.status) == ("InvalidAction.NotFound", 404)
    assert "not supported by this server" in refused.value.message
    assert refused.value.data["RequestId"]


@pytest.mark.parametrize(
    ("operation", "args"),
    [
        ("list_event_streamings", {"Limit": 1}),
        ("delete_event_source", {"EventBusName": "default", "EventSourceName": "s"}),
        ("pause_event_streaming", {"EventStreamingName": "s"}),
    ],
)
def test_data_plane_operation_that_is_not_built_says_so(
    data_plane: sdk.DataPlane, operation: str, args: dict[str, Any]
) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        getattr(data_plane, operation)(**args)
    assert refused.value.code == "InvalidAction.NotFound"
    assert "not supported by this server" in refused.value.message


@pytest.mark.parametrize(
    ("operation", "path", "args"),
    [
        ("list_layers", (), {}),
        ("list_custom_domains", (), {}),
        ("publish_function_version", ("f",), {"body": {"description": "v1"}}),
        ("create_alias", ("f",), {"body": {"aliasName": "a", "versionId": "1"}}),
        ("get_async_invoke_config", ("f",), {}),
        ("list_async_tasks", ("f",), {}),
        ("put_concurrency_config", ("f",), {"body": {"reservedConcurrency": 1}}),
        ("list_instances", ("f",), {}),
    ],
)
def test_fc_operation_that_is_not_built_says_so(
    functions: sdk.Functions, operation: str, path: tuple[str, ...], args: dict[str, Any]
) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        getattr(functions, operation)(*path, **args)
    assert (refused.value.code, refused.value.status) == ("NotImplemented", 501)
    assert "not supported by this server" in refused.value.message
    assert refused.value.data["RequestId"]


def test_refused_operation_leaves_the_server_as_it_was(
    eventbridge: sdk.EventBridge, functions: sdk.Functions
) -> None:
    name = making.name("fn")
    functions.create_function(body=making.function_input(name))
    with pytest.raises(sdk.SdkError):
        functions.publish_function_version(name, body={})
    assert functions.invoke_function(name, payload=b"x").payload == b"x"
    with pytest.raises(sdk.SdkError):
        eventbridge.create_event_source(EventBusName="default", EventSourceName="s")
    assert eventbridge.delete_event_bus(EventBusName=_bus(eventbridge)).data is True


def _bus(eventbridge: sdk.EventBridge) -> str:
    name = making.name("bus")
    eventbridge.create_event_bus(EventBusName=name)
    return name
