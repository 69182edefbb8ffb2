"""Aligned text for people: columns on a terminal or in a file, without boxes.

On a terminal rich colours it (NO_COLOR is honoured); elsewhere it is plain text that grep and awk
take. Values come from outside: control characters are shown, never sent to the terminal.
"""

from __future__ import annotations

import datetime
import re
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple, TextIO

from headrace.core import jsontext

#: Cells longer than this are cut on a terminal, not in a file.
CELL_CHARS_MAX = 240

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

#: Word -> colour on a terminal, for statuses.
_COLOURS = {
    "ENABLE": "green", "Active": "green", "delivered": "green", "ok": "green", "matched": "green",
    "DISABLE": "yellow", "retry": "yellow", "waiting": "yellow", "warn": "yellow",
    "dead": "red", "dropped": "red", "fail": "red", "not matched": "red",
}  # fmt: skip


class Styled(NamedTuple):
    """A piece of text with a colour for terminals."""

    text: str
    colour: str


def clean(value: object) -> str:
    """Return `value` as one line that cannot steer a terminal."""
    return _CONTROL.sub(_shown, text_of(value))


def clean_lines(text: str) -> str:
    """Like `clean`, keeping line feeds and tabs."""
    return re.sub(r"[^\n\t]+", lambda line: clean(line[0]), text)


def text_of(value: object) -> str:
    """Return a cell's text: nothing for None, yes or no, JSON for collections."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else jsontext.compact(value)


def time_of(at_ms: Any) -> str:
    """Return a wall clock in local time to the millisecond, "" for none."""
    if not at_ms:
        return ""
    at = datetime.datetime.fromtimestamp(at_ms / 1000).astimezone()
    return at.strftime("%Y-%m-%d %H:%M:%S.") + f"{at_ms % 1000:03d}"


def size_of(count: Any) -> str:
    """Return a number of bytes for people: 1.5 MiB."""
    size = float(count or 0)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def show(
    heads: Sequence[str], rows: Sequence[Sequence[object]], stream: TextIO | None = None
) -> None:
    """Write a table. heads: column titles in capitals, () for none."""
    out = sys.stdout if stream is None else stream
    cells = [[clean(cell) for cell in row] for row in rows]
    if out.isatty():
        _show_rich(heads, cells, out)
        return
    lines = [list(heads), *cells] if heads else cells
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = [
            cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)
        ]
        print("  ".join(padded).rstrip(), file=out)


def facts(rows: Sequence[tuple[str, object]]) -> None:
    """Write names and values, one pair a line; pairs without a value are left out."""
    show((), [(f"{name}:", value) for name, value in rows if value not in (None, "")])


def styled(*pieces: str | Styled, stream: TextIO | None = None) -> None:
    """Write one line; on a terminal its `Styled` pieces in colour. Pieces must be clean."""
    out = sys.stdout if stream is None else stream
    if not out.isatty():
        print(
            "".join(piece if isinstance(piece, str) else piece.text for piece in pieces), file=out
        )
        return
    from rich import console, text

    line = text.Text.assemble(
        *(piece if isinstance(piece, str) else (piece.text, piece.colour) for piece in pieces)
    )
    console.Console(file=out, highlight=False, soft_wrap=True).print(line)


def status(word: str) -> Styled:
    """Return a status word in its colour."""
    return Styled(word, _COLOURS.get(word, "default"))


def _show_rich(heads: Sequence[str], cells: Sequence[Sequence[str]], out: TextIO) -> None:
    from rich import console, table, text

    grid = table.Table(box=None, pad_edge=False, show_header=bool(heads), header_style="bold")
    for number in range(len(heads) or len(cells[0]) if cells or heads else 0):
        grid.add_column(heads[number] if heads else "", overflow="fold")
    for row in cells:
        grid.add_row(*(text.Text(_cut(cell), style=_COLOURS.get(cell, "")) for cell in row))
    console.Console(file=out, highlight=False).print(grid)


def _cut(cell: str) -> str:
    return cell if len(cell) <= CELL_CHARS_MAX else cell[: CELL_CHARS_MAX - 1] + "…"


def _shown(found: re.Match[str]) -> str:
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(found[0], f"\\u{ord(found[0]):04x}")


def _width(text: str) -> int:
    """Return how many columns text takes: two for East Asian wide characters."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
