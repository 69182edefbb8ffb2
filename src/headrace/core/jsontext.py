"""JSON that keeps how numbers were spelt: decoding, the dialect's printed text, compact text.

Owns the three readings of a JSON value that patterns and transforms share. It must never turn a
number into another spelling of itself (300.0 stays 300.0), except where `printed` says so, and
never accept what RFC 8259 forbids: NaN, lone surrogates, trailing text.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

#: Integers that `printed` writes out when an exponent spelt them: the signed 64-bit range.
_WHOLE_MIN, _WHOLE_MAX = -(2**63), 2**63 - 1
#: No whole number of 64 bits needs a larger exponent; beyond it the spelling stays (keeps 1e999999
#: short).
_EXPONENT_MAX = 18
#: Likewise for the digits in front of the exponent, sign included.
_DIGITS_MAX = 20


class Malformed(ValueError):
    """The text is not JSON, or nested deeper than the decoder goes."""


class Float(float):
    """A JSON number with a fraction or an exponent, and the text it was spelt with."""

    __slots__ = ("text",)

    text: str

    def __new__(cls, text: str) -> Float:
        number = super().__new__(cls, text)
        number.text = text
        return number


def _spell(value: object) -> msgspec.Raw:
    if type(value) is Float:
        return msgspec.Raw(value.text.encode())
    raise TypeError(f"{type(value).__name__} is no JSON value")


_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=Float)
_encoder = msgspec.json.Encoder(enc_hook=_spell)


def decode(raw: bytes | bytearray | memoryview | str) -> Any:
    """Decode strict JSON: floats become Float, integers keep all digits, last duplicate key wins.

    Raises: Malformed.
    """
    try:
        return _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as fault:
        raise Malformed(str(fault)) from fault


def compact(value: Any, *, drop_nulls: bool = False) -> str:
    """Return `value` as JSON text without blanks, numbers spelt as they came in.

    drop_nulls: leave out object members that are null, as the engine does for inserted objects.
    """
    return _encoder.encode(_without_nulls(value) if drop_nulls else value).decode()


def printed(value: Any) -> str:
    """Return the text by which the dialect compares a scalar.

    300 and "300" print the same, 300.0 does not. A whole number spelt with an exponent (3.0e2)
    prints its digits, up to 64 bits; null prints "null".
    """
    kind = value.__class__
    if kind is str:
        return cast("str", value)
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return str(value)
    if kind is Float:
        return _printed_float(value.text)
    return "null" if value is None else compact(value)


def spelt(value: Any) -> str:
    """Return the text of a scalar as it was written: what a pattern means by 3.0e2."""
    return value.text if type(value) is Float else printed(value)


def _printed_float(text: str) -> str:
    mantissa, mark, exponent = text.replace("E", "e").partition("e")
    if not mark:
        return text
    whole, _, fraction = mantissa.partition(".")
    if len(exponent) > 4 or len(whole) + len(fraction) > _DIGITS_MAX:
        return text
    zeros = int(exponent) - len(fraction)
    if not 0 <= zeros <= _EXPONENT_MAX:
        return text
    number = int(whole + fraction) * 10**zeros
    return str(number) if _WHOLE_MIN <= number <= _WHOLE_MAX else text


def _without_nulls(value: Any) -> Any:
    if type(value) is dict:
        members = cast("dict[str, Any]", value)
        return {k: _without_nulls(v) for k, v in members.items() if v is not None}
    if type(value) is list:
        return [_without_nulls(item) for item in cast("list[Any]", value)]
    return value
