"""`headrace status`: what the running server says of itself."""

from __future__ import annotations

import typer

from headrace.cli import client, options, output, tables

app = typer.Typer(rich_markup_mode=None)


@app.command()
def status(
    form: options.Output = options.Format.table,
    endpoint: options.Endpoint = "",
) -> None:
    """Show the running server: version, sandbox, events kept, dead letters, books."""
    with client.connect(endpoint) as server:
        found = {"url": server.url, **server.native("GET", "status")}
    output.item(
        found,
        form,
        name="url",
        facts=[
            ("address", "url"),
            ("version", "version"),
            ("account", "account"),
            ("region", "region"),
            ("store", "store"),
            ("sandbox", lambda one: f"{one.get('sandbox')}: {one.get('sandbox_description')}"),
            ("buses", "buses"),
            ("functions", "functions"),
            ("events kept", _events),
            ("oldest", lambda one: tables.time_of(one["usage"]["oldest_ms"])),
            ("disk used", lambda one: tables.size_of(one["usage"]["bytes_used"])),
            ("disk free", lambda one: tables.size_of(one["usage"]["bytes_free"])),
            ("dead letters", "dead_letters"),
            ("books balance", "balanced"),
        ],
    )


def _events(found: output.Item) -> int:
    usage = found["usage"]
    return max(0, usage["last"] - usage["first"] + 1)


