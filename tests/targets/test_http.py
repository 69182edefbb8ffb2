"""The HTTP target against real receivers: what is sent, and what each kind of answer means."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate

import pytest
from aiohttp import web

from headrace.core import delivery
from headrace.targets import http
from tests.targets.conftest import RawHandler, RealClock, Receiver, message

pytestmark = pytest.mark.anyio

Push = Callable[..., Awaitable[delivery.Outcome]]
StartRaw = Callable[[RawHandler], Awaitable[int]]


def answering(status: int, body: bytes = b"", **headers: str):
    async def answer(request: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=body, headers=named)

    return answer


async def test_an_event_is_posted_and_a_2xx_delivers_it(receiver: Receiver, push: Push) -> None:
    outcome = await push(receiver.url)
    assert (outcome.ok, outcome.kind, outcome.code) == (True, "ok", 200)
    assert outcome.detail == b"taken"
    method, headers, body = receiver.requests[0]
    assert method == "POST"
    assert body == b'{"id":"e-1","source":"shop","type":"order"}'
    assert headers["content-type"] == "application/json"


async def test_the_rendered_body_replaces_the_event_and_text_is_sent_as_text(
    receiver: Receiver, push: Push
) -> None:
    await push(receiver.url, message(params={"body": "order für Ann"}))
    _, headers, body = receiver.requests[0]
    assert body == "order für Ann".encode()
    assert headers["content-type"] == "text/plain; charset=utf-8"


async def test_a_body_that_found_nothing_is_sent_empty(receiver: Receiver, push: Push) -> None:
    await push(receiver.url, message(params={"body": None}))
    assert receiver.requests[0][2] == b""


async def test_headers_name_the_delivery_and_carry_the_token(
    receiver: Receiver, push: Push
) -> None:
    before = time.time() * 1000
    sent = message(params={"token": "s3cret"}, event_id="é\r\nX-Evil: 1", attempt=3)
    await push(receiver.url, sent)
    headers = receiver.requests[0][1]
    assert headers["x-eventbridge-signature-token"] == "s3cret"
    assert headers["x-eventbridge-signature-version"] == "1.0"
    assert before - 1 <= int(headers["x-eventbridge-signature-timestamp"]) <= before + 5000
    assert headers["x-eventbridge-event-id"] == "%C3%A9%0D%0AX-Evil: 1"
    assert "x-evil" not in headers
    assert headers["x-eventbridge-event-source"] == "shop"
    assert headers["x-eventbridge-rule"] == "orders"
    assert headers["x-eventbridge-attempt"] == "3"


async def test_without_a_token_no_token_header_is_sent(receiver: Receiver, push: Push) -> None:
    await push(receiver.url)
    assert "x-eventbridge-signature-token" not in receiver.requests[0][1]


async def test_a_token_that_would_split_the_request_is_refused_unsent(
    receiver: Receiver, push: Push
) -> None:
    outcome = await push(receiver.url, message(params={"token": "a\r\nX-Evil: 1"}))
    assert (outcome.kind, outcome.code) == ("poisoned", 0)
    assert receiver.requests == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (201, "ok"),
        (204, "ok"),
        (400, "poisoned"),
        (401, "poisoned"),
        (404, "poisoned"),
        (410, "poisoned"),
        (408, "down"),
        (425, "down"),
        (429, "throttled"),
        (500, "down"),
        (502, "down"),
        (503, "down"),
    ],
)
async def test_each_status_has_its_class(
    receiver: Receiver, push: Push, status: int, kind: str
) -> None:
    receiver.answer = answering(status, b"" if status == 204 else b"why")
    outcome = await push(receiver.url)
    assert (outcome.kind, outcome.code, outcome.ok) == (kind, status, kind == "ok")
    assert outcome.detail == (b"" if status == 204 else b"why")


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_in_seconds_is_passed_on(
    receiver: Receiver, push: Push, status: int
) -> None:
    receiver.answer = answering(status, Retry_After="7")
    assert (await push(receiver.url)).after_ms == 7_000


async def test_retry_after_as_a_date_is_passed_on(receiver: Receiver, push: Push) -> None:
    receiver.answer = answering(429, Retry_After=formatdate(time.time() + 90, usegmt=True))
    after_ms = (await push(receiver.url)).after_ms
    assert after_ms is not None
    assert 80_000 < after_ms <= 90_000


@pytest.mark.parametrize(
    ("value", "after_ms"),
    [
        ("99999999999999", delivery.AFTER_MS_MAX),
        ("-5", None),
        ("soon", None),
        ("1.5", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2026 00:00:00 +99999999999999", None),
    ],
)
async def test_a_strange_retry_after_is_bounded_or_ignored(
    receiver: Receiver, push: Push, value: str, after_ms: int | None
) -> None:
    receiver.answer = answering(429, Retry_After=value)
    assert (await push(receiver.url)).after_ms == after_ms


async def test_a_redirect_is_not_followed(receiver: Receiver, push: Push) -> None:
    receiver.answer = answering(307, Location="/elsewhere")
    outcome = await push(receiver.url)
    assert (outcome.kind, outcome.code) == ("poisoned", 307)
    assert len(receiver.requests) == 1


async def test_a_receiver_that_hangs_is_down_at_the_deadline(
    receiver: Receiver, push: Push
) -> None:
    gone = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        await gone.wait()
        return web.Response()

    receiver.answer = hang
    started = time.monotonic()
    outcome = await push(receiver.url, seconds=0.2)
    assert 0.15 < time.monotonic() - started < 3
    assert (outcome.kind, outcome.code) == ("down", 0)
    assert "0.2 s" in outcome.text
    gone.set()


async def test_a_receiver_that_drips_its_answer_is_down_at_the_deadline(
    raw_server: StartRaw, push: Push
) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
        await reader.read(-1)
        writer.close()

    port = await raw_server(drip)
    outcome = await push(f"http://127.0.0.1:{port}/", seconds=0.2)
    assert (outcome.kind, outcome.code) == ("down", 200)


async def test_a_deadline_in_the_past_sends_nothing(receiver: Receiver, push: Push) -> None:
    outcome = await push(receiver.url, seconds=-1)
    assert outcome.kind == "down"
    assert receiver.requests == []


async def test_a_reset_after_half_the_body_is_down(raw_server: StartRaw, push: Push) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 50)
        await writer.drain()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER 0: close sends RST
        writer.transport.abort()

    port = await raw_server(reset)
    outcome = await push(f"http://127.0.0.1:{port}/")
    assert outcome.kind == "down"
    assert not outcome.ok


async def test_an_answer_that_is_not_http_is_down(raw_server: StartRaw, push: Push) -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        writer.close()

    port = await raw_server(nonsense)
    assert (await push(f"http://127.0.0.1:{port}/")).kind == "down"


async def test_endless_response_headers_are_bounded(raw_server: StartRaw, push: Push) -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 200_000 + b"\r\n\r\n")
        writer.close()

    port = await raw_server(flood)
    assert (await push(f"http://127.0.0.1:{port}/")).kind == "down"


async def test_a_refused_connection_is_down(push: Push, raw_server: StartRaw) -> None:
    outcome = await push("http://127.0.0.1:9/")
    assert (outcome.kind, outcome.code) == ("down", 0)


async def test_a_huge_response_delivers_and_only_its_head_is_kept(
    receiver: Receiver, push: Push
) -> None:
    written = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(4096):
            await response.write(b"y" * 65536)
            written += 65536
        return response

    receiver.answer = flood
    outcome = await push(receiver.url)
    assert (outcome.ok, outcome.code) == (True, 200)
    assert outcome.detail == b"y" * delivery.DETAIL_BYTES_MAX
    assert written < 64 * 1024 * 1024, "the connection was read on instead of closed"


async def test_a_compressed_answer_is_kept_as_it_came(receiver: Receiver, push: Push) -> None:
    """A compressed bomb must not be blown up by the client."""
    receiver.answer = answering(200, b"\x1f\x8bnot really", Content_Encoding="gzip")
    outcome = await push(receiver.url)
    assert outcome.detail == b"\x1f\x8bnot really"


async def test_cookies_of_one_receiver_are_never_sent_again(receiver: Receiver, push: Push) -> None:
    receiver.answer = answering(200, Set_Cookie="session=1; Path=/")
    await push(receiver.url)
    await push(receiver.url)
    assert "cookie" not in receiver.requests[1][1]


async def test_connections_are_kept_and_used_again(receiver: Receiver, push: Push) -> None:
    for _ in range(5):
        assert (await push(receiver.url)).ok
    assert len(receiver.peers) == 1


async def test_a_proxy_of_the_environment_is_not_used(
    receiver: Receiver, push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert (await push(receiver.url)).ok


async def test_a_batch_is_sent_one_by_one_and_answered_in_order(
    receiver: Receiver, client: http.HttpClient, clock: RealClock
) -> None:
    async def pick(request: web.Request) -> web.StreamResponse:
        return web.Response(status=200 if await request.read() == b"good" else 500)

    receiver.answer = pick
    sender = http.HttpSender(receiver.url, client, clock)
    batch = [message(params={"body": text}) for text in ("good", "bad", "good")]
    outcomes = await sender.send(batch, clock.mono_us() + 5_000_000)
    assert [outcome.code for outcome in outcomes] == [200, 500, 200]


@pytest.mark.parametrize(
    "url",
    ["", "ftp://host/", "file:///etc/passwd", "http://", "http:///path", "unix:/tmp/s", "//h/",
     "http://h/a b", "http://h/\r\nX: 1", "http://h:99999/", "http://[::1/", "h" * 5000],
)  # fmt: skip
async def test_a_url_that_cannot_be_a_target_is_poisoned(push: Push, url: str) -> None:
    outcome = await push(url)
    assert (outcome.kind, outcome.code) == ("poisoned", 0)


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".example"])
async def test_host_that_cannot_be_looked_up_is_not_tried_again(push: Push, host: str) -> None:
    outcome = await push(f"http://{host}/")
    assert (outcome.kind, "cannot be the name" in outcome.text) == ("poisoned", True)
