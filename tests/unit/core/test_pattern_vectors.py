"""Every recorded case of the Alibaba dialect, by one pattern and by the index."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.core import errors, jsontext, pattern

VECTORS = Path(__file__).parents[2] / "vectors" / "patterns.jsonl"
CASES: list[dict[str, Any]] = [json.loads(line) for line in VECTORS.read_text("utf-8").splitlines()]

#: Cases observed on the open engine that the service's documentation contradicts; it wins. This one
#: refuses {"prefix": ..., "suffix": ...} in one object, which alibaba-0355 and -0357 use.
SUPERSEDED = {"alibaba-0301"}

LIVE = [case for case in CASES if case["id"] not in SUPERSEDED]


def test_no_vector_is_left_out() -> None:
    assert len(CASES) == 214
    assert len({case["id"] for case in CASES}) == 214
    assert len(LIVE) == 213


@pytest.mark.parametrize("case", LIVE, ids=lambda case: case["id"])
def test_vector(case: dict[str, Any]) -> None:
    if case["match"] == "invalid":
        with pytest.raises(errors.PatternInvalid) as refusal:
            pattern.compile(case["pattern"])
        assert refusal.value.field is not None
        assert refusal.value.expected
        return
    compiled = pattern.compile(case["pattern"])
    fields = jsontext.decode(case["event"])
    assert compiled.matches(fields) is case["match"]
    assert pattern.explain(compiled, fields).matched is case["match"]
    assert pattern.Matcher([(7, compiled)]).match(fields) == ([7] if case["match"] else [])


@pytest.mark.parametrize("case", [c for c in CASES if c["id"] in SUPERSEDED], ids=lambda c: c["id"])
def test_superseded_vector_follows_the_documentation(case: dict[str, Any]) -> None:
    compiled = pattern.compile(case["pattern"])
    assert compiled.matches({"source": "a-b"})
    assert not compiled.matches({"source": "a-c"})
    assert not compiled.matches({"source": "c-b"})


def test_one_index_of_all_vectors_agrees_with_each_pattern_on_each_event() -> None:
    """213 patterns side by side, among them every operator, on all events of the file."""
    rules = [
        (number, pattern.compile(case["pattern"]))
        for number, case in enumerate(LIVE)
        if case["match"] != "invalid"
    ]
    matcher = pattern.Matcher(rules)
    for case in LIVE:
        if case["event"] is not None:
            fields = jsontext.decode(case["event"])
            assert matcher.match(fields) == [n for n, p in rules if p.matches(fields)]
