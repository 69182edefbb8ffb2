"""InvokeFunction through the FC SDK: synchronous, tail, asynchronous, every kind of failure."""

from __future__ import annotations

import base64
import json
import time

import pytest

from tests.wire import making, native, processes, sdk, waiting

SOURCE = """
import json, os, sys, time

def handler(event, context):
    asked = json.loads(event) if event else {}
    print("runs for", asked.get("do", "nothing"), flush=True)
    if "say" in asked:
        print(asked["say"], flush=True)
    if asked.get("do") == "raise":
        raise ValueError("no such order")
    if asked.get("do") == "wait":
        time.sleep(1)
        print("waited for", asked["word"], flush=True)
    if asked.get("do") == "hang":
        time.sleep(60)
    if asked.get("do") == "exit":
        sys.exit(3)
    if asked.get("do") == "kill":
        os.kill(os.getpid(), 9)
    if asked.get("do") == "flood":
        for _ in range(3000):
            print("x" * 999)
    if asked.get("do") == "context":
        return {
            "id": context.request_id, "name": context.function.name,
            "handler": context.function.handler, "region": context.region,
            "account": context.account_id,
        }
    return asked.get("return")
"""


@pytest.fixture(scope="module")
def function(functions: sdk.Functions) -> str:
    """A function that does what its event says; its limit is two seconds."""
    name = making.name("fn")
    functions.create_function(body=making.function_input(name, SOURCE, timeout=2))
    return name


def ask(functions: sdk.Functions, function: str, **event: object) -> sdk.Reply:
    return functions.invoke_function(
        function, payload=json.dumps(event).encode(), headers={"x-fc-log-type": "Tail"}
    )


def log_of(reply: sdk.Reply) -> str:
    return base64.b64decode(reply.headers["x-fc-log-result"]).decode()


def test_result_comes_back_with_the_headers_of_an_invocation(
    functions: sdk.Functions, function: str
) -> None:
    checksum = functions.get_function(function).body["codeChecksum"]
    reply = functions.invoke_function(function, payload=b'{"return": {"a": [1, "\\u5e97"]}}')
    assert reply.status == 200
    assert json.loads(reply.payload) == {"a": [1, "店"]}
    assert reply.headers["x-fc-request-id"]
    assert reply.headers["x-fc-instance-id"]
    assert reply.headers["x-fc-code-checksum"] == checksum
    assert int(reply.headers["x-fc-invocation-duration"]) >= 0
    assert float(reply.headers["x-fc-max-memory-usage"]) > 0
    assert reply.headers["x-fc-invocation-service-version"] == "LATEST"
    assert reply.headers["content-type"].startswith("application/octet-stream")
    assert "x-fc-error-type" not in reply.headers
    assert "x-fc-log-result" not in reply.headers


def test_bytes_go_in_and_come_out_unchanged(functions: sdk.Functions) -> None:
    name = making.name("echo")
    functions.create_function(body=making.function_input(name))
    for payload in (b"", bytes(range(256)), b"x" * 1_000_000):
        assert functions.invoke_function(name, payload=payload).payload == payload


def test_function_is_told_who_it_is(
    functions: sdk.Functions, server: processes.Server, function: str
) -> None:
    reply = ask(functions, function, do="context")
    assert json.loads(reply.payload) == {
        "id": reply.headers["x-fc-request-id"], "name": function, "handler": "index.handler",
        "region": server.region, "account": server.account,
    }  # fmt: skip


def test_tail_brings_the_log_of_this_invocation_only(
    functions: sdk.Functions, function: str
) -> None:
    first = ask(functions, function, say="red")
    second = ask(functions, function, say="blue")
    assert "red" in log_of(first)
    assert "blue" in log_of(second)
    assert "red" not in log_of(second)


def test_exception_is_a_result_with_error_type_and_log(
    functions: sdk.Functions, function: str
) -> None:
    reply = ask(functions, function, do="raise")
    assert reply.status == 200
    assert reply.headers["x-fc-error-type"] == "UnhandledInvocationError"
    told = json.loads(reply.payload)
    assert told["errorType"] == "ValueError"
    assert told["errorMessage"] == "no such order"
    assert told["stackTrace"]
    assert "runs for raise" in log_of(reply)


def test_function_that_hangs_is_cut_off_and_the_next_call_works(
    functions: sdk.Functions, function: str
) -> None:
    started = time.monotonic()
    reply = ask(functions, function, do="hang")
    assert 1.9 <= time.monotonic() - started < 6
    assert reply.status == 200
    assert reply.headers["x-fc-error-type"] == "FunctionTimeoutError"
    assert "time out" in json.loads(reply.payload)["errorMessage"]
    assert "runs for hang" in log_of(reply)
    assert ask(functions, function, **{"return": 1}).payload == b"1"


@pytest.mark.parametrize("end", ["exit", "kill"])
def test_function_whose_process_ends_fails_alone(
    functions: sdk.Functions, function: str, end: str
) -> None:
    reply = ask(functions, function, do=end)
    assert reply.status == 200
    assert reply.headers["x-fc-error-type"]
    assert json.loads(reply.payload)["errorMessage"]
    assert f"runs for {end}" in log_of(reply)
    assert ask(functions, function, **{"return": 1}).payload == b"1"


def test_flood_of_output_is_cut_to_the_tail(functions: sdk.Functions, function: str) -> None:
    reply = ask(functions, function, do="flood", **{"return": "done"})
    assert reply.payload == b"done"
    assert 0 < len(base64.b64decode(reply.headers["x-fc-log-result"])) <= 4096


@pytest.mark.parametrize(
    ("source", "handler"),
    [
        ("def handler(event, context)\n    return 1\n", "index.handler"),
        (making.ECHO, "index.absent"),
        (making.ECHO, "absent.handler"),
        ("raise RuntimeError('at import')\n" + making.ECHO, "index.handler"),
    ],
)
def test_code_that_cannot_be_loaded_is_a_clear_error(
    functions: sdk.Functions, source: str, handler: str
) -> None:
    name = making.name("broken")
    functions.create_function(body=making.function_input(name, source, handler=handler))
    for _ in range(2):
        reply = functions.invoke_function(name, payload=b"")
        assert reply.status == 200
        assert reply.headers["x-fc-error-type"]
        told = json.loads(reply.payload)
        assert told["errorType"]
        assert told["errorMessage"]


def test_asynchronous_call_is_accepted_and_runs(
    functions: sdk.Functions, own_api: native.Native, function: str
) -> None:
    word = making.name("later")
    reply = functions.invoke_function(
        function, payload=json.dumps({"say": word}).encode(),
        headers={"x-fc-invocation-type": "Async", "x-fc-async-task-id": "task-1"},
    )  # fmt: skip
    assert reply.status == 202
    assert reply.payload == b""
    assert reply.headers["x-fc-async-task-id"] == "task-1"
    assert word in wait_for_log(own_api, function, reply.headers["x-fc-request-id"], word)


def wait_for_log(own_api: native.Native, function: str, request_id: str, word: str) -> str:
    def log() -> str:
        lines = own_api.get(f"functions/{function}/logs", request_id=request_id)["lines"]
        text = "\n".join(line.get("text", "") for line in lines)
        return text if word in text else ""

    return waiting.wait_for(log, f"{word!r} in the log of {request_id}")


def test_asynchronous_call_that_fails_is_tried_again(
    functions: sdk.Functions, own_api: native.Native
) -> None:
    """The first wait of the asynchronous policy is one second."""
    name = making.name("fn")
    source = """
def handler(event, context):
    print("try", context.retry_count, "of", event.decode())
    if context.retry_count == 0:
        raise ValueError("not yet")
"""
    functions.create_function(body=making.function_input(name, source))
    reply = functions.invoke_function(
        name, payload=b"order 7", headers={"x-fc-invocation-type": "Async"}
    )
    log = wait_for_log(own_api, name, reply.headers["x-fc-request-id"], "try 1 of order 7")
    assert log.index("try 0 of order 7") < log.index("not yet") < log.index("try 1 of order 7")


def test_asynchronous_call_that_a_kill_cuts_off_runs_again(
    functions: sdk.Functions, own_api: native.Native, server: processes.Server, function: str
) -> None:
    word = making.name("order")
    reply = functions.invoke_function(
        function, payload=json.dumps({"do": "wait", "word": word}).encode(),
        headers={"x-fc-invocation-type": "Async"},
    )  # fmt: skip
    server.restart("kill")
    wait_for_log(own_api, function, reply.headers["x-fc-request-id"], f"waited for {word}")


@pytest.mark.parametrize(
    ("headers", "payload", "code"),
    [
        ({"x-fc-invocation-type": "Maybe"}, b"", "InvalidArgument"),
        ({"x-fc-log-type": "All"}, b"", "InvalidArgument"),
        (
            {"x-fc-invocation-type": "Async", "x-fc-async-task-id": "1 2"}, b"",
            "InvalidArgument",
        ),
        ({"x-fc-invocation-type": "Async"}, b"x" * (128 * 1024 + 1), "EntityTooLarge"),
    ],
)  # fmt: skip
def test_call_that_is_wrong_is_refused(
    functions: sdk.Functions, function: str, headers: dict[str, str], payload: bytes, code: str
) -> None:
    with pytest.raises(sdk.SdkError) as refused:
        functions.invoke_function(function, payload=payload, headers=headers)
    assert (refused.value.code, refused.value.status) == (code, 400)
