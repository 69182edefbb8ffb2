"""What the house tests look at: files of the repository and their syntax trees, read once."""

from __future__ import annotations

import ast
import functools
import subprocess
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src" / "headrace"


@functools.cache
def modules() -> tuple[Path, ...]:
    """Return every Python file of the product, the tests and the tools."""
    places = [SRC, *(ROOT / name for name in ("tests", "bench", "examples", "docs"))]
    return (*(path for place in places for path in sorted(place.rglob("*.py"))), ROOT / "dev")


@functools.cache
def product_modules() -> tuple[Path, ...]:
    """Return every Python file of the package."""
    return tuple(sorted(SRC.rglob("*.py")))


@functools.cache
def syntax(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(), str(path))


@functools.cache
def project() -> dict[str, Any]:
    """Return pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@functools.cache
def tracked_files() -> tuple[Path, ...]:
    """Return every file that is committed or would be: all of git's view but what is ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    paths = (ROOT / name for name in listed.split("\0") if name)
    return tuple(path for path in paths if path.is_file())


def shown(path: Path) -> str:
    """Return a path as messages say it."""
    return str(path.relative_to(ROOT))
