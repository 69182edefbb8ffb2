"""The service over real instances: deployments, concurrency, bounds, cancellation, the end."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from headrace.core import errors
from headrace.functions import sandbox
from tests.runtimes import stage as stages

pytestmark = pytest.mark.anyio

ECHO = "def handler(event, context):\n    return event\n"
SLOW = (
    "import time\ndef handler(event, context):\n"
    "    print('begun')\n    time.sleep(float(event))\n    return 'done'\n"
)


async def until(reached: object) -> None:
    """Wait for what other tasks bring about."""
    assert callable(reached)
    async with asyncio.timeout(10):
        while not reached():  # noqa: ASYNC110 - there is no event: it is the state that is asked
            await asyncio.sleep(0.005)


async def test_warm_instance_is_used_again(stage: stages.Stage) -> None:
    stage.deploy("f", ECHO)
    results = [await stage.invoke("f") for _ in range(5)]
    assert len({result.instance_id for result in results}) == 1
    assert [result.cold for result in results] == [True, False, False, False, False]
    assert stage.service.stats().cold_starts == 1


async def test_slow_requests_get_instances_of_their_own(stage: stages.Stage) -> None:
    stage.deploy("f", SLOW)
    began = time.monotonic()
    results = await asyncio.gather(*(stage.invoke("f", b"0.8") for _ in range(4)))
    assert len({result.instance_id for result in results}) == 4
    assert time.monotonic() - began < 2.4, "side by side, not one after the other"


async def test_concurrent_instance_runs_requests_side_by_side(stage: stages.Stage) -> None:
    """instanceConcurrency 8: one process, eight threads, and each log is its own."""
    code = (
        "import time\ndef handler(event, context):\n"
        "    for _ in range(5):\n        print(event.decode())\n        time.sleep(0.05)\n"
        "    return event\n"
    )
    stage.deploy("f", code, instance_concurrency=8)
    events = [f"event {n}".encode() for n in range(8)]
    results = await asyncio.gather(*(stage.invoke("f", event) for event in events))
    assert [result.payload for result in results] == events
    assert len({result.instance_id for result in results}) == 1
    for event, result in zip(events, results, strict=True):
        lines = stage.records.log_of(result.request_id).splitlines()[1:-1]
        assert lines == [event.decode()] * 5


async def test_overdue_request_of_a_concurrent_instance_leaves_the_others_alone(
    stage: stages.Stage,
) -> None:
    stage.deploy("f", SLOW, instance_concurrency=4, timeout_s=1)
    await stage.invoke("f", b"0")
    hanging = asyncio.create_task(stage.invoke("f", b"30"))
    await until(lambda: "begun" in _log_of_running(stage))
    other = asyncio.create_task(stage.invoke("f", b"0.9"))
    assert (await hanging).error_type == "FunctionTimeoutError"
    assert (await other).payload == b"done"
    following = await stage.invoke("f", b"0")
    assert following.payload == b"done"
    assert following.instance_id != (await hanging).instance_id


def _log_of_running(stage: stages.Stage) -> str:
    running = [info.running for info in stage.service.instances(stages.ACCOUNT, "f")]
    return "begun" if any(running) else ""


async def test_pipelined_requests_keep_their_logs_apart(stage: stages.Stage) -> None:
    """Hundreds of quick requests at once on one or two instances, each with its own line."""
    stage.deploy("f", "def handler(event, context):\n    print(event.decode())\n    return event\n")
    for _ in range(20):
        await stage.invoke("f", b"warm")
    events = [f"event {n}".encode() for n in range(300)]
    results = await asyncio.gather(*(stage.invoke("f", event) for event in events))
    for event, result in zip(events, results, strict=True):
        assert result.payload == event
        lines = stage.records.log_of(result.request_id).splitlines()[1:-1]
        assert lines == [event.decode()]
    assert stage.service.stats().instances < 10


async def test_small_bursts_keep_their_logs_apart_too(stage: stages.Stage) -> None:
    """An answer may be read before the mark of its own log: the line is still its own."""
    stage.deploy("f", "def handler(event, context):\n    print('took', flush=True)\n")
    for _ in range(300):
        results = await asyncio.gather(*(stage.invoke("f", b"") for _ in range(8)))
        logs = [stage.records.log_of(result.request_id) for result in results]
        assert [log.count("took") for log in logs] == [1] * 8


async def test_new_code_serves_at_once_and_the_old_one_finishes(stage: stages.Stage) -> None:
    stage.deploy("f", SLOW)
    old = asyncio.create_task(stage.invoke("f", b"0.7"))
    await until(lambda: _log_of_running(stage))
    stage.deploy("f", "def handler(event, context):\n    return 'new'\n")
    assert (await stage.invoke("f")).payload == b"new"
    assert not old.done()
    assert (await old).payload == b"done"
    await until(lambda: stage.service.stats().instances == 1)


async def test_change_that_processes_do_not_see_keeps_them(stage: stages.Stage) -> None:
    stage.deploy("f", ECHO)
    first = await stage.invoke("f")
    stage.deploy("f", ECHO, description="other", tags={"a": "b"})
    assert (await stage.invoke("f")).instance_id == first.instance_id
    stage.deploy("f", ECHO, environment={"A": "b"})
    assert (await stage.invoke("f")).instance_id != first.instance_id


async def test_requests_that_wait_move_to_the_new_code(stage: stages.Stage) -> None:
    """Not one of them runs on code that was replaced before it began, and none is lost."""
    stage.deploy("f", "import time\ntime.sleep(0.3)\ndef handler(e, c):\n    return 'old'\n")
    waiting = [asyncio.create_task(stage.invoke("f")) for _ in range(5)]
    await until(lambda: stage.service.stats().starting > 0)
    stage.deploy("f", "def handler(e, c):\n    return 'new'\n")
    stage.service.refresh(stages.ACCOUNT, "f")
    assert {(await task).payload for task in waiting} == {b"new"}


async def test_deleted_function_lets_its_instances_go(stage: stages.Stage) -> None:
    stage.deploy("f", ECHO)
    await stage.invoke("f")
    del stage.functions["f"]
    stage.service.refresh(stages.ACCOUNT, "f")
    await until(lambda: stage.service.stats().instances == 0)
    with pytest.raises(errors.FunctionNotFound):
        await stage.invoke("f")


async def test_idle_instance_is_let_go(stage: stages.Stage) -> None:
    stage.deploy("f", ECHO, idle_timeout_s=0)
    await stage.invoke("f")
    await until(lambda: stage.service.stats().instances == 0)
    assert not stage.processes()


async def test_too_many_requests_are_throttled(tmp_path: Path, walls: sandbox.Sandbox) -> None:
    bounds = stages.limits(
        instances_max=1, queue_per_group_max=2, queue_wait_us_max=300_000, start_us_guess=1000
    )
    async with stages.open_stage(tmp_path, walls, limits=bounds) as stage:
        stage.deploy("f", SLOW)
        tasks = [asyncio.create_task(stage.invoke("f", b"1")) for _ in range(4)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        refused = [result for result in results if isinstance(result, errors.Throttled)]
        assert {error.code for error in refused} == {"ResourceThrottled"}
        reasons = sorted(error.message for error in refused)
        assert [text.split(": ")[1] for text in reasons] == [
            "no instance became free in time.",
            "the queue of the function is full.",
            "the queue of the function is full.",
        ]
        assert stage.service.stats().throttled == 3


async def test_payloads_that_wait_and_run_have_a_bound_together(
    tmp_path: Path, walls: sandbox.Sandbox
) -> None:
    """What ended, was refused or was given up makes room again."""
    bounds = stages.limits(
        instances_max=1, queue_per_group_max=9, queue_wait_us_max=300_000, start_us_guess=1000,
        payload_bytes_max=3,
    )  # fmt: skip
    async with stages.open_stage(tmp_path, walls, limits=bounds) as stage:
        stage.deploy("f", SLOW)
        for _ in range(2):
            tasks = [asyncio.create_task(stage.invoke("f", b"1")) for _ in range(4)]
            await asyncio.sleep(0)  # all four have asked
            tasks[1].cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            texts = [error.message for error in results if isinstance(error, errors.Throttled)]
            assert sum("3 bytes of payloads" in text for text in texts) == 1
            assert len(texts) <= 2  # one more may have waited too long
            running = asyncio.create_task(stage.invoke("f", b"0"))
            await asyncio.sleep(0)
            with pytest.raises(errors.Throttled, match="3 bytes of payloads"):
                await stage.invoke("f", b"1111")
            await running


async def test_canceled_request_that_waits_never_runs(
    tmp_path: Path, walls: sandbox.Sandbox
) -> None:
    async with stages.open_stage(tmp_path, walls, limits=stages.limits(instances_max=1)) as stage:
        stage.deploy("f", SLOW)
        first = asyncio.create_task(stage.invoke("f", b"0.5"))
        await until(lambda: _log_of_running(stage))
        second = asyncio.create_task(stage.invoke("f", b"0"))
        await until(lambda: stage.service.stats().queued == 1)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        assert (await first).payload == b"done"
        assert stage.service.stats().invocations == 1


async def test_canceled_request_that_runs_is_recorded(stage: stages.Stage) -> None:
    stage.deploy("f", SLOW)
    task = asyncio.create_task(stage.invoke("f", b"0.3", request_id="1-gone"))
    await until(lambda: _log_of_running(stage))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: stage.service.stats().invocations == 1)
    log = stage.records.log_of("1-gone")
    # It was canceled on the way, or ran to its end for nobody; in both cases it is on record.
    assert ("begun" in log) != ("Error: Invocation canceled by client" in log)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"name": "absent"}, errors.FunctionNotFound),
        ({"name": "f", "account": "999"}, errors.FunctionNotFound),
        ({"name": "f", "qualifier": "prod"}, errors.VersionNotFound),
        ({"name": "f", "attributes": {"a": "x" * 60_000}}, errors.InvalidInput),
        ({"name": "f", "attributes": {"a": "\ud800"}}, errors.InvalidInput),
        ({"name": "f", "payload": bytes(32 * 1024 * 1024 + 1)}, errors.PayloadTooLarge),
    ],
)
async def test_what_cannot_be_invoked_is_refused(
    stage: stages.Stage, fields: dict[str, object], kind: type[Exception]
) -> None:
    stage.deploy("f", ECHO)
    with pytest.raises(kind):
        await stage.invoke(**fields)  # pyright: ignore[reportArgumentType]
    assert stage.service.stats().starting == 0


async def test_code_that_is_lost_fails_the_start_with_the_reason(stage: stages.Stage) -> None:
    function = stage.deploy("f", ECHO)
    (stage.root / "blobs" / function.code_sha256).unlink()
    result = await stage.invoke("f")
    assert result.error_type == "FunctionNotStarted"
    assert function.code_sha256 in json.loads(result.payload)["errorMessage"]


async def test_start_that_goes_wrong_in_any_way_is_told(stage: stages.Stage) -> None:
    """A lone surrogate cannot be put into an environment: nobody waits for ever because of it."""
    stage.deploy("f", ECHO, environment={"A": "\ud800"})
    assert (await stage.invoke("f")).error_type == "FunctionNotStarted"
    assert stage.service.stats().starting == 0


async def test_package_is_checked_at_deployment_and_is_warm_then(stage: stages.Stage) -> None:
    data = stages.packed({"index.py": ECHO})
    digest = await asyncio.to_thread(stage.packages.check, data)
    place = stage.packages.cached(digest)
    assert place is not None
    assert (place / "index.py").read_text() == ECHO
    with pytest.raises(errors.PackageInvalid):
        await asyncio.to_thread(stage.packages.check, b"not a zip")
    function = stage.deploy("f", ECHO)
    assert stage.service.code_in_use() == set()
    await stage.invoke("f", b"{}")
    assert stage.service.code_in_use() == {function.code_sha256}


async def test_close_waits_for_what_runs_and_refuses_what_comes(
    tmp_path: Path, walls: sandbox.Sandbox
) -> None:
    stage = stages.Stage(tmp_path, walls)
    stage.deploy("f", SLOW)
    running = asyncio.create_task(stage.invoke("f", b"0.5"))
    await until(lambda: _log_of_running(stage))
    closing = asyncio.create_task(stage.service.close(grace_s=5))
    await asyncio.sleep(0)
    with pytest.raises(errors.Unavailable):
        await stage.invoke("f", b"0")
    await closing
    assert (await running).payload == b"done"
    assert not stage.processes()


async def test_close_ends_what_does_not_finish(tmp_path: Path, walls: sandbox.Sandbox) -> None:
    stage = stages.Stage(tmp_path, walls)
    stage.deploy("f", SLOW, timeout_s=60)
    running = asyncio.create_task(stage.invoke("f", b"50"))
    await until(lambda: _log_of_running(stage))
    began = time.monotonic()
    await stage.service.close(grace_s=0.2)
    assert time.monotonic() - began < 3
    assert (await running).error_type == "UnhandledInvocationError"
    assert not stage.processes()


async def test_many_concurrent_requests_all_come_back_right(stage: stages.Stage) -> None:
    stage.deploy("f", ECHO)

    async def caller(number: int) -> None:
        for turn in range(50):
            event = f"{number}/{turn}".encode()
            assert (await stage.invoke("f", event)).payload == event

    await asyncio.gather(*(caller(number) for number in range(40)))
    stats = stage.service.stats()
    assert (stats.invocations, stats.errors, stats.throttled) == (2000, 0, 0)
