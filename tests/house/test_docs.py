"""The generated documents are fresh and leave nothing out: commands, options, operations, limits,
errors, figures.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from headrace.api import operations
from headrace.api.cloudevents import face as cloudevents
from headrace.api.eventbridge import control, dataplane
from headrace.api.fc import table as fc_table
from headrace.api.native import face as native
from headrace.cli import main as command_line
from headrace.core import errors, limits
from tests.house import tree

REFERENCE = tree.ROOT / "docs" / "reference"
GENERATORS = sorted(path.name for path in (tree.ROOT / "docs").glob("generate*.py"))
TABLES = (control.TABLE, dataplane.TABLE, fc_table.TABLE, cloudevents.TABLE)
READMES = ("README.md", "README.zh.md")


def generate(root: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one generator of the tree at `root`, with the code of this one."""
    return subprocess.run(
        [sys.executable, root / "docs" / name, *arguments],
        env={**os.environ, "PYTHONPATH": str(tree.ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a tree with these documents that a test may spoil."""
    shutil.copytree(
        tree.ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in READMES:
        shutil.copy(tree.ROOT / name, tmp_path)
    (tmp_path / "src").symlink_to(tree.ROOT / "src")
    (tmp_path / "bench" / "results").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("name", GENERATORS)
def test_generated_documents_are_fresh(name: str) -> None:
    """After a change to a table, a command or a figure: `./dev docs`."""
    done = generate(tree.ROOT, name, "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_stale_document_is_found_and_named_and_written_anew(copy: Path) -> None:
    """Otherwise the test above would prove nothing."""
    page = copy / "docs" / "reference" / "cli.md"
    fresh = page.read_text()
    page.write_text(fresh.replace("--strict-limits", "--other-limits"))
    done = generate(copy, "generate_cli.py", "--check")
    assert done.returncode == 1
    assert "docs/reference/cli.md is stale" in done.stdout
    assert generate(copy, "generate_cli.py").returncode == 0
    assert page.read_text() == fresh


# -- nothing is left out


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every command of the command line with its full name."""
    top = typer.main.get_command(command_line.app)
    context: Any = top.make_context("headrace", [], resilient_parsing=True)
    for noun in top.list_commands(context):
        yield from below(f"headrace {noun}", top.get_command(context, noun))


def below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for word, child in getattr(command, "commands", {}).items():
        yield from below(f"{name} {word}", child)


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=lambda one: str(one)[:40])
def test_every_command_and_option_is_documented(name: str, command: Any) -> None:
    """An option that is not in the reference does not exist for a reader."""
    text = (REFERENCE / "cli.md").read_text()
    section = re.search(rf"^#+ {re.escape(name)}\n(.*?)(?=^#|\Z)", text, re.DOTALL | re.MULTILINE)
    assert section, f"{name} has no section"
    options = [o for param in command.params for o in param.opts if o.startswith("-")]
    assert [one for one in options if f"`{one}`" not in section[1]] == []


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.api)
def test_every_operation_of_the_cloud_is_in_the_compatibility_table(
    table: operations.Table,
) -> None:
    """Built ones in the table, the others in the list of those that are not."""
    text = (REFERENCE / "compatibility.md").read_text()
    section = re.search(rf"^## {table.api}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert section
    built, _, unbuilt = section[1].partition("### Not built")
    for row in table:
        assert f"`{row.name}`" in (built if row.handler else unbuilt), row.name


def test_every_field_of_a_built_operation_is_in_the_compatibility_table() -> None:
    """Honoured, or echoed or refused with the reason."""
    text = (REFERENCE / "compatibility.md").read_text()
    for row in operations.compatibility(*TABLES):
        assert not row.field or f"`{row.field}`" in text, row
        assert row.reason.replace("|", "\\|") in text, row


def test_every_operation_of_our_own_api_is_documented() -> None:
    text = (REFERENCE / "api.md").read_text()
    for row in native.TABLE:
        assert f"`{row.name}`" in text
        assert f"`{row.methods[0]} {row.path}`" in text


def test_every_limit_is_documented_with_both_values() -> None:
    text = (REFERENCE / "limits.md").read_text()
    for bound in limits.listed():
        found = re.search(rf"^\| `{bound.name}` \| (.*?) \| (.*?) \|", text, re.MULTILINE)
        assert found, bound.name
        shown = [cell.replace(",", "").replace("not bounded", "None") for cell in found.groups()]
        assert shown == [str(bound.wide), str(bound.strict)]


def test_every_error_is_documented_with_its_code() -> None:
    text = (REFERENCE / "errors.md").read_text()
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.HeadraceError)
    ]
    for kind in kinds:
        assert f"| {kind.__name__} | `{kind.code}` | {kind.status} |" in text


# -- figures

RESULT = {
    "bench": "ingest",
    "figures": {"single_events_per_s": 12345.6, "batch_events_per_s": 34567.8},
    "floor": {"single_events_per_s": 20000.0, "batch_events_per_s": 50000.0},
    "ratio": {"single_events_per_s": 0.617},
    "machine": {"cores": 2, "python": "3.12.1", "day": "2026-11-20", "kernel": "6"},
}


@pytest.mark.parametrize("name", READMES)
def test_the_figures_of_a_readme_come_from_the_results(copy: Path, name: str) -> None:
    """Three digits, the floor, the ratio of the bench (else of the medians), and the command."""
    (copy / "bench" / "results" / "ingest.json").write_text(json.dumps(RESULT))
    assert generate(copy, "generate_readme.py").returncode == 0
    block = figures(copy / name)
    assert "| 12,300 events/s | 20,000 events/s | 0.62 | `./dev bench ingest` |" in block
    assert "| 34,600 events/s | 50,000 events/s | 0.69 | `./dev bench ingest` |" in block
    assert "2026-11-20" in block


@pytest.mark.parametrize("name", READMES)
def test_a_figure_without_a_result_is_left_out_and_its_command_is_named(
    copy: Path, name: str
) -> None:
    """A README never promises what nobody measured."""
    assert generate(copy, "generate_readme.py").returncode == 0
    block = figures(copy / name)
    assert "|" not in block
    scripts = {path.stem for path in (tree.ROOT / "bench").glob("*.py")}
    named = re.findall(r"`\./dev bench (\w+) --save`", block)
    assert named
    assert set(named) <= scripts


def test_a_result_without_its_figure_stops_the_generator(copy: Path) -> None:
    """A bench that renames a figure is noticed, not silently dropped."""
    spoiled = {**RESULT, "figures": {"single_events_per_s": 1.0}}
    (copy / "bench" / "results" / "ingest.json").write_text(json.dumps(spoiled))
    done = generate(copy, "generate_readme.py", "--check")
    assert done.returncode == 1
    assert "ingest.json has no figure batch_events_per_s" in done.stderr


def figures(path: Path) -> str:
    found = re.search(r"<!-- figures -->\n(.*?)<!-- /figures -->", path.read_text(), re.DOTALL)
    assert found
    return found[1]


@pytest.mark.parametrize("name", READMES)
def test_no_figure_is_typed(name: str) -> None:
    """Outside the generated block and the pictures of a terminal there is no measured number."""
    text = (tree.ROOT / name).read_text()
    text = text.replace(figures(tree.ROOT / name), "")
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    assert re.findall(r"\d[\d,.]* ?(?:events/s|calls/s|ms\b|MiB\b|x\b)", text) == []
