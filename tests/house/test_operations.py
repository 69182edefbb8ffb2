"""The pages for operators: the doctor's faults, every command, every quoted word, the promises.

That the commands of the failure table run is shown in tests/e2e/test_operations.py.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from headrace import diagnosis
from headrace.cli.nouns import doctor
from tests.faults import _rows
from tests.house import test_docs, test_docs_prose, tree

OPERATIONS = tree.ROOT / "docs" / "operations"
FAILURES = OPERATIONS / "failures.md"
#: The faults that the doctor must find, by the name of its line.
FAULTS = {
    "disk": "a disk that is nearly full", "records": "a clock behind the newest record",
    "port": "a port that is taken", "key file": "a key file that others can read",
    "file": "a corrupt file", "sandbox": "no sandbox", "plug-in": "a plug-in that does not load",
    "target": "a dead target", "credentials": "a key that the server does not know",
    "books": "books that do not balance", "format": "an old format", "shards": "an orphan shard",
}  # fmt: skip
PROGRAMS = {"headrace", "chmod", "df", "ss", "timedatectl", "unset"}


def load(name: str) -> ModuleType:
    """Return a module of docs/, which is no package."""
    sys.path.insert(0, str(tree.ROOT / "docs"))
    try:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


promises = load("promises")


def rows() -> list[list[str]]:
    """Return the cells of every row of the failure table."""
    lines = [line for line in FAILURES.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] != "you see"]


def spans(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


# -- the failure table


def test_a_row_of_the_failure_table_has_symptom_meaning_and_something_to_type() -> None:
    for row in rows():
        assert len(row) == 3, row
        assert all(row), row
    assert len(rows()) > 50


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_fault_of_the_doctor_has_its_row(name: str) -> None:
    """Under the name that its line has."""
    assert any(f"`{name}`" in cell for row in rows() for cell in row), FAULTS[name]


def test_every_line_of_the_doctor_that_may_be_bad_has_its_row() -> None:
    """A check that is added brings its row."""
    named: set[str] = set()
    for module in (doctor, diagnosis):
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Check", "Finding"):
                name, verdict, *_ = [getattr(one, "value", None) for one in node.args]
                if verdict in ("warn", "fail"):
                    named.add(str(name))
    assert named >= FAULTS.keys()
    shown = {span for row in rows() for cell in row for span in spans(cell)}
    assert named - shown == set()


def words_of_the_source() -> str:
    """Return every text of the product, pieces of f-strings included."""
    found: list[str] = []
    for path in tree.product_modules():
        for node in ast.walk(tree.syntax(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def test_what_a_symptom_quotes_is_what_the_product_says() -> None:
    """A reader finds the row by pasting the message."""
    said = words_of_the_source()
    quoted = [span for row in rows() for span in spans(row[0])]
    assert len(quoted) > 30
    metrics = "headrace_"
    missing = [
        span for span in quoted
        if span not in said and not span.startswith(("--", metrics))
    ]  # fmt: skip
    assert missing == []


def commands() -> Iterator[str]:
    """Yield every command of the failure table."""
    for row in rows():
        for span in spans(row[1]) + spans(row[2]):
            if " " in span and span.split()[0] in PROGRAMS:
                yield span


@pytest.mark.parametrize("line", sorted(set(commands())))
def test_a_command_of_the_failure_table_exists_with_its_options(line: str) -> None:
    """What does not exist is no help on a bad day."""
    words = shlex.split(line)
    if words[0] != "headrace":
        return
    known_names = dict(test_docs.commands())
    depth = max(at for at in range(2, 5) if " ".join(words[:at]) in {*known_names, "headrace"})
    command: Any = known_names[" ".join(words[:depth])]
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    options = {word for word in words[depth:] if word.startswith("-")}
    assert options - known == set()
    assert not getattr(command, "commands", None), f"{line} lacks a verb"


# -- the promises


def test_the_promises_of_the_page_are_those_of_the_specification() -> None:
    assert [one.words[0] for one in promises.PROMISES] == list(test_docs_prose.PROMISES)


@pytest.mark.parametrize(("name", "language"), [("README.md", 0), ("README.zh.md", 1)])
def test_a_readme_says_the_promises_word_for_word_and_nothing_more(
    name: str, language: int
) -> None:
    text = (tree.ROOT / name).read_text()
    found = re.search(r"<!-- promises -->\n(.*?)<!-- /promises -->", text, re.DOTALL)
    assert found
    said = [re.sub(r" \*.*\*$", "", line[2:]) for line in found[1].split("\n") if line]
    assert said == [one.words[language] for one in promises.PROMISES]


def test_the_page_says_the_promises_word_for_word_and_nothing_more() -> None:
    text = (OPERATIONS / "promises.md").read_text()
    heads = re.findall(r"^##+ (.+)$", text, re.MULTILINE)
    following = [one.words[0] for one in promises.FOLLOWING]
    wanted = [one.words[0] for one in promises.PROMISES]
    assert heads == [*wanted, "Backups, restores, upgrades", *following]


def test_a_promise_that_is_built_has_proofs_that_run() -> None:
    """Each is a row of the fault harness with figures of its own, or a file of tests."""
    known = {row.name for row in _rows.ROWS}
    for promise in (*promises.PROMISES, *promises.FOLLOWING):
        assert promise.proofs or promise.remark[0], promise.words[0]
        for proof in promise.proofs:
            if "/" in proof.name:
                assert "def test_" in (tree.ROOT / proof.name).read_text()
                continue
            assert proof.name in known
            source = (tree.ROOT / "tests" / "faults" / f"{proof.name}.py").read_text()
            assert [one for one in proof.figures if not re.search(rf"\b{one}\b", source)] == []


def test_a_saved_result_puts_its_figures_beside_the_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one the command that makes it is named; a missing figure stops the generator."""
    generator = load("generate_operations")
    monkeypatch.setattr(generator, "FAULTS", tmp_path)
    proof = promises.Proof("kill9", "killed", ("rounds", "acked"))
    assert "./dev faults all --full --save kill9" in generator._figures(proof)
    result = {
        "pass": True, "machine": {"day": "2026-11-20"}, "figures": {"rounds": 50, "acked": 12345},
    }  # fmt: skip
    (tmp_path / "kill9.json").write_text(json.dumps(result))
    assert generator._figures(proof) == "passed, 2026-11-20, rounds 50, acked 12,345"
    with pytest.raises(SystemExit, match="has no figure lost"):
        generator._figures(promises.Proof("kill9", "killed", ("lost",)))


# -- sizes and limits


def test_no_figure_of_the_page_on_sizes_is_typed() -> None:
    """Outside the blocks that the generator writes there is no measured number."""
    text = (OPERATIONS / "sizing.md").read_text()
    text = re.sub(r"<!-- (\w+) -->\n.*?<!-- /\1 -->", "", text, flags=re.DOTALL)
    assert re.findall(r"\d[\d,.]*\s?(?:events|calls|ms\b|[KMG]i?B\b|bytes)", text) == []


def test_every_bound_says_what_it_means() -> None:
    """A limit that somebody runs into must explain itself."""
    text = (tree.ROOT / "docs" / "reference" / "limits.md").read_text()
    table = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(table) > 150
    assert [line for line in table if re.search(r"\|\s*\|$", line)] == []
