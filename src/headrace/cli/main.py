"""The top command: finds the noun, imports only its module, says errors, sets the exit code.

Must never know what a noun does.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from typing import Annotated, Any, NoReturn

import typer
import typer.core

import headrace
from headrace.cli import failure, words
from headrace.core import errors


class _Nouns(typer.core.TyperGroup):
    """The nouns, each imported when it is asked for; a help line needs no import."""

    # The types of these two are private to typer and have moved between its releases.
    def list_commands(self, ctx: Any) -> list[str]:
        return list(words.NOUNS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in words.NOUNS:
            return None
        module = importlib.import_module(f"headrace.cli.nouns.{words.NOUNS[cmd_name][0]}")
        return typer.main.get_command(module.app)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        rows = [(noun, words.about(noun, os.environ)) for noun in words.NOUNS]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        # The base class suggests names out of this table.
        self.commands = dict.fromkeys(words.NOUNS, None)  # pyright: ignore[reportAttributeAccessIssue]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=_Nouns,
    name="headrace",
    help="A self-hosted event bus and function platform that speaks Alibaba Cloud's APIs.",
    epilog=(
        "Exit codes: 0 done, 1 failed or no match, 2 usage, 3 not found, 4 credentials, "
        "5 no server."
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"headrace {headrace.__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True,
                           callback=_show_version)
    ] = False,
) -> None:  # fmt: skip
    """Every command says what it needs with --help."""


def main() -> NoReturn:
    """Run one command line and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a character shows an escape, not a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="headrace")
    except failure.Failure as problem:
        leave(problem)
    except errors.HeadraceError as problem:
        # Found on this side, before anything was sent: the command line or a file is wrong.
        leave(failure.Failure(problem.message, failure.Exit.USAGE, remedy=problem.remedy))
    except BrokenPipeError:
        # The reader of a pipe has seen enough; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(failure.Exit.FAILED)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(failure.Exit.OK)


def leave(problem: failure.Failure) -> NoReturn:
    """Say what is wrong; leave with the exit code."""
    tell(problem)
    sys.exit(int(problem.exit_code))


def tell(problem: failure.Failure) -> None:
    """Say what is wrong and what to do next, on standard error."""
    lines = [f"{words.say('error', os.environ)}: {problem.message}"]
    if problem.remedy:
        lines.append(f"{words.say('try', os.environ)}: {problem.remedy}")
    if problem.code:
        about = f"{words.say('code', os.environ)}: {problem.code}"
        if problem.request_id:
            about += f", {words.say('request', os.environ)}: {problem.request_id}"
        lines.append(about)
    sys.stdout.flush()
    print("\n".join(lines), file=sys.stderr)


if __name__ == "__main__":
    main()
