"""The tests a pattern may put on a field: one class an operator, each judging one scalar.

A scalar is a decoded JSON string, number, boolean or null. Arrays, objects and absent fields are
the business of `evaluate.Condition`; nothing here may look at them.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Sequence
from typing import Any, Protocol, cast

import msgspec

from headrace.core import jsontext

#: Two numbers closer than this are equal to `numeric` (observed on the open engine).
NUMERIC_TOLERANCE = 1e-7
#: Operands of `numeric` lie within plus and minus this.
NUMERIC_OPERAND_MAX = 1e9
#: Comparators of `numeric`.
COMPARATORS = ("=", "!=", ">", ">=", "<", "<=")

_NESTED = frozenset((dict, list))


class Test(Protocol):
    """One alternative of a field's list."""

    @property
    def operator(self) -> str:
        """The word the pattern uses, `equals` for a plain value."""
        ...

    @property
    def accepts_missing(self) -> bool:
        """Whether an absent field satisfies the test."""
        ...

    def accepts(self, value: Any) -> bool:
        """Whether a scalar satisfies the test."""
        ...


class _Test(msgspec.Struct, frozen=True):
    @property
    def operator(self) -> str:
        raise NotImplementedError

    @property
    def accepts_missing(self) -> bool:
        return False


class Equals(_Test, frozen=True):
    """A plain value: same printed text, or both null."""

    #: Text of the value as the pattern spells it; None means null.
    text: str | None

    @property
    def operator(self) -> str:
        return "equals"

    def accepts(self, value: Any) -> bool:
        if value is None or self.text is None:
            return value is self.text
        return jsontext.printed(value) == self.text


class Prefix(_Test, frozen=True):
    text: str

    @property
    def operator(self) -> str:
        return "prefix"

    def accepts(self, value: Any) -> bool:
        return type(value) is str and value.startswith(self.text)


class Suffix(_Test, frozen=True):
    text: str

    @property
    def operator(self) -> str:
        return "suffix"

    def accepts(self, value: Any) -> bool:
        return type(value) is str and value.endswith(self.text)


class Contains(_Test, frozen=True):
    """Substring. Only the service's documentation has it; the open engine refuses it."""

    text: str

    @property
    def operator(self) -> str:
        return "contains"

    def accepts(self, value: Any) -> bool:
        return type(value) is str and self.text in value


class AnythingBut(_Test, frozen=True):
    """Any present scalar whose printed text is not listed; an empty list takes all of them."""

    texts: frozenset[str]
    #: Whether null is among the excluded values.
    null: bool = False

    @property
    def operator(self) -> str:
        return "anything-but"

    def accepts(self, value: Any) -> bool:
        if value is None:
            return not self.null
        return jsontext.printed(value) not in self.texts


class AnythingButAffix(_Test, frozen=True):
    """Any present scalar that does not start (end) so; what is no string never does."""

    affix: Prefix | Suffix

    @property
    def operator(self) -> str:
        return f"anything-but {self.affix.operator}"

    def accepts(self, value: Any) -> bool:
        return not self.affix.accepts(value)


class Numeric(_Test, frozen=True):
    """A number between two bounds and different from some; the bounds include the tolerance."""

    low: float
    high: float
    low_open: bool = False
    high_open: bool = False
    #: Ranges excluded by `!=`.
    excluded: tuple[tuple[float, float], ...] = ()

    @property
    def operator(self) -> str:
        return "numeric"

    def accepts(self, value: Any) -> bool:
        kind = value.__class__
        if kind is not int and kind is not jsontext.Float and kind is not float:
            return False
        if value <= self.low and (self.low_open or value < self.low):
            return False
        if value >= self.high and (self.high_open or value > self.high):
            return False
        return not any(low <= value <= high for low, high in self.excluded)


class Cidr(_Test, frozen=True):
    """An IPv4 block without its network and broadcast address, so a /31 and a /32 hold nothing."""

    network: int
    broadcast: int

    @property
    def operator(self) -> str:
        return "cidr"

    def accepts(self, value: Any) -> bool:
        address = ipv4(value) if type(value) is str else None
        return address is not None and self.network < address < self.broadcast


class Address(_Test, frozen=True):
    """`cidr` with a bare IPv4 or IPv6 address: that address, however it is written."""

    address: tuple[int, int]

    @property
    def operator(self) -> str:
        return "cidr"

    def accepts(self, value: Any) -> bool:
        return type(value) is str and ip(value) == self.address


class Exists(_Test, frozen=True):
    wanted: bool

    @property
    def operator(self) -> str:
        return "exists"

    @property
    def accepts_missing(self) -> bool:
        return not self.wanted

    def accepts(self, value: Any) -> bool:
        return self.wanted


class AllOf(_Test, frozen=True):
    """Several operators in one object: one and the same value satisfies them all."""

    tests: tuple[Test, ...]

    @property
    def operator(self) -> str:
        return "+".join(test.operator for test in self.tests)

    @property
    def accepts_missing(self) -> bool:
        return all(test.accepts_missing for test in self.tests)

    def accepts(self, value: Any) -> bool:
        return all(test.accepts(value) for test in self.tests)


def numeric(pairs: Sequence[tuple[str, float]]) -> Numeric:
    """Build the range that satisfies every (comparator, operand) pair; it may be empty."""
    low, high = -math.inf, math.inf
    low_open = high_open = False
    excluded: list[tuple[float, float]] = []
    for comparator, operand in pairs:
        least, most = operand - NUMERIC_TOLERANCE, operand + NUMERIC_TOLERANCE
        if comparator == "!=":
            excluded.append((least, most))
        if comparator in ("=", ">=") and least > low:
            low, low_open = least, False
        if comparator in ("=", "<=") and most < high:
            high, high_open = most, False
        if comparator == ">" and most >= low:
            low, low_open = most, True
        if comparator == "<" and least <= high:
            high, high_open = least, True
    return Numeric(low, high, low_open, high_open, tuple(excluded))


def cidr(text: str) -> Cidr | Address | None:
    """Read the operand of `cidr`; None if it is neither an IPv4 block nor a bare address."""
    address, slash, bits_text = text.partition("/")
    if not slash:
        parsed = ip(text)
        return None if parsed is None else Address(parsed)
    base = ipv4(address)
    if base is None or not _is_number(bits_text, 32):
        return None
    size = 1 << (32 - int(bits_text))
    network = base & -size
    return Cidr(network, network + size - 1)


def ipv4(text: str) -> int | None:
    """Read a dotted quad as a number; None for anything else."""
    parts = text.split(".", 4)
    if len(parts) != 4:
        return None
    address = 0
    for part in parts:
        if not _is_number(part, 255):
            return None
        address = address << 8 | int(part)
    return address


def ip(text: str) -> tuple[int, int] | None:
    """Read a bare address as (version, number); None if it is none. Zone ids are refused."""
    if ":" not in text:
        quad = ipv4(text)
        return None if quad is None else (4, quad)
    if "%" in text or len(text) > 45:
        return None
    try:
        return 6, int(ipaddress.IPv6Address(text))
    except ValueError:
        return None


def _is_number(text: str, highest: int) -> bool:
    return (
        0 < len(text) <= 3
        and text.isascii()
        and text.isdigit()
        and int(text) <= highest
        and (text == "0" or text[0] != "0")
    )


def flat(value: Any) -> list[Any] | None:
    """Return the scalars of a present value: itself, or an array's; None if no test can hold.

    An object, an array holding an object or array, and an empty array hold nothing a test can hold
    against.
    """
    if type(value) is dict:
        return None
    if type(value) is not list:
        return [value]
    items = cast("list[Any]", value)
    return items if items and _NESTED.isdisjoint(map(type, items)) else None
