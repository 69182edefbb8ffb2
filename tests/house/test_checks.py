"""Each check of `./dev lint` catches what it is there for: every rule is broken once here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import tree

BIN = Path(sys.executable).parent


def lint_as(name: str, code: str) -> str:
    """Return what ruff says of `code` if it stood in the file `name`."""
    return subprocess.run(
        [
            BIN / "ruff",
            "check",
            "--no-cache",
            "--output-format=concise",
            "--stdin-filename",
            name,
            "-",
        ],
        cwd=tree.ROOT,
        input=f'"""A module."""\n\n{code}\n',
        capture_output=True,
        text=True,
        check=False,
    ).stdout


@pytest.mark.parametrize("module", ["time", "random", "uuid", "socket", "threading", "secrets"])
@pytest.mark.parametrize(
    "place", ["core/probe.py", "core/pattern/probe.py", "bus/probe.py", "functions/pool.py"]
)
def test_pure_modules_may_not_import(module: str, place: str) -> None:
    """Time, chance and the outside world are passed in."""
    said = lint_as(f"src/headrace/{place}", f"import {module}\n\nprobe = {module}")
    assert "TID251" in said
    inside = lint_as(f"src/headrace/{place}", f"def probe():\n    import {module}\n\n    {module}")
    assert "TID251" in inside


@pytest.mark.parametrize("place", ["store/probe.py", "functions/instance.py", "outside.py"])
def test_other_modules_may_import_time(place: str) -> None:
    """The ban is for pure code only: somebody has to touch the world."""
    assert "TID251" not in lint_as(f"src/headrace/{place}", "import time\n\nprobe = time.time()")


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("try:\n    probe = 1\nexcept ValueError:\n    pass", "S110"),
        ("probe = 1  # TODO: later", "FIX002"),
        ("print(1)", "T201"),
        ("probe = 1  # type: ignore", "PGH003"),
    ],
)
def test_ruff_refuses(code: str, rule: str) -> None:
    """Swallowed exceptions, things left for later, stray prints, blanket silencing."""
    if rule == "S110":
        code = code.replace("ValueError", "Exception")
    assert rule in lint_as("src/headrace/resources/probe.py", code)


#: Imports that a contract of pyproject.toml forbids: file, imported module, start of the name.
FORBIDDEN = [
    ("core/probe.py", "headrace.store", "Arrows point down"),
    ("core/probe.py", "headrace.resources", "core imports nothing of ours"),
    ("core/probe.py", "asyncio", "core imports nothing of ours"),
    ("store/probe.py", "headrace.resources", "Arrows point down"),
    ("resources/probe.py", "headrace.bus", "Arrows point down"),
    ("bus/probe.py", "headrace.functions", "bus, functions, sources and targets"),
    ("targets/probe.py", "headrace.bus", "bus, functions, sources and targets"),
    ("bus/probe.py", "headrace.access", "Arrows point down"),
    ("api/probe.py", "headrace.store", "Faces never import store"),
    ("cli/probe.py", "headrace.store", "Faces never import store"),
    ("api/probe.py", "headrace.app", "Arrows point down"),
    ("bus/probe.py", "headrace.outside", "Arrows point down"),
]


@pytest.fixture(scope="module")
def skeleton(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a package of our shape and nothing in it."""
    root = tmp_path_factory.mktemp("layers") / "src" / "headrace"
    root.mkdir(parents=True)
    (root / "__init__.py").touch()
    for path in tree.SRC.iterdir():
        if (path / "__init__.py").exists():
            (root / path.name).mkdir()
            (root / path.name / "__init__.py").touch()
    for name in ("app", "outside"):
        (root / f"{name}.py").touch()
    return root


def contracts(skeleton: Path) -> str:
    """Run the contracts of pyproject.toml on the skeleton; return what they say."""
    done = subprocess.run(
        [BIN / "lint-imports", "--no-cache", "--no-logo", "--config", tree.ROOT / "pyproject.toml"],
        cwd=skeleton.parent,
        env={**os.environ, "PYTHONPATH": str(skeleton.parent), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_an_empty_package_keeps_every_contract(skeleton: Path) -> None:
    """Otherwise the next test would prove nothing."""
    said = contracts(skeleton)
    assert "0 broken" in said, said


@pytest.mark.parametrize(("place", "imported", "contract"), FORBIDDEN)
def test_a_contract_is_broken_by(skeleton: Path, place: str, imported: str, contract: str) -> None:
    """An import that points up or sideways is found, also where it hides inside a function."""
    probe = skeleton / place
    probe.write_text(f"def probe():\n    import {imported}\n\n    return {imported}\n")
    try:
        said = contracts(skeleton)
    finally:
        probe.unlink()
    broken = [line for line in said.splitlines() if line.rstrip().endswith("BROKEN")]
    assert any(line.startswith(contract) for line in broken), said


def test_a_new_module_at_the_top_needs_a_layer(skeleton: Path) -> None:
    """Nobody adds a room to the house without saying on which floor."""
    probe = skeleton / "attic.py"
    probe.touch()
    try:
        said = contracts(skeleton)
    finally:
        probe.unlink()
    assert "attic" in said
    assert "0 broken" not in said
