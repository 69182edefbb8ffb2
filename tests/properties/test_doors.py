"""Two doors, one record: random steps through both official SDKs against an independent model.

The size that fits a suite; `./dev faults doors --full` does the whole of it. See `doors/`.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from tests.properties.doors import events, model, run, words

HERE = Path(__file__).parent / "doors"
MODEL = ("state", "words", "events", "rules", "model", "views", "making", "choice", "refusals")
SECONDS_MAX = 300


@pytest.mark.timeout(SECONDS_MAX)
@pytest.mark.usefixtures("sdk_python")
def test_both_doors_say_what_the_model_says_through_300_steps(tmp_path: Path) -> None:
    """With kill -9, two writers on one revision, and probe events every 20 steps."""
    made = run.once(tmp_path, seed=20, steps=300)
    figures = made.figures()
    assert figures["mismatch"] == 0, "the first mismatch is told on stderr"
    assert run.passed(figures, whole=False), figures
    assert figures["probes"] == 15
    assert made.raced
    assert made.kills == 3


@pytest.mark.timeout(SECONDS_MAX)
@pytest.mark.usefixtures("sdk_python")
def test_a_view_that_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Here it is the model that is wrong: it forgets that rules were disabled."""

    def forget(self: model.Model, bus: str, name: str) -> None:
        self._rule(bus, name)

    monkeypatch.setattr(model.Model, "_disable_rule", forget)
    assert run.once(tmp_path, seed=21, steps=200).mismatches == 1


@pytest.mark.timeout(SECONDS_MAX)
@pytest.mark.usefixtures("sdk_python")
def test_a_run_with_the_wrong_payload_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Here the model takes RawData for the whole event, though every view is right."""
    payload = events.payload

    def whole(target: words.Tree, event: events.Event) -> str:
        if words.schema_of(target) == "RawData":
            target = target | {"params": []}
        return payload(target, event)

    monkeypatch.setattr(events, "payload", whole)
    made = run.once(tmp_path, seed=22, steps=200)
    assert made.mismatches == 1
    assert made.figures()["probes"] > 0


def test_the_model_knows_nothing_of_the_product() -> None:
    for name in MODEL:
        tree = ast.parse((HERE / f"{name}.py").read_text())
        assert not list(_imports_of_the_product(tree)), name


def _imports_of_the_product(tree: ast.Module) -> list[Any]:
    found: list[Any] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        else:
            continue
        found += [name for name in modules if name.split(".")[0] == "headrace"]
    return found
