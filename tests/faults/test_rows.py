"""Every row at CI size, by the code of `./dev faults all`; and that no row is left out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.faults import _rows, all

HERE = Path(__file__).parent
MINE = [row for row in _rows.ROWS if row.suite == "faults"]


@pytest.mark.timeout(max(row.ci_s_max for row in MINE) + 30)
@pytest.mark.parametrize("row", MINE, ids=lambda row: row.name)
def test_row(row: _rows.Row) -> None:
    line = all.run(row, full=False)
    assert line["pass"], json.dumps(line)  # a repr of it is cut short


def test_every_script_that_prints_a_bar_has_a_row() -> None:
    """A row that nobody runs protects nothing."""
    scripts = {
        path.stem
        for path in HERE.glob("*.py")
        if not path.stem.startswith(("all", "test_"))
        and re.search(r'"bar": "|scaffold\.report\("', path.read_text())
    }
    assert {row.name for row in _rows.ROWS} == scripts


def test_a_row_left_to_another_suite_is_run_by_it() -> None:
    for row in _rows.ROWS:
        tests = (HERE.parent / row.suite).glob("test_*.py")
        assert row.suite == "faults" or any(row.name in path.stem for path in tests), row.name


@pytest.mark.parametrize(
    ("said", "code", "good"),
    [
        ('{"bar": "kill9", "figures": {}, "pass": true}\n', 0, True),
        ('progress\n{"bar": "kill9", "figures": {}, "pass": true}\n', 0, True),
        ('{"bar": "kill9", "figures": {}, "pass": true}\n', 1, False),
        ('{"bar": "kill9", "figures": {}, "pass": false}\n', 1, False),
        ('{"bar": "other", "figures": {}, "pass": true}\n', 0, False),
        ("Traceback ...\n", 1, False),
        ("", 0, False),
    ],
)
def test_a_row_passes_only_with_a_line_of_its_own_and_exit_0(
    said: str, code: int, good: bool
) -> None:
    row = next(row for row in _rows.ROWS if row.name == "kill9")
    assert all.read(row, said, code)["pass"] is good


def test_a_row_that_hangs_is_ended_and_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "stuck.py").write_text("import threading\nthreading.Event().wait()\n")
    monkeypatch.setattr(all, "HERE", tmp_path)
    line = all.run(_rows.Row("stuck", "", "", "", ci_s_max=1), full=False)
    assert line["pass"] is False
    assert "no end within 1 s" in line["figures"]["failed"]


def test_a_name_that_is_no_row_is_refused_naming_those_that_are() -> None:
    with pytest.raises(SystemExit, match="kill9"):
        all.chosen(["kill8"], full=False)
