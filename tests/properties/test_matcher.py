"""The index never changes the answer: it finds exactly the patterns that match one by one."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core import jsontext, pattern
from headrace.core.pattern import parse

# A small world of names and values, so that patterns and events meet often.
NAMES = st.sampled_from(["a", "b", "c", "d"])
WORDS = st.sampled_from(["", "x", "xy", "xyz", "yz", "300", "null", "true", "10.0.0.7", "X"])
NUMBERS = st.sampled_from(["0", "1", "300", "300.0", "3.0e2", "2.5", "-1", "12345678901234567890"])
SCALARS = st.one_of(WORDS.map(json.dumps), NUMBERS, st.sampled_from(["true", "false", "null"]))


def _array(items: list[str]) -> str:
    return "[" + ",".join(items) + "]"


def _object(members: dict[str, str]) -> str:
    return "{" + ",".join(f"{json.dumps(k)}:{v}" for k, v in members.items()) + "}"


VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(_array),
        st.dictionaries(NAMES, inner, max_size=4).map(_object),
    ),
    max_leaves=12,
)
AFFIXES = st.sampled_from(["x", "xy", "z", "yz", "3", "1"]).map(json.dumps)
BOUNDS = st.sampled_from(["-1", "0", "1", "2.5", "300", "1e8"])
PAIRS = st.tuples(st.sampled_from(["=", "!=", ">", ">=", "<", "<="]), BOUNDS).map(
    lambda pair: f'"{pair[0]}",{pair[1]}'
)
OPERATORS = st.one_of(
    AFFIXES.map(lambda text: f'{{"prefix":{text}}}'),
    AFFIXES.map(lambda text: f'{{"suffix":{text}}}'),
    AFFIXES.map(lambda text: f'{{"contains":{text}}}'),
    st.lists(SCALARS, max_size=3).map(lambda some: f'{{"anything-but":{_array(some)}}}'),
    AFFIXES.map(lambda text: f'{{"anything-but":{{"prefix":{text}}}}}'),
    st.lists(PAIRS, min_size=1, max_size=2).map(lambda some: f'{{"numeric":{_array(some)}}}'),
    st.sampled_from(["10.0.0.0/24", "10.0.0.7"]).map(lambda text: f'{{"cidr":"{text}"}}'),
    st.booleans().map(lambda wanted: f'{{"exists":{json.dumps(wanted)}}}'),
    st.tuples(AFFIXES, AFFIXES).map(lambda two: f'{{"prefix":{two[0]},"suffix":{two[1]}}}'),
)
LEAVES = st.one_of(
    st.lists(SCALARS, min_size=1, max_size=3).map(_array),
    st.lists(st.one_of(SCALARS, OPERATORS), min_size=1, max_size=3).map(_array),
    OPERATORS.map(lambda one: f"[{one}]"),
)
KEYS = st.one_of(NAMES, st.sampled_from(["a.b", "a[0]", "b[-1]", "*", "a.*", "['c']"]))
TREES = st.recursive(
    st.dictionaries(KEYS, LEAVES, min_size=1, max_size=3).map(_object),
    lambda inner: st.dictionaries(KEYS, st.one_of(LEAVES, inner), min_size=1, max_size=3).map(
        _object
    ),
    max_leaves=4,
)
ATTRIBUTES = st.sampled_from(["source", "type", "subject"])
PATTERNS = st.tuples(st.dictionaries(ATTRIBUTES, LEAVES, max_size=3), st.none() | TREES).map(
    lambda two: _object(two[0] | ({} if two[1] is None else {"data": two[1]}))
)
EVENTS = st.tuples(st.dictionaries(ATTRIBUTES, VALUES, max_size=3), st.none() | VALUES).map(
    lambda two: _object(two[0] | ({} if two[1] is None else {"data": two[1]}))
)


def _compiled(texts: list[str]) -> list[tuple[int, pattern.Pattern]]:
    rules: list[tuple[int, pattern.Pattern]] = []
    for number, text in enumerate(texts):
        # Nothing but the limit of `*` refuses what is drawn here.
        if text.count("*") <= parse.EVERY_STEPS_MAX:
            rules.append((number, pattern.compile(text)))
    return rules


@settings(max_examples=400, deadline=None)
@given(st.lists(PATTERNS, max_size=12), st.lists(EVENTS, min_size=1, max_size=6))
def test_the_index_finds_what_the_patterns_match_one_by_one(
    texts: list[str], events: list[str]
) -> None:
    rules = _compiled(texts)
    matcher = pattern.Matcher(rules)
    for text in events:
        fields: dict[str, Any] = jsontext.decode(text)
        assert matcher.match(fields) == [n for n, p in rules if p.matches(fields)]


@settings(max_examples=200, deadline=None)
@given(PATTERNS, EVENTS)
def test_an_explanation_names_a_field_exactly_when_there_is_no_match(
    pattern_text: str, event_text: str
) -> None:
    for _, compiled in _compiled([pattern_text]):
        fields: dict[str, Any] = jsontext.decode(event_text)
        told = pattern.explain(compiled, fields)
        assert told.matched is compiled.matches(fields)
        assert bool(told.failures) is not told.matched


@settings(max_examples=200, deadline=None)
@given(st.lists(PATTERNS, max_size=8), EVENTS)
def test_data_is_not_looked_at_unless_reads_data_says_so(texts: list[str], event: str) -> None:
    rules = _compiled(texts)
    matcher = pattern.Matcher(rules)
    if not matcher.reads_data:
        fields: dict[str, Any] = jsontext.decode(event)
        without = {name: value for name, value in fields.items() if name != "data"}
        assert matcher.match(without) == matcher.match(fields)
