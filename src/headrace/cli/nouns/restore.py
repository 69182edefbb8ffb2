"""`headrace restore`: check a backup, and lay it out as a data directory.

The work is `headrace.backup.restoring`. Must never write where anything is.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from headrace.access import keys
from headrace.cli import failure, options, servers
from headrace.cli.show import output, tables

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def restore(
    src: Annotated[Path, typer.Argument(metavar="SRC", help="Directory of the backup.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Where to, an empty directory; or $HEADRACE_DATA."
            "  [default: ~/.local/share/headrace]"
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check every checksum and write nothing.")
    ] = False,
    form: options.Output = options.Format.TABLE,
) -> None:
    """Check a backup and restore it into an empty directory. Exit code 1 when it is not whole.

    Keys are in no backup: put your copy of credentials.json into the directory (mode 600), or
    let the first start make a new key for the same account.
    """
    from headrace.backup import restoring, vault

    target = data or servers.data_directory(os.environ)
    try:
        if dry_run:
            manifest, problems = restoring.check(src)
        else:
            manifest, problems = restoring.restore(src, target), []
    except vault.BackupError as fault:
        raise failure.Failure(f"{fault}.", remedy=fault.remedy) from fault
    except OSError as fault:
        raise failure.Failure(f"{src} cannot be restored: {fault}.") from fault
    told: dict[str, Any] = {
        "backup": str(src),
        "data": None if dry_run else str(target),
        "whole": not problems,
        "problems": problems,
        "made_ms": manifest.made_ms,
        "version": manifest.version,
        "files": len(manifest.files),
        "bytes": manifest.bytes,
        "revision": manifest.revision,
        "positions": manifest.positions,
        "accounts": manifest.accounts,
        "left_out": manifest.left_out,
    }
    _show(told, form)
    if problems:
        raise typer.Exit(failure.Exit.FAILED)
    if form is options.Format.TABLE and not dry_run:
        output.done(f"\nKeys are not in a backup. {_next(target, manifest.accounts)}")


def _show(told: dict[str, Any], form: options.Format) -> None:
    output.item(
        told,
        form,
        name="data",
        facts=[
            ("backup", "backup"),
            ("restored to", "data"),
            ("whole", "whole"),
            *((f"damaged {n}", _nth(n)) for n in range(1, len(told["problems"]) + 1)),
            ("began", lambda one: tables.time_of(one["made_ms"])),
            ("made by", lambda one: f"headrace {one['version']}"),
            ("files", lambda one: f"{one['files']}, {tables.size_of(one['bytes'])}"),
            ("not in it", lambda one: ", ".join(one["left_out"]) or "nothing"),
        ],
    )


def _nth(number: int) -> Callable[[output.Item], object]:
    def problem(told: output.Item) -> object:
        return told["problems"][number - 1]

    return problem


def _next(target: Path, accounts: list[str]) -> str:
    """Say how to start on it: a new key must be of the account whose resources these are."""
    own = [account for account in accounts if account != keys.ACCOUNT_DEFAULT]
    account = f" --account-id {own[0]}" if len(accounts) == 1 and own else ""
    return (
        f"Copy yours to {target / keys.FILE_NAME} (mode 600),\n"
        f"or start with a new one: headrace up --data {target}{account}"
    )
