"""Definite JSONPath: `$`, `.name`, `['name']`, `[0]`, `[-1]`, and `*` for pattern keys.

Owns parsing of path text and the walk through a decoded value. It must never evaluate filters,
scripts or functions, and never search (`..`): the dialect treats such text as a constant, and code
in data is what security.md S13 forbids.

Hand-written on purpose: the libraries on offer (jsonpath-ng, python-jsonpath, jsonpath-rfc9535)
implement the whole query language, which would have to be switched off again piece by piece, and
none follows json-path 2.4, whose idea of a valid path decides here whether a text is a path or a
constant.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, cast

import msgspec


class Missing:
    """The absence of a value, and why; JSON null is None and is a value."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"Missing({self.reason!r})"


#: What `find` returns for a path that leads nowhere.
MISSING: Final = Missing("the path leads nowhere")


class _Every:
    """The step `*`: all members of an object or all items of an array."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "*"


EVERY: Final = _Every()

Step = str | int | _Every

#: Indexes are read up to this many digits; no array here is longer.
_INDEX_DIGITS_MAX = 9

_STEP = re.compile(
    r"""
      \.(?P<dotted_all>\*)(?=[.\[]|$)              # .*
    | \.(?P<name>[^.\[( ]+)(?=[.\[]|$)                # .name
    | \.?\[\s*(?P<index>-?\d+)\s*\]                   # [0], [-1]
    | \.?\[\s*(?P<every>\*)\s*\]                      # [*]
    | \.?\[\s*'(?P<single>(?:[^'\\]|\\.)*)'\s*\]      # ['name']
    | \.?\[\s*"(?P<double>(?:[^"\\]|\\.)*)"\s*\]      # ["name"]
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_FUNCTION = re.compile(r"\.(?P<name>[A-Za-z_]+)\(\s*\)$")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class Path(msgspec.Struct, frozen=True):
    """A definite path."""

    #: The path as it was written.
    text: str
    #: The steps from the root.
    steps: tuple[Step, ...]
    #: The function at the end, e.g. `length` of `$.a.length()`, or None. Calling one is an error.
    function: str | None = None


def parse(text: str) -> Path | None:
    """Parse a definite path; None when the dialect reads `text` as a constant."""
    trimmed = text.strip(" ")
    if not trimmed.startswith("$"):
        return None
    rest = trimmed[1:]
    call = _FUNCTION.search(rest)
    steps = _steps(rest[: call.start()] if call else rest)
    if steps is None or EVERY in steps:
        return None
    return Path(text, steps, call["name"] if call else None)


def parse_key(key: str) -> tuple[Step, ...] | None:
    """Parse a key of a pattern: a piece of path such as `a.b`, `a[0]` or `*`; None if it is not."""
    return _steps("." + key) if key else None


def find(steps: Sequence[Step], value: Any) -> Any:
    """Walk `steps` from `value`; MISSING when they lead nowhere.

    With a `*` among them the result is the list of all values found, as json-path returns it.
    """
    for position, step in enumerate(steps):
        if step is EVERY:
            return _find_every(steps[position + 1 :], value)
        value = take(step, value)
        if value is MISSING:
            return MISSING
    return value


def take(step: Step, value: Any) -> Any:
    """Make one step that is not `*`."""
    if type(value) is dict:
        members = cast("dict[str, Any]", value)
        return members.get(step, MISSING) if type(step) is str else MISSING
    if type(value) is list and type(step) is int:
        items = cast("list[Any]", value)
        return items[step] if -len(items) <= step < len(items) else MISSING
    return MISSING


def _find_every(rest: Sequence[Step], value: Any) -> list[Any]:
    if type(value) is dict:
        children = list(cast("dict[str, Any]", value).values())
    elif type(value) is list:
        children = cast("list[Any]", value)
    else:
        return []
    if not rest:
        return list(children)
    found: list[Any] = []
    several = EVERY in rest
    for child in children:
        below = find(rest, child)
        if several:
            found.extend(cast("list[Any]", below) if type(below) is list else ())
        elif below is not MISSING:
            found.append(below)
    return found


def _steps(text: str) -> tuple[Step, ...] | None:
    steps: list[Step] = []
    at = 0
    while at < len(text):
        token = _STEP.match(text, at)
        if token is None:
            return None
        step = _step(token)
        if step is None:
            return None
        steps.append(step)
        at = token.end()
    return tuple(steps)


def _step(token: re.Match[str]) -> Step | None:
    kind = token.lastgroup
    assert kind is not None, "every alternative of _STEP names its group"
    content = token[kind]
    if kind in ("dotted_all", "every"):
        return EVERY
    if kind == "index":
        return int(content) if len(content) <= _INDEX_DIGITS_MAX else None
    if kind == "name":
        return content
    return _ESCAPED.sub(r"\1", content)
