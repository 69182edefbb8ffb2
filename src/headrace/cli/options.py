"""Options and arguments that many commands share, and how a text argument is read.

Must never import what a command needs only when it runs.
"""

from __future__ import annotations

import enum
import re
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from headrace.cli import failure

#: Text taken from a file or standard input; above the largest request of any API.
TEXT_BYTES_MAX = 128 * 1024 * 1024

_AGE = re.compile(r"(\d{1,9})([smhd])")
_SIZE = re.compile(r"(\d{1,9})(MiB|GiB|TiB)")
_UNIT_BYTES = {"MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class Format(enum.StrEnum):
    """How a result is written."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


Endpoint = Annotated[
    str,
    typer.Option(
        "--endpoint",
        envvar="HEADRACE_ENDPOINT",
        show_default=False,
        metavar="URL",
        help="The server; without it the one that runs here.",
    ),
]
Output = Annotated[
    Format, typer.Option("-o", "--output", help="Table for people, the others for programs.")
]
Bus = Annotated[str, typer.Option("--bus", "-b", help="The event bus.")]
AnyBus = Annotated[
    str, typer.Option("--bus", "-b", show_default=False, help="The event bus; without it every.")
]
Prefix = Annotated[str, typer.Option("--prefix", help="Only names that begin so.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="At most so many.")]
EventId = Annotated[str, typer.Argument(metavar="EVENT", help="The id of the event.")]
Source = Annotated[
    str,
    typer.Option("--source", "-s", show_default=False, help="Its source, where ids repeat."),
]


def text_bytes(given: str) -> bytes:
    """Return what an argument stands for: itself, `@FILE`'s content, or `-` standard input."""
    if given == "-":
        return _bounded(sys.stdin.buffer.read(TEXT_BYTES_MAX + 1), "standard input")
    if given.startswith("@"):
        return file_bytes(Path(given[1:]))
    return given.encode()


def text(given: str, what: str) -> str:
    """Like `text_bytes`, as text. what: names the argument in an error."""
    try:
        return text_bytes(given).decode()
    except UnicodeDecodeError as fault:
        raise failure.usage(f"{what} is not UTF-8 text: {fault.reason}") from fault


def file_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return _bounded(file.read(TEXT_BYTES_MAX + 1), str(path))
    except OSError as fault:
        raise failure.usage(f"{path} cannot be read: {fault.strerror}") from fault


def _bounded(content: bytes, what: str) -> bytes:
    if len(content) > TEXT_BYTES_MAX:
        raise failure.usage(f"{what} is larger than {TEXT_BYTES_MAX} bytes.")
    return content


def pairs(given: list[str], option: str) -> dict[str, str]:
    """Read repeated `KEY=VALUE` options."""
    found: dict[str, str] = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not equals or not key:
            raise failure.usage(f"{option} takes KEY=VALUE, got {one!r}.")
        if key in found:
            raise failure.usage(f"{option} names {key} twice.")
        found[key] = value
    return found


def since_ms(given: str) -> int:
    """Read an age (`90s`, `15m`, `2h`, `7d`) as a wall clock in milliseconds."""
    return max(0, time.time_ns() // 1_000_000 - age_ms(given, "--since"))


def age_ms(given: str, option: str) -> int:
    """Read an age (`90s`, `15m`, `2h`, `7d`) in milliseconds."""
    found = _AGE.fullmatch(given)
    if found is None:
        raise failure.usage(f"{option} takes an age like 90s, 15m, 2h or 7d, got {given!r}.")
    return int(found[1]) * _UNIT_MS[found[2]]


def size(given: str, option: str) -> int:
    """Read a size (`500MiB`, `8GiB`, `2TiB`) in bytes."""
    found = _SIZE.fullmatch(given)
    if found is None:
        raise failure.usage(f"{option} takes a size like 500MiB, 8GiB or 2TiB, got {given!r}.")
    return int(found[1]) * _UNIT_BYTES[found[2]]
