"""Every recorded case of the four forms of transforms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.core import errors, jsontext, transform

VECTORS = Path(__file__).parents[2] / "vectors" / "transforms.jsonl"
CASES: list[dict[str, Any]] = [json.loads(line) for line in VECTORS.read_text("utf-8").splitlines()]


def test_no_vector_is_left_out() -> None:
    assert len(CASES) == 93
    assert len({case["id"] for case in CASES}) == 93


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_vector(case: dict[str, Any]) -> None:
    entry = case["transform"]
    body = case["event"].encode()
    if case["status"] == "invalid":
        with pytest.raises(errors.TransformInvalid):
            transform.compile(entry["form"], entry["value"], entry["template"])
        return
    compiled = transform.compile(entry["form"], entry["value"], entry["template"])
    if case["status"] == "error":
        with pytest.raises(transform.Failed):
            compiled.apply(None, body)
        return
    assert compiled.apply(None, body) == case["expected"]
    assert compiled.apply(jsontext.decode(body), body) == case["expected"]
