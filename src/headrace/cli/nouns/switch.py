"""`headrace switch`: stop the flow, all of it or one target, and let it go on."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace.cli import client, options
from headrace.cli.show import output, tables

app = typer.Typer(
    help="Red switches: pause deliveries, read-only mode, drain.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

Switch = Annotated[
    str,
    typer.Argument(
        metavar="SWITCH",
        help="pause-all, pause-account, pause-target, read-only or drain.",
    ),
]
Of = Annotated[
    str,
    typer.Argument(
        metavar="[OF]",
        show_default=False,
        help="The account; or the target: BUS/RULE/TARGET, async/FUNCTION.",
    ),
]
Reason = Annotated[
    str, typer.Option("--reason", show_default=False, help="Why; kept and shown to others.")
]


@app.command("list")
def list_(
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that are off, with who turned them.")
    ] = False,
    form: options.Output = options.Format.TABLE,
    endpoint: options.Endpoint = "",
) -> None:
    """List the switches that are on, who turned them, when and why."""
    with client.connect(endpoint) as server:
        found = server.native("GET", "switches", all="true" if everything else None)
    output.items(
        found["switches"],
        form,
        name="name",
        columns=[
            ("SWITCH", "name"),
            ("STATE", lambda switch: "on" if switch["on"] else "off"),
            ("SINCE", lambda switch: tables.time_of(switch["since_ms"])),
            ("BY", "by"),
            ("REASON", "reason"),
        ],
        empty="No switch is on.",
    )
    if form is options.Format.TABLE and any(one["on"] for one in found["switches"]):
        output.done("still under way: " + going(found))


@app.command()
def on(
    switch: Switch, of: Of = "", reason: Reason = "", endpoint: options.Endpoint = ""
) -> None:  # fmt: skip
    """Turn a switch on: at once, for good, and also after a restart.

    pause-all, pause-account, pause-target: no delivery starts; events wait with their attempts and
    times. read-only: events, edits and asynchronous invocations are refused (503); reads go on.
    drain: no delivery and no invocation starts, what is under way finishes.
    """
    body = {"reason": reason} if reason else {}
    with client.connect(endpoint) as server:
        turned = server.native("PUT", "switches", switch, body={**body, "of": of} if of else body)
        found = server.native("GET", "switches")
    output.done(f"switch {turned['name']} is on; still under way: {going(found)}")


@app.command()
def off(
    switch: Switch, of: Of = "", reason: Reason = "", endpoint: options.Endpoint = ""
) -> None:  # fmt: skip
    """Turn a switch off: what waited goes on where it stood."""
    with client.connect(endpoint) as server:
        turned = server.native(
            "DELETE", "switches", switch, of=of or None, reason=reason or None
        )  # fmt: skip
    output.done(f"switch {turned['name']} is off")


def going(found: output.Item) -> str:
    """Return what has begun and has not ended, in words."""
    under_way = found["under_way"]
    return f"{under_way['deliveries']} deliveries, {under_way['invocations']} invocations"
