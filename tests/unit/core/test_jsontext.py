"""core/jsontext: numbers keep their spelling, and what is not JSON is refused."""

from __future__ import annotations

import pytest

from headrace.core import jsontext


def test_floats_keep_the_text_they_were_spelt_with() -> None:
    value = jsontext.decode(b'{"a":3.0e2,"b":[2.50,-0.0,1e400]}')
    assert value["a"] == 300.0
    assert value["a"].text == "3.0e2"
    assert jsontext.compact(value) == '{"a":3.0e2,"b":[2.50,-0.0,1e400]}'


def test_integers_of_any_length_keep_their_digits() -> None:
    text = "[12345678901234567890123456789012345678901234567890,-9223372036854775809]"
    assert jsontext.compact(jsontext.decode(text)) == text


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"NaN",
        b"[Infinity]",
        b'{"a":1} x',
        b"{'a':1}",
        b'{"a":1,}',
        b"01",
        b'"\\ud800"',
        b'"\\udc00abc"',
        b'"\xff"',
        b"[" * 100_000,
        b"9" * 5_000,
        "\ud800",
    ],
)
def test_what_is_not_json_is_refused(raw: bytes | str) -> None:
    with pytest.raises(jsontext.Malformed):
        jsontext.decode(raw)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b'"300"', "300"),
        (b"300", "300"),
        (b"300.0", "300.0"),
        (b"3.0e2", "300"),
        (b"3E2", "300"),
        (b"-12e1", "-120"),
        (b"0e5", "0"),
        (b"9.223372036854775807e18", "9223372036854775807"),
        (b"9.223372036854775808e18", "9.223372036854775808e18"),
        (b"1e999999999", "1e999999999"),
        (b"3.25e1", "3.25e1"),
        (b"1e-7", "1e-7"),
        (b"2.50", "2.50"),
        (b"true", "true"),
        (b"false", "false"),
        (b"null", "null"),
    ],
)
def test_printed_text_is_what_values_compare_by(raw: bytes, text: str) -> None:
    assert jsontext.printed(jsontext.decode(raw)) == text


def test_spelt_keeps_the_exponent_that_printed_works_out() -> None:
    assert jsontext.spelt(jsontext.decode(b"3.0e2")) == "3.0e2"


def test_compact_drops_null_members_only_when_asked_and_keeps_null_items() -> None:
    value = jsontext.decode(b'{"a":null,"b":[null,{"c":null,"d":1}]}')
    assert jsontext.compact(value) == '{"a":null,"b":[null,{"c":null,"d":1}]}'
    assert jsontext.compact(value, drop_nulls=True) == '{"b":[null,{"d":1}]}'


def test_the_last_of_duplicate_keys_wins() -> None:
    assert jsontext.decode(b'{"a":1,"a":2}') == {"a": 2}
