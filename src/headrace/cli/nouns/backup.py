"""`headrace backup`: a copy of the data directory that can be restored, whole or not at all.

Reads the files beside the server; needs no key and no network. Must never copy a key.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from headrace.cli import failure, options, servers
from headrace.cli.show import output, tables

app = typer.Typer(rich_markup_mode=None, add_completion=False)

#: How much a backup gives way to a server that runs beside it.
NICENESS = 10


@app.command()
def backup(
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="Directory of the backup.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Data directory, or $HEADRACE_DATA.  [default: ~/.local/share/headrace]"),
    ] = None,
    incremental: Annotated[
        bool, typer.Option("--incremental", help="Copy only what DEST does not hold yet.")
    ] = False,
    form: options.Output = options.Format.TABLE,
) -> None:
    """Back up the data directory to DEST, while the server runs or rests.

    Everything that was acknowledged before the command began is in it: events, deliveries,
    queues, resources, code, logs. Keys are not: keep a copy of credentials.json elsewhere.
    """
    from headrace import app as apps
    from headrace import outside
    from headrace.backup import making, vault

    source = data or servers.data_directory(os.environ)
    os.nice(NICENESS)
    try:
        made = making.make(source, dest, incremental=incremental, clock=outside.SystemClock())
    except vault.BackupError as fault:
        raise failure.Failure(f"{fault}.", remedy=fault.remedy) from fault
    except (apps.ports.StoreError, OSError) as fault:
        raise failure.Failure(
            f"{source} cannot be backed up: {fault}.",
            remedy=f"headrace verify --data {source}",
        ) from fault
    output.item(
        _told(made, source, dest),
        form,
        name="backup",
        facts=[
            ("backup", "backup"),
            ("of", "data"),
            ("began", lambda one: tables.time_of(one["made_ms"])),
            ("files", lambda one: _files(one)),
            ("copied", lambda one: f"{one['files_copied']}, {tables.size_of(one['bytes_copied'])}"),
            ("there already", "files_kept"),
            ("no longer needed", "files_removed"),
            ("registry", lambda one: f"revision {one['revision']}"),
            ("log", lambda one: f"up to position {max(one['positions'].values(), default=0)}"),
            ("not in it", lambda one: ", ".join(one["left_out"]) or "nothing"),
        ],
    )
    if form is options.Format.TABLE:
        output.done("\nKeys are never in a backup: keep a copy of credentials.json elsewhere.")
        output.done(f"Check it: headrace restore {dest} --dry-run")


def _told(made: Any, source: Path, dest: Path) -> dict[str, Any]:
    manifest = made.manifest
    return {
        "backup": str(dest),
        "data": str(source),
        "made_ms": manifest.made_ms,
        "files": len(manifest.files),
        "bytes": manifest.bytes,
        "files_copied": made.files_copied,
        "bytes_copied": made.bytes_copied,
        "files_kept": made.files_kept,
        "files_removed": made.files_removed,
        "revision": manifest.revision,
        "positions": manifest.positions,
        "accounts": manifest.accounts,
        "left_out": manifest.left_out,
    }


def _files(told: dict[str, Any]) -> str:
    return f"{told['files']}, {tables.size_of(told['bytes'])}"
