"""Pattern text to a validated Pattern: every rule of the dialect, every refusal with its field.

Owns what makes a pattern legal. It must never look at an event, and never accept a key or operator
that it would then ignore. Where the open engine and the service's documentation disagree
(`contains`, several operators in one object), the documentation wins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, cast

from headrace.core import errors, jsonpath, jsontext
from headrace.core.pattern import lenient, predicates
from headrace.core.pattern.evaluate import Condition, Pattern

#: Longest pattern text in UTF-8 (security.md S12).
PATTERN_BYTES_MAX = 8 * 1024
#: Most alternatives and listed values in one pattern (security.md S12).
TERMS_MAX = 1_000
#: Most operator objects ({...}) on one field. The cloud's quota is FIELD_EXPRESSIONS_MAX_STRICT.
FIELD_EXPRESSIONS_MAX = 64
#: The cloud's "5 expressions per field", read as operator objects; for `strict_limits`.
FIELD_EXPRESSIONS_MAX_STRICT = 5
#: Most `*` steps in the keys of one pattern: each visits every child at its level.
EVERY_STEPS_MAX = 4
#: Most `contains` in one pattern: each reads the whole value.
CONTAINS_MAX = 16

#: Attributes of an event a pattern may name, next to `data`.
ATTRIBUTES = frozenset(
    (
        "id",
        "source",
        "specversion",
        "type",
        "datacontenttype",
        "dataschema",
        "subject",
        "time",
        "aliyunaccountid",
        "aliyuneventbusname",
        "aliyunoriginalaccountid",
        "aliyunpublishaddr",
        "aliyunpublishtime",
        "aliyunregionid",
    )
)


def compile(text: str, *, field_expressions_max: int = FIELD_EXPRESSIONS_MAX) -> Pattern:
    """Compile pattern text; `{}` matches every event.

    Raises: errors.PatternInvalid with the field's path, what the dialect expects there and what it
    got.
    """
    if len(text.encode("utf-8", "surrogatepass")) > PATTERN_BYTES_MAX:
        _refuse(
            "",
            f"at most {PATTERN_BYTES_MAX} bytes",
            f"{len(text)} characters",
            "The pattern is too long",
        )
    tree = _decode(text)
    if type(tree) is not dict:
        _refuse("", "a JSON object", _shown(tree), "The pattern is not an object")
    compiler = _Compiler(field_expressions_max)
    compiler.top(cast("dict[str, Any]", tree))
    return Pattern(text, tuple(compiler.conditions))


def _decode(text: str) -> Any:
    try:
        return jsontext.decode(text)
    except jsontext.Malformed:
        pass  # The lenient reader either takes it or says what is wrong and where.
    try:
        return lenient.decode(text)
    except lenient.NotReadable as fault:
        got = text[:80].encode("utf-8", "replace").decode()  # A lone surrogate fits in no answer.
        raise errors.PatternInvalid(
            f"The pattern is not JSON: {fault}", field="", expected="JSON", got=got
        ) from fault


def _refuse(field: str, expected: str, got: object, rule: str) -> NoReturn:
    place = f" at {field}" if field else ""
    raise errors.PatternInvalid(
        f"{rule}{place}: expected {expected}, got {got}.", field=field, expected=expected, got=got
    )


def _shown(value: Any) -> str:
    text = jsontext.compact(value)
    return text if len(text) <= 80 else text[:77] + "..."


class _Compiler:
    """Walks one pattern tree, collecting conditions and counting terms."""

    def __init__(self, field_expressions_max: int) -> None:
        self.conditions: list[Condition] = []
        self._field_expressions_max = field_expressions_max
        self._terms = 0
        self._every = 0
        self._contains = 0

    def top(self, tree: dict[str, Any]) -> None:
        for key, value in tree.items():
            if key == "data":
                self._object("data", (), value, 1)
            elif key in ATTRIBUTES:
                self._leaf(key, (key,), value, in_data=False)
            else:
                expected = "`data` or one of " + ", ".join(sorted(ATTRIBUTES))
                _refuse(key, expected, key, "A pattern cannot name this attribute")

    def _object(self, field: str, steps: tuple[jsonpath.Step, ...], value: Any, depth: int) -> None:
        if type(value) is not dict or not value:
            _refuse(field, "a non-empty object of fields", _shown(value), "Wrong shape")
        if depth > lenient.DEPTH_MAX:
            _refuse(field, f"at most {lenient.DEPTH_MAX} levels", "more", "Nested too deeply")
        for key, child in cast("dict[str, Any]", value).items():
            below = f"{field}.{key}"
            path = steps + self._key(below, key)
            if type(child) is dict:
                self._object(below, path, child, depth + 1)
            else:
                self._leaf(below, path, child, in_data=True)

    def _key(self, field: str, key: str) -> tuple[jsonpath.Step, ...]:
        steps = jsonpath.parse_key(key)
        if steps is None:
            expected = "a name, a.b, a[0], * or ['any text']"
            _refuse(field, expected, repr(key), "A key under data is a piece of JSONPath")
        self._every += steps.count(jsonpath.EVERY)
        if self._every > EVERY_STEPS_MAX:
            _refuse(field, f"at most {EVERY_STEPS_MAX} `*` in one pattern", "more", "Too many `*`")
        return steps

    def _leaf(
        self, field: str, steps: tuple[jsonpath.Step, ...], value: Any, *, in_data: bool
    ) -> None:
        if type(value) is not list or not value:
            shape = "a non-empty array of values or operators"
            if in_data:
                shape += ", or an object of fields"
            _refuse(field, shape, _shown(value), "Wrong shape")
        alternatives = cast("list[Any]", value)
        expressions = sum(type(item) is dict for item in alternatives)
        if expressions > self._field_expressions_max:
            most = f"at most {self._field_expressions_max} operator objects on one field"
            _refuse(field, most, expressions, "Too many expressions")
        tests = tuple(self._alternative(field, item) for item in alternatives)
        self.conditions.append(
            Condition(field, steps, tests, in_data=in_data, written=jsontext.compact(value))
        )

    def _alternative(self, field: str, item: Any) -> predicates.Test:
        self._count(field, 1)
        if type(item) is list:
            _refuse(field, "a scalar or an operator object", _shown(item), "Nested array")
        if type(item) is not dict:
            return _equals(item)
        operators = cast("dict[str, Any]", item)
        if not operators:
            _refuse(field, "an operator, e.g. prefix", "{}", "Empty operator object")
        tests = [self._operator(field, name, operand) for name, operand in operators.items()]
        return tests[0] if len(tests) == 1 else predicates.AllOf(tuple(tests))

    def _operator(self, field: str, name: str, operand: Any) -> predicates.Test:
        build = _OPERATORS.get(name)
        if build is None:
            known = ", ".join(_OPERATORS)
            _refuse(field, f"one of {known}", name, "Unknown operator")
        if name == "anything-but" and type(operand) is list:
            self._count(field, len(cast("list[Any]", operand)))
        if name == "contains":
            self._contains += 1
            if self._contains > CONTAINS_MAX:
                most = f"at most {CONTAINS_MAX} in one pattern"
                _refuse(field, most, "more", "Too many `contains`")
        return build(field, operand)

    def _count(self, field: str, terms: int) -> None:
        self._terms += terms
        if self._terms > TERMS_MAX:
            _refuse(field, f"at most {TERMS_MAX} values in one pattern", "more", "Too many terms")


def _equals(value: Any) -> predicates.Equals:
    return predicates.Equals(None if value is None else jsontext.spelt(value))


def _text(field: str, name: str, operand: Any) -> str:
    if type(operand) is not str or not operand:
        _refuse(
            f"{field}.{name}", "a non-empty string", _shown(operand), f"Wrong operand of {name}"
        )
    return operand


def _prefix(field: str, operand: Any) -> predicates.Prefix:
    return predicates.Prefix(_text(field, "prefix", operand))


def _suffix(field: str, operand: Any) -> predicates.Suffix:
    return predicates.Suffix(_text(field, "suffix", operand))


def _contains(field: str, operand: Any) -> predicates.Contains:
    return predicates.Contains(_text(field, "contains", operand))


def _anything_but(field: str, operand: Any) -> predicates.Test:
    place = f"{field}.anything-but"
    rule = "Wrong operand of anything-but"
    if type(operand) is dict:
        affix = cast("dict[str, Any]", operand)
        if len(affix) == 1 and "prefix" in affix:
            return predicates.AnythingButAffix(_prefix(place, affix["prefix"]))
        if len(affix) == 1 and "suffix" in affix:
            return predicates.AnythingButAffix(_suffix(place, affix["suffix"]))
        _refuse(place, "one of {prefix} and {suffix}", _shown(affix), rule)
    listed = cast("list[Any]", operand) if type(operand) is list else [operand]
    if any(type(item) is dict or type(item) is list for item in listed):
        _refuse(place, "scalars only in its array", _shown(operand), rule)
    texts = frozenset(jsontext.spelt(item) for item in listed if item is not None)
    return predicates.AnythingBut(texts, null=None in listed)


def _numeric(field: str, operand: Any) -> predicates.Numeric:
    place = f"{field}.numeric"
    rule = "Wrong operand of numeric"
    if type(operand) is not list or len(cast("list[Any]", operand)) not in (2, 4):
        _refuse(place, "one or two pairs of comparator and number", _shown(operand), rule)
    flat = cast("list[Any]", operand)
    return predicates.numeric(
        [
            (_comparator(place, flat[at]), _bound(place, flat[at + 1]))
            for at in range(0, len(flat), 2)
        ]
    )


def _comparator(place: str, value: Any) -> str:
    if value not in predicates.COMPARATORS:
        known = " ".join(predicates.COMPARATORS)
        _refuse(place, f"one of {known}", _shown(value), "Wrong comparator of numeric")
    return value


def _bound(place: str, value: Any) -> float:
    if type(value) is not int and type(value) is not jsontext.Float:
        _refuse(place, "a number after the comparator", _shown(value), "Wrong bound of numeric")
    if not -predicates.NUMERIC_OPERAND_MAX <= value <= predicates.NUMERIC_OPERAND_MAX:
        _refuse(place, "a number within +-1e9", _shown(value), "Bound of numeric out of range")
    return float(value)


def _cidr(field: str, operand: Any) -> predicates.Test:
    test = predicates.cidr(operand) if type(operand) is str else None
    if test is None:
        expected = "an IPv4 block such as 10.0.0.0/24, or a bare IPv4 or IPv6 address"
        _refuse(f"{field}.cidr", expected, _shown(operand), "Wrong operand of cidr")
    return test


def _exists(field: str, operand: Any) -> predicates.Exists:
    if type(operand) is not bool:
        _refuse(f"{field}.exists", "true or false", _shown(operand), "Wrong operand of exists")
    return predicates.Exists(operand)


_OPERATORS: dict[str, Callable[[str, Any], predicates.Test]] = {
    "prefix": _prefix,
    "suffix": _suffix,
    "contains": _contains,
    "anything-but": _anything_but,
    "numeric": _numeric,
    "cidr": _cidr,
    "exists": _exists,
}

#: Operators of the dialect, in the order the documentation lists them.
OPERATORS: Sequence[str] = tuple(_OPERATORS)
