"""The JSON reader for pattern text that strict JSON refuses and the dialect takes.

Owns two leniencies of gson that spec patterns.md section 5 records: member names without quotes,
and single quotes instead of double ones. It must not grow others: trailing commas, trailing text,
comments and bare words as values are refused, with the character where reading stopped.
"""

from __future__ import annotations

import re
from typing import Any

from headrace.core import jsontext

#: Nesting of a pattern, the same as for events.
DEPTH_MAX = 64

_BLANK = re.compile(r"[ \t\r\n]*")
_BARE_NAME = re.compile(r"[^\s/\\;#={}\[\]:,\"']+")
_LITERAL = re.compile(r"[-+.0-9A-Za-z]+")
_QUOTED = {
    '"': re.compile(r'"((?:[^"\\\x00-\x1f]|\\.)*)"'),
    "'": re.compile(r"'((?:[^'\\\x00-\x1f]|\\.)*)'"),
}
_INNER_QUOTE = re.compile(r"\\.|\"", re.DOTALL)


class NotReadable(ValueError):
    """The text is not even lenient JSON; the message says what was expected and where."""


def decode(text: str) -> Any:
    """Decode one lenient JSON value into what jsontext.decode would give. Raises: NotReadable."""
    reader = _Reader(text)
    value = reader.value(0)
    reader.skip_blank()
    if reader.at != len(text):
        raise reader.fault("the end of the pattern")
    return value


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def fault(self, expected: str) -> NotReadable:
        got = repr(self.text[self.at : self.at + 12]) if self.at < len(self.text) else "the end"
        return NotReadable(f"expected {expected} at character {self.at + 1}, got {got}")

    def skip_blank(self) -> None:
        blank = _BLANK.match(self.text, self.at)
        assert blank is not None, "the blank pattern matches the empty text"
        self.at = blank.end()

    def peek(self) -> str:
        self.skip_blank()
        return self.text[self.at : self.at + 1]

    def take(self, mark: str) -> bool:
        if self.peek() != mark:
            return False
        self.at += 1
        return True

    def value(self, depth: int) -> Any:
        if depth > DEPTH_MAX:
            raise self.fault(f"no more than {DEPTH_MAX} levels of nesting")
        mark = self.peek()
        if mark == "{":
            return self.members(depth)
        if mark == "[":
            return self.items(depth)
        return self.quoted(mark) if mark in _QUOTED else self.literal()

    def members(self, depth: int) -> dict[str, Any]:
        self.at += 1
        members: dict[str, Any] = {}
        if self.take("}"):
            return members
        while True:
            name = self.name()
            if not self.take(":"):
                raise self.fault("':'")
            members[name] = self.value(depth + 1)
            if self.take("}"):
                return members
            if not self.take(","):
                raise self.fault("',' or '}'")

    def items(self, depth: int) -> list[Any]:
        self.at += 1
        items: list[Any] = []
        if self.take("]"):
            return items
        while True:
            items.append(self.value(depth + 1))
            if self.take("]"):
                return items
            if not self.take(","):
                raise self.fault("',' or ']'")

    def name(self) -> str:
        mark = self.peek()
        if mark in _QUOTED:
            return self.quoted(mark)
        bare = _BARE_NAME.match(self.text, self.at)
        if bare is None:
            raise self.fault("a member name")
        self.at = bare.end()
        return bare[0]

    def quoted(self, mark: str) -> str:
        found = _QUOTED[mark].match(self.text, self.at)
        if found is None:
            raise self.fault("a closed string")
        inner = found[1]
        if mark == "'":
            inner = _INNER_QUOTE.sub(_as_double_quoted, inner)
        try:
            value = jsontext.decode(f'"{inner}"')
        except jsontext.Malformed as malformed:
            raise self.fault("a string with valid escapes") from malformed
        self.at = found.end()
        return value

    def literal(self) -> Any:
        found = _LITERAL.match(self.text, self.at)
        if found is None:
            raise self.fault("a value")
        try:
            value = jsontext.decode(found[0])
        except jsontext.Malformed as malformed:
            raise self.fault("a quoted string, a number, true, false or null") from malformed
        self.at = found.end()
        return value


def _as_double_quoted(found: re.Match[str]) -> str:
    if found[0] == '"':
        return '\\"'
    return "'" if found[0] == "\\'" else found[0]
