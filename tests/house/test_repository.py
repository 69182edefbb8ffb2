"""The repository holds nothing of the machine it was written on, and all that a clone needs."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from tests.house import tree

#: Written in pieces, so that this file does not hold what it looks for.
REGISTRY_HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("deb", "debian", "org"),
        ("registry", "npmjs", "org"),
        ("static", "crates", "io"),
        ("proxy", "golang", "org"),
        ("repo1", "maven", "org"),
    )
)
MACHINE_PATHS = re.compile(
    r"/wo" r"rk/|/ro" r"ot/[\w.]|/ho" r"me/\w|/Us" r"ers/\w|/tmp/ba" r"sh_jobs"
)
NEEDED = (
    "README.md", "README.zh.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE",
    "NOTICE", "pyproject.toml", "dev", ".ci/run", "docs/glossary.md",
    "requirements/dev.txt", "requirements/build.txt", "requirements/sdk.txt",
    "requirements/sdk-data.txt",
)  # fmt: skip


def texts() -> list[tuple[str, str]]:
    """Return name and text of every file that is text."""
    found: list[tuple[str, str]] = []
    for path in tree.tracked_files():
        raw = path.read_bytes()
        if b"\0" not in raw[:8192]:
            found.append((tree.shown(path), raw.decode("utf-8", "replace")))
    return found


def test_no_file_names_the_host_of_a_package_registry() -> None:
    """Where packages come from is a setting of the user's machine."""
    found = [(name, host) for name, text in texts() for host in REGISTRY_HOSTS if host in text]
    assert found == []


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    """What works only in one person's folder works nowhere."""
    found = [
        f"{name}: {match.group()}"
        for name, text in texts()
        if (match := MACHINE_PATHS.search(text)) is not None
    ]
    assert found == []


@pytest.mark.parametrize("name", NEEDED)
def test_the_repository_has(name: str) -> None:
    """Files that people and tools look for by name."""
    assert (tree.ROOT / name).stat().st_size > 0


@pytest.mark.parametrize("name", ["dev", ".ci/run"])
def test_entry_points_can_be_executed(name: str) -> None:
    """A clone that lost the mode bit cannot follow the README."""
    assert os.access(tree.ROOT / name, os.X_OK)


@pytest.mark.parametrize("name", ["dev", "build", "sdk", "sdk-data"])
def test_every_locked_version_has_hashes(name: str) -> None:
    """pip refuses a lock where one is missing; this says which."""
    text = (tree.ROOT / "requirements" / f"{name}.txt").read_text()
    entries = re.split(r"\n(?=\S)", text)
    locked = [entry for entry in entries if "==" in entry]
    assert locked
    assert [entry.split(" ")[0] for entry in locked if "--hash=sha256:" not in entry] == []
    assert not re.search(r"^-|--(index-url|find-links|trusted-host)", text, re.MULTILINE)


def test_the_lock_has_every_dependency_of_the_package() -> None:
    """A dependency added to pyproject.toml without `./dev lock` fails here, not at a user's."""
    text = (tree.ROOT / "requirements" / "dev.txt").read_text()
    locked = {line.split("==")[0] for line in text.splitlines() if "==" in line}
    named = {re.split(r"[^\w-]", line)[0] for line in tree.project()["project"]["dependencies"]}
    assert named - locked == set()


def test_the_licence_is_apache_2_and_the_notice_denies_affiliation() -> None:
    """The two statements that a company's lawyer looks for first."""
    assert "Apache License\n" in (tree.ROOT / "LICENSE").read_text()
    assert "END OF TERMS AND CONDITIONS" in (tree.ROOT / "LICENSE").read_text()
    assert "not affiliated with" in (tree.ROOT / "NOTICE").read_text()


def test_ignored_places_hold_nothing_that_is_committed() -> None:
    """A file that is both committed and ignored is lost at the next clean-up."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"],
        cwd=tree.ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    assert listed == ""
