"""`headrace upgrade`: ask the supervisor of a running server to go to another version.

Needs no key: whoever may write the data directory may ask. Must never touch the data itself but to
finalize a directory on which no server runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from headrace.cli import failure, options, servers
from headrace.cli.show import output

if TYPE_CHECKING:
    from headrace.supervisor import control

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def upgrade(
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", metavar="PATH", show_default=False,
            help="A virtual environment with the other version, or the headrace in its bin;"
            " without it the program that runs, as it is installed now.",
        ),
    ] = None,
    finalize: Annotated[
        bool,
        typer.Option(
            "--finalize", help="Bring the data to the newest format of the version that runs."
        ),
    ] = False,
    drain: Annotated[
        float, typer.Option(min=0, max=3600, help="Seconds for what runs to come to its end.")
    ] = 15.0,
    data: Annotated[
        Path | None,
        typer.Option(help="Data directory, or $HEADRACE_DATA.  [default: ~/.local/share/headrace]"),
    ] = None,
    form: options.Output = options.Format.TABLE,
) -> None:  # fmt: skip
    """Go to another version while clients stay connected.

    The other version is looked at first: one that does not start, or does not know the data, is
    refused and nothing changes. Then requests and deliveries that run come to their end, new ones
    wait, and the other version goes on with the same connections. Going back is the same command,
    until --finalize changes the format of the data.
    """
    if finalize and to is not None:
        raise failure.usage("--finalize is a step of its own.", "Leave --to away.")
    folder = data or servers.data_directory(os.environ)
    last = None
    for last in _answers(folder, to, finalize=finalize, drain_s=drain):
        if form is options.Format.TABLE and not last.done:
            output.done(f"{last.text} ...")
    if last is None or not last.done:
        raise failure.Failure(
            f"The server of {folder} ended before it had answered.",
            remedy="See its log, then `headrace status`.",
        )
    if not last.ok:
        raise failure.Failure(f"{last.text}.", remedy=last.remedy)
    _show(last, form)


def _answers(
    folder: Path, to: Path | None, *, finalize: bool, drain_s: float
) -> Iterator[control.Answer]:
    """Raises: Failure when nobody answers."""
    from headrace.supervisor import control, handover

    try:
        program = [] if to is None else handover.program_at(to)
    except handover.Refused as refused:
        raise failure.usage(f"{refused.message}.", refused.remedy) from refused
    asked = control.Ask(program=program, finalize=finalize, drain_s=drain_s)
    try:
        yield from control.ask(folder, asked)
    except (FileNotFoundError, ConnectionRefusedError) as fault:
        if finalize:
            yield _finalized(folder)
            return
        raise failure.Failure(
            f"No server runs on {folder}.",
            failure.Exit.UNREACHABLE,
            remedy="Start the version you want: headrace up",
        ) from fault
    except OSError as fault:
        raise failure.Failure(f"The server of {folder} cannot be asked: {fault}.") from fault


def _finalized(folder: Path) -> control.Answer:
    """Finalize a directory on which no server runs."""
    from headrace import app as apps
    from headrace.supervisor import control, offline

    try:
        format = offline.finalize(folder)
    except (apps.ports.StoreError, OSError) as fault:
        raise failure.Failure(f"{folder} cannot be finalized: {fault}.") from fault
    return control.Answer(f"{folder} has format {format}", done=True)


def _show(last: control.Answer, form: options.Format) -> None:
    output.item(
        msgspec.to_builtins(last),
        form,
        name="version",
        facts=[
            ("done", "text"),
            ("requests waited", lambda one: _seconds(one.get("gap_s"))),
        ],
    )


def _seconds(gap_s: float | None) -> str:
    return "not at all" if gap_s is None else f"{gap_s:.2f} s at most"
