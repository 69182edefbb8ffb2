"""The event: what is taken, what is refused with which code and field, the body that is kept."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core import codes, errors, event, jsontext, limits

WIDE, STRICT = limits.WIDE, limits.STRICT
BASE: dict[str, Any] = {"id": "1", "source": "shop", "type": "order:Created", "specversion": "1.0"}


def text(**fields: Any) -> bytes:
    """An event with these fields over the least one; None leaves a field out."""
    merged = {name: value for name, value in (BASE | fields).items() if value is not ...}
    return json.dumps(merged, separators=(",", ":"), ensure_ascii=False).encode()


def refusal(raw: bytes, bounds: limits.Limits = WIDE) -> errors.EventRefused:
    with pytest.raises(errors.EventRefused) as caught:
        event.parse(raw, bounds)
    assert caught.value.code in codes.ENTRY
    return caught.value


def stamped(made: event.Event) -> event.Event:
    return event.stamp(
        made,
        account="123",
        region="cn-hangzhou",
        bus="orders",
        publish_addr="10.0.0.1",
        publish_time="2026-01-02T03:04:05.678Z",
    )


def outcome(raw: bytes) -> str | None:
    """The code of the refusal, None if the event is taken and can be read."""
    try:
        event.parse(raw, WIDE).fields()
    except errors.EventRefused as refused:
        return refused.code
    return None


# ------------------------------------------------------------------ what is taken


def test_the_least_event_has_only_what_was_sent() -> None:
    found = event.parse(text(), WIDE)
    assert (found.id, found.source, found.type) == ("1", "shop", "order:Created")
    assert found.specversion == "1.0"
    assert (found.subject, found.time, found.datacontenttype, found.dataschema) == (None,) * 4
    assert found.extensions == {}
    assert found.data_raw is None
    assert found.data_base64 is None
    assert found.fields() == BASE


def test_every_attribute_is_kept() -> None:
    found = event.parse(
        text(
            subject="o/1",
            time="2026-01-02T03:04:05Z",
            datacontenttype="application/json",
            dataschema="https://x/s",
            aliyuneventbusname="orders",
            retries=3,
            test=True,
            data={"a": 1},
        ),
        WIDE,
    )
    assert (found.subject, found.time) == ("o/1", "2026-01-02T03:04:05Z")
    assert (found.datacontenttype, found.dataschema) == ("application/json", "https://x/s")
    assert found.extensions == {"aliyuneventbusname": "orders", "retries": 3, "test": True}
    assert found.data_raw == b'{"a":1}'


def test_a_missing_specversion_is_1_0_as_the_official_sdk_leaves_it_out() -> None:
    assert event.parse(text(specversion=...), WIDE).specversion == "1.0"


def test_specversion_0_3_is_taken() -> None:
    assert event.parse(text(specversion="0.3"), WIDE).specversion == "0.3"


def test_null_attributes_are_absent() -> None:
    found = event.parse(text(subject=None, time=None, trace=None), WIDE)
    assert (found.subject, found.time, found.extensions) == (None, None, {})


def test_null_data_stays_null() -> None:
    found = event.parse(text(data=None), WIDE)
    assert found.data_raw == b"null"
    assert found.fields()["data"] is None


@pytest.mark.parametrize(
    "data", ["300.0", "3.0e2", "12345678901234567890123", "1e999", "-0", '"\\u00e9"', "[1, 2.50]"]
)
def test_data_keeps_its_spelling_into_the_body(data: str) -> None:
    raw = text()[:-1] + b',"data":' + data.encode() + b"}"
    found = event.parse(raw, WIDE)
    assert found.data_raw == data.encode()
    assert found.body().endswith(b',"data":' + data.encode() + b"}")


def test_fields_keep_the_lexeme_of_fractions() -> None:
    raw = text()[:-1] + b',"data":{"price":1.50}}'
    price = event.parse(raw, WIDE).fields()["data"]["price"]
    assert isinstance(price, jsontext.Float)
    assert price.text == "1.50"


@pytest.mark.parametrize("data", [..., {"a": 1}])
def test_what_was_read_of_an_event_before_its_stamp_is_read_anew(data: Any) -> None:
    found = event.parse(text(data=data), WIDE)
    before = (found.attributes(), found.fields(), found.body())
    event.stamp(
        found, account="1", region="r", bus="b", publish_addr="::1", publish_time="2026-01-02"
    )
    assert "aliyuneventbusname" not in before[0]
    assert "aliyuneventbusname" not in before[1]
    for read in (found.attributes(), found.fields(), json.loads(found.body())):
        assert read["aliyuneventbusname"] == "b"
    assert "data" not in found.attributes()
    assert ("data" in found.fields()) is (data is not ...)


def test_fields_and_body_are_made_once() -> None:
    found = event.parse(text(data={"a": 1}), WIDE)
    assert found.fields() is found.fields()
    assert found.body() is found.body()


@pytest.mark.parametrize(
    "time",
    [
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05.123456789Z",
        "2026-01-02T03:04:05+08:00",
        "2026-01-02t03:04:05z",
        "2016-12-31T23:59:60Z",
        "2020-08-24T13:54:05.965Asia/Shanghai",
        "2020-11-19T21:04:42.179PRC",
    ],
)
def test_times_of_rfc_3339_and_of_official_examples_are_taken(time: str) -> None:
    assert event.parse(text(time=time), WIDE).time == time


@pytest.mark.parametrize(
    "time",
    [
        *("", "now", "2026-01-02", "2026-13-02T03:04:05Z", "2026-02-30T03:04:05Z", "1767323045"),
        *("2026-01-02T03:04:05", "2026-01-02T25:04:05Z", "2026-02-30T03:04:05Asia/Shanghai"),
    ],
)
def test_other_times_are_refused(time: str) -> None:
    found = refusal(text(time=time))
    assert (found.code, found.field) == ("EventInvalid", "time")


def test_whitespace_and_escapes_do_not_matter() -> None:
    spaced = json.dumps(BASE | {"subject": "é"}, indent=2).encode()
    assert event.parse(spaced, WIDE).fields() == BASE | {"subject": "é"}


def test_names_written_with_escapes_are_the_same_names() -> None:
    raw = text().replace(b'"id"', b'"\\u0069d"')
    assert event.parse(raw, WIDE).id == "1"


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"id": ...}, "EventIdEmpty", "id"),
        ({"id": ""}, "EventIdEmpty", "id"),
        ({"id": None}, "EventIdEmpty", "id"),
        ({"id": 7}, "JsonAttributeInvalid", "id"),
        ({"id": "x" * 1025}, "EventInvalid", "id"),
        ({"id": "a\nb"}, "EventInvalid", "id"),
        ({"source": ...}, "EventSourceInvalid", "source"),
        ({"source": ""}, "EventSourceInvalid", "source"),
        ({"source": "a b"}, "EventSourceInvalid", "source"),
        ({"source": "a|b"}, "EventSourceInvalid", "source"),
        ({"source": "x" * 1025}, "EventSourceInvalid", "source"),
        ({"source": {"a": 1}}, "JsonAttributeInvalid", "source"),
        ({"type": ...}, "EventTypeInvalid", "type"),
        ({"type": ""}, "EventTypeInvalid", "type"),
        ({"type": "x" * 1025}, "EventTypeInvalid", "type"),
        ({"type": "a\x7fb"}, "EventTypeInvalid", "type"),
        ({"specversion": "2.0"}, "EventSpecversionInvalid", "specversion"),
        ({"specversion": 1.0}, "EventSpecversionInvalid", "specversion"),
        ({"subject": 1}, "JsonAttributeInvalid", "subject"),
        ({"subject": "x" * 2049}, "EventSubjectInvalid", "subject"),
        ({"time": 1}, "JsonAttributeInvalid", "time"),
        ({"time": "2026" + "0" * 70}, "EventInvalid", "time"),
        ({"dataschema": "a b"}, "EventSourceInvalid", "dataschema"),
        ({"datacontenttype": "json"}, "EventContentTypeInvalid", "datacontenttype"),
        ({"datacontenttype": "a/b/c"}, "EventContentTypeInvalid", "datacontenttype"),
        ({"datacontenttype": "text/plain; x"}, "EventContentTypeInvalid", "datacontenttype"),
        ({"datacontenttype": "text/plain", "data": {"a": 1}}, "EventContentTypeInvalid", "data"),
        ({"traceId": "x"}, "EventExtensionsAttributeInvalid", "traceId"),
        ({"trace_id": "x"}, "EventExtensionsAttributeInvalid", "trace_id"),
        ({"": "x"}, "EventExtensionsAttributeInvalid", ""),
        ({"x" * 129: "x"}, "EventExtensionsAttributeInvalid", "x" * 129),
        ({"ext": {"a": 1}}, "EventExtensionsAttributeInvalid", "ext"),
        ({"ext": [1]}, "EventExtensionsAttributeInvalid", "ext"),
        ({"ext": 1.5}, "EventExtensionsAttributeInvalid", "ext"),
        ({"ext": 2**63}, "EventExtensionsAttributeInvalid", "ext"),
        ({"ext": "a\x00b"}, "EventExtensionsAttributeInvalid", "ext"),
        ({"data_base64": "!!"}, "EventInvalid", "data_base64"),
        ({"data_base64": "YQ"}, "EventInvalid", "data_base64"),
        ({"data_base64": 1}, "JsonAttributeInvalid", "data_base64"),
        ({"data_base64": "YQ==", "data": 1}, "EventInvalid", "data"),
    ],
)
def test_bad_attributes_are_refused_with_code_and_field(
    fields: dict[str, Any], code: str, field: str
) -> None:
    found = refusal(text(**fields))
    assert (found.code, found.field) == (code, field)
    assert found.message


def test_too_many_extensions_have_a_code_of_their_own() -> None:
    found = refusal(text(**{f"x{i}": "" for i in range(129)}))
    assert found.code == "EventExtensionsAttributeExceedLimit"


def test_the_sdks_empty_map_of_extensions_is_none_at_all() -> None:
    assert event.parse(text(extensions={}), WIDE).extensions == {}
    assert refusal(text(extensions={"a": "b"})).code == "EventExtensionsAttributeInvalid"


@pytest.mark.parametrize("raw", [b"[]", b"1", b'"x"', b"null", b"true"])
def test_an_event_that_is_no_object_is_invalid(raw: bytes) -> None:
    assert refusal(raw).code == "EventInvalid"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        text()[:-1],
        text() + b"x",
        b"\xef\xbb\xbf" + text(),
        text()[:-1] + b',"data":NaN}',
        text()[:-1] + b',"data":Infinity}',
        text()[:-1] + b',"data":-Infinity}',
        text()[:-1] + b',"data":01}',
        text()[:-1] + b',"data":[1,]}',
        text()[:-1] + b',"data":"\xff"}',
        text()[:-1] + b',"data":"\xed\xa0\x80"}',
        text()[:-1] + b',"data":"\\ud800"}',
        text()[:-1] + b',"data":"\\udc00 \\ud800"}',
        text()[:-1] + b',"data":{"\\ud800\\u0041":1}}',
        text()[:-1] + b',"data":"a\nb"}',
        text()[:-1] + b",'data':1}",
        text()[:-1] + b',"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        text()[:-1] + b',"data":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
        text()[:-1] + b',"data":' + b"9" * 4_001 + b"}",
        text()[:-1] + b',"data":0.' + b"9" * 4_001 + b"}",
    ],
    ids=range(21),
)
def test_text_that_is_no_sound_json_is_refused(raw: bytes) -> None:
    assert refusal(raw).code == "JsonAttributeInvalid"


def test_paired_surrogates_and_escaped_backslashes_are_fine() -> None:
    raw = text()[:-1] + rb',"data":["\ud83d\ude00","\\ud800"]}'
    assert event.parse(raw, WIDE).fields()["data"] == ["😀", "\\ud800"]


@pytest.mark.parametrize("form", ["%s", "[%s]", '{"a":%s}'])
def test_depth_is_64_levels_and_no_more(form: str) -> None:
    def nested(levels: int) -> bytes:
        inner = "1"
        for _ in range(levels):
            inner = form % inner if form != "%s" else f"[{inner}]"
        return text()[:-1] + b',"data":' + inner.encode() + b"}"

    assert event.parse(nested(63), WIDE).data_raw
    assert refusal(nested(64)).code == "JsonAttributeInvalid"


def test_brackets_in_strings_and_side_by_side_are_no_depth() -> None:
    data = {"text": "[{" * 500, "quote": '\\"[' * 100, "list": [[] for _ in range(500)]}
    assert event.parse(text(data=data), WIDE).fields()["data"] == data


def test_long_runs_of_digits_in_strings_are_no_numbers() -> None:
    data = "9" * 5_000
    assert event.parse(text(data=data), WIDE).fields()["data"] == data


def test_members_are_counted_outside_strings() -> None:
    colons = {"text": ":" * 60_000}
    assert event.parse(text(data=colons), WIDE).fields()["data"] == colons
    many = {str(i): 0 for i in range(10_001)}
    assert refusal(text(data=many)).code == "JsonAttributeInvalid"


@pytest.mark.parametrize(
    "twice",
    [
        b'{"id":"1","source":"s","type":"t","id":"2"}',
        b'{"id":"1","source":"s","type":"t","data":1,"data":2}',
        b'{"id":"1", "source":"s", "type":"t", "id":"1"}',
        b'{"id":"1","source":"s","type":"t","\\u0069d":"1"}',
        b'{"id":"1","source":"s","type":"t","x":null,"x":null}',
    ],
)
def test_an_attribute_that_stands_twice_is_refused(twice: bytes) -> None:
    assert refusal(twice).code == "JsonAttributeInvalid"


def test_in_data_the_last_of_equal_names_wins() -> None:
    raw = text()[:-1] + b',"data":{"a":1,"a":2}}'
    assert event.parse(raw, WIDE).fields()["data"] == {"a": 2}


def test_size_is_what_was_received() -> None:
    room = WIDE.event_bytes_max - len(text(data=""))
    assert event.parse(text(data="x" * room), WIDE)
    assert refusal(text(data="x" * (room + 1))).code == "EventSizeExceed"


def test_strict_limits_are_the_clouds() -> None:
    assert event.parse(text(id="a-1", source="s" * 128, type="t" * 64), STRICT)
    for fields, code in [
        ({"id": "a_1"}, "EventInvalid"),
        ({"id": "-1"}, "EventInvalid"),
        ({"id": "x" * 129}, "EventInvalid"),
        ({"source": "s" * 129}, "EventSourceInvalid"),
        ({"type": "t" * 65}, "EventTypeInvalid"),
        ({"subject": "s" * 513}, "EventSubjectInvalid"),
        ({"data": "x" * 262_144}, "EventSizeExceed"),
    ]:
        assert refusal(text(**fields), STRICT).code == code


# ------------------------------------------------------------------ data and base64


def test_json_in_base64_becomes_data_as_the_sdk_sends_it_when_a_charset_is_named() -> None:
    packed = base64.b64encode(b' {"z":1.0}\n').decode()
    found = event.parse(
        text(datacontenttype="application/json; charset=utf-8", data_base64=packed), WIDE
    )
    assert found.data_raw == b'{"z":1.0}'
    assert found.data_base64 is None


def test_json_in_base64_obeys_the_bounds_on_shape() -> None:
    packed = base64.b64encode(b"[" * 100 + b"]" * 100).decode()
    assert refusal(text(data_base64=packed)).code == "JsonAttributeInvalid"


@pytest.mark.parametrize("kind", ["text/plain", "image/png", "application/json"])
def test_other_base64_stays_as_it_is(kind: str) -> None:
    packed = base64.b64encode(b"\xff{no json").decode()
    found = event.parse(text(datacontenttype=kind, data_base64=packed), WIDE)
    assert found.data_base64 == packed
    assert "data" not in found.fields()
    assert found.fields()["data_base64"] == packed
    assert found.data_bytes() == b"\xff{no json"


@pytest.mark.parametrize(
    ("kind", "data", "payload"),
    [
        ("text/plain", "hello", b"hello"),
        ("application/json", "hello", b'"hello"'),
        ("application/json", {"a": 1}, b'{"a":1}'),
        (..., [1], b"[1]"),
        (..., ..., None),
    ],
)
def test_data_as_a_payload(kind: Any, data: Any, payload: bytes | None) -> None:
    assert event.parse(text(datacontenttype=kind, data=data), WIDE).data_bytes() == payload


# ------------------------------------------------------------------ batches


def test_a_malformed_member_spoils_only_itself() -> None:
    raw = b"[" + text(id="1") + b',{"id":"2"},7,' + text(id="4") + b"]"
    found = event.parse_batch(raw, WIDE)
    assert [type(member).__name__ for member in found] == [
        *("Event", "EventRefused", "EventRefused", "Event")
    ]
    assert isinstance(found[3], event.Event)
    assert found[3].id == "4"


@pytest.mark.parametrize(
    "member",
    [
        b'{"a":NaN}',
        b'{"a":"\\ud800"}',
        b'{"a":"x\ny,]"}',
        b'{"a":01}',
        b'{"a" 1}',
        b'{"a":"\xff"}',
        b"[" * 5_000 + b"]" * 5_000,
        b"nonsense",
    ],
)
def test_a_member_that_is_no_json_spoils_only_itself(member: bytes) -> None:
    """Brackets and quotes still say where it ends."""
    raw = b" [ " + text(id="1") + b" , " + member + b" , " + text(id="3", data="],[") + b" ]\n"
    first, second, third = event.parse_batch(raw, WIDE)
    assert isinstance(first, event.Event)
    assert isinstance(second, errors.EventRefused)
    assert isinstance(third, event.Event)
    assert third.fields()["data"] == "],["


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[",
        b"[" + text(),
        text(),
        b"[" + text() + b"]]",
        b"[" + text() + b"}",
        b"[" + text() + b",]",
        b"[," + text() + b"]",
        b"[" + text() + b",," + text() + b"]",
        b"[" + text() + b"] x",
        b'[{"a":"]',
        b"[{]}",
        b"\xff",
        b"[" * 200_000 + b"]" * 200_000,
    ],
    ids=range(15),
)
def test_a_broken_array_is_a_fault_of_the_whole_request(raw: bytes) -> None:
    with pytest.raises(errors.InvalidInput):
        event.parse_batch(raw, WIDE)


def test_an_empty_batch_is_empty() -> None:
    assert event.parse_batch(b" [ ] ", WIDE) == []


def test_the_number_of_events_in_a_request_is_bounded() -> None:
    assert len(event.parse_batch(b"[" + b",".join([text()] * 1_000) + b"]", WIDE)) == 1_000
    with pytest.raises(errors.InvalidInput) as caught:
        event.parse_batch(b"[" + b",".join([text()] * 1_001) + b"]", WIDE)
    assert (caught.value.status, caught.value.expected) == (400, 1_000)
    with pytest.raises(errors.InvalidInput):
        event.parse_batch(b"[" + b",".join([text()] * 17) + b"]", STRICT)


def test_the_size_of_a_request_is_bounded() -> None:
    with pytest.raises(errors.PayloadTooLarge):
        event.parse_batch(b"[" + b" " * WIDE.request_bytes_max + b"]", WIDE)


def test_a_member_that_is_too_large_spoils_only_itself() -> None:
    raw = b"[" + text(data="x" * WIDE.event_bytes_max) + b"," + text() + b"]"
    large, small = event.parse_batch(raw, WIDE)
    assert isinstance(large, errors.EventRefused)
    assert large.code == "EventSizeExceed"
    assert isinstance(small, event.Event)


# ------------------------------------------------------------------ building


def test_building_from_decoded_attributes() -> None:
    made = event.build(BASE | {"subject": None, "data": {"a": [1, None]}}, WIDE)
    assert made.data_raw == b'{"a":[1,null]}'
    assert made.subject is None
    assert event.parse(made.body(), WIDE).fields() == made.fields()


def test_building_keeps_the_spelling_of_numbers() -> None:
    decoded = jsontext.decode(b'{"price":1.50}')
    assert event.build(BASE | {"data": decoded}, WIDE).data_raw == b'{"price":1.50}'
    verbatim = msgspec.Raw(b'{"price": 2.50}')
    assert event.build(BASE | {"data": verbatim}, WIDE).data_raw == b'{"price": 2.50}'


@pytest.mark.parametrize(
    ("kind", "data", "raw"),
    [
        (None, '{"a":1.0}', b'{"a":1.0}'),
        ("application/json", " [1] ", b"[1]"),
        ("application/json", "{not json", b'"{not json"'),
        ("application/json", "5", b'"5"'),
        ("application/json", "", b'""'),
        ("text/plain", '{"a":1}', b'"{\\"a\\":1}"'),
        (None, 0, b"0"),
        (None, False, b"false"),
        (None, None, None),
    ],
)
def test_built_data_is_json_or_text(kind: str | None, data: Any, raw: bytes | None) -> None:
    assert event.build(BASE | {"datacontenttype": kind, "data": data}, WIDE).data_raw == raw


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"id": ""}, "EventIdEmpty"),
        ({"data": float("nan")}, None),
        ({"data": "\ud800"}, "JsonAttributeInvalid"),
        ({"data": object()}, "JsonAttributeInvalid"),
        ({"data": msgspec.Raw(b"{no")}, "JsonAttributeInvalid"),
        ({"data": "x" * 2**20}, "EventSizeExceed"),
        ({"data": "[" * 100 + "]" * 100}, "JsonAttributeInvalid"),
        ({"unknownThing": "x"}, "EventExtensionsAttributeInvalid"),
    ],
)
def test_building_refuses_as_parsing_does(fields: dict[str, Any], code: str | None) -> None:
    if code is None:
        # No decoder lets NaN in; should one come, the encoder writes null rather than bad JSON.
        assert event.build(BASE | fields, WIDE).data_raw == b"null"
        return
    with pytest.raises(errors.EventRefused) as caught:
        event.build(BASE | fields, WIDE)
    assert caught.value.code == code


# ------------------------------------------------------------------ stamping, restoring, keys


def test_stamping_adds_the_buss_attributes_and_fills_gaps() -> None:
    made = stamped(event.parse(text(), WIDE))
    assert made.extensions == {
        "aliyunaccountid": "123",
        "aliyunpublishtime": "2026-01-02T03:04:05.678Z",
        "aliyunoriginalaccountid": "123",
        "aliyuneventbusname": "orders",
        "aliyunregionid": "cn-hangzhou",
        "aliyunpublishaddr": "10.0.0.1",
    }
    assert made.time == "2026-01-02T03:04:05.678Z"
    assert made.datacontenttype == "application/json; charset=utf-8"
    assert json.loads(made.body()) == made.fields()


def test_stamping_overwrites_what_a_publisher_claims_and_keeps_the_rest() -> None:
    raw = text(
        aliyunaccountid="666",
        aliyunpublishaddr="6.6.6.6",
        trace="t",
        time="2020-01-01T00:00:00Z",
        datacontenttype="text/plain",
        data="x",
    )
    made = event.parse(raw, WIDE)
    before = made.body(), made.fields()
    stamped(made)
    assert made.extensions["aliyunaccountid"] == "123"
    assert made.extensions["aliyunpublishaddr"] == "10.0.0.1"
    assert made.extensions["trace"] == "t"
    assert (made.time, made.datacontenttype) == ("2020-01-01T00:00:00Z", "text/plain")
    assert before != (made.body(), made.fields()), "nothing cached survives"


def test_an_empty_content_type_is_filled_like_a_missing_one() -> None:
    made = stamped(event.parse(text(datacontenttype=""), WIDE))
    assert made.datacontenttype == "application/json; charset=utf-8"


def test_a_body_restores_the_event_even_at_the_size_limit() -> None:
    room = WIDE.event_bytes_max - len(text(data=""))
    made = stamped(event.parse(text(data="x" * room), WIDE))
    again = event.restore(made.body())
    assert again.body() is made.body()
    assert again.fields() == made.fields()


def test_the_order_of_the_canonical_body() -> None:
    raw = (
        b'{"data":{"a":1},"zz":"9","type":"t","time":"2026-01-02T03:04:05Z","source":"s","id":"1"}'
    )
    assert event.parse(raw, WIDE).body() == (
        b'{"id":"1","source":"s","specversion":"1.0","type":"t",'
        b'"time":"2026-01-02T03:04:05Z","zz":"9","data":{"a":1}}'
    )


def test_keys_are_stable_signed_and_differ() -> None:
    """The value is stored: it may never change."""
    assert event.key_of("shop", "1") == KEY_OF_SHOP_1
    keys = {event.key_of("a", "bc"), event.key_of("ab", "c"), event.key_of("abc", "")}
    assert len(keys) == 3
    many = [event.key_of("s", str(i)) for i in range(200)]
    assert any(key < 0 for key in many)
    assert any(key > 0 for key in many)
    assert all(-(2**63) <= key < 2**63 for key in many)


KEY_OF_SHOP_1 = -8770158446751194144

# ------------------------------------------------------------------ properties

SAFE = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), max_size=30)
SCALARS = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | SAFE
JSON = st.recursive(
    SCALARS | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SAFE, inner, max_size=4),
    max_leaves=20,
)
EVENTS = st.fixed_dictionaries(
    {
        "id": SAFE.filter(bool),
        "source": st.from_regex(r"[a-z0-9:/._-]{1,30}", fullmatch=True),
        "type": SAFE.filter(bool),
        "specversion": st.sampled_from(["1.0", "0.3"]),
    },
    optional={
        "subject": SAFE,
        "time": st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
        "datacontenttype": st.just("application/json"),
        "data": JSON,
        "ext1": SAFE | st.booleans() | st.integers(-(2**63), 2**63 - 1),
    },
)


@given(EVENTS, st.sampled_from([None, 1]), st.booleans())
def test_any_sound_event_comes_through_whole(
    fields: dict[str, Any], indent: int | None, ascii_only: bool
) -> None:
    raw = json.dumps(fields, indent=indent, ensure_ascii=ascii_only).encode()
    found = event.parse(raw, WIDE)
    assert found.fields() == fields
    assert json.loads(found.body()) == fields
    assert event.parse(found.body(), WIDE).body() == found.body()


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda t: t.encode("utf-8", "replace")))
def test_any_bytes_are_an_event_or_a_refusal(raw: bytes) -> None:
    for made in (raw, b'{"id":"1","source":"s","type":"t","data":' + raw + b"}"):
        assert outcome(made) in (None, *codes.ENTRY)


@given(EVENTS, st.data())
def test_a_damaged_event_is_an_event_or_a_refusal(fields: dict[str, Any], data: Any) -> None:
    raw = bytearray(json.dumps(fields).encode())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] = data.draw(st.integers(0, 255))
    assert outcome(bytes(raw)) in (None, *codes.ENTRY)


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_any_batch_is_entries_or_a_refusal(members: list[bytes]) -> None:
    try:
        found = event.parse_batch(b"[" + b",".join(members) + b"]", WIDE)
    except errors.InvalidInput:
        return
    assert all(isinstance(member, event.Event | errors.EventRefused) for member in found)
