"""Other versions of the product, made of this one: what an upgrade goes to and comes back from."""

from __future__ import annotations

import shutil
import stat
import sys
from pathlib import Path
from typing import NamedTuple

import headrace


class Change(NamedTuple):
    """What another version has in a file of the package instead of what this one has."""

    file: str
    old: str
    new: str


def make(folder: Path, version: str, *changes: Change) -> Path:
    """Copy the package, change it, and return its own `headrace` program."""
    copy = folder / version / "headrace"
    shutil.copytree(
        Path(headrace.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__")
    )
    named = Change("__init__.py", f'"{headrace.__version__}"', f'"{version}"')
    for change in (named, *changes):
        path = copy / change.file
        text = path.read_text()
        assert change.old in text, f"{path} has no {change.old!r}"
        path.write_text(text.replace(change.old, change.new))
    return _program(folder / version / "bin" / "headrace", copy.parent)


def _program(path: Path, packages: Path) -> Path:
    path.parent.mkdir()
    path.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(packages)!r})\n"
        "from headrace.cli.main import main\nmain()\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path
