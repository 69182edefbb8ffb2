"""The Python handler contract of the cloud (spec/fc.md 4b), in the real sandbox."""

from __future__ import annotations

import json
import os
import re

import pytest

from tests.runtimes import stage as stages

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("expression", "answer"),
    [
        ("event", b"raw \xff bytes"),
        ("'text \\u4e2d'", "text 中".encode()),
        ("None", b""),
        ("{'a': [1, 2.5, None, True]}", b'{"a": [1, 2.5, null, true]}'),
        ("[1, 'two']", b'[1, "two"]'),
        ("7", b"7"),
        ("True", b"true"),
        ("bytearray(b'ba')", b"ba"),
        ("''", b""),
    ],
)
async def test_what_a_handler_returns(stage: stages.Stage, expression: str, answer: bytes) -> None:
    """Text and bytes as they are, None as nothing, everything else as JSON."""
    stage.deploy("f", f"def handler(event, context):\n    return {expression}\n")
    result = await stage.invoke("f", b"raw \xff bytes")
    assert (result.payload, result.error_type) == (answer, None)


async def test_what_cannot_be_json_is_a_function_error(stage: stages.Stage) -> None:
    stage.deploy("f", "def handler(event, context):\n    return object()\n")
    result = await stage.invoke("f")
    assert result.error_type == "UnhandledInvocationError"
    assert json.loads(result.payload)["errorType"] == "TypeError"


async def test_large_events_and_answers_pass_whole(stage: stages.Stage) -> None:
    """Frames larger than every buffer, in both directions, then a small one."""
    stage.deploy("f", "def handler(event, context):\n    return event[::-1]\n", timeout_s=20)
    for size in (32 * 1024 * 1024, 1, 65_516, 65_517, 1_000_000, 0):
        event = bytes(range(256)) * (size // 256 + 1)
        event = event[:size]
        result = await stage.invoke("f", event)
        assert result.payload == event[::-1]


async def test_the_server_goes_first_when_both_could_run(stage: stages.Stage) -> None:
    """Waking an instance does not push the server off its processor."""
    code = "import os\ndef handler(event, context):\n    return os.sched_getscheduler(0)\n"
    stage.deploy("f", code)
    assert (await stage.invoke("f")).payload == str(os.SCHED_BATCH).encode()


async def test_handlers_in_folders_are_named_with_slashes_or_dots(stage: stages.Stage) -> None:
    files = {"app/__init__.py": "", "app/api/orders.py": "def create(e, c): return 'made'\n"}
    for handler in ("app/api/orders.create", "app.api.orders.create"):
        stage.deploy("f", files, handler=handler)
        assert (await stage.invoke("f")).payload == b"made"


CONTEXT = """
def handler(event, context):
    f, c, s, t = context.function, context.credentials, context.service, context.tracing
    return {
        "request_id": context.request_id, "region": context.region, "account": context.account_id,
        "function": [f.name, f.handler, f.memory, f.timeout, f.version_id, f.qualifier],
        "initializer": f.initializer,
        "credentials": [c.access_key_id, c.access_key_secret, c.security_token],
        "service": [s.name, s.log_project, s.log_store, s.qualifier, s.version_id],
        "tracing": [t.span_context, t.jaeger_endpoint, t.span_baggages],
        "retry": context.retry_count, "attributes": context.attributes,
        "deadline": context.deadline_ms, "logs": [context.log_project, context.log_store],
    }
"""


async def test_context_is_the_union_of_all_python_runtimes(stage: stages.Stage) -> None:
    stage.deploy("f", CONTEXT, memory_mb=256, timeout_s=7)
    attributes = {"rule": "r1", "odd\0name": "中"}
    call = {"request_id": "1-abc", "attributes": attributes, "retry_count": 2}
    seen = json.loads((await stage.invoke("f", **call)).payload)
    now_ms = stage.records.lines[-1].at_ms
    assert abs(seen.pop("deadline") - now_ms - 7000) < 5000
    assert seen == {
        "request_id": "1-abc",
        "region": "cn-hangzhou",
        "account": stages.ACCOUNT,
        "function": ["f", "index.handler", 256, 7, "", "LATEST"],
        "initializer": "",
        "credentials": ["", "", ""],
        "service": ["", "", "", "LATEST", ""],
        "tracing": ["", "", {}],
        "retry": 2,
        "attributes": {"rule": "r1", "odd\ufffdname": "中"},
        "logs": ["", ""],
    }


async def test_environment_is_exactly_what_the_cloud_gives(
    stage: stages.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the server leaks in; ours win over the user's."""
    monkeypatch.setenv("SERVER_SECRET", "leaked")
    code = "import os\ndef handler(event, context):\n    return dict(os.environ)\n"
    mine = {"GREETING": "hello = \n 中", "FC_REGION": "forged"}
    stage.deploy("f", code, environment=mine, memory_mb=192)
    result = await stage.invoke("f")
    found = json.loads(result.payload)
    found.pop("PWD", None)
    assert found == {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp",
        "TZ": "UTC",
        "LANG": "C.UTF-8",
        "GREETING": "hello = \n 中",
        "FC_FUNC_CODE_PATH": "/code",
        "FC_ACCOUNT_ID": stages.ACCOUNT,
        "FC_FUNCTION_HANDLER": "index.handler",
        "FC_FUNCTION_MEMORY_SIZE": "192",
        "FC_FUNCTION_NAME": "f",
        "FC_REGION": "cn-hangzhou",
        "FC_INSTANCE_ID": result.instance_id,
        "FC_QUALIFIER": "LATEST",
    }


async def test_only_the_code_and_the_standard_library_can_be_imported(stage: stages.Stage) -> None:
    """PYTHONPATH of the function's own variables counts: tools build into /code/python."""
    code = (
        "import sys, json, sqlite3\nimport helper, dependency\n"
        "def handler(event, context):\n"
        "    try:\n        import msgspec\n    except ImportError:\n        absent = True\n"
        "    return [helper.V, dependency.V, absent, sys.path[0], sys.argv]\n"
    )
    files = {"index.py": code, "helper.py": "V = 1\n", "python/dependency.py": "V = 2\n"}
    stage.deploy("f", files, environment={"PYTHONPATH": "/code/python"})
    result = await stage.invoke("f")
    assert json.loads(result.payload) == [1, 2, True, "/code", ["index.handler"]]


async def test_initializer_runs_once_per_instance_and_its_output_is_kept(
    stage: stages.Stage,
) -> None:
    code = (
        "print('loading')\nruns = []\n"
        "def initialize(context):\n    runs.append(context.function.name)\n    print('starting')\n"
        "def handler(event, context):\n    print('handling')\n    return runs\n"
    )
    stage.deploy("f", code, initializer=stages.hook("index.initialize"))
    first, second = [await stage.invoke("f") for _ in range(2)]
    assert first.payload == second.payload == b'["f"]'
    assert (first.cold, second.cold) == (True, False)
    lines = stage.records.log_of(first.request_id).splitlines()[1:-1]
    assert lines == ["loading", "starting", "handling"]
    assert stage.records.log_of(second.request_id).splitlines()[1:-1] == ["handling"]


async def test_pre_stop_runs_when_an_instance_is_let_go(stage: stages.Stage) -> None:
    """Seen from the outside by what it writes to the log of an instance that is being stopped."""
    code = (
        "import time\n"
        "def stop(context):\n    time.sleep(0.3)\n"
        "def handler(event, context):\n    return 'x'\n"
    )
    stage.deploy("f", code, pre_stop=stages.hook("index.stop"))
    await stage.invoke("f")
    before = stage.processes()
    del stage.functions["f"]
    stage.service.refresh(stages.ACCOUNT, "f")
    assert stage.processes() == before, "it is given the time of its hook"
    await stage.service.close()
    assert not stage.processes() & before


LOGGING = """
import logging
logger = logging.getLogger()
logger.info("at import")
def handler(event, context):
    logger.debug("not shown")
    logger.info("plain %s", 1)
    context.logger.warning("from context")
    logging.getLogger("mine").error("named")
"""


async def test_logging_has_the_format_of_the_cloud(stage: stages.Stage) -> None:
    stage.deploy("f", LOGGING)
    result = await stage.invoke("f", request_id="1-req")
    lines = stage.records.log_of(result.request_id).splitlines()[1:-1]
    stamps = [line[:24] for line in lines]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", stamp) for stamp in stamps)
    assert [line[25:] for line in lines] == [
        " [INFO] at import",
        "1-req [INFO] plain 1",
        "1-req [WARNING] from context",
        "1-req [ERROR] named",
    ]


async def test_log_tail_is_the_last_4_kib_with_the_summary(stage: stages.Stage) -> None:
    stage.deploy("f", "def handler(event, context):\n    print(event.decode() * 3000)\n")
    short = (await stage.invoke("f", b"")).log_tail.decode()
    assert re.fullmatch(
        r"FC Invoke Start RequestId: (\S+)\n\nFC Invoke End RequestId: \1\n\n"
        r"Duration: \d+\.\d\d ms, Billed Duration: \d+ ms, "
        r"Memory Size: 512 MB, Max Memory Used: \d+\.\d\d MB",
        short,
    )
    long = (await stage.invoke("f", "中".encode())).log_tail
    assert 4093 <= len(long) <= 4096
    assert long.decode().endswith(" MB")
    assert (await stage.invoke("f", b"", log_tail=False)).log_tail == b""


async def test_memory_is_the_peak_of_the_process(stage: stages.Stage) -> None:
    stage.deploy("f", "def handler(event, context):\n    b'x' * (int(event) << 20)\n", timeout_s=20)
    idle = await stage.invoke("f", b"0")
    busy = await stage.invoke("f", b"100")
    assert 4 < idle.memory_mb < 40
    assert 100 < busy.memory_mb < 150


async def test_record_of_an_invocation_has_the_metrics_of_the_cloud(stage: stages.Stage) -> None:
    stage.deploy("f", "def handler(event, context):\n    print('ab')\n")
    result = await stage.invoke("f", attributes={"eventId": "e1"})
    record = stage.records.record_of(result.request_id)
    assert record == {
        "requestId": result.request_id,
        "functionName": "f",
        "qualifier": "LATEST",
        "durationMs": result.duration_us / 1000,
        "billedMs": result.billed_ms,
        "memoryMB": 512,
        "memoryUsageMB": result.memory_mb,
        "isColdStart": True,
        "hasFunctionError": False,
        "instanceID": result.instance_id,
        "logBytes": 3,
        "attributes": {"eventId": "e1"},
    }
    assert {line.stream for line in stage.records.lines} == {f"{stages.ACCOUNT}/function/f"}
    assert re.fullmatch(r"c-[0-9a-f]{8}-[0-9a-f]{20}", result.instance_id)
