"""What the generators of these documents share: tables, comments of the source, write or check.

A page is written only when it changed, so a clean tree stays clean. Must never hold a word that a
reader sees but the line that says where a page comes from.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
NOTE = "<!-- Written by `./dev docs`; edit the code it is made from, not this page. -->\n\n"

_COMMENT = re.compile(r"((?:^[ \t]*#:.*\n)+)^[ \t]*(\w+)\b", re.MULTILINE)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; a bar inside a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines) + "\n"


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ").strip()


def code(text: object) -> str:
    return f"`{text}`" if text not in (None, "") else ""


def codes(words: Iterable[str]) -> str:
    return ", ".join(map(code, words))


def comments(module: ModuleType) -> dict[str, str]:
    """Return name -> what its `#:` comment says, of the constants and fields of a module."""
    source = Path(str(module.__file__)).read_text("utf-8")
    return {
        name: " ".join(line.strip().removeprefix("#:").strip() for line in block.splitlines())
        for block, name in _COMMENT.findall(source)
    }


def assigned(module: ModuleType) -> set[str]:
    """Return the names that a module gives a value itself: no re-export."""
    source = Path(str(module.__file__)).read_text("utf-8")
    return set(re.findall(r"^(\w+)(?::[^=\n]+)? = ", source, re.MULTILINE))


def product_modules(*, without: Sequence[str]) -> list[ModuleType]:
    """Return every module of the package but those below the names of `without`, imported."""
    found: list[ModuleType] = []
    for path in sorted((ROOT / "src" / "headrace").rglob("*.py")):
        parts = path.relative_to(ROOT / "src").with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        if not any(name == other or name.startswith(other + ".") for other in without):
            found.append(importlib.import_module(name))
    return found


def settle(pages: Mapping[Path, str]) -> int:
    """Write what changed; with --check write nothing and return 1 when something would."""
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        print(f"{sys.argv[0]}: the only option is --check", file=sys.stderr)
        return 2
    stale = [path for path, text in pages.items() if not _same(path, text)]
    for path in stale:
        print(f"docs: {path.relative_to(ROOT)} {'is stale' if check else 'written'}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(pages[path], "utf-8")
    return 1 if check and stale else 0


def _same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text("utf-8") == text
