"""The function target: what is called with what, and what each answer means for the delivery."""

from __future__ import annotations

import asyncio
import base64
import functools
import time

import msgspec
import pytest

from headrace.core import calling, delivery, errors, limits
from headrace.targets import asynchronous, function

pytestmark = pytest.mark.anyio


class Clock:
    def wall_ms(self) -> int:
        return 0

    def mono_us(self) -> int:
        return time.monotonic_ns() // 1000


class Answer(msgspec.Struct):
    payload: bytes = b"out"
    error_type: str | None = None


class World:
    """Notes the calls; answers or raises what a test sets."""

    def __init__(self) -> None:
        self.invoked: list[calling.Call] = []
        self.result: Answer | errors.HeadraceError = Answer()
        self.refused_later = False
        self.begun = asyncio.Event()
        self.hang = False
        self.cancelled = False

    def begin(self, call: calling.Call, told: calling.Told) -> calling.Abandon:
        self.invoked.append(call)
        self.begun.set()
        if isinstance(self.result, errors.HeadraceError) and not self.refused_later:
            raise self.result
        if not self.hang:
            asyncio.get_running_loop().call_soon(told, self.result)
        return self._abandon

    def _abandon(self) -> None:
        self.cancelled = True

    def sender(self, *, asynchronous: bool = False) -> function.FunctionSender:
        return function.FunctionSender(
            "hello", "LATEST", Clock(),
            asynchronous=asynchronous, begin=self.begin,
        )  # fmt: skip


def message(body: str | None = "the body", **fields: object) -> delivery.Message:
    plain = delivery.Message(
        position=7, event_id="e-1", source="shop", type="order", attempt=3, account="1234",
        bus="default", rule="orders", target="t1", request_id="R-1",
        params={"body": body}, body=b'{"id":"e-1"}',
    )  # fmt: skip
    return msgspec.structs.replace(plain, **fields)


async def send(
    sender: delivery.Sender, *sent: delivery.Message, seconds: float = 5
) -> list[delivery.Outcome]:
    return list(await sender.send(sent, Clock().mono_us() + int(seconds * 1e6)))


async def test_a_sync_target_runs_the_function_with_the_rendered_body() -> None:
    world = World()
    (outcome,) = await send(world.sender(), message())
    assert (outcome.ok, outcome.kind, outcome.code) == (True, "ok", 200)
    assert outcome.detail == b"out"
    (call,) = world.invoked
    assert (call.account, call.function, call.qualifier) == ("1234", "hello", "LATEST")
    assert (call.payload, call.request_id, call.retry_count) == (b"the body", "R-1", 2)
    assert call.attributes == {
        "x-eventbridge-event-id": "e-1",
        "x-eventbridge-event-source": "shop",
        "x-eventbridge-rule": "orders",
        "x-eventbridge-attempt": "3",
    }
    assert outcome.forward is None


async def test_without_a_body_the_function_gets_the_event() -> None:
    world = World()
    await send(world.sender(), message(params={}))
    assert world.invoked[0].payload == b'{"id":"e-1"}'


async def test_a_body_that_found_nothing_is_empty() -> None:
    world = World()
    await send(world.sender(), message(None))
    assert world.invoked[0].payload == b""


async def test_an_async_target_asks_the_bus_to_queue_the_call() -> None:
    world = World()
    (outcome,) = await send(world.sender(asynchronous=True), message())
    assert (outcome.ok, outcome.code, outcome.text) == (True, 202, "Accepted")
    assert outcome.forward == delivery.Forward("function", "hello", b"the body", "R-1")
    assert world.invoked == []


async def test_an_async_call_that_is_too_large_is_poisoned() -> None:
    world = World()
    limit = limits.INVOKE_ASYNC_BYTES_MAX
    sender = world.sender(asynchronous=True)
    fits, too_large = await send(sender, message("x" * limit), message("x" * (limit + 1)))
    assert fits.ok
    assert (too_large.kind, too_large.code, too_large.forward) == ("poisoned", 413, None)


async def test_a_functions_error_is_tried_again() -> None:
    world = World()
    world.result = Answer(b'{"errorMessage":"x"}', "UnhandledInvocationError")
    (outcome,) = await send(world.sender(), message())
    assert (outcome.ok, outcome.kind, outcome.code) == (False, "down", 200)
    assert outcome.text == "UnhandledInvocationError"
    assert outcome.detail == b'{"errorMessage":"x"}'


@pytest.mark.parametrize("later", [False, True], ids=["at once", "after a while"])
@pytest.mark.parametrize(
    ("raised", "kind", "code"),
    [
        (errors.FunctionNotFound("gone"), "down", 404),
        (errors.AccessDenied("no"), "down", 403),
        (errors.Throttled("busy"), "throttled", 429),
        (errors.Unavailable("stopping"), "down", 503),
        (errors.PayloadTooLarge("big"), "poisoned", 413),
    ],
)
async def test_each_refusal_to_run_has_its_class(
    raised: errors.HeadraceError, kind: str, code: int, later: bool
) -> None:
    world = World()
    world.result, world.refused_later = raised, later
    (outcome,) = await send(world.sender(), message())
    assert (outcome.ok, outcome.kind, outcome.code) == (False, kind, code)
    assert raised.message in outcome.text


async def test_a_run_past_the_deadline_is_cancelled_and_down() -> None:
    world = World()
    world.hang = True
    (outcome,) = await send(world.sender(), message(), seconds=0.05)
    assert outcome.kind == "down"
    assert world.cancelled


async def test_a_sender_whose_caller_is_cancelled_gives_the_call_up() -> None:
    world = World()
    world.hang = True
    task = asyncio.create_task(send(world.sender(), message()))
    await world.begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.cancelled


async def test_each_call_has_its_own_deadline_on_the_one_timer() -> None:
    """The later call, begun first, neither hides nor shares the deadline of the earlier one."""
    world = World()
    world.hang = True
    told: asyncio.Queue[tuple[int, delivery.Outcome]] = asyncio.Queue()
    sender, now_us = world.sender(), Clock().mono_us()
    for number, wait_us in enumerate((5_000_000, 20_000, 60_000)):
        answered = functools.partial(lambda n, outcome: told.put_nowait((n, outcome)), number)
        sender.start(message(), now_us + wait_us, answered)
    async with asyncio.timeout(3):
        ended = [await told.get() for _ in range(2)]
    assert [(number, outcome.kind) for number, outcome in ended] == [(1, "down"), (2, "down")]


async def test_a_call_that_was_given_up_tells_nothing() -> None:
    world = World()
    told: list[delivery.Outcome] = []
    attempt = world.sender().start(message(), Clock().mono_us() + 5_000_000, told.append)
    assert attempt is not None
    attempt.cancel()
    await asyncio.sleep(0)
    assert world.cancelled
    assert told == []


async def test_a_large_result_is_kept_by_its_head_only() -> None:
    world = World()
    world.result = Answer(b"y" * 100_000)
    (outcome,) = await send(world.sender(), message())
    assert len(outcome.detail) == delivery.DETAIL_BYTES_MAX


def waiting(payload: bytes) -> bytes:
    """A queued call as the bus keeps it."""
    encoded = base64.b64encode(payload).decode()
    return msgspec.json.encode({"specversion": "1.0", "id": "R-9", "data_base64": encoded})


async def run_queued(world: World, body: bytes) -> delivery.Outcome:
    sender = asynchronous.CallSender("hello", Clock(), begin=world.begin)
    changes = {"params": {}, "body": body, "event_id": "R-9", "request_id": "R-10"}
    (outcome,) = await send(sender, msgspec.structs.replace(message(), **changes))
    return outcome


async def test_a_queued_call_runs_under_the_id_its_caller_was_told() -> None:
    world = World()
    outcome = await run_queued(world, waiting(b"\x00\xff"))
    assert (outcome.ok, outcome.code) == (True, 200)
    (call,) = world.invoked
    assert (call.payload, call.request_id, call.retry_count) == (b"\x00\xff", "R-9", 2)


async def test_a_queued_call_that_fails_is_tried_again() -> None:
    world = World()
    world.result = Answer(b"", "FunctionTimeoutError")
    assert (await run_queued(world, waiting(b""))).kind == "down"


@pytest.mark.parametrize("body", [b"{}", b"not json", b'{"data_base64":"?"}'])
async def test_a_record_that_is_no_call_is_poisoned(body: bytes) -> None:
    world = World()
    assert (await run_queued(world, body)).kind == "poisoned"
    assert world.invoked == []
