"""Why a pattern does not match an event, in words a person can act on.

Owns the words. It must not decide anything: whether a field fails is `Condition.check`'s answer, so
an explanation can never contradict a match.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, cast

import msgspec

from headrace.core import jsonpath, jsontext
from headrace.core.pattern import predicates
from headrace.core.pattern.evaluate import NO_DATA, Condition, Pattern

#: Values are shown up to this many characters.
SHOWN_CHARS_MAX = 200

#: What `Failure.got` says of a field that is not there.
ABSENT = "(absent)"


class Failure(msgspec.Struct, frozen=True):
    """One field of the pattern the event does not satisfy."""

    #: The field as the pattern nests it, e.g. `data.order.id`.
    path: str
    #: The operators asked for, e.g. `equals` or `prefix | numeric`.
    operator: str
    #: The pattern's alternatives as JSON text.
    expected: str
    #: The event's value as JSON text, or ABSENT.
    got: str
    #: What nearly matched or why this value cannot, one sentence; empty when there is nothing to
    #: add.
    hint: str = ""

    def sentence(self) -> str:
        """The failure in one line."""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.path}: expected {self.operator} {self.expected}, got {self.got}{hint}"


class Explanation(msgspec.Struct, frozen=True):
    """Whether a pattern matches an event, and every field that speaks against it."""

    matched: bool
    #: In the order of the pattern; empty when matched.
    failures: tuple[Failure, ...] = ()

    @property
    def first(self) -> Failure | None:
        """The first failing field, None when matched."""
        return self.failures[0] if self.failures else None


def explain(pattern: Pattern, fields: Mapping[str, Any]) -> Explanation:
    """Say which fields of the pattern the event fails, and how."""
    failures = tuple(
        _failure(condition, value, fields)
        for condition in pattern.conditions
        if not condition.check(value := condition.value(fields))
    )
    return Explanation(not failures, failures)


def _failure(condition: Condition, value: Any, fields: Mapping[str, Any]) -> Failure:
    absent = type(value) is jsonpath.Missing
    return Failure(
        path=condition.field,
        operator=" | ".join(dict.fromkeys(test.operator for test in condition.tests)),
        expected=_cut(condition.written),
        got=ABSENT if absent else _cut(jsontext.compact(value)),
        hint=_absent_hint(condition, value, fields) if absent else _value_hint(condition, value),
    )


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS_MAX else text[: SHOWN_CHARS_MAX - 3] + "..."


def _absent_hint(condition: Condition, value: Any, fields: Mapping[str, Any]) -> str:
    if value is NO_DATA:
        return "the event has no data, and then no pattern on data matches, not even exists:false"
    if not condition.in_data:
        return ""
    here: Any = fields.get("data")
    at = "data"
    for position, step in enumerate(condition.steps):
        below = jsonpath.MISSING if step is jsonpath.EVERY else jsonpath.take(step, here)
        if below is jsonpath.MISSING:
            return _stop_hint(at, here, condition.steps[position:])
        here, at = below, f"{at}.{step}"
    return ""


def _stop_hint(at: str, here: Any, rest: tuple[jsonpath.Step, ...]) -> str:
    if type(here) is list:
        return f"{at} is an array, and patterns do not look inside arrays of objects"
    if type(here) is not dict:
        return f"{at} is {jsontext.compact(here)[:40]}, not an object"
    members = cast("dict[str, Any]", here)
    names = [step for step in rest if type(step) is str]
    dotted = ".".join(names)
    if len(names) > 1 and dotted in members:
        return (
            f"{at} has a key {dotted!r} with a dot in it; write it as ['{dotted}'] in the pattern"
        )
    wanted = names[0] if names else ""
    for name in members:
        if wanted and name.casefold() == wanted.casefold():
            return f"{at} has {name!r}; names are case-sensitive"
    return ""


def _value_hint(condition: Condition, value: Any) -> str:
    if type(value) is dict:
        return "an object satisfies no test; name the fields inside it"
    if type(value) is list and not value:
        return "an empty array satisfies no test, neither exists:true nor exists:false"
    items = predicates.flat(value)
    if items is None:
        return "an array that holds objects or arrays satisfies no test"
    for test in condition.tests:
        for item in items:
            hint = _near_miss(test, item)
            if hint:
                return hint
    return ""


def _near_miss(test: predicates.Test, value: Any) -> str:
    if test.accepts(value):  # Part of an AllOf whose other part failed.
        return ""
    if isinstance(test, predicates.Equals):
        return _near_equal(test.text, value)
    if isinstance(test, predicates.Prefix | predicates.Suffix | predicates.Contains):
        return _near_text(test, value)
    if isinstance(test, predicates.Numeric) and type(value) is str:
        return "numeric takes numbers only, and this is a string"
    if isinstance(test, predicates.Cidr) and type(value) is str:
        address = predicates.ipv4(value)
        if address is not None and address in (test.network, test.broadcast):
            return "the network and broadcast addresses of a block are not in it"
    if isinstance(test, predicates.AllOf):
        return next(filter(None, (_near_miss(part, value) for part in test.tests)), "")
    return ""


def _near_equal(text: str | None, value: Any) -> str:
    if text is None or value is None:
        other = "null" if value == "null" or text == "null" else ""
        return 'null and the text "null" are different values' if other else ""
    got = jsontext.printed(value)
    if got.casefold() == text.casefold():
        return "the same but for case; comparing is case-sensitive"
    if got.strip() == text.strip():
        return "the same but for blanks at the ends"
    if _same_number(got, text):
        return f"the same number spelt otherwise; numbers compare as text, {text} against {got}"
    return ""


def _same_number(one: str, other: str) -> bool:
    try:
        return len(one) <= 40 and len(other) <= 40 and Decimal(one) == Decimal(other)
    except InvalidOperation:
        return False


def _near_text(
    test: predicates.Prefix | predicates.Suffix | predicates.Contains, value: Any
) -> str:
    if type(value) is not str:
        return f"{test.operator} takes strings only"
    if msgspec.structs.replace(test, text=test.text.casefold()).accepts(value.casefold()):
        return "the same but for case; comparing is case-sensitive"
    return ""
