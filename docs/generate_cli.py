"""The reference of the command line, from the command line itself.

    ./dev docs [--check]

Must never say of an option what `--help` does not say.
"""

from __future__ import annotations

import enum
import inspect
import os
import sys
import typing
from collections.abc import Iterator, Sequence
from typing import Any

import pages
import typer.main

from headrace.cli import failure, main, servers, words

NAME = "headrace"


def page() -> str:
    """Return the whole page."""
    os.environ["LC_ALL"] = "C"  # the one setting that changes what help says
    top = typer.main.get_command(main.app)
    context: Any = top.make_context(NAME, [], resilient_parsing=True)
    rows = [(f"[`{noun}`](#headrace-{noun})", words.NOUNS[noun][1]) for noun in words.NOUNS]
    parts = [
        pages.NOTE + "# The command line\n",
        "Tables for people; `-o json`, `-o yaml` and `-o name` for programs. A text argument may",
        "be `@FILE` or, for standard input, `-`.\n",
        pages.table(("command", "what it does"), rows),
        "## Exit codes\n",
        pages.table(("code", "name", "when"), _exit_codes()),
        "## Which server, which key\n",
        "The address: `--endpoint`, `HEADRACE_ENDPOINT`, the server of `$HEADRACE_DATA`, the one",
        f"that runs on this machine, else `{servers.URL_DEFAULT}`. The key:",
        "`HEADRACE_ACCESS_KEY_ID` and `HEADRACE_ACCESS_KEY_SECRET`, else the credentials file of",
        "that server.\n",
        "## headrace\n",
        _about(top, NAME),
    ]
    for noun in words.NOUNS:
        parts.extend(_command(top.get_command(context, noun), f"{NAME} {noun}", level=2))
    return "\n".join(parts)


def _exit_codes() -> Iterator[tuple[int, str, str]]:
    said = pages.comments(failure)
    plain = {"OK": "Done.", "NOT_FOUND": "What the command names does not exist."}
    for one in failure.Exit:
        yield one.value, one.name, said.get(one.name) or plain[one.name]


def _command(command: Any, name: str, *, level: int) -> Iterator[str]:
    """Yield a command and what is below it."""
    yield f"{'#' * level} {name}\n"
    yield _about(command, name)
    for below, child in getattr(command, "commands", {}).items():
        yield from _command(child, f"{name} {below}", level=min(level + 1, 4))


def _about(command: Any, name: str) -> str:
    context = command.make_context(name, [], resilient_parsing=True)
    usage = " ".join((name, *command.collect_usage_pieces(context)))
    text = f"{(command.help or '').strip()}\n\n```\n{usage}\n```\n"
    shown = [param for param in command.params if not getattr(param, "hidden", False)]
    rows = [_row(param, _choices(command, param.name)) for param in shown]
    return text + ("\n" + pages.table(("", "meaning", "default"), rows) if rows else "")


def _row(param: Any, choices: Sequence[str]) -> tuple[str, str, str]:
    text = param.help or ""
    if param.param_type_name == "argument":
        return pages.code(param.metavar or param.name.upper()), text, ""
    extra: list[str] = []
    if param.envvar:
        extra.append(f"or {pages.code(param.envvar)}")
    if choices:
        extra.append(f"one of {pages.codes(choices)}")
    if param.required:
        extra.append("required")
    names = pages.codes((*param.opts, *param.secondary_opts))
    return names, " ".join((text, *(f"({word})" for word in extra))).strip(), _default(param)


def _choices(command: Any, name: str) -> list[str]:
    """Return the words an option takes, where its annotation lists them."""
    if command.callback is None:
        return []
    annotation = typing.get_type_hints(inspect.unwrap(command.callback)).get(name)
    for kind in (annotation, *typing.get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return [str(one.value) for one in kind]
    return []


def _default(param: Any) -> str:
    value = getattr(param.default, "value", param.default)
    if param.show_default is False or value in (None, "", False) or callable(value):
        return ""
    return pages.code(value)


if __name__ == "__main__":
    sys.exit(pages.settle({pages.DOCS / "reference" / "cli.md": page()}))
