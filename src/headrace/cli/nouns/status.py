"""`headrace status`: what the running server says of itself."""

from __future__ import annotations

import typer

from headrace.cli import client, options
from headrace.cli.show import output, tables

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def status(
    form: options.Output = options.Format.TABLE,
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
            ("plug-ins", _plugins),
            ("buses", "buses"),
            ("functions", "functions"),
            ("journal", _journal),
            ("oldest", lambda one: tables.time_of(one["usage"]["oldest_ms"])),
            ("disk", _disk),
            ("dead letters", "dead_letters"),
            ("books balance", "balanced"),
        ],
    )


def _plugins(found: output.Item) -> str | None:
    """Return each plug-in with the type it serves, or why it is refused."""
    said = [
        f"{one['name']} ({one['type']})" if not one["problem"]
        else f"{one['name']} refused: {one['problem']}"
        for one in found.get("plugins", [])
    ]  # fmt: skip
    return "; ".join(said) or None


def _journal(found: output.Item) -> str:
    usage = found["usage"]
    return f"{usage['segments']} segments, up to position {usage['last']}"


def _disk(found: output.Item) -> str | None:
    if found.get("store") == "memory":
        return None
    used, free = found["usage"]["bytes_used"], found["usage"]["bytes_free"]
    return f"{tables.size_of(used)} used, {tables.size_of(free)} free"
