"""What people wrote: the README's order and promises, commands that exist, links that lead on."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace import metrics
from headrace.cli import failure
from tests.house import test_docs, tree

PAGES = sorted(
    path for path in tree.tracked_files() if path.suffix == ".md" and path.name != "LICENSE"
)
#: Word for word from the reliability specification: nothing more is promised.
PROMISES = (
    "at-least-once after 2xx on one machine incl. kill -9 and (with a disk that honours fsync)"
    " power loss",
    "in a 3-node cluster survives one node, ack gap up to ~12 s",
    "no exactly-once",
    "order only for FIFO streams",
)  # fmt: skip
SECTIONS = [
    "Two commands", "What you see", "With the official SDK", "Figures", "For you, not for you",
    "Compatibility", "Promises", "Honest limits", "Not affiliated",
]  # fmt: skip


def blocks(path: Path, language: str = "") -> list[str]:
    """Return the fenced blocks of a page."""
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)


def heads(path: Path) -> list[str]:
    without_blocks = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"^## (.+)$", without_blocks, re.MULTILINE)


# -- README


def test_the_readme_has_its_order() -> None:
    assert heads(tree.ROOT / "README.md") == SECTIONS


def test_the_promises_stand_word_for_word() -> None:
    """Nothing more, nothing less, in this order."""
    text = " ".join((tree.ROOT / "README.md").read_text().split())
    places = [text.find(promise) for promise in PROMISES]
    assert -1 not in places
    assert places == sorted(places)


def test_the_chinese_readme_has_the_same_parts_pictures_and_commands() -> None:
    """A translation that falls behind is noticed by its blocks."""
    ours, theirs = tree.ROOT / "README.md", tree.ROOT / "README.zh.md"
    assert len(heads(theirs)) == len(heads(ours))
    plain = [re.sub(r"#.*", "", block) for block in blocks(ours)]
    assert [re.sub(r"#.*", "", block) for block in blocks(theirs)] == plain
    assert len(re.findall(r"^- ", theirs.read_text(), re.MULTILINE)) == len(
        re.findall(r"^- ", ours.read_text(), re.MULTILINE)
    )


def test_the_snippet_has_four_lines_and_changes_only_endpoint_and_protocol() -> None:
    """That it runs is shown in tests/e2e/test_readme.py, with the SDK."""
    (snippet,) = blocks(tree.ROOT / "README.md", "python")
    assert len(snippet.splitlines()) == 4
    (config,) = [
        node
        for node in ast.walk(ast.parse(snippet))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "Config"
    ]
    assert [keyword.arg for keyword in config.keywords] == ["endpoint", "protocol"]


# -- commands that exist


def shell_lines() -> Iterator[tuple[Path, str]]:
    """Yield each line of a shell block that begins with one of our two commands."""
    for path in PAGES:
        for block in blocks(path) if "reference" not in path.parts else []:
            for line in block.replace("\\\n", " ").splitlines():
                if re.match(r"(\$ )?(headrace|\./dev) \w", line):
                    yield path, line.removeprefix("$ ").split("  #")[0].split(" # ")[0]


COMMANDS = dict(test_docs.commands())


@pytest.mark.parametrize(("path", "line"), list(shell_lines()), ids=lambda one: str(one)[-60:])
def test_a_command_in_a_document_exists_with_its_options(path: Path, line: str) -> None:
    """A reader who pastes it gets what the page says."""
    words = shlex.split(line)
    if words[0] == "./dev":
        verbs = re.search(r"^VERBS.*?^}", (tree.ROOT / "dev").read_text(), re.DOTALL | re.M)
        assert verbs
        assert f'"{words[1]}"' in verbs[0]
        return
    depth = max(at for at in range(2, 5) if " ".join(words[:at]) in {*COMMANDS, "headrace"})
    command: Any = COMMANDS[" ".join(words[:depth])]
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    options = {word.split("=")[0] for word in words[depth:] if re.match(r"--?[a-z]", word)}
    assert options - known == set(), f"{path.name}: {line}"
    assert len(words) > depth or not getattr(command, "commands", None), f"{line} lacks a verb"


# -- links, codes, names


def anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", PAGES, ids=tree.shown)
def test_every_link_leads_somewhere(path: Path) -> None:
    """A file of this repository, and a heading in it."""
    prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        goal = (path.parent / name).resolve() if name else path
        assert goal.exists(), link
        assert not anchor or anchor in anchors(goal), link


def test_every_page_is_reached_from_the_index() -> None:
    """A page that nothing links to is not found."""
    index = (tree.ROOT / "docs" / "README.md").read_text()
    pages = [
        path.relative_to(tree.ROOT / "docs").as_posix()
        for path in PAGES
        if tree.ROOT / "docs" in path.parents and "decisions" not in path.parts
    ]
    assert [page for page in pages if page != "README.md" and f"({page})" not in index] == []


def test_every_exit_code_has_its_row_in_the_page_on_troubles() -> None:
    text = (tree.ROOT / "docs" / "howto" / "troubleshoot.md").read_text()
    codes = [int(code) for code in re.findall(r"^\| (\d) \|", text, re.MULTILINE)]
    assert codes == [int(one) for one in failure.Exit if one]


def test_metrics_named_in_documents_exist() -> None:
    """A dashboard that is built from the page finds its series."""
    source = Path(str(metrics.__file__)).read_text()
    for path in PAGES:
        for name in re.findall(r"`(headrace_[a-z_]+)`", path.read_text()):
            assert name.removesuffix("_total") in source, f"{path.name}: {name}"
