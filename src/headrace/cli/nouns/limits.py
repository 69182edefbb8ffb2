"""`headrace limits`: every named bound, from the code that enforces it."""

from __future__ import annotations

import typer

from headrace.api import bounds
from headrace.cli import options
from headrace.cli.show import output

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def limits(form: options.Output = options.Format.TABLE) -> None:
    """List every limit: its value here, and with `headrace up --strict-limits`."""
    found = [
        {"name": bound.name, "value": bound.wide, "strict": bound.strict}
        for bound in bounds.listed()
    ]
    output.items(
        found,
        form,
        name="name",
        columns=[
            ("NAME", "name"),
            ("HERE", lambda one: _shown(one["value"])),
            ("STRICT", lambda one: _shown(one["strict"])),
        ],
    )


def _shown(value: float | bool | None) -> object:
    return "unlimited" if value is None else value
