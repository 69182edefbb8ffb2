"""`headrace dlq`: dead letters, with payload and cause, and sending them again."""

from __future__ import annotations

import sys
from typing import Annotated

import msgspec
import typer

from headrace.cli import client, failure, options
from headrace.cli.show import output, tables
from headrace.core import jsontext

app = typer.Typer(
    help="Dead letters.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)

Rule = Annotated[
    str, typer.Option("--rule", "-r", show_default=False, help="Only those of this rule.")
]
#: Letters sent again with one request.
CHUNK = 100
#: Letters one listing shows at most (the API's bound).
LIST_MAX = 1000


@app.command("list")
def list_(
    rule: Rule = "",
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=LIST_MAX, help="At most so many.")
    ] = 100,
    form: options.Output = options.Format.TABLE,
    endpoint: options.Endpoint = "",
) -> None:  # fmt: skip
    """List dead letters, the newest first."""
    with client.connect(endpoint) as server:
        found = server.native("GET", "dead-letters", rule=rule or None, limit=limit)
    output.items(
        found["dead_letters"],
        form,
        name="id",
        columns=[
            ("ID", "id"),
            ("DIED", lambda letter: tables.time_of(letter["died_ms"])),
            ("RULE", "rule"),
            ("TARGET", "target"),
            ("EVENT", "event_id"),
            ("ATTEMPTS", "attempts"),
            ("ERROR", "error"),
        ],
        empty="There are no dead letters.",
    )


@app.command()
def show(
    letter: Annotated[str, typer.Argument(metavar="ID", help="As `dlq list` shows it.")],
    form: options.Output = options.Format.TABLE,
    endpoint: options.Endpoint = "",
) -> None:
    """Show one dead letter with its event."""
    with client.connect(endpoint) as server:
        found = server.native("GET", "dead-letters", letter)
    output.item(
        found,
        form,
        name="id",
        facts=[
            ("id", "id"),
            ("died", lambda one: tables.time_of(one["died_ms"])),
            ("rule", "rule"),
            ("target", "target"),
            ("attempts", "attempts"),
            ("error", "error"),
            ("event", "event_id"),
            ("source", "source"),
            ("type", "type"),
        ],
    )
    if form is options.Format.TABLE:
        text = msgspec.json.format(jsontext.compact(found["event"]), indent=2)
        print(f"\n{tables.clean_lines(text)}")


@app.command()
def replay(
    letters: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", show_default=False, help="Which.")
    ] = None,
    rule: Rule = "",
    everything: Annotated[bool, typer.Option("--all", help="Every dead letter.")] = False,
    form: options.Output = options.Format.TABLE,
    endpoint: options.Endpoint = "",
) -> None:  # fmt: skip
    """Send dead letters again to the target they failed on: by ID, of a RULE, or all."""
    if sum((bool(letters), bool(rule), everything)) != 1:
        raise failure.usage("Name dead letters, or give --rule, or --all.", "headrace dlq list")
    traces: list[str] = []
    with client.connect(endpoint) as server:
        chosen, left = (letters, 0) if letters else _ids(server, rule)
        for start in range(0, len(chosen), CHUNK):
            chunk = chosen[start : start + CHUNK]
            sent = server.native("POST", "dead-letters", "resend", body={"ids": chunk})
            traces += sent["trace_ids"]
            if sys.stderr.isatty() and len(chosen) > CHUNK:
                output.done(f"{len(traces)} of {len(chosen)} sent")
    found = [
        {"id": letter, "trace_id": trace} for letter, trace in zip(chosen, traces, strict=True)
    ]
    output.items(
        found,
        form,
        name="id",
        columns=[("SENT AGAIN", "id"), ("TRACE", "trace_id")],
        empty="There are no dead letters.",
    )
    if left:
        output.done(f"{left} more dead letters are kept; run this again for those.")


def _ids(server: client.Client, rule: str) -> tuple[list[str], int]:
    """Return the letters of a rule, or all, oldest first to keep their order; and how many of all
    rules are not among them when one listing could not hold them.
    """
    found = server.native("GET", "dead-letters", rule=rule or None, limit=LIST_MAX)
    ids = [letter["id"] for letter in reversed(found["dead_letters"])]
    return ids, found["total"] - len(ids) if len(ids) == LIST_MAX else 0
