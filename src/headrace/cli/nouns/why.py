"""`headrace why`: for one event, every rule's verdict with the first failing field."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace.cli import client, failure, options
from headrace.cli.show import output, tables

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def why(
    event: options.EventId,
    rule: Annotated[
        str, typer.Argument(metavar="[RULE]", show_default=False, help="Only this rule.")
    ] = "",
    bus: options.AnyBus = "",
    source: options.Source = "",
    form: options.Output = options.Format.TABLE,
    endpoint: options.Endpoint = "",
) -> None:
    """Say why each rule did or did not take an event, and what became of its deliveries.

    With RULE the exit code is 1 when that rule did not take the event.
    """
    with client.connect(endpoint) as server:
        found = server.native(
            "GET", "events", event, "why",
            bus=bus or None, source=source or None, rule=rule or None,
        )  # fmt: skip
    if form is options.Format.NAME:
        for verdict in found["rules"]:
            print(verdict["rule"])
    elif form is options.Format.TABLE:
        _show(found)
    else:
        output.machine(found, form)
    if rule and not all(_taken(verdict) for verdict in found["rules"]):
        raise typer.Exit(failure.Exit.FAILED)


def _taken(verdict: output.Item) -> bool:
    return bool(verdict["matched_then"])


def _show(found: output.Item) -> None:
    about = (tables.clean(found[name]) for name in ("id", "source", "type"))
    print("event {}  from {}  type {}".format(*about))
    print(f"on bus {found['bus']}, {tables.time_of(found['received_ms'])}\n")
    if not found["rules"]:
        print("The bus has no rules: headrace rule create NAME --pattern PATTERN --function NAME")
        return
    tables.show(
        ("RULE", "VERDICT", "NOW", "BECAUSE"),
        [
            (one["rule"], _word(one["matched_then"]), _word(one["matches_now"]), one["because"])
            for one in found["rules"]
        ],
    )


def _word(matched: bool | None) -> str:
    if matched is None:
        return "was not there"
    return "matched" if matched else "not matched"
