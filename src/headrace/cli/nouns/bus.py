"""`headrace bus`: event buses."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace.cli import client, options
from headrace.cli.show import output, tables

app = typer.Typer(
    help="Event buses.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)

Name = Annotated[str, typer.Argument(metavar="BUS", help="The name of the bus.")]

_CREATED: output.Column = ("CREATED", lambda bus: tables.time_of(bus["CreateTimestamp"]))


@app.command("list")
def list_(
    prefix: options.Prefix = "",
    form: options.Output = options.Format.TABLE,
    endpoint: options.Endpoint = "",
) -> None:
    """List the event buses."""
    with client.connect(endpoint) as server:
        found = server.rpc_pages("ListEventBuses", "EventBuses", NamePrefix=prefix or None)
    output.items(
        found,
        form,
        name="EventBusName",
        columns=[("NAME", "EventBusName"), ("DESCRIPTION", "Description"), _CREATED],
        empty="There are no event buses.",
    )


@app.command()
def get(
    name: Name, form: options.Output = options.Format.TABLE, endpoint: options.Endpoint = ""
) -> None:
    """Show one event bus."""
    with client.connect(endpoint) as server:
        found = server.rpc("GetEventBus", EventBusName=name)
    output.item(
        found,
        form,
        name="EventBusName",
        facts=[
            ("name", "EventBusName"),
            ("ARN", "EventBusARN"),
            ("description", "Description"),
            ("created", _CREATED[1]),
        ],
    )


@app.command()
def create(
    name: Name,
    description: Annotated[str, typer.Option("--description", "-d", help="For people.")] = "",
    endpoint: options.Endpoint = "",
) -> None:
    """Make an event bus."""
    with client.connect(endpoint) as server:
        server.rpc("CreateEventBus", EventBusName=name, Description=description or None)
    output.done(f"bus {name} created")


@app.command()
def delete(name: Name, endpoint: options.Endpoint = "") -> None:
    """Delete an event bus without rules."""
    with client.connect(endpoint) as server:
        server.rpc("DeleteEventBus", EventBusName=name)
    output.done(f"bus {name} deleted")
