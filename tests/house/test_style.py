"""Style rules as tests: what a module, a function and a name may be (see CONTRIBUTING.md)."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import tree

LINES_MAX = 500
#: A table of cases is long without being two things.
TEST_LINES_MAX = 750
LINES_GOAL = 400
FUNCTION_LINES_MAX = 70
BANNED_MODULE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}


def test_every_module_has_a_docstring() -> None:
    """A module says what it owns and what it must never do."""
    without = [
        tree.shown(path)
        for path in tree.modules()
        if path.read_text().strip() and not ast.get_docstring(tree.syntax(path))
    ]
    assert without == []


def test_every_package_has_an_init_with_a_docstring() -> None:
    """A folder says in its `__init__.py` what the room is for."""
    folders = {path.parent for path in tree.product_modules()}
    inits = {folder: folder / "__init__.py" for folder in folders}
    without = [
        tree.shown(folder)
        for folder, init in sorted(inits.items())
        if not init.exists() or not ast.get_docstring(tree.syntax(init))
    ]
    assert without == []


def wall_of(path: Path) -> int:
    return TEST_LINES_MAX if path.name.startswith("test_") else LINES_MAX


def test_no_module_passes_the_wall_of_500_lines() -> None:
    """A long module is two things; from 400 lines on the run says so without failing."""
    lengths = {path: len(path.read_text().splitlines()) for path in tree.modules()}
    # `dev` is one file on purpose: it has to run before anything can be imported.
    lengths.pop(tree.ROOT / "dev")
    for path, length in lengths.items():
        if LINES_GOAL < length <= LINES_MAX:
            warnings.warn(f"{tree.shown(path)} has {length} lines", stacklevel=1)
    assert {tree.shown(path): n for path, n in lengths.items() if n > wall_of(path)} == {}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function of a module, nested ones too."""
    for node in ast.walk(tree.syntax(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_function_is_longer_than_70_lines() -> None:
    """Decorators do not count; the docstring does."""
    too_long = {
        f"{tree.shown(path)}:{function.name}": function.end_lineno - function.lineno + 1
        for path in tree.modules()
        for function in functions(path)
        if function.end_lineno and function.end_lineno - function.lineno >= FUNCTION_LINES_MAX
    }
    assert too_long == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    """utils, helpers, common, misc and manager attract what has no home."""
    named = [
        tree.shown(path)
        for path in tree.modules()
        if BANNED_MODULE_NAMES & {path.stem, path.parent.name}
    ]
    assert named == []


def names_imported_across_packages(path: Path) -> Iterator[str]:
    """Yield `from headrace.x.y import name` where y is a module of another package."""
    own = path.relative_to(tree.SRC).parts[0]
    for node in ast.walk(tree.syntax(path)):
        if not isinstance(node, ast.ImportFrom) or node.level or not node.module:
            continue
        parts = node.module.split(".")
        if parts[0] != "headrace" or len(parts) < 2 or parts[1] == own:
            continue
        if tree.SRC.joinpath(*parts[1:]).with_suffix(".py").exists():
            yield f"{tree.shown(path)}:{node.lineno} from {node.module} import ..."


def test_packages_import_modules_of_each_other_not_names() -> None:
    """`errors.RuleNotFound` tells a reader where it comes from; a bare name does not."""
    found = [
        line for path in tree.product_modules() for line in names_imported_across_packages(path)
    ]
    assert found == []


def test_no_test_sleeps_to_wait_for_something() -> None:
    """A sleep is too short on a busy machine and too long on all others."""
    waits = re.compile(r"\btime\.sleep\(|\b(?:asyncio|anyio)\.sleep\((?!0\))")
    found = [
        f"{tree.shown(path)}:{number}"
        for path in sorted((tree.ROOT / "tests" / "unit").rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if waits.search(line) and not line.lstrip().startswith(("#", '"'))
    ]
    assert found == []


def test_test_modules_have_tests() -> None:
    """A file that is called a test and holds none is a promise that nobody keeps."""
    empty = [
        tree.shown(path)
        for path in sorted((tree.ROOT / "tests").rglob("test_*.py"))
        if not any(function.name.startswith("test_") for function in functions(path))
        and "RuleBasedStateMachine" not in path.read_text()
    ]
    assert empty == []


@pytest.mark.parametrize("name", ["core", "bus"])
def test_pure_packages_never_read_a_clock(name: str) -> None:
    """ruff bans the modules; this bans the ways around it."""
    ways = re.compile(r"__import__\(|importlib|loop\.time\(|noqa: TID251")
    found = [
        tree.shown(path)
        for path in (tree.SRC / name).rglob("*.py")
        if ways.search(path.read_text())
    ]
    assert found == []
