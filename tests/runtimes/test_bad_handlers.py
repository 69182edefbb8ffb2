"""Handlers that raise, hang, exit, flood, lie or break: each fails alone, the next call works."""

from __future__ import annotations

import asyncio
import json

import pytest

from headrace.functions import invocation
from tests.runtimes import stage as stages

pytestmark = pytest.mark.anyio

GOOD = b"good"
#: Every bad handler answers `good` properly, so that "the next one works" means the same function.
FRAME = """
import os, signal, sys, time
def handler(event, context):
    if event == b"good":
        return "fine"
    {body}
"""


def bad(body: str) -> str:
    return FRAME.format(body=body.replace("\n", "\n    "))


def body_of(result: invocation.Invocation) -> dict[str, object]:
    return json.loads(result.payload)


async def good_again(stage: stages.Stage) -> None:
    result = await stage.invoke("bad", GOOD)
    assert (result.payload, result.error_type) == (b"fine", None)


async def test_exception_becomes_the_error_body_of_the_cloud(stage: stages.Stage) -> None:
    """errorMessage, errorType, and a stack of four strings per frame, without our own frames."""
    code = "def handler(event, context):\n    raise ValueError('something is wrong')\n"
    stage.deploy("bad", code)
    result = await stage.invoke("bad")
    assert result.error_type == "UnhandledInvocationError"
    assert body_of(result) == {
        "errorMessage": "something is wrong",
        "errorType": "ValueError",
        "stackTrace": [
            [
                'File "/code/index.py"',
                "line 2",
                "in handler",
                "raise ValueError('something is wrong')",
            ]
        ],
    }
    tail = result.log_tail.decode()
    assert "ValueError: something is wrong\n" in tail
    end = f"FC Invoke End RequestId: {result.request_id}, Error: Unhandled function error\n"
    assert end in tail
    assert stage.records.record_of(result.request_id)["errorType"] == "UnhandledInvocationError"


async def test_raising_handler_keeps_its_instance(stage: stages.Stage) -> None:
    stage.deploy("bad", bad("raise RuntimeError('no')"))
    failed = await stage.invoke("bad")
    assert body_of(failed)["errorType"] == "RuntimeError"
    following = await stage.invoke("bad", GOOD)
    assert (following.instance_id, following.cold) == (failed.instance_id, False)


@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        "time.sleep(60)",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)",
        "[signal.signal(n, signal.SIG_IGN) for n in (1, 2, 3, 15)]\nwhile True: print('x' * 1000)",
    ],
    ids=["spins", "sleeps", "ignores-sigterm", "floods-and-hangs"],
)
async def test_hanging_handler_is_killed_at_its_timeout(stage: stages.Stage, body: str) -> None:
    stage.deploy("bad", bad("print('before')\n" + body), timeout_s=1)
    await good_again(stage)
    before = stage.processes()
    result = await stage.invoke("bad")
    assert result.error_type == "FunctionTimeoutError"
    assert body_of(result) == {
        "errorMessage": "Function time out after 1 seconds",
        "errorType": "FunctionTimeoutError",
    }
    log = stage.records.log_of(result.request_id)
    assert "before\n" in log
    assert log.endswith(", Error: Function time out after 1 seconds\n")
    assert not stage.processes() & before, "its processes are gone when the caller is told"
    await good_again(stage)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("print('last words'); sys.exit(3)", 3),
        ("print('last words'); os._exit(4)", 4),
        ("print('last words'); os.kill(os.getpid(), signal.SIGKILL)", 137),
        ("print('last words'); os.abort()", 134),
        ("print('last words'); os.kill(1, 9); os.kill(os.getppid(), 9); os._exit(5)", 5),
        ("print('last words'); import ctypes; ctypes.string_at(0)", 139),
        ("print('last words'); os.closerange(3, 100); os._exit(6)", 6),
    ],
    ids=["sys.exit", "os._exit", "sigkill", "abort", "kills-pid-1", "segfault", "closes-all"],
)
async def test_process_that_ends_fails_its_invocation_only(
    stage: stages.Stage, body: str, status: int
) -> None:
    stage.deploy("bad", bad(body))
    await good_again(stage)
    result = await stage.invoke("bad")
    assert result.error_type == "UnhandledInvocationError"
    message = "Process exited unexpectedly before completing request"
    assert body_of(result) == {
        "errorMessage": message,
        "errorType": "ProcessExited",
        "stackTrace": [],
    }
    tail = result.log_tail.decode()
    assert "last words\n" in tail
    assert f"FC Invoke End RequestId: {result.request_id}, Error: {message}\n" in tail
    assert stage.records.record_of(result.request_id)["exitStatus"] == status
    await good_again(stage)


async def test_flood_of_output_is_cut_and_counted(stage: stages.Stage) -> None:
    """1 MiB is kept with its beginning and its end; the rest is a number."""
    stage.deploy(
        "bad",
        bad(
            "print('first')\nfor n in range(40):\n    sys.stdout.write('x' * 100000)\nprint('last')"
        ),
        timeout_s=20,
    )
    result = await stage.invoke("bad")
    assert result.error_type is None
    log = stage.records.log_of(result.request_id)
    assert len(log) < 1_100_000
    assert "\nfirst\n" in log
    assert "x\nlast\n" not in log
    assert "xlast\n" in log
    assert "bytes of log left out" in log
    assert stage.records.record_of(result.request_id)["logBytes"] == 4_000_000 + 6 + 5
    assert len(result.log_tail) <= 4096
    await good_again(stage)
    assert "x" * 100 not in stage.records.log_of("1-00000002-0000")


async def test_half_a_line_is_kept_and_closed(stage: stages.Stage) -> None:
    stage.deploy("bad", bad("sys.stdout.write('half a li')\nsys.stderr.write('ne')"))
    result = await stage.invoke("bad")
    lines = stage.records.log_of(result.request_id).splitlines()
    assert lines[1:] == ["half a line", f"FC Invoke End RequestId: {result.request_id}"]
    await good_again(stage)


async def test_half_a_line_before_a_crash_is_kept(stage: stages.Stage) -> None:
    stage.deploy("bad", bad("sys.stdout.write('half a line'); os._exit(1)"))
    result = await stage.invoke("bad")
    assert "\nhalf a line\n" in stage.records.log_of(result.request_id)
    await good_again(stage)


@pytest.mark.parametrize(
    "body",
    ["os.close(1); os.close(2); return 'closed'", "sys.stdout.close(); return 'closed'"],
    ids=["descriptors", "stream"],
)
async def test_closed_stdout_loses_logs_but_no_answers(stage: stages.Stage, body: str) -> None:
    stage.deploy("bad", bad("print('before')\n" + body))
    result = await stage.invoke("bad")
    assert (result.payload, result.error_type) == (b"closed", None)
    assert "before" in stage.records.log_of(result.request_id)
    await good_again(stage)


async def test_raising_after_closing_stderr_still_answers(stage: stages.Stage) -> None:
    stage.deploy("bad", bad("os.close(1); os.close(2)\nraise ValueError('heard')"))
    assert body_of(await stage.invoke("bad"))["errorMessage"] == "heard"
    await good_again(stage)


async def test_syntax_error_is_named_with_its_line(stage: stages.Stage) -> None:
    stage.deploy("bad", "def handler(event, context):\n    return (1\n")
    result = await stage.invoke("bad")
    assert result.error_type == "UnhandledInvocationError"
    assert body_of(result)["errorType"] == "UserCodeSyntaxError"
    assert "line 2" in str(body_of(result)["stackTrace"])
    assert "SyntaxError" in result.log_tail.decode()
    stage.deploy("bad", bad("pass"))
    await good_again(stage)


@pytest.mark.parametrize(
    ("handler", "kind", "text"),
    [
        ("index.absent", "HandlerNotFound", "function 'absent' not found in /code/index.py"),
        ("absent.handler", "ImportModuleError", "No module named 'absent'"),
        ("index.value", "HandlerNotFound", "function 'value' not found in /code/index.py"),
        ("handler", "HandlerNotFound", "not of the form file.function"),
        ("imports.handler", "ImportModuleError", "No module named 'nowhere'"),
        ("divides.handler", "ZeroDivisionError", "division by zero"),
        ("leaves.handler", "SystemExit", "the code called exit(7) while it was loaded"),
    ],
)
async def test_code_that_cannot_be_loaded_says_why(
    stage: stages.Stage, handler: str, kind: str, text: str
) -> None:
    files = {
        "index.py": "value = 1\ndef handler(event, context):\n    return 'fine'\n",
        "imports.py": "import nowhere\n",
        "divides.py": "1 / 0\n",
        "leaves.py": "import sys; sys.exit(7)\n",
    }
    stage.deploy("bad", files, handler=handler)
    result = await stage.invoke("bad")
    assert result.error_type == "UnhandledInvocationError"
    assert body_of(result)["errorType"] == kind
    assert text in str(body_of(result)["errorMessage"])
    assert result.log_tail.startswith(b"FC Invoke Start RequestId: ")
    stage.deploy("bad", files)
    await good_again(stage)


async def test_code_that_hangs_while_it_is_loaded_is_given_up(
    tmp_path_factory: pytest.TempPathFactory, walls: object
) -> None:
    root = tmp_path_factory.mktemp("load")
    async with stages.open_stage(root, walls, load_timeout_s=0.5) as stage:  # pyright: ignore[reportArgumentType]
        stage.deploy("bad", "print('loading', flush=True)\nwhile True: pass\n")
        result = await stage.invoke("bad")
        assert result.error_type == "InitializationError"
        assert "did not become ready within 0.5 seconds" in str(body_of(result)["errorMessage"])
        assert "loading\n" in result.log_tail.decode()
        stage.deploy("bad", bad("pass"))
        await good_again(stage)


async def test_failing_initializer_fails_the_invocation_and_the_next_start_may_work(
    stage: stages.Stage,
) -> None:
    """Source: spec/fc.md 4b: the waiting invocation fails, the next call gets a new instance."""
    hook = stages.hook("index.initialize")
    good = "def handler(event, context): return 'fine'\n"
    fails = "def initialize(context):\n    raise OSError('no database')\n"
    stage.deploy("bad", fails + good, initializer=hook)
    result = await stage.invoke("bad")
    assert result.error_type == "InitializationError"
    assert body_of(result)["errorMessage"] == "no database"
    stage.deploy("bad", "def initialize(context): pass\n" + good, initializer=hook)
    await good_again(stage)


async def test_orphans_die_with_their_instance(stage: stages.Stage) -> None:
    """A child in its own session, ignoring signals, holding every descriptor: gone all the same."""
    orphan = (
        "import subprocess\n"
        "stay = 'trap \"\" 1 2 3 15; while true; do /bin/sleep 1000; done'\n"
        "subprocess.Popen(['/bin/sh', '-c', stay], start_new_session=True, close_fds=False)\n"
    )
    stage.deploy("bad", bad(orphan + "os._exit(1)"))
    await good_again(stage)
    before = stage.processes()
    result = await stage.invoke("bad")
    assert body_of(result)["errorType"] == "ProcessExited"
    assert not stage.processes() & before
    await good_again(stage)


async def test_orphan_of_a_live_instance_dies_when_it_is_stopped(stage: stages.Stage) -> None:
    stage.deploy("bad", bad("import subprocess; subprocess.Popen(['/bin/sleep', '1000'])"))
    before = stage.processes()
    assert (await stage.invoke("bad")).error_type is None
    assert len(stage.processes() - before) >= 3
    await stage.service.close()
    assert stage.processes() <= before


async def test_answer_over_32_mib_is_refused(stage: stages.Stage) -> None:
    stage.deploy("bad", bad("return b'x' * (32 * 1024 * 1024 + 1)"), timeout_s=20)
    result = await stage.invoke("bad")
    assert result.error_type == "UnhandledInvocationError"
    assert body_of(result)["errorType"] == "ResponseTooLarge"
    await good_again(stage)


LIES: dict[str, str] = {
    "half": "S.pack(100, 17, 0, 0, NUMBER, 0, 0) + b'half'",
    "huge": "S.pack(1 << 31, 17, 0, 0, NUMBER, 0, 0)",
    "unknown-number": "S.pack(0, 17, 0, 0, 999999, 0, 0)",
    "unknown-kind": "S.pack(0, 99, 0, 0, NUMBER, 0, 0)",
    "head-beyond-body": "S.pack(1, 17, 0, 2, NUMBER, 0, 0) + b'x'",
    "ready-again": "S.pack(0, 16, 0, 0, 0, 0, 0)",
    "text": "b'HTTP/1.1 200 OK' + bytes(64)",
}


@pytest.mark.parametrize("lie", LIES)
async def test_process_that_breaks_the_protocol_is_ended(stage: stages.Stage, lie: str) -> None:
    """The code finds our socket and writes to it: its own invocation fails, nothing else does."""
    body = (
        "import struct\n"
        "S = struct.Struct('<IBBHIII'); NUMBER = 2\n"
        "sock = next(n for n in range(3, 50) if os.path.exists(f'/proc/self/fd/{n}')"
        " and 'socket' in os.readlink(f'/proc/self/fd/{n}'))\n"
        f"os.write(sock, {LIES[lie]})\n"
        "os._exit(0)"
    )
    stage.deploy("bad", bad(body))
    await good_again(stage)
    result = await stage.invoke("bad")
    assert result.error_type == "UnhandledInvocationError"
    assert body_of(result)["errorType"] in ("BadResponse", "ProcessExited")
    await good_again(stage)


async def test_requests_behind_a_crash_run_elsewhere(stage: stages.Stage) -> None:
    """What was sent ahead to a process that died had not begun: it runs, exactly once."""
    stage.deploy("bad", bad("os._exit(1)"))
    for _ in range(20):
        await good_again(stage)
    results = await asyncio.gather(
        *(stage.invoke("bad", b"die" if n == 3 else GOOD) for n in range(12))
    )
    died = [result for result in results if result.error_type]
    assert [body_of(result)["errorType"] for result in died] == ["ProcessExited"]
    assert sum(result.payload == b"fine" for result in results) == 11


async def test_requests_behind_one_that_hangs_run_elsewhere(stage: stages.Stage) -> None:
    stage.deploy("bad", bad("while True: pass"), timeout_s=1)
    for _ in range(20):
        await good_again(stage)
    results = await asyncio.gather(
        *(stage.invoke("bad", b"hang" if n == 3 else GOOD) for n in range(12))
    )
    assert [result.error_type for result in results].count("FunctionTimeoutError") == 1
    assert results[3].error_type == "FunctionTimeoutError"
    assert sum(result.payload == b"fine" for result in results) == 11


#: Finds the socket to the server and the number of the running request, and writes frames itself.
FORGER = """
import os, struct, sys, time
HEADER = struct.Struct("<IBBHIII")
def channel():
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink("/proc/self/fd/" + name).startswith("socket:"):
                return int(name)
        except OSError:
            pass
def number():
    frame = sys._getframe()
    while frame:
        for held in frame.f_locals.values():
            if hasattr(held, "number") and hasattr(held, "kind"):
                return held.number
        frame = frame.f_back
def answer(number, kind=b"", body=b"", flags=0, took=0):
    head = HEADER.pack(len(kind) + len(body), 17, flags, len(kind), number, took, 0)
    os.write(channel(), head + kind + body)
def handler(event, context):
    if event == b"good":
        return "fine"
    {body}
"""


def forger(body: str) -> str:
    return FORGER.replace("{body}", body)


@pytest.mark.parametrize(
    "kind", [r"b'A\r\nX-Forged: 1'", r"b'A\0B'", r"b'\xc3\xa9\xff'", "b'A' * 60000"]
)
async def test_error_type_that_is_no_header_becomes_our_own(stage: stages.Stage, kind: str) -> None:
    """It goes into x-fc-error-type; a line break there would cut the answer off."""
    stage.deploy("bad", forger(f"answer(number(), {kind}, b'{{}}', flags=1); os._exit(0)"))
    result = await stage.invoke("bad")
    assert (result.error_type, result.payload) == ("UnhandledInvocationError", b"{}")


async def test_error_type_of_a_failed_start_is_judged_too(stage: stages.Stage) -> None:
    code = FORGER.split("def handler")[0].replace("17, flags", "18, flags")
    stage.deploy("bad", code + "answer(0, b'A\\r\\nX: 1', b'{}')\nos._exit(0)\n")
    result = await stage.invoke("bad")
    assert (result.error_type, result.payload) == ("UnhandledInvocationError", b"{}")


async def test_time_that_did_not_pass_is_not_billed(stage: stages.Stage) -> None:
    stage.deploy("bad", forger("answer(number(), took=0xFFFFFFFF); os._exit(0)"))
    result = await stage.invoke("bad")
    assert result.error_type is None
    assert result.billed_ms < 10_000


async def test_answer_to_a_request_that_waits_is_not_believed(stage: stages.Stage) -> None:
    """The one behind it was sent ahead: whoever runs cannot speak for it."""
    forge = "for ahead in range(1, 9): answer(number() + ahead, body=b'forged')"
    stage.deploy("bad", forger(f"{forge}; time.sleep(0.02)"))
    for _ in range(20):  # quick enough, for long enough, that requests are sent ahead
        await good_again(stage)
    calls = [stage.invoke("bad", b"evil"), *(stage.invoke("bad", GOOD) for _ in range(12))]
    results = await asyncio.gather(*calls)
    assert all(result.payload != b"forged" for result in results)
    assert results[0].error_type is not None


async def test_message_of_any_length_leaves_the_instance_alive(stage: stages.Stage) -> None:
    stage.deploy("bad", bad("raise ValueError('x' * 40_000_000)"), timeout_s=20)
    result = await stage.invoke("bad")
    assert body_of(result)["errorType"] == "ValueError"
    assert len(result.payload) < 3 * 1024 * 1024
    await good_again(stage)
