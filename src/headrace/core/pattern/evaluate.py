"""One pattern against one event: conditions, all of which must hold.

Owns the meaning of present, absent and array values (spec patterns.md section 5, alibaba column).
It must not know other patterns (index) nor words for people (explain).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from headrace.core import jsonpath
from headrace.core.pattern import fold, predicates

#: Stands for every field under `data` of an event that has no data: no test accepts it, not even
#: exists:false.
NO_DATA: Final = jsonpath.Missing("the event has no data")


class Condition:
    """One field of a pattern and its alternatives."""

    __slots__ = ("accepts_missing", "check", "field", "in_data", "steps", "tests", "written")

    def __init__(
        self,
        field: str,
        steps: tuple[jsonpath.Step, ...],
        tests: tuple[predicates.Test, ...],
        *,
        in_data: bool,
        written: str,
    ) -> None:
        assert tests, "a condition has at least one alternative"
        #: The field as the pattern nests it, e.g. `data.order.id`.
        self.field = field
        #: Steps from the event (attributes) or from its data.
        self.steps = steps
        self.tests = tests
        self.in_data = in_data
        #: The alternatives as JSON text.
        self.written = written
        self.accepts_missing = any(test.accepts_missing for test in tests)
        #: Whether a value of the field, or MISSING or NO_DATA, satisfies the condition.
        self.check: fold.Check = _check(tests, accepts_missing=self.accepts_missing)

    def value(self, fields: Mapping[str, Any]) -> Any:
        """The field's value in an event, MISSING, or NO_DATA."""
        if not self.in_data:
            return fields.get(self.field, jsonpath.MISSING)
        data = fields.get("data")
        return NO_DATA if data is None else jsonpath.find(self.steps, data)

    def exact_keys(self) -> tuple[str | None, ...] | None:
        """The printed texts the condition takes, None for null; None if it takes others too."""
        keys = [test.text for test in self.tests if isinstance(test, predicates.Equals)]
        return tuple(dict.fromkeys(keys)) if len(keys) == len(self.tests) else None


class Pattern:
    """A compiled pattern. Immutable."""

    __slots__ = ("conditions", "reads_data", "text")

    def __init__(self, text: str, conditions: tuple[Condition, ...]) -> None:
        #: The pattern as it was written.
        self.text = text
        self.conditions = conditions
        #: False: the event's data plays no part and need not be decoded.
        self.reads_data = any(condition.in_data for condition in conditions)

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"

    def matches(self, fields: Mapping[str, Any]) -> bool:
        """Whether an event, decoded whole with `data` among its fields, meets every condition."""
        return all(condition.check(condition.value(fields)) for condition in self.conditions)


def _check(tests: tuple[predicates.Test, ...], *, accepts_missing: bool) -> fold.Check:
    accepts = fold.fold(tests)

    def check(value: Any) -> bool:
        kind = value.__class__
        if kind is str:
            return accepts(value)
        if kind is list:
            items = predicates.flat(value)
            return items is not None and any(map(accepts, items))
        if kind is jsonpath.Missing:
            return accepts_missing and value is jsonpath.MISSING
        return kind is not dict and accepts(value)

    return check
