"""Three hundred days at CI size; each a seed, each with crashes, full disks and failing targets."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from tests.faults import all as rows
from tests.house import tree
from tests.simulation import __main__ as simulation

FOLDER = tree.ROOT / "tests" / "simulation"


@pytest.mark.timeout(900)
def test_no_invariant_breaks_in_300_days(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulation.main(["--seeds", "300"]) == 0, capsys.readouterr().err
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    figures = told["figures"]
    assert told["pass"]
    assert figures["seeds"] == figures["simulated_days"] == 300
    # Days on which nothing happens would prove nothing.
    assert figures["events"] > 50 * 300
    assert figures["attempts"] > 500 * 300
    assert figures["crashes"] > 300


def test_one_seed_is_told_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulation.main(["--seed", "3"]) == 0
    shown = capsys.readouterr()
    assert "acknowledged" in shown.err
    assert "crash" in shown.err
    assert json.loads(shown.out)["figures"]["seeds"] == 1


def test_the_list_of_invariants_is_that_of_the_checks() -> None:
    """The figure that is printed counts what is really checked."""
    checked: set[str] = set()
    for path in FOLDER.glob("*.py"):
        if path.name.startswith("test_"):
            continue
        for node in ast.walk(tree.syntax(path)):
            if isinstance(node, ast.Call) and _name(node.func) in ("check", "self._check"):
                words = [arg.value for arg in node.args[1:2] if isinstance(arg, ast.Constant)]
                checked.update(word for word in words if isinstance(word, str))
    assert checked == set(simulation.INVARIANTS)


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def test_only_a_large_run_is_kept_for_the_documents(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        simulation.main(["--seeds", "10", "--save"])
    assert "--seeds 10000" in capsys.readouterr().err


def test_a_large_run_is_kept_as_the_row_that_the_page_shows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(simulation, "SEEDS_FULL", 2)
    monkeypatch.setattr(rows, "RESULTS", tmp_path)
    assert simulation.main(["--seeds", "2", "--save"]) == 0
    kept = json.loads((tmp_path / "sim.json").read_text())
    assert kept["arguments"] == ["--seeds", "2"]
    assert kept["figures"]["seeds"] == 2
    assert kept["seconds"] > 0


def test_a_large_run_that_takes_too_long_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(simulation, "SEEDS_FULL", 2)
    monkeypatch.setattr(simulation, "SECONDS_FULL_MAX", 0)
    assert simulation.main(["--seeds", "2"]) == 1
    assert json.loads(capsys.readouterr().out)["figures"]["breaks"] == 0
