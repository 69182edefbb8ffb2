"""The CloudEvents 1.0 HTTP binding: the events of a request, in structured, binary or batched mode.

Owns content modes and the header encoding. It must never decide what happens to an event.
Source: CloudEvents HTTP Protocol Binding 1.0.2 §3.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn
from urllib.parse import unquote_to_bytes

import msgspec

from headrace.core import attributes, errors, event, limits

STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"

_CODE = "EventHTTPProtocolBindingInvalid"
_FAMILY = "application/cloudevents"
_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^\s;"]+)', re.IGNORECASE)
_UTF8 = ("utf-8", "utf8", "us-ascii", "ascii")
_PREFIX = b"ce-"
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class Parsed(NamedTuple):
    events: list[event.Event | errors.EventRefused]
    #: True: a batch, answered entry by entry; False: one event, whose refusal is the request's.
    batch: bool


def parse_http(
    headers: Sequence[tuple[bytes, bytes]], body: bytes, bounds: limits.Limits
) -> Parsed:
    """Return the events of a request, refusals in their place.

    headers: names in lower case.
    Raises: InvalidInput (no CloudEvents request, unknown format), PayloadTooLarge.
    """
    if len(body) > bounds.request_bytes_max:
        message = f"The request is larger than {bounds.request_bytes_max} bytes."
        raise errors.PayloadTooLarge(message, got=len(body))
    content_type = _content_type(headers)
    media = (content_type or "").partition(";")[0].strip().lower()
    if media.startswith(_FAMILY):
        _check_charset(content_type or "")
    if media == BATCHED:
        return Parsed(event.parse_batch(body, bounds), batch=True)
    if media == STRUCTURED:
        return Parsed([_one(event.parse, body, bounds)], batch=False)
    if media.startswith(_FAMILY):
        _refuse_request(f"The event format [{media}] is not supported; use {STRUCTURED}.", media)
    if not any(name == b"ce-specversion" for name, _ in headers):
        _refuse_request(
            f"No event: neither a content type of {_FAMILY} nor ce- headers.", media or None
        )
    return Parsed([_one(_parse_binary, headers, content_type, body, bounds)], batch=False)


def _one(parse: Any, *arguments: Any) -> event.Event | errors.EventRefused:
    try:
        return parse(*arguments)
    except errors.EventRefused as refusal:
        return refusal.with_traceback(None)


def _content_type(headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    found = [value for name, value in headers if name == b"content-type"]
    if len(found) > 1:
        _refuse_request("The header [content-type] stands twice.", None)
    return found[0].decode("latin-1").strip() if found else None


def _check_charset(content_type: str) -> None:
    charset = _CHARSET.search(content_type)
    if charset and charset[1].lower() not in _UTF8:
        _refuse_request(f"The charset [{charset[1]}] is not supported; use UTF-8.", charset[1])


def _refuse_request(message: str, got: object) -> NoReturn:
    raise errors.InvalidInput(message, code=_CODE, field="content-type", got=got)


def _parse_binary(
    headers: Sequence[tuple[bytes, bytes]],
    content_type: str | None,
    body: bytes,
    bounds: limits.Limits,
) -> event.Event:
    values: dict[str, Any] = {}
    size = len(body)
    for name, value in headers:
        if name.startswith(_PREFIX):
            size += len(name) + len(value)
            _take(values, name[len(_PREFIX) :].decode("latin-1"), value)
    if size > bounds.event_bytes_max:
        message = f"The event is larger than {bounds.event_bytes_max} bytes."
        attributes.refuse("EventSizeExceed", message, "event", size)
    if content_type is not None:
        values["datacontenttype"] = content_type
    data_raw = _take_data(values, content_type, body, bounds)
    return event.assemble(values, data_raw, bounds)


def _take(values: dict[str, Any], name: str, value: bytes) -> None:
    if name in values:
        attributes.refuse(_CODE, f"The header [ce-{name}] stands twice.", name)
    if name in ("data", "data_base64", "datacontenttype"):
        attributes.refuse(_CODE, f"The header [ce-{name}] is not allowed.", name)
    values[name] = _decoded(name, value)


def _decoded(name: str, value: bytes) -> str:
    """Return a header's text: outer quotes off, then percent-decoded once, as UTF-8."""
    text = value.decode("latin-1").strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = _ESCAPED.sub(r"\1", text[1:-1])
    try:
        return unquote_to_bytes(text.encode("latin-1")).decode()
    except UnicodeDecodeError:
        attributes.refuse(_CODE, f"The header [ce-{name}] is not UTF-8.", name)


def _take_data(
    values: dict[str, Any], content_type: str | None, body: bytes, bounds: limits.Limits
) -> bytes | None:
    """Return the body as `data`, or put it into `values` as data_base64."""
    if not body:
        return None
    kind = attributes.media(content_type or "")
    if kind == "json":
        if event.is_json(body, bounds):
            return body.strip(b" \t\r\n")
        if content_type:
            attributes.refuse("JsonAttributeInvalid", "The body is no JSON text.", "data")
        values["datacontenttype"] = "application/octet-stream"
    elif kind == "text" and (text := _text(content_type or "", body)) is not None:
        return msgspec.json.encode(text)
    values["data_base64"] = b64encode(body).decode("ascii")
    return None


def _text(content_type: str, body: bytes) -> str | None:
    charset = _CHARSET.search(content_type)
    if charset and charset[1].lower() not in _UTF8:
        return None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None
