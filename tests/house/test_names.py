"""Public names are pinned, words are those of the glossary."""

from __future__ import annotations

import ast
import re

import headrace
from tests.house import tree


def glossary() -> dict[str, tuple[str, list[str]]]:
    """Return word -> (meaning, words not to use) of docs/glossary.md."""
    rows: dict[str, tuple[str, list[str]]] = {}
    for line in (tree.ROOT / "docs" / "glossary.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0] not in ("word", "---"):
            word, meaning, avoided = cells
            rows[word] = (meaning, [one.strip() for one in avoided.split(",") if one.strip()])
    return rows


def test_the_package_exports_its_version_and_nothing_else() -> None:
    """Whatever is added here is promised to users."""
    assert headrace.__all__ == ["__version__"]
    assert headrace.__version__ == tree.project()["project"]["version"]


def test_the_glossary_is_sorted_and_every_word_is_explained() -> None:
    """A word without a meaning, or in the wrong place, is not found."""
    words = glossary()
    assert list(words) == sorted(words)
    assert [word for word, (meaning, _) in words.items() if len(meaning) < 15] == []


def test_the_glossary_has_the_words_that_carry_the_system() -> None:
    """The nouns of the architecture, and the words of its promise."""
    needed = {
        "event", "resource", "subscription", "delivery", "frame", "binding", "invocation",
        "bus", "rule", "target", "attempt", "dead letter", "settlement", "acknowledge", "trigger",
    }  # fmt: skip
    assert needed - set(glossary()) == set()


def test_every_word_of_the_glossary_is_used_in_the_code() -> None:
    """A word that the code no longer uses leaves the glossary too."""
    text = " ".join(path.read_text() for path in tree.product_modules()).lower()
    text = re.sub(r"[_\s]+", " ", text)
    forms = {word: word.removesuffix("e") for word in glossary()}
    assert [word for word, form in forms.items() if form not in text] == []


def class_and_module_words() -> set[str]:
    """Return the single words that names of modules and classes are made of, in lower case."""
    names = [path.stem for path in tree.product_modules()]
    for path in tree.product_modules():
        names += [n.name for n in ast.walk(tree.syntax(path)) if isinstance(n, ast.ClassDef)]
    return {word.lower() for name in names for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}


def test_no_module_or_class_uses_a_word_that_the_glossary_avoids() -> None:
    """One word per thing: the third column of the glossary."""
    avoided = {word for _, words in glossary().values() for word in words}
    assert avoided & class_and_module_words() == set()
