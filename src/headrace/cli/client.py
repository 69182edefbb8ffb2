"""The client of every command: signed requests over one kept connection, refusals as failures.

Speaks the three APIs as the official SDKs do: the EventBridge RPC, Function Compute and our own.
Owns what a status and a code mean for the exit code. Must never retry what may have had an effect.
"""

from __future__ import annotations

import contextlib
import datetime
import http.client
import json
import os
import secrets
import socket
from collections.abc import Generator, Iterator, Mapping
from types import TracebackType
from typing import Any, Final, NamedTuple, cast
from urllib.parse import quote, urlencode, urlsplit

from headrace.cli import failure, servers
from headrace.core import jsontext, signature

EVENTBRIDGE_VERSION: Final = "2020-04-01"
FC: Final = "/2023-03-30"
NATIVE: Final = "/headrace/v1"
TIMEOUT_S: Final = 60.0
#: Pages one listing follows at most.
PAGES_MAX: Final = 10_000
PAGE_ITEMS: Final = 100

_NOT_FOUND: Final = ("NotExist", "NotExisted", "NotFound", "NotExists")
#: Ends like the others, but says that the server has no such address or operation.
_NO_SUCH_OPERATION: Final = ("InvalidAction.NotFound", "NotFound")
_AUTH_CODES: Final = frozenset(
    {"InvalidTimeStamp.Expired", "SignatureNonceUsed", "MissingRequiredHeader"}
)
#: A server that answers so is there: an operator has stopped it on purpose.
_STOPPED: Final = frozenset({"ServerReadOnly", "ServerDraining"})
_UNREACHABLE: Final = frozenset({502, 503, 504})
#: What to type when a name is wrong.
_LISTS: Final[Mapping[str, str]] = {
    "EventBusNotExist": "headrace bus list",
    "EventRuleNotExisted": "headrace rule list",
    "EventNotExist": "headrace event list",
    "FunctionNotFound": "headrace fn list",
    "TriggerNotFound": "headrace fn trigger list FUNCTION",
    "QueueNotExist": "headrace queue list",
    "SwitchNotExist": "headrace switch list",
    "DeadLetterNotExist": "headrace dlq list",
}
_CHECK_KEY: Final = (
    "Check HEADRACE_ACCESS_KEY_ID and HEADRACE_ACCESS_KEY_SECRET, or unset them to use the"
    " credentials file."
)


class Answer(NamedTuple):
    """One HTTP answer, read whole; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """A connection to one server. Use as a context manager."""

    def __init__(self, place: servers.Place, *, timeout_s: float = TIMEOUT_S) -> None:
        self.url = place.url
        self._key = place.key
        parts = urlsplit(place.url)
        self._host = parts.netloc
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    # -- the three APIs ------------------------------------------------------------------------

    def rpc(self, action: str, /, **parameters: Any) -> dict[str, Any]:
        """Call the EventBridge API and return `Data`; parameters that are None are left out."""
        form = urlencode(
            {
                name: value if isinstance(value, str) else json.dumps(value)
                for name, value in parameters.items()
                if value is not None
            }
        )
        headers = {
            "x-acs-action": action,
            "x-acs-version": EVENTBRIDGE_VERSION,
            "content-type": "application/x-www-form-urlencoded",
        }
        answer = self.send("POST", "/", headers=headers, body=form.encode())
        body = _object(answer)
        # DeleteRule says that there is no such rule with status 200.
        if body.get("Success") is False:
            raise refusal(answer)
        data = body.get("Data")
        return cast("dict[str, Any]", data) if isinstance(data, dict) else {}

    def fc(
        self, method: str, *path: str, body: Any = None, **query: Any
    ) -> dict[str, Any]:  # fmt: skip
        """Call Function Compute with a JSON body; path: parts below the version."""
        return self._json(method, FC + _joined(path), body, query)

    def native(self, method: str, *path: str, body: Any = None, **query: Any) -> dict[str, Any]:
        """Call our own API; path: parts below /headrace/v1."""
        return self._json(method, NATIVE + _joined(path), body, query)

    def _json(
        self, method: str, path: str, body: Any, query: Mapping[str, Any]
    ) -> dict[str, Any]:  # fmt: skip
        content = b"" if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"} if content else {}
        answer = self.send(method, path, query=query, headers=headers, body=content)
        return _object(answer) if answer.body else {}

    # -- listings ------------------------------------------------------------------------------

    def rpc_pages(self, action: str, items: str, /, **parameters: Any) -> list[dict[str, Any]]:
        """Return every item of a paged EventBridge listing; items: the list's name."""

        def page(token: str | None) -> tuple[list[dict[str, Any]], str | None]:
            data = self.rpc(action, Limit=PAGE_ITEMS, NextToken=token, **parameters)
            return data.get(items, []), data.get("NextToken")

        return _all(page)

    def fc_pages(self, items: str, *path: str, **query: Any) -> list[dict[str, Any]]:
        """Return every item of a paged Function Compute listing."""

        def page(token: str | None) -> tuple[list[dict[str, Any]], str | None]:
            data = self.fc("GET", *path, limit=PAGE_ITEMS, nextToken=token, **query)
            return data.get(items, []), data.get("nextToken")

        return _all(page)

    def native_pages(
        self, items: str, *path: str, most: int | None = None, **query: Any
    ) -> list[dict[str, Any]]:
        """Return the items of a paged listing of our own API, at most `most`."""

        def page(token: str | None) -> tuple[list[dict[str, Any]], str | None]:
            limit = PAGE_ITEMS if most is None else min(PAGE_ITEMS, most)
            data = self.native("GET", *path, limit=limit, token=token, **query)
            return data.get(items, []), data.get("next")

        return _all(page, most)

    # -- HTTP ----------------------------------------------------------------------------------

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        refused: bool = False,
    ) -> Answer:
        """Send one signed request and return a success. Raises: Failure.

        refused: return a refusal too, for the caller to read.
        """
        response = self._begin(method, path, query or {}, headers or {}, body)
        with self._reaching():
            answer = _whole(response)
        if answer.status >= 400 and not refused:
            raise refusal(answer)
        return answer

    def lines(self, path: str, query: Mapping[str, Any]) -> Iterator[bytes]:
        """Yield the lines of an endless answer; b"" is a heartbeat. Raises: Failure."""
        response = self._begin("GET", path, query, {}, b"")
        if response.status >= 400:
            raise refusal(_whole(response))
        with self._reaching():
            while line := response.readline():
                yield line.rstrip(b"\n")
        raise failure.Failure(
            f"{self.url} ended the stream.", failure.Exit.UNREACHABLE, remedy="headrace status"
        )

    def _begin(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        headers: Mapping[str, str],
        body: bytes,
    ) -> http.client.HTTPResponse:
        asked = urlencode(
            {k: _query_text(v) for k, v in query.items() if v is not None}, quote_via=quote
        )
        signed = signature.sign_acs3(
            self._key.access_key_id,
            self._key.secret,
            method=method,
            path=path,
            query=asked,
            headers={"host": self._host, **headers},
            body=body,
            date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            nonce=secrets.token_hex(16),
        )
        with self._reaching():
            self._connection.request(method, f"{path}?{asked}" if asked else path, body, signed)
            return self._connection.getresponse()

    @contextlib.contextmanager
    def _reaching(self) -> Generator[None]:
        """Turn what can go wrong on the way into one failure."""
        try:
            yield
        except TimeoutError as fault:
            self._connection.close()
            raise _unreachable(self.url, "does not answer in time") from fault
        except (OSError, http.client.HTTPException) as fault:
            self._connection.close()
            reason = getattr(fault, "strerror", None) or str(fault) or type(fault).__name__
            raise _unreachable(self.url, f"cannot be reached: {reason}") from fault


def connect(endpoint: str, *, timeout_s: float = TIMEOUT_S) -> Client:
    """Return a client of the server that was asked for, or of the one that runs here."""
    return Client(place_of(endpoint), timeout_s=timeout_s)


def place_of(endpoint: str) -> servers.Place:
    """Return where `endpoint` leads, with the key. Raises: Failure (USAGE, AUTH, UNREACHABLE)."""
    try:
        return servers.find(endpoint, os.environ)
    except failure.Failure as problem:
        # Somebody who has not started a server has no key either; the server is the news.
        if problem.exit_code is failure.Exit.AUTH:
            _check_listening(servers.url_of(endpoint, os.environ))
        raise


def _check_listening(url: str) -> None:
    """Raises: Failure (UNREACHABLE) when nothing listens at `url`."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 80), timeout=5).close()
    except OSError as fault:
        raise _unreachable(url, f"cannot be reached: {fault.strerror or fault}") from fault


def _unreachable(url: str, why: str) -> failure.Failure:
    remedy = "headrace up" if servers.is_local(url) else "Check the address and the network."
    return failure.Failure(f"The server {url} {why}.", failure.Exit.UNREACHABLE, remedy=remedy)


def refusal(answer: Answer) -> failure.Failure:
    """Return what an answer that is no success means: cause, exit code, next command."""
    try:
        body: Any = json.loads(answer.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return failure.Failure(
            f"The server answered {answer.status} and is no Headrace server.",
            failure.Exit.UNREACHABLE,
            remedy="Check --endpoint and HEADRACE_ENDPOINT.",
        )
    fields = {name.lower(): value for name, value in cast("dict[str, Any]", body).items()}
    code = str(fields.get("code", ""))
    exit_code = exit_of(answer.status, code)
    request_id = fields.get("request_id") or fields.get("requestid") or ""
    return failure.Failure(
        str(fields.get("message", "")) or f"The server answered {answer.status}.",
        exit_code,
        remedy=_remedy(exit_code, code, str(fields.get("remedy", ""))),
        code=code,
        request_id=str(request_id),
    )


def exit_of(status: int, code: str) -> failure.Exit:
    """Return the exit code of a refusal: by its code where APIs differ in the status."""
    if status in (401, 403) or code in _AUTH_CODES:
        return failure.Exit.AUTH
    if code.endswith(_NOT_FOUND) and code not in _NO_SUCH_OPERATION:
        return failure.Exit.NOT_FOUND
    if status in _UNREACHABLE and code not in _STOPPED:
        return failure.Exit.UNREACHABLE
    return failure.Exit.FAILED


def _remedy(exit_code: failure.Exit, code: str, said: str) -> str:
    if said:
        return said
    if exit_code is failure.Exit.AUTH:
        return "Set this machine's clock." if code == "InvalidTimeStamp.Expired" else _CHECK_KEY
    return _LISTS.get(code, "")


def _object(answer: Answer) -> dict[str, Any]:
    try:
        body = jsontext.decode(answer.body)
    except jsontext.Malformed as fault:
        raise refusal(answer) from fault
    if not isinstance(body, dict):
        raise refusal(answer)
    return cast("dict[str, Any]", body)


def _whole(response: http.client.HTTPResponse) -> Answer:
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


def encoded(name: str) -> str:
    """Return a name as one part of a path."""
    return quote(name, safe="")


def _joined(parts: tuple[str, ...]) -> str:
    """Return a path of parts, each encoded: a name never adds a level."""
    return "".join(f"/{encoded(part)}" for part in parts)


def _query_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _all(page: Any, most: int | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    token: str | None = None
    for _ in range(PAGES_MAX):
        items, token = page(token)
        found.extend(items)
        if not token or (most is not None and len(found) >= most):
            return found[:most]
    raise failure.Failure(f"The listing has more than {PAGES_MAX} pages.")
