"""`headrace status`: what the running server says of itself."""

from __future__ import annotations

from collections.abc import Callable

import typer

from headrace.cli import client, options
from headrace.cli.nouns import switch
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
            ("format", "format"),
            ("sandbox", lambda one: f"{one.get('sandbox')}: {one.get('sandbox_description')}"),
            ("plug-ins", _plugins),
            ("buses", "buses"),
            ("functions", "functions"),
            ("journal", _journal),
            ("oldest", lambda one: tables.time_of(one["usage"]["oldest_ms"])),
            ("disk", _disk),
            ("dead letters", "dead_letters"),
            ("under way", switch.going),
            *_switches(found),
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
    said = f"{tables.size_of(used)} used, {tables.size_of(free)} free"
    if found["usage"].get("is_low"):
        return f"{said}: LOW, new events are refused below {_low(found)}"
    return f"{said}, events are refused below {_low(found)}"


def _low(found: output.Item) -> str:
    return tables.size_of(found["usage"].get("low_bytes", 0))


def _switches(found: output.Item) -> list[tuple[str, Callable[[output.Item], str]]]:
    """Return a line for each switch that is on: it is why something stands still."""
    lines = [
        f"{one['name']} since {tables.time_of(one['since_ms'])} by {one['by']}: {one['reason']}"
        for one in found.get("switches", [])
    ]
    return [("SWITCH ON", lambda _, line=line: line) for line in lines]
