"""Targets of type `http` and `https`: one POST per message, its answer classified.

Owns the outgoing HTTP client and its bounds. Never follows a redirect, never uses a proxy from the
environment, keeps no cookies, and never connects to an address that `egress` has not checked.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any
from urllib import parse as urlparse

import aiohttp
import msgspec

from headrace.core import clock as clocks
from headrace.core import delivery
from headrace.targets import egress as egresses
from headrace.targets import resolving, shares

#: Connections to targets in use at a time, as many as there are attempts; which receiver has how
#: many is said in `shares`. One attempt more waits for one, in the time it has.
CONNECTIONS_MAX = 2_048
#: A response longer than this is not read to its end: the connection is closed instead.
RESPONSE_BYTES_MAX = 64 * 1024
#: Bytes of a response's header lines; a longer one fails the attempt.
RESPONSE_HEADER_BYTES_MAX = 16 * 1024
#: Characters of a target's URL; a delivery to a longer one is a dead letter.
URL_CHARS_MAX = 4 * 1024

#: Answers that are worth another try besides 5xx (RFC 9110: a timeout, "too early").
_AGAIN = frozenset({408, 425})
#: What `getaddrinfo` gives: family, type, protocol, name, (address, port, …).
_AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
_CHARACTERS = "!#$%&'()*+,-./:;<=>?@[]^_`{|}~ "


class HttpClient:
    """The one connection pool of all HTTP targets of a server."""

    def __init__(self, egress: egresses.Egress) -> None:
        self._egress = egress
        self._session: aiohttp.ClientSession | None = None
        self.shares = shares.Shares()

    def session(self) -> aiohttp.ClientSession:
        """Return the pool, opened on first use (it must be made inside the event loop)."""
        if self._session is None:
            self._session = self._open()
        return self._session

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=CONNECTIONS_MAX,
            limit_per_host=shares.CONNECTIONS_PER_HOST_MAX,
            use_dns_cache=False,
            resolver=resolving.PinningResolver(self._egress),
            socket_factory=self._checked_socket,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            max_line_size=RESPONSE_HEADER_BYTES_MAX,
            max_field_size=RESPONSE_HEADER_BYTES_MAX,
            headers={"User-Agent": "Headrace", "Accept-Encoding": "identity"},
        )

    def _checked_socket(self, info: _AddressInfo) -> socket.socket:
        # The last point before connect. A literal address in the URL never passes the resolver, so
        # this check is not a repetition.
        family, kind, protocol, _, where = info
        self._egress.check(str(where[0]), int(where[1]))
        return socket.socket(family, kind, protocol)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


class HttpSender:
    """Sends to the URL of one target."""

    def __init__(self, url: str, client: HttpClient, clock: clocks.Clock) -> None:
        self._url = url
        self._client = client
        self._clock = clock
        #: Whose part of the connections its pushes take.
        self._host = url.partition("://")[2].partition("/")[0]

    async def send(
        self, batch: Sequence[delivery.Message], deadline_us: int
    ) -> Sequence[delivery.Outcome]:
        return await asyncio.gather(*(self._send(message, deadline_us) for message in batch))

    async def close(self) -> None:
        """The pool belongs to the client, not to one target."""

    async def _send(self, message: delivery.Message, deadline_us: int) -> delivery.Outcome:
        try:
            url = checked_url(self._url)
            payload = message.payload()
            headers = request_headers(message, payload, self._clock.wall_ms())
        except ValueError as error:
            return delivery.failed("poisoned", 0, str(error))
        wait_s = (deadline_us - self._clock.mono_us()) / 1_000_000
        if wait_s <= 0:
            return delivery.failed("down", 0, "no time left before the deadline")
        return await self._post(url, payload, headers, wait_s)

    async def _post(
        self, url: str, payload: bytes, headers: dict[str, str], wait_s: float
    ) -> delivery.Outcome:
        try:
            began_us = self._clock.mono_us()
            async with asyncio.timeout(wait_s):
                await self._client.shares.take(self._host)
        except TimeoutError:
            return delivery.failed("down", 0, f"no connection was free within {wait_s:.1f} s")
        try:
            left_s = wait_s - (self._clock.mono_us() - began_us) / 1_000_000
            return await self._exchange(url, payload, headers, left_s)
        finally:
            self._client.shares.give(self._host)

    async def _exchange(
        self, url: str, payload: bytes, headers: dict[str, str], wait_s: float
    ) -> delivery.Outcome:
        timeout = aiohttp.ClientTimeout(total=max(wait_s, 0.001))
        status = 0
        try:
            async with self._client.session().post(
                url, data=payload, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                status = response.status
                head = await _response_head(response)
                return classify(status, response.headers.get("Retry-After"), head, self._clock)
        except TimeoutError:
            return delivery.failed("down", status, f"no complete answer within {wait_s:.1f} s")
        except (aiohttp.ClientError, OSError) as error:
            return _connection_failure(error, status)


async def _response_head(response: aiohttp.ClientResponse) -> bytes:
    """Return the first bytes of the body, read out when it is short so the connection stays."""
    head = bytearray()
    seen = 0
    async for chunk in response.content.iter_any():
        head += chunk[: delivery.DETAIL_BYTES_MAX - len(head)]
        seen += len(chunk)
        if seen > RESPONSE_BYTES_MAX:
            response.close()
            break
    return bytes(head)


def classify(
    status: int, retry_after: str | None, head: bytes, clock: clocks.Clock
) -> delivery.Outcome:
    """Translate an HTTP answer.

    2xx is delivered; 429 is throttled; 5xx, 408 and 425 may pass with time; every other answer will
    not change by asking again. Source: the table of targets, "success rule shared by all". CHOICE:
    a redirect is refused, not followed, because its goal has not been written into the rule.
    """
    if 200 <= status < 300:
        return delivery.delivered(status, detail=head)
    after_ms = _after_ms(retry_after, clock) if retry_after else None
    if status == 429:
        return delivery.failed("throttled", status, "throttled", detail=head, after_ms=after_ms)
    if status >= 500 or status in _AGAIN:
        text = "receiver failed" if status >= 500 else "receiver asks to try again"
        return delivery.failed("down", status, text, detail=head, after_ms=after_ms)
    if 300 <= status < 400:
        return delivery.failed("poisoned", status, "redirects are not followed", detail=head)
    return delivery.failed("poisoned", status, "receiver refused the event", detail=head)


def _after_ms(value: str, clock: clocks.Clock) -> int | None:
    """Read Retry-After: seconds or an HTTP date. None when it is neither."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:12]) * 1000, delivery.AFTER_MS_MAX)
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1000) - clock.wall_ms()
    except (ValueError, OverflowError):
        return None


def _connection_failure(error: Exception, status: int) -> delivery.Outcome:
    denied = _cause(error, egresses.AddressDenied)
    if denied is not None:
        # Policy, not weather: asking again would only probe it.
        return delivery.failed("poisoned", 0, f"address denied: {denied}")
    if isinstance(error, aiohttp.InvalidURL):
        return delivery.failed("poisoned", 0, f"invalid URL: {error}")
    what = "connection lost while reading the answer" if status else "no connection"
    return delivery.failed("down", status, f"{what}: {type(error).__name__}: {error}"[:500])


def _cause(error: BaseException | None, kind: type[OSError]) -> OSError | None:
    """Find an error of `kind` in the chain that aiohttp wraps around it."""
    depth = 0
    while error is not None and depth < 8:
        if isinstance(error, kind):
            return error
        inner = getattr(error, "os_error", None)
        error = inner if isinstance(inner, kind) else error.__cause__ or error.__context__
        depth += 1
    return None


def checked_url(text: str) -> str:
    """Return the URL. Raises: ValueError with the reason when it cannot be a target."""
    if len(text) > URL_CHARS_MAX:
        raise ValueError(f"the URL is longer than {URL_CHARS_MAX} characters")
    if any(ord(character) <= 32 or ord(character) == 127 for character in text):
        raise ValueError("the URL holds a space or a control character")
    url = urlparse.urlsplit(text)
    if url.scheme not in ("http", "https"):
        raise ValueError(f"the URL must begin with http:// or https://, not {url.scheme!r}")
    if not url.hostname:
        raise ValueError("the URL names no host")
    try:
        url.hostname.encode("idna")
    except UnicodeError as error:
        raise ValueError("the URL's host cannot be the name of one") from error
    return text


def request_headers(message: delivery.Message, payload: bytes, wall_ms: int) -> dict[str, str]:
    """Return the headers of one push. Source: EventBridge signature constants. Raises: ValueError.

    CHOICE: the X-Eventbridge-* headers name what is delivered; attempt 1 is the first.
    """
    headers = {
        "Content-Type": "application/json" if is_json(payload) else "text/plain; charset=utf-8",
        "x-eventbridge-signature-timestamp": str(wall_ms),
        "x-eventbridge-signature-version": "1.0",
        "X-Eventbridge-Event-Id": header_text(message.event_id),
        "X-Eventbridge-Event-Source": header_text(message.source),
        "X-Eventbridge-Rule": header_text(message.rule),
        "X-Eventbridge-Attempt": str(message.attempt),
        "X-Eventbridge-Request-Id": header_text(message.request_id),
    }
    token = message.params.get("token")
    if token:
        headers["x-eventbridge-signature-token"] = checked_token(token)
    return headers


def checked_token(text: str) -> str:
    """Return the token. Raises: ValueError when an HTTP header cannot carry it."""
    if header_text(text) != text:
        raise ValueError("the Token holds characters that no HTTP header may hold")
    return text


def header_text(value: str) -> str:
    """Return `value` percent-encoded where a header could not carry it."""
    return (
        urlparse.quote(value, safe=_CHARACTERS + '"\\')
        if not value.isascii() or _control(value)
        else value
    )


def _control(value: str) -> bool:
    return any(ord(character) < 32 or ord(character) == 127 for character in value)


def is_json(payload: bytes) -> bool:
    try:
        msgspec.json.decode(payload, type=msgspec.Raw)
    except msgspec.DecodeError:
        return False
    return True
