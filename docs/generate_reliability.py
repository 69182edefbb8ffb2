"""What was done to the system and what it showed: figures from tests/faults/results/*.json.

    ./dev docs [--check]

The results are written by `./dev faults all --full --save`. Must never say a number that no result
holds: a row without one is named with the command that makes it.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import pages

sys.path.insert(0, str(pages.ROOT))

from tests.faults import _rows

RESULTS = pages.ROOT / "tests" / "faults" / "results"
INTRODUCTION = """\
# Reliability, as measured

Each row is a script that attacks a running system and then counts: what was acknowledged against
what is there, by code that is not the product's. Every change runs all of them at a small size
(`./dev faults all`); the figures below are of the large one (`./dev faults all --full --save`).
"""


def main() -> int:
    return pages.settle({pages.DOCS / "reliability.md": page()})


def page() -> str:
    """Return the page."""
    results = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    measured = [row for row in _rows.ROWS if row.name in results]
    parts = [pages.NOTE + INTRODUCTION]
    parts += [_section(row, results[row.name]) for row in measured]
    if left := [row for row in _rows.ROWS if row.name not in results]:
        parts.append("## Not measured on this tree yet\n")
        rows = [
            (row.bars, pages.code(f"./dev faults all --full --save {row.name}"), row.attack)
            for row in left
        ]
        parts.append(pages.table(("bar", "command", "what it does"), rows))
    return "\n".join(parts)


def _section(row: _rows.Row, result: dict[str, Any]) -> str:
    machine = result["machine"]
    head = f"## {row.name} ({row.bars}): {'passed' if result['pass'] else 'FAILED'}\n"
    said = f"{row.attack[0].upper()}{row.attack[1:]}.\nBar: {row.promise}.\n"
    place = (
        f"{pages.code(' '.join(('./dev faults', row.name, *result['arguments'])))},"
        f" {result['seconds']:.0f} s on {machine['cores']} cores with Python {machine['python']},"
        f" {machine['day']}.\n"
    )
    rows = [(_words(name), _value(value)) for name, value in result["figures"].items()]
    return "\n".join((head, said, pages.table(("figure", "value"), rows), place))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(f"{_words(str(key))} {_value(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(_value, value)) or "none"
    return str(value)


if __name__ == "__main__":
    sys.exit(main())
