"""JSON values as YAML text that people read easily and any YAML 1.1 or 1.2 parser reads alike.

Owns the emitter only. What could be read as anything but text is quoted; numbers keep their
spelling. Must never emit anchors, tags or flow collections but `{}` and `[]`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TypeGuard, cast

from headrace.core import jsontext

#: Text that needs no quotes: begins with a letter, so it is no number, date or indicator.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./+@-]*(?:[: ][A-Za-z0-9_./+@-]+)*")
#: What YAML 1.1 or 1.2 takes for a boolean, null or number.
_RESERVED = frozenset(
    {"true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"}
)  # fmt: skip
#: Characters a literal block may hold besides line feeds: printable, no odd line breaks.
_UNFIT_IN_BLOCK = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]"
)
_UNFIT_IN_QUOTES = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def dump(value: Any) -> str:
    """Return `value` (what `jsontext.decode` gives) as one YAML document."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: object) -> Iterator[str]:
    """Yield the lines of `value` as a block of its own."""
    members, entries = _inside(value)
    if members or entries:
        for key, member in members.items():
            yield from _entry(f"{_scalar(key)}:", member, "  ")
        for entry in entries:
            yield from _item(entry)
    elif _is_block(value):
        yield from _block("", value, "  ")
    else:
        yield _scalar(value)


def _inside(value: object) -> tuple[dict[str, Any], list[Any]]:
    """Return the members of an object and the entries of an array: one of them, or neither."""
    if isinstance(value, dict):
        return cast("dict[str, Any]", value), []
    return {}, cast("list[Any]", value) if isinstance(value, list) else []


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    """Yield `head` (`key:`) with its value on the same line or below it."""
    if type(value) in (dict, list) and value:
        yield head
        yield from (indent + line if line else "" for line in _lines(value))
    elif _is_block(value):
        yield from _block(head, value, indent)
    else:
        yield f"{head} {_scalar(value)}"


def _item(value: Any) -> Iterator[str]:
    """Yield an item of a list; what it holds begins on the line of its dash."""
    if _is_block(value):
        yield from _block("-", value, "  ")
        return
    first, *rest = _lines(value)
    yield f"- {first}"
    yield from (f"  {line}" if line else "" for line in rest)


def _is_block(value: object) -> TypeGuard[str]:
    """True for text of several lines that a literal block keeps as it is."""
    if not isinstance(value, str) or "\n" not in value.rstrip("\n"):
        return False
    return not (value[0] in " \n" or value.endswith("\n\n") or _UNFIT_IN_BLOCK.search(value))


def _block(head: str, value: str, indent: str) -> Iterator[str]:
    keep = "" if value.endswith("\n") else "-"
    yield f"{head} |{keep}".lstrip()
    # Trailing blanks of a line are part of the text; a blank line needs none.
    yield from (f"{indent}{line}" if line else "" for line in value.rstrip("\n").split("\n"))


def _scalar(value: object) -> str:
    if not isinstance(value, str):
        return jsontext.compact(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _RESERVED:
        return value
    if '"' in value and not _UNFIT_IN_BLOCK.search(value) and "\n" not in value:
        return "'" + value.replace("'", "''") + "'"
    # JSON text is YAML text but for characters YAML takes for line breaks or refuses.
    return _UNFIT_IN_QUOTES.sub(
        lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False)
    )
