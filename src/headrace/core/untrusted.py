"""Bounds on JSON text from outside, checked on the bytes before anything builds objects from them.

Owns depth, member, value and digit counts and the search for the members of a broken batch.
Everything here runs at the speed of the interpreter's byte routines, so that a hostile megabyte
cannot hold the event loop; it must never decode a value, and expects text whose syntax was checked
(`members` and `has_values` excepted).
"""

from __future__ import annotations

import re
from functools import lru_cache

from headrace.core import limits

#: Once escapes are out of the way a string ends at the next quote.
_TOKEN = re.compile(rb'"[^"]*+"|[\[\]{},]')
_DROP_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_DROP_ALL_BUT_SHAPE = bytes(set(range(256)) - set(b"[]{},"))
_ONE_KIND = bytes.maketrans(b"[]", b"{}")
_DIGITS = bytes(0x30 if 0x30 <= i <= 0x39 else 0x20 for i in range(256))
#: The shortest member of an object, `"":0,`.
_MEMBER_BYTES_MIN = 5
_BLANK = b" \t\n\r"


class Excess(ValueError):
    """A bound does not hold; the message says which."""


def check(raw: bytes, bounds: limits.Limits) -> None:
    """Raise Excess unless JSON text `raw` keeps the bounds on depth, members and digits."""
    size = len(raw)
    deep = raw.count(b"{") + raw.count(b"[") > bounds.depth_max
    wide = size > bounds.members_max * _MEMBER_BYTES_MIN and raw.count(b":") > bounds.members_max
    many = size > bounds.values_max and raw.count(b",") > bounds.values_max
    long = size > bounds.number_digits_max and _has_run(raw, bounds.number_digits_max)
    if deep or wide or many or long:
        # What the quick look saw may stand inside strings.
        _check_bare(_bare(raw), bounds)


def top_members(raw: bytes, depth_max: int) -> int:
    """Return how many members the outer object of valid JSON text has, repeated names included."""
    inside = raw.strip(_BLANK)[1:-1]
    if not inside.strip(_BLANK):
        return 0
    shape = _bare(inside).translate(_ONE_KIND, _DROP_ALL_BUT_SHAPE)
    return _nested(depth_max, b",").sub(b"", shape).count(b",") + 1


def has_values(raw: bytes, most: int) -> bool:
    """True when JSON text has more than `most` commas outside its strings, or so many strings that
    it must have. Reads each byte a few times, whatever the text is.
    """
    if raw.count(b",") <= most:
        return False
    unescaped = raw.replace(rb"\\", b"").replace(rb"\"", b"")
    # A value has one string, and one for its name.
    if unescaped.count(b'"') > 4 * (most + 1):
        return True
    return b"".join(unescaped.split(b'"')[::2]).count(b",") > most


def _bare(raw: bytes) -> bytes:
    """Return JSON text without its strings."""
    unescaped = raw.replace(rb"\\", b"").replace(rb"\"", b"")
    return b"".join(unescaped.split(b'"')[::2])


def is_utf8(raw: bytes) -> bool:
    if raw.isascii():
        return True
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _check_bare(bare: bytes, bounds: limits.Limits) -> None:
    if bare.count(b":") > bounds.members_max:
        raise Excess(f"more than {bounds.members_max} members")
    if bare.count(b",") > bounds.values_max:
        raise Excess(f"more than {bounds.values_max} values")
    if _has_run(bare, bounds.number_digits_max):
        raise Excess(f"a number of more than {bounds.number_digits_max} digits")
    brackets = bare.translate(_ONE_KIND, _DROP_ALL_BUT_BRACKETS)
    if brackets and not _nested(bounds.depth_max, b"").fullmatch(brackets):
        raise Excess(f"more than {bounds.depth_max} levels deep")


@lru_cache(maxsize=8)
def _nested(depth: int, between: bytes) -> re.Pattern[bytes]:
    """A pattern for pairs of brackets side by side and within `depth` levels.

    between: a byte that may repeat inside pairs, or none.  Possessive, so that it reads each byte
    once.
    """
    filler = between and between + b"*+"
    pattern = rb"(?:\{%b\}%b)*+" % (filler, filler)
    for _ in range(depth - 2):
        pattern = rb"(?:\{%b%b\}%b)*+" % (filler, pattern, filler)
    return re.compile(rb"(?:\{%b%b\})++" % (filler, pattern))


def _has_run(raw: bytes, digits_max: int) -> bool:
    return b"0" * (digits_max + 1) in raw.translate(_DIGITS)


def members(raw: bytes) -> list[bytes] | None:
    """Split the text of an array by brackets and strings alone; None if that cannot be done.

    For a batch that is not valid JSON as a whole: the fault may lie inside one member.
    """
    raw = raw.strip(_BLANK)
    if not (raw.startswith(b"[") and raw.endswith(b"]")) or _tokens(raw) > limits.BATCH_TOKENS_MAX:
        return None
    # Of the same length, so that places stay what they are.
    unescaped = raw.replace(rb"\\", b"  ").replace(rb"\"", b"  ")
    found: list[bytes] = []
    open_brackets = bytearray()
    start = 1
    for token in _TOKEN.finditer(unescaped):
        byte = raw[token.start()]
        if byte in b"[{":
            open_brackets.append(byte + 2)  # the closing one of the pair
        elif byte in b"]}":
            if not open_brackets or open_brackets.pop() != byte:
                return None
            if not open_brackets and token.end() != len(raw):
                return None
        elif byte == 0x2C and len(open_brackets) == 1:
            found.append(raw[start : token.start()].strip(_BLANK))
            start = token.end()
    if open_brackets:
        return None
    found.append(raw[start:-1].strip(_BLANK))
    return found


def _tokens(raw: bytes) -> int:
    return sum(raw.count(sign) for sign in (b'"', b"\\", b"[", b"]", b"{", b"}", b","))
