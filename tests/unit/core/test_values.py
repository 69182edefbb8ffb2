"""Events of very many small values are refused by count, before anything is made of them."""

from __future__ import annotations

import pytest

from headrace.core import errors, event, limits

BOUNDS = limits.Limits(values_max=10, request_values_max=40)


def one(data: bytes) -> bytes:
    return b'{"id":"1","source":"s","type":"t","specversion":"1.0","data":%b}' % data


def batch(*data: bytes) -> bytes:
    return b"[" + b",".join(one(text) for text in data) + b"]"


def elements(count: int) -> bytes:
    return b"[" + b",".join([b"1"] * count) + b"]"


def test_an_event_of_too_many_values_is_refused_naming_the_bound() -> None:
    # Its own members have four commas.
    assert event.parse(one(elements(7)), BOUNDS).data_raw == elements(7)
    with pytest.raises(errors.EventRefused, match="more than 10 values") as caught:
        event.parse(one(elements(8)), BOUNDS)
    assert caught.value.code == "JsonAttributeInvalid"


@pytest.mark.parametrize(
    "text", [b'"a,,,,,,,,,,,,,b"', rb'"\",,,,,\",,,,,,\\"', rb'"\\\",,,,,,,,,,"']
)
def test_commas_inside_strings_are_no_values(text: bytes) -> None:
    assert event.parse(one(text), BOUNDS).data_raw == text


def test_what_was_stored_once_is_read_however_many_values_it_has() -> None:
    assert event.restore(one(elements(100_000))).data_raw == elements(100_000)


def test_a_request_of_too_many_values_is_refused_as_a_whole() -> None:
    assert len(event.parse_batch(batch(*[elements(6)] * 4), BOUNDS)) == 4
    with pytest.raises(errors.InvalidInput, match="40 values") as caught:
        event.parse_batch(batch(*[elements(6)] * 5), BOUNDS)
    assert caught.value.expected == 40


@pytest.mark.parametrize(
    "raw",
    [
        b"[" + b"1," * 60 + b"1]",
        b"[" + b"1," * 60,
        b"[" + b'"",' * 60 + b'""]',
        b"[" + b'"a":"b",' * 300,
        b"[" + rb'"\",",' * 60,
    ],
)
def test_text_that_is_no_batch_is_refused_by_count_too(raw: bytes) -> None:
    with pytest.raises(errors.InvalidInput, match="40 values"):
        event.parse_batch(raw, BOUNDS)


def test_long_text_in_a_batch_is_no_reason_to_refuse_it() -> None:
    text = b'"' + b"a,b,c\\n" * 100 + b'"'
    (made,) = event.parse_batch(batch(text), BOUNDS)
    assert isinstance(made, event.Event)
