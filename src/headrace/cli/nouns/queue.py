"""`headrace queue`: the built-in queues."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace.cli import client, options
from headrace.cli.show import output, tables

app = typer.Typer(
    help="Built-in queues.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)

Name = Annotated[str, typer.Argument(metavar="QUEUE", help="The name of the queue.")]


@app.command("list")
def list_(
    prefix: options.Prefix = "",
    form: options.Output = options.Format.TABLE,
    endpoint: options.Endpoint = "",
) -> None:
    """List the queues and how many messages wait in each."""
    with client.connect(endpoint) as server:
        found = server.native_pages("queues", "queues", prefix=prefix or None)
    output.items(
        found,
        form,
        name="name",
        columns=[
            ("NAME", "name"),
            ("MESSAGES", "messages"),
            ("CREATED", lambda queue: tables.time_of(queue["created_ms"])),
            ("ARN", "arn"),
        ],
        empty="There are no queues: headrace queue create QUEUE",
    )


@app.command()
def create(name: Name, endpoint: options.Endpoint = "") -> None:
    """Make a queue."""
    with client.connect(endpoint) as server:
        server.native("PUT", "queues", name)
    output.done(f"queue {name} created")


@app.command()
def send(
    name: Name,
    body: Annotated[str, typer.Argument(metavar="BODY", help="Text, @FILE or -.")],
    form: options.Output = options.Format.TABLE,
    endpoint: options.Endpoint = "",
) -> None:
    """Put one message into a queue."""
    message = options.text(body, "BODY")
    with client.connect(endpoint) as server:
        sent = server.native("POST", "queues", name, "messages", body={"body": message})
    output.item(sent, form, name="message_id", facts=[("message id", "message_id")])


@app.command()
def peek(
    name: Name,
    limit: options.Limit = 10,
    form: options.Output = options.Format.TABLE,
    endpoint: options.Endpoint = "",
) -> None:
    """Show the oldest messages and leave them where they are."""
    with client.connect(endpoint) as server:
        found = server.native("GET", "queues", name, "messages", limit=limit)
    output.items(
        found["messages"],
        form,
        name="message_id",
        columns=[
            ("MESSAGE", "message_id"),
            ("SENT", lambda message: tables.time_of(message["sent_ms"])),
            ("BODY", "body"),
        ],
        empty=f"The queue {name} is empty.",
    )
    if form is options.Format.TABLE and found["total"] > len(found["messages"]):
        output.done(f"{len(found['messages'])} of {found['total']} messages; see --limit")


@app.command()
def purge(name: Name, endpoint: options.Endpoint = "") -> None:
    """Throw all messages of a queue away."""
    with client.connect(endpoint) as server:
        gone = server.native("DELETE", "queues", name, "messages")
    output.done(f"{gone['purged']} messages purged")


@app.command()
def delete(name: Name, endpoint: options.Endpoint = "") -> None:
    """Delete a queue."""
    with client.connect(endpoint) as server:
        server.native("DELETE", "queues", name)
    output.done(f"queue {name} deleted")
