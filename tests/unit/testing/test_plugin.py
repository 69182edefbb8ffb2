"""The plug-in as a stranger's test suite meets it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.house import tree

PAGE = tree.ROOT / "docs" / "testing.md"


def run_pytest(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the tests of a folder in a process of its own; the plug-in comes with the package."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_examples_of_the_page_run(tmp_path: Path) -> None:
    """Pasted as they stand there, one file each."""
    examples = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert examples
    for number, text in enumerate(examples):
        (tmp_path / f"test_example_{number}.py").write_text(text)
    done = run_pytest(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    wanted = sum(text.count("def test_") for text in examples)
    assert f"{wanted} passed" in done.stdout


def test_a_fixture_of_the_suites_own_goes_first(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(
        "import pytest\n"
        "@pytest.fixture\n"
        "def bus(): return 'number 9'\n"
        "def test_own(bus): assert bus == 'number 9'\n"
    )
    done = run_pytest(tmp_path)
    assert done.returncode == 0, done.stdout


def test_suites_that_do_not_use_it_do_not_load_the_engine() -> None:
    """Every pytest run on the machine imports the plug-in."""
    program = (
        "import sys, headrace.testing.plugin\n"
        "print([name for name in sys.modules if name.startswith('headrace.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['headrace.testing', 'headrace.testing.plugin']"


def test_the_server_runs_without_pytest() -> None:
    """pytest is a need of this plug-in alone."""
    program = (
        "import sys\n"
        "sys.modules['pytest'] = None\n"
        "import headrace.app, headrace.testing\n"
        "with headrace.testing.Bus() as bus: bus.publish()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
