"""`headrace event`: publish, watch, list, get, trace and replay events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from headrace.cli import client, failure, options, publishing
from headrace.cli.show import output, tables, tracing
from headrace.core import jsontext

app = typer.Typer(
    help="Publish, watch, find, trace and replay events.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

Type = Annotated[str, typer.Option("--type", "-t", show_default=False, help="The event's type.")]
OfRule = Annotated[
    str, typer.Option("--rule", "-r", show_default=False, help="Only for this rule.")
]


@app.command()
def put(
    *,
    bus: options.Bus = "default",
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="One event, an array, or one a line; - for input."),
    ] = None,
    source: Annotated[str, typer.Option("--source", "-s", help="Who says it.")] = "",
    type_: Annotated[str, typer.Option("--type", "-t", help="What happened.")] = "",
    data: Annotated[
        str | None, typer.Option("--data", "-d", help="Its data: JSON, @FILE or -.")
    ] = None,
    event_id: Annotated[str, typer.Option("--id", help="Its id; without it a new one.")] = "",
    subject: Annotated[str, typer.Option("--subject", help="What it is about.")] = "",
    form: options.Output = options.Format.TABLE,
    endpoint: options.Endpoint = "",
) -> None:  # fmt: skip
    """Publish events: one from options, or many from a file. Done means kept durably."""
    single = publishing.Single(source, type_, data, event_id, subject)
    if file is None:
        events = [publishing.built(single)]
    elif single.given:
        raise failure.usage("--file holds whole events; the other options make one.")
    else:
        given = options.text("-" if str(file) == "-" else f"@{file}", "--file")
        events = publishing.parsed(given)
    with client.connect(endpoint) as server:
        entries = publishing.publish(server, bus, events)
    output.items(
        entries,
        form,
        name=lambda entry: entry.get("id", ""),
        columns=[
            ("EVENT", "id"),
            ("TRACE", "trace_id"),
            ("REFUSED", lambda entry: publishing.refusal(entry)),
        ],
    )
    if any("code" in entry for entry in entries):
        raise typer.Exit(failure.Exit.FAILED)


@app.command()
def tail(
    bus: options.Bus = "default",
    pattern: Annotated[
        str, typer.Option("--pattern", "-p", show_default=False, help="Only those that match.")
    ] = "",
    count: Annotated[int, typer.Option("--count", "-n", min=0, help="Stop after so many.")] = 0,
    form: options.Output = options.Format.TABLE,
    endpoint: options.Endpoint = "",
) -> None:
    """Watch events as they come in, until Ctrl-C. With -o json: one object a line."""
    wanted = options.text(pattern, "--pattern") if pattern else None
    with client.connect(endpoint) as server:
        try:
            _watch(server, bus, wanted, count, form)
        except KeyboardInterrupt:
            return


def _watch(
    server: client.Client, bus: str, wanted: str | None, count: int, form: options.Format
) -> None:  # fmt: skip
    shown = 0
    for event in _live(server.lines(f"{client.NATIVE}/tail", {"bus": bus, "pattern": wanted}), bus):
        _show_live(event, form)
        shown += "skipped" not in event
        if shown == count > 0:
            return


def _live(lines: Iterator[bytes], bus: str) -> Iterator[output.Item]:
    """Yield events; say once, when the first heartbeat tells that nothing will be missed."""
    listens = False
    for line in lines:
        if line:
            yield jsontext.decode(line)
        elif not listens:
            listens = True
            output.done(f"watching bus {bus}; Ctrl-C ends it")


def _show_live(event: output.Item, form: options.Format) -> None:
    if "skipped" in event:
        output.done(f"{event['skipped']} events came too fast and are not shown")
    elif form is options.Format.NAME:
        print(event["id"], flush=True)
    elif form is options.Format.JSON:
        output.line(event)
    elif form is options.Format.YAML:
        print("---", flush=True)
        output.machine(event, form)
    else:
        about = (tables.clean(event[field]) for field in ("id", "source", "type"))
        data = tables.clean(event["event"].get("data"))
        line = "  ".join((tables.time_of(event["received_ms"]), *about, data))
        print(line, flush=True)


@app.command("list")
def list_(
    bus: options.Bus = "default",
    since: Annotated[
        str, typer.Option("--since", show_default=False, help="No older than 90s, 15m, 2h, 7d.")
    ] = "",
    source: Annotated[str, typer.Option("--source", "-s", show_default=False)] = "",
    type_: Type = "",
    rule: Annotated[
        str, typer.Option("--rule", "-r", show_default=False, help="Only what this rule took.")
    ] = "",
    limit: options.Limit = 50,
    form: options.Output = options.Format.TABLE,
    endpoint: options.Endpoint = "",
) -> None:
    """List kept events, the newest first."""
    start_ms = options.since_ms(since) if since else None
    with client.connect(endpoint) as server:
        found = server.native_pages(
            "events", "events", most=limit, bus=bus, start_ms=start_ms, source=source or None,
            type=type_ or None, rule=rule or None,
        )  # fmt: skip
    output.items(
        found,
        form,
        name="id",
        columns=[
            ("RECEIVED", lambda event: tables.time_of(event["received_ms"])),
            ("EVENT", "id"),
            ("SOURCE", "source"),
            ("TYPE", "type"),
        ],
        empty=f"No event is kept on bus {bus} that fits.",
    )


@app.command()
def get(
    event: options.EventId,
    bus: options.AnyBus = "",
    source: options.Source = "",
    form: options.Output = options.Format.TABLE,
    endpoint: options.Endpoint = "",
) -> None:
    """Show one event as it is kept."""
    with client.connect(endpoint) as server:
        found = server.native("GET", "events", event, bus=bus or None, source=source or None)
    output.item(
        found,
        form,
        name="id",
        facts=[
            ("id", "id"),
            ("bus", "bus"),
            ("received", lambda one: tables.time_of(one["received_ms"])),
            ("trace", "trace_id"),
        ],
    )
    if form is options.Format.TABLE:
        text = msgspec.json.format(jsontext.compact(found["event"]), indent=2)
        print(f"\n{tables.clean_lines(text)}")


@app.command()
def trace(
    event: options.EventId,
    bus: options.AnyBus = "",
    source: options.Source = "",
    form: options.Output = options.Format.TABLE,
    endpoint: options.Endpoint = "",
) -> None:
    """Show what happened to an event: rules, targets, every attempt with its status."""
    with client.connect(endpoint) as server:
        found = server.native(
            "GET", "events", event, "trace", bus=bus or None, source=source or None
        )
    if form is options.Format.TABLE:
        tracing.show(found)
    elif form is options.Format.NAME:
        print(found["trace_id"])
    else:
        output.machine(found, form)


@app.command()
def replay(
    event: options.EventId,
    bus: options.AnyBus = "",
    source: options.Source = "",
    rule: OfRule = "",
    form: options.Output = options.Format.TABLE,
    endpoint: options.Endpoint = "",
) -> None:
    """Send a kept event again to the rules that match it now, or to one RULE."""
    with client.connect(endpoint) as server:
        found = server.native(
            "POST", "events", event, "replay",
            body={
                name: value
                for name, value in (("bus", bus), ("source", source), ("rule", rule))
                if value
            },
        )  # fmt: skip
    output.item(
        found, form, name="id",
        facts=[("event", "id"), ("bus", "bus"), ("deliveries", "deliveries")],
    )  # fmt: skip
    if not found["deliveries"]:
        output.done(f"No rule takes it now: headrace why {event}")
        raise typer.Exit(failure.Exit.FAILED)
