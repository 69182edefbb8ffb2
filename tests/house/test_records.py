"""Decision records and the changelog have their form, and say what they must."""

from __future__ import annotations

import re

import pytest

from tests.house import tree

RECORDS = sorted((tree.ROOT / "docs" / "decisions").glob("[0-9]*.md"))
SECTIONS = ["Context", "Options", "Decision", "Consequences"]
CHANGE_KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]


def dependency_names() -> list[str]:
    """Return the distributions that a user's install brings."""
    lines = tree.project()["project"]["dependencies"]
    return [re.split(r"[^\w-]", line)[0] for line in lines]


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_decision_record_has_its_parts_in_order(path: object) -> None:
    """Context, options, decision, consequences, and the date."""
    text = tree.ROOT.joinpath(str(path)).read_text()
    number = tree.ROOT.joinpath(str(path)).name[:4]
    assert re.match(rf"# {number}: \S.+\n\nDate: \d{{4}}-\d\d-\d\d\b", text)
    found = re.findall(r"^## (\w+)$", text, re.MULTILINE)
    assert [name for name in found if name in SECTIONS] == SECTIONS
    parts = re.split(r"^## .+$", text, flags=re.MULTILINE)[1:]
    assert all(len(part.strip()) > 40 for part in parts), "a section says nothing"


def test_decision_records_are_numbered_without_gaps() -> None:
    """Two people who take the same number notice here."""
    assert [int(path.name[:4]) for path in RECORDS] == list(range(1, len(RECORDS) + 1))


@pytest.mark.parametrize("name", dependency_names())
def test_a_run_time_dependency_has_a_decision_record(name: str) -> None:
    """Whoever adds a dependency says why, and what its licence is."""
    word = re.compile(rf"\b{re.escape(name)}\b", re.IGNORECASE)
    deciding = [path for path in RECORDS if word.search(path.read_text())]
    assert deciding, f"no record in docs/decisions names {name}"


@pytest.mark.parametrize("name", dependency_names())
def test_a_run_time_dependency_is_used_by_the_package(name: str) -> None:
    """What nothing uses is not installed on users' machines."""
    word = re.compile(rf"\b{'[-_]'.join(name.split('-'))}\b", re.IGNORECASE)
    using = [path for path in tree.product_modules() if word.search(path.read_text())]
    assert using, f"nothing under src uses {name}"


def test_the_changelog_is_in_the_order_of_keep_a_changelog() -> None:
    """Unreleased first, then releases from new to old; inside, the six kinds in their order."""
    text = (tree.ROOT / "CHANGELOG.md").read_text()
    heads = re.findall(r"^## \[(.+?)\](.*)$", text, re.MULTILINE)
    assert heads[0] == ("Unreleased", "")
    versions = [tuple(int(n) for n in name.split(".")) for name, _ in heads[1:]]
    assert versions == sorted(versions, reverse=True)
    assert all(re.fullmatch(r" - \d{4}-\d\d-\d\d", date) for _, date in heads[1:])
    for release in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        kinds = re.findall(r"^### (.+)$", release, re.MULTILINE)
        assert kinds == [kind for kind in CHANGE_KINDS if kind in kinds]
