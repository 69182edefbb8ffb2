"""`pip wheel .` makes one pure wheel with everything in it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.house import tree


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with the locked backend, asking no index, with no compiler to be found."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [
            sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index",
            "--no-build-isolation", "--wheel-dir", folder, tree.ROOT,
        ],
        env={**os.environ, "CC": "false", "CXX": "false"},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return next(folder.glob("headrace-*.whl"))


def test_the_wheel_is_pure_python(wheel: Path) -> None:
    """Any machine with a Python can install it."""
    assert wheel.name.endswith("-py3-none-any.whl")


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    """Data files too: what runs from the clone runs from the wheel."""
    inside = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        path.relative_to(tree.ROOT / "src").as_posix()
        for path in tree.tracked_files()
        if tree.SRC in path.parents
    }
    assert "headrace/py.typed" in wanted
    assert wanted - inside == set()


def test_the_wheel_brings_the_command_the_licence_and_no_tests(wheel: Path) -> None:
    """Apache-2.0 asks for the notice to travel along."""
    archive = zipfile.ZipFile(wheel)
    names = archive.namelist()
    info = next(name.split("/")[0] for name in names if ".dist-info/" in name)
    scripts = archive.read(f"{info}/entry_points.txt").decode()
    assert "headrace = headrace.cli.main:main" in scripts
    assert "[pytest11]\nheadrace = headrace.testing.plugin" in scripts
    assert {f"{info}/licenses/LICENSE", f"{info}/licenses/NOTICE"} <= set(names)
    assert {name.split("/")[0] for name in names} == {"headrace", info}
