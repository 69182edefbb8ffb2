"""`headrace verify`: every file of a data directory, what is broken and what can be saved.

The work is `headrace.verify`. Must never change a file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from headrace.cli import failure, options, servers
from headrace.cli.show import output

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def verify(
    data: Annotated[
        Path | None,
        typer.Option(help="Data directory, or $HEADRACE_DATA.  [default: ~/.local/share/headrace]"),
    ] = None,
    form: options.Output = options.Format.TABLE,
) -> None:
    """Check every file: the sums of each frame, code, registry; then recount the books.

    May run beside a server, which then keeps its books to itself. Exit code 1 when anything is
    wrong; `headrace doctor` looks at more than files.
    """
    from headrace import app as apps
    from headrace import verify as verifying

    path = data or servers.data_directory(os.environ)
    if not (path / "VERSION").is_file():
        raise failure.Failure(f"{path} is no data directory.", failure.Exit.NOT_FOUND)
    try:
        report = verifying.verify_directory(path)
    except (apps.ports.StoreError, OSError) as fault:
        raise failure.Failure(
            f"{path} cannot be verified: {fault}.", remedy=f"headrace doctor --data {path}"
        ) from fault
    if form is options.Format.TABLE or form is options.Format.NAME:
        _tables(report, form)
    else:
        told = {"directory": report.directory, "whole": report.whole}
        output.machine({**told, **msgspec.to_builtins(report)}, form)
    if not report.whole:
        raise typer.Exit(failure.Exit.FAILED)


def _tables(report: Any, form: options.Format) -> None:
    """Write the broken files; the whole ones are only counted."""
    rows: list[dict[str, Any]] = [
        {"name": file.name, "problem": problem, "saved": file.saved}
        for file in report.broken
        for problem in file.problems
    ]
    rows += [{"name": "books", "problem": problem, "saved": ""} for problem in report.books]
    if rows:
        columns: list[output.Column] = [
            ("FILE", "name"), ("PROBLEM", "problem"), ("WHAT CAN BE SAVED", "saved")
        ]  # fmt: skip
        output.items(rows, form, name="name", columns=columns)
    broken, size = len(report.broken), sum(file.bytes for file in report.files)
    output.done(f"{len(report.files)} files, {size} bytes: {broken} broken.")
    if report.skipped:
        output.done(f"Not recounted: {report.skipped}.")
    elif not report.books:
        output.done(f"{report.events} events, {report.open} open deliveries: the books balance.")
    if rows:
        output.done("Restore from a backup: headrace restore SRC --data DIR")
