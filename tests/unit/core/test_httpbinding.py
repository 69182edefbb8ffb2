"""The HTTP binding: three modes, what their headers mean, which requests carry no event."""

from __future__ import annotations

import json

import pytest

from headrace.core import errors, event, httpbinding, limits

WIDE = limits.WIDE
EVENT = b'{"id":"1","source":"s","type":"t","specversion":"1.0","data":{"a":1.0}}'
BINARY = {b"ce-id": b"1", b"ce-source": b"s", b"ce-type": b"t", b"ce-specversion": b"1.0"}


def parse(
    headers: dict[bytes, bytes], body: bytes = b"", bounds: limits.Limits = WIDE
) -> httpbinding.Parsed:
    return httpbinding.parse_http(list(headers.items()), body, bounds)


def binary(body: bytes = b"", **extra: bytes) -> event.Event:
    """The one event of a binary request; underscores in names stand for hyphens."""
    headers = BINARY | {name.replace("_", "-").encode(): value for name, value in extra.items()}
    (found,) = parse(headers, body).events
    assert isinstance(found, event.Event), found
    return found


def refusal(headers: dict[bytes, bytes], body: bytes = b"") -> errors.EventRefused:
    (found,) = parse(headers, body).events
    assert isinstance(found, errors.EventRefused)
    return found


@pytest.mark.parametrize(
    "kind",
    [
        b"application/cloudevents+json",
        b"application/cloudevents+json; charset=utf-8",
        b"Application/CloudEvents+JSON;charset=UTF-8",
        b'application/cloudevents+json; charset="utf-8"',
    ],
)
def test_structured_mode(kind: bytes) -> None:
    found = parse({b"content-type": kind}, EVENT)
    assert not found.batch
    assert isinstance(found.events[0], event.Event)
    assert found.events[0].data_raw == b'{"a":1.0}'


def test_batched_mode_answers_entry_by_entry() -> None:
    kind = b"application/cloudevents-batch+json; charset=utf-8"
    found = parse({b"content-type": kind}, b"[" + EVENT + b",{}]")
    assert found.batch
    assert [type(member) for member in found.events] == [event.Event, errors.EventRefused]


def test_a_bad_structured_event_is_its_entry() -> None:
    found = refusal({b"content-type": b"application/cloudevents+json"}, b"{}")
    assert found.code == "EventIdEmpty"


def test_ce_headers_do_not_matter_in_structured_mode() -> None:
    headers = BINARY | {b"ce-id": b"other", b"content-type": b"application/cloudevents+json"}
    (found,) = parse(headers, EVENT).events
    assert isinstance(found, event.Event)
    assert found.id == "1"


def test_binary_mode_takes_attributes_from_headers_and_data_from_the_body() -> None:
    found = binary(
        b' {"a": 1.0}\n',
        content_type=b"application/json",
        ce_subject=b"o/1",
        ce_time=b"2026-01-02T03:04:05Z",
        ce_aliyuneventbusname=b"orders",
        x_other=b"ignored",
    )
    assert (found.id, found.source, found.type, found.subject) == ("1", "s", "t", "o/1")
    assert found.datacontenttype == "application/json"
    assert found.extensions == {"aliyuneventbusname": "orders"}
    assert found.data_raw == b'{"a": 1.0}'


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (b"plain", "plain"),
        (b"Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        (b"%e2%82%ac", "€"),
        (b"100%", "100%"),
        (b"a+b", "a+b"),
        (b"%2541", "%41"),
        ("é".encode(), "é"),
        (b'"quoted \\" text"', 'quoted " text'),
        (b"  padded  ", "padded"),
    ],
)
def test_header_values_are_percent_decoded_once(sent: bytes, meant: str) -> None:
    assert binary(ce_subject=sent).subject == meant


@pytest.mark.parametrize("sent", [b"\xff", b"%ff", b"%ED%A0%80"])
def test_header_values_that_are_no_utf_8_are_refused(sent: bytes) -> None:
    found = refusal(BINARY | {b"ce-subject": sent})
    assert (found.code, found.field) == ("EventHTTPProtocolBindingInvalid", "subject")


def test_a_decoded_control_character_is_refused() -> None:
    assert refusal(BINARY | {b"ce-subject": b"a%00b"}).code == "EventSubjectInvalid"


@pytest.mark.parametrize(
    ("kind", "body", "data_raw", "data_base64"),
    [
        (b"application/json", b'"x"', b'"x"', None),
        (b"application/vnd.x+json; v=1", b"[1]", b"[1]", None),
        (b"text/plain", "h\u00e9\n".encode(), '"h\u00e9\\n"'.encode(), None),
        (b"text/xml; charset=UTF-8", b"<a/>", b'"<a/>"', None),
        (b"application/xml", b"<a/>", b'"<a/>"', None),
        (b"text/plain", b"\xff", None, "/w=="),
        (b"text/plain; charset=gbk", b"abc", None, "YWJj"),
        (b"application/octet-stream", b"abc", None, "YWJj"),
        (b"image/png", b"\x00\x01", None, "AAE="),
        (b"application/json", b"", None, None),
    ],
)
def test_a_binary_body_becomes_json_text_or_base64_by_its_type(
    kind: bytes, body: bytes, data_raw: bytes | None, data_base64: str | None
) -> None:
    found = binary(body, content_type=kind)
    assert (found.data_raw, found.data_base64) == (data_raw, data_base64)
    assert found.datacontenttype == kind.decode()
    assert json.loads(found.body()) == found.fields()


def test_a_body_without_content_type_is_json_if_it_can_be() -> None:
    assert binary(b"[1]").data_raw == b"[1]"
    other = binary(b"{no")
    assert (other.data_base64, other.datacontenttype) == ("e25v", "application/octet-stream")


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        ({b"content-type": b"application/json"}, b"{no", "JsonAttributeInvalid"),
        ({b"content-type": b"application/json"}, b"[" * 70 + b"]" * 70, "JsonAttributeInvalid"),
        ({b"content-type": b"nonsense"}, b"x", "EventContentTypeInvalid"),
        ({b"ce-id": b""}, b"", "EventIdEmpty"),
        ({b"ce-specversion": b"9"}, b"", "EventSpecversionInvalid"),
        ({b"ce-data": b"x"}, b"", "EventHTTPProtocolBindingInvalid"),
        ({b"ce-datacontenttype": b"text/plain"}, b"", "EventHTTPProtocolBindingInvalid"),
        ({b"ce-bad-name": b"x"}, b"", "EventExtensionsAttributeInvalid"),
        ({}, b"x" * (2**20 + 1), "EventSizeExceed"),
    ],
)
def test_bad_binary_events_are_refused(headers: dict[bytes, bytes], body: bytes, code: str) -> None:
    assert refusal(BINARY | headers, body).code == code


def test_a_ce_header_that_stands_twice_is_refused() -> None:
    headers = [*BINARY.items(), (b"ce-id", b"2")]
    (found,) = httpbinding.parse_http(headers, b"", WIDE).events
    assert isinstance(found, errors.EventRefused)
    assert found.field == "id"


def test_headers_count_towards_the_size_of_a_binary_event() -> None:
    strict = limits.STRICT
    body = b'"' + b"x" * (strict.event_bytes_max - 40) + b'"'
    headers = BINARY | {b"ce-subject": b"x" * 100, b"content-type": b"application/json"}
    (found,) = parse(headers, body, strict).events
    assert isinstance(found, errors.EventRefused)
    assert found.code == "EventSizeExceed"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"content-type": b"application/json"},
        {b"content-type": b"application/cloudevents+avro"},
        {b"content-type": b"application/cloudevents+json; charset=gbk"},
        {b"ce-id": b"1", b"ce-source": b"s", b"ce-type": b"t"},
    ],
)
def test_a_request_without_an_event_is_refused_as_a_whole(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        parse(headers, EVENT)
    assert caught.value.code == "EventHTTPProtocolBindingInvalid"


def test_two_content_types_are_refused() -> None:
    headers = [(b"content-type", b"application/cloudevents+json")] * 2
    with pytest.raises(errors.InvalidInput):
        httpbinding.parse_http(headers, EVENT, WIDE)


def test_a_request_that_is_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(errors.PayloadTooLarge):
        parse({}, b"x" * (WIDE.request_bytes_max + 1))
