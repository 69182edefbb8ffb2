"""Writing a result in the format that was asked for.

JSON, YAML and names go to standard output as they are: never through rich, never cut, numbers as
the server spelt them. Only tables are for people.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import msgspec

from headrace.cli import options
from headrace.cli.show import tables, yamltext
from headrace.core import jsontext

Item: TypeAlias = "dict[str, Any]"
#: Title, and the key of an item or what makes the cell.
Column: TypeAlias = "tuple[str, str | Callable[[Item], object]]"


def items(
    found: Sequence[Item],
    form: options.Format,
    *,
    name: str | Callable[[Item], object],
    columns: Sequence[Column],
    empty: str = "",
) -> None:
    """Write a list. name: what `-o name` writes, a line each.  empty: said on standard error."""
    if form is options.Format.NAME:
        for item in found:
            print(_cell(item, name))
    elif form is not options.Format.TABLE:
        machine(list(found), form)
    elif found or not empty:
        rows = [[_cell(item, key) for _, key in columns] for item in found]
        tables.show([title for title, _ in columns], rows)
    else:
        print(empty, file=sys.stderr)


def item(
    found: Item, form: options.Format, *, name: str, facts: Sequence[Column]
) -> None:  # fmt: skip
    """Write one thing. name: its key for `-o name`.  facts: what the table lists."""
    if form is options.Format.NAME:
        print(_cell(found, name))
    elif form is not options.Format.TABLE:
        machine(found, form)
    else:
        tables.facts([(title, _cell(found, key)) for title, key in facts])


def machine(value: Any, form: options.Format) -> None:
    """Write a value as JSON or YAML."""
    if form is options.Format.YAML:
        sys.stdout.write(yamltext.dump(value))
    else:
        print(msgspec.json.format(jsontext.compact(value), indent=2))


def line(value: Any) -> None:
    """Write one value as one line of JSON, at once: for streams."""
    print(jsontext.compact(value), flush=True)


def done(message: str) -> None:
    """Say on standard error what was done, so that standard output stays the result."""
    print(message, file=sys.stderr)


def _cell(found: Item, key: str | Callable[[Item], object]) -> object:
    return found.get(key) if isinstance(key, str) else key(found)
