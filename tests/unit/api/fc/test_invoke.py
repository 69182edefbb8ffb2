"""InvokeFunction: bytes both ways, everything else in headers, and function errors are 200."""

from __future__ import annotations

import base64

import msgspec
import pytest

from headrace.core import errors
from tests.unit.api.fc.conftest import ACCOUNT, Door, headers_of

pytestmark = pytest.mark.anyio

PATH = "/functions/hello/invocations"


async def test_a_sync_call_hands_over_raw_bytes_and_returns_raw_bytes(door: Door) -> None:
    await door.create()
    answer = await door.raw("POST", PATH, b"\x00\xffevent", query="qualifier=LATEST")
    assert (answer.status, answer.body) == (200, b"\x00raw\xff")
    assert answer.content_type == b"application/octet-stream"
    call = door.functions.calls[0]
    assert (call.account, call.function, call.qualifier) == (ACCOUNT, "hello", "LATEST")
    assert (call.payload, call.request_id, call.log_tail) == (b"\x00\xffevent", "REQ-1", False)


async def test_the_answers_headers_tell_of_the_run(door: Door) -> None:
    await door.create()
    headers = headers_of(await door.raw("POST", PATH))
    assert headers["x-fc-request-id"] == "REQ-1"
    assert headers["x-fc-instance-id"] == "c-1"
    assert headers["x-fc-code-checksum"] == "42"
    assert headers["x-fc-invocation-duration"] == "12"
    assert headers["x-fc-max-memory-usage"] == "9.20"
    assert headers["x-fc-invocation-service-version"] == "LATEST"
    assert "x-fc-log-result" not in headers
    assert "x-fc-error-type" not in headers


async def test_tail_returns_the_last_4_kib_of_the_log(door: Door) -> None:
    await door.create()
    answer = await door.raw("POST", PATH, headers={"x-fc-log-type": "tail"})
    log = base64.b64decode(headers_of(answer)["x-fc-log-result"])
    assert log == b"x" * 4093 + b"end"
    assert door.functions.calls[0].log_tail


async def test_a_functions_error_is_a_200_with_its_type(door: Door) -> None:
    await door.create()
    failed = msgspec.structs.replace(
        door.functions.answer, error_type="UnhandledInvocationError", payload=b'{"errorType":1}'
    )
    door.functions.answer = failed
    answer = await door.raw("POST", PATH)
    assert (answer.status, answer.body) == (200, b'{"errorType":1}')
    assert headers_of(answer)["x-fc-error-type"] == "UnhandledInvocationError"
    assert answer.content_type == b"application/json"


@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [
        (errors.Throttled("busy"), 429, "ResourceThrottled"),
        (errors.FunctionNotFound("no"), 404, "FunctionNotFound"),
        (errors.Unavailable("stopping"), 503, "ServiceUnavailable"),
        (errors.HeadraceError("bug"), 500, "InternalServerError"),
    ],
)
async def test_what_the_platform_could_not_do_has_its_own_code(
    door: Door, raised: errors.HeadraceError, status: int, code: str
) -> None:
    await door.create()
    door.functions.answer = raised
    got, error = await door.ask("POST", PATH)
    assert (got, error["Code"]) == (status, code)


async def test_an_async_call_is_a_202_and_waits_on_the_bus(door: Door) -> None:
    await door.create()
    headers = {"x-fc-invocation-type": "ASYNC"}
    answer = await door.raw("POST", PATH, b"later", headers=headers)
    assert (answer.status, answer.body) == (202, b"")
    assert headers_of(answer)["x-fc-async-task-id"] == "REQ-1"
    account, function, payload, request_id = door.engine.queued[0]
    assert (account, function.name, payload, request_id) == (ACCOUNT, "hello", b"later", "REQ-1")
    assert door.functions.calls == []


@pytest.mark.parametrize("name", ["x-fc-async-task-id", "x-fc-stateful-async-invocation-id"])
async def test_a_task_id_of_the_caller_is_kept(door: Door, name: str) -> None:
    await door.create()
    headers = {"x-fc-invocation-type": "Async", name: "task_1"}
    answer = await door.raw("POST", PATH, headers=headers)
    assert headers_of(answer)["x-fc-async-task-id"] == "task_1"


async def test_read_only_mode_refuses_calls_that_would_wait_and_runs_the_others(
    door: Door,
) -> None:
    await door.create()
    door.engine.switchboard.changes = errors.ReadOnly()
    headers = {"x-fc-invocation-type": "Async"}
    status, error = await door.ask("POST", PATH, headers=headers)
    assert (status, error["Code"], door.engine.queued) == (503, "ServerReadOnly", [])
    assert (await door.raw("POST", PATH)).status == 200


async def test_a_drained_server_takes_calls_that_wait_and_runs_none(door: Door) -> None:
    await door.create()
    door.engine.switchboard.calls = errors.Draining()
    status, error = await door.ask("POST", PATH)
    assert (status, error["Code"], door.functions.calls) == (503, "ServerDraining", [])
    answer = await door.raw("POST", PATH, headers={"x-fc-invocation-type": "Async"})
    assert (answer.status, len(door.engine.queued)) == (202, 1)


async def test_an_async_call_of_nothing_is_refused_before_it_waits(door: Door) -> None:
    headers = {"x-fc-invocation-type": "Async"}
    status, error = await door.ask("POST", PATH, headers=headers)
    assert (status, error["Code"]) == (404, "FunctionNotFound")
    await door.create()
    status, error = await door.ask("POST", PATH, headers=headers, query="qualifier=7")
    assert (status, error["Code"]) == (404, "VersionNotFound")
    assert door.engine.queued == []


async def test_a_sync_call_of_an_alias_has_the_code_of_an_alias(door: Door) -> None:
    await door.create()
    status, error = await door.ask("POST", PATH, query="qualifier=prod")
    assert (status, error["Code"]) == (404, "AliasNotFound")
    assert door.functions.calls == []


@pytest.mark.parametrize(
    "headers",
    [
        {"x-fc-invocation-type": "Later"},
        {"x-fc-log-type": "All"},
        {"x-fc-invocation-type": "Async", "x-fc-async-task-id": "1 2"},
    ],
)
async def test_a_header_that_is_wrong_is_a_400(door: Door, headers: dict[str, str]) -> None:
    await door.create()
    status, error = await door.ask("POST", PATH, headers=headers)
    assert (status, error["Code"]) == (400, "InvalidArgument")
    assert door.functions.calls == []


@pytest.mark.parametrize(("mode", "limit"), [("Sync", 32 * 1024 * 1024), ("Async", 128 * 1024)])
async def test_a_payload_over_the_limit_is_refused(door: Door, mode: str, limit: int) -> None:
    await door.create()
    headers = {"x-fc-invocation-type": mode}
    answer = await door.raw("POST", PATH, b"x" * (limit + 1), headers=headers)
    assert answer.status == 400
    assert b'"EntityTooLarge"' in answer.body
    at_limit = await door.raw("POST", PATH, b"x" * limit, headers=headers)
    assert at_limit.status in (200, 202)
