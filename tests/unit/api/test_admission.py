"""The gate before publishing: how many are worked on, whose, and how soon the rest is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from headrace.api import admission, bounds, http, probes, routes, turns
from headrace.core import errors
from tests.unit.api import sockets, support

MOST = bounds.PUBLISHING_UNITS_MAX
IN_BURST = bounds.PUBLISHING_UNITS_IN_BURST_MAX


def of(account: str) -> http.Request:
    return http.Request("POST", "/", client=account)


def gate(clock: support.FixedClock | None = None) -> admission.Gate:
    return admission.Gate(lambda request: request.client, clock or support.FixedClock())


def filled(it: admission.Gate, account: str) -> list[admission.Entered]:
    entered: list[admission.Entered] = []
    with contextlib.suppress(errors.HeadraceError):
        while True:
            entered.append(it.enter(of(account), 1_000))
    return entered


def test_a_full_gate_says_503_to_the_only_account() -> None:
    it = gate()
    assert len(filled(it, "a")) == MOST
    with pytest.raises(admission.Busy) as caught:
        it.enter(of("a"), 1_000)
    assert (caught.value.status, caught.value.retry_after_s) == (503, 1)
    assert it.refused == 2


def test_a_body_takes_a_unit_for_each_32_kib() -> None:
    it = gate()
    assert it.enter(of("a"), bounds.PUBLISHING_UNIT_BYTES * 3) == ("a", 4)
    it.leave(("a", 4))
    assert it.shares.taken == 0


def test_after_a_refusal_only_half_as_many_are_let_in_until_the_burst_is_over() -> None:
    clock = support.FixedClock()
    it = gate(clock)
    inside = filled(it, "a")
    for _ in range(MOST - IN_BURST):
        it.leave(inside.pop())
    with pytest.raises(admission.Busy):
        it.enter(of("a"), 1_000)
    it.leave(inside.pop())
    inside.append(it.enter(of("a"), 1_000))
    clock.mono += bounds.PUBLISHING_BURST_MS * 1000 + 1
    inside.append(it.enter(of("a"), 1_000))
    assert len(inside) == IN_BURST + 1


def test_one_account_that_floods_leaves_the_other_its_share_and_is_told_which() -> None:
    it = gate()
    filled(it, "a")
    assert len(filled(it, "b")) == IN_BURST // 2
    with pytest.raises(errors.ShareUsed) as caught:
        it.enter(of("a"), 1_000)
    assert (caught.value.status, caught.value.field) == (429, "publishing")
    assert f"{IN_BURST // 2} requests" in caught.value.message
    assert "Retry-After" in caught.value.remedy


@pytest.mark.anyio
async def test_what_is_large_begins_a_few_at_a_time_and_in_order() -> None:
    it, begun = turns.Turns(), list[int]()
    units = bounds.TURN_UNITS_MAX // 2
    for number in range(6):
        if it.may_begin(units):
            begun.append(number)
        else:
            it.wait(lambda number=number: begun.append(number), units)
    seen = [list(begun)]
    while len(begun) < 6:
        await asyncio.sleep(0)
        seen.append(list(begun))
    assert seen == [[0, 1], [0, 1, 2, 3], [0, 1, 2, 3, 4, 5]]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert it.may_begin(1)


@pytest.mark.anyio
async def test_what_comes_later_does_not_overtake_what_waits() -> None:
    it = turns.Turns()
    assert it.may_begin(bounds.TURN_UNITS_MAX)
    assert not it.may_begin(1)
    it.wait(lambda: None, bounds.TURN_UNITS_MAX)
    await asyncio.sleep(0)
    assert not it.may_begin(1), "the turn is full with what waited"


class Face:
    def __init__(self) -> None:
        self.calls = 0
        self.go = asyncio.Event()

    async def __call__(self, request: http.Request) -> http.Response:
        self.calls += 1
        await self.go.wait()
        return http.Response(200, b"published")


@contextlib.asynccontextmanager
async def served(face: Face) -> AsyncIterator[int]:
    table = [
        routes.Route("short", "/short", face, probes.refuse, 1 << 20, short=True, gated=True),
        routes.Route("long", "/long", face, probes.refuse, 1 << 20, gated=True),
        routes.Route("other", "/other", _other, probes.refuse, 0),
    ]
    async with sockets.served(table) as running:
        yield running.port


async def _other(request: http.Request) -> http.Response:
    return http.Response(200, b"other")


def post(path: bytes) -> bytes:
    return b"POST /%b HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody" % path


@pytest.mark.anyio
@pytest.mark.parametrize("path", [b"short", b"long"])
async def test_a_request_that_finds_the_gate_full_is_told_at_once_and_may_ask_again(
    path: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "PUBLISHING_UNITS_MAX", 1)
    monkeypatch.setattr(bounds, "PUBLISHING_UNITS_IN_BURST_MAX", 1)
    face = Face()
    async with (
        served(face) as port,
        sockets.connected(port) as (first, ahead),
        sockets.connected(port) as (reader, writer),
    ):
        ahead.write(post(path))
        await support.until(lambda: face.calls == 1)
        writer.write(post(path))
        status, head, body = await sockets.answer(reader)
        assert (status, b"ServiceUnavailable" in body) == (503, True)
        assert "retry-after: 1\r\n" in head
        assert face.calls == 1
        writer.write(b"GET /other HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await sockets.answer(reader))[2] == b"other"
        face.go.set()
        assert (await sockets.answer(first))[2] == b"published"
        writer.write(post(path))
        assert (await sockets.answer(reader))[2] == b"published"
