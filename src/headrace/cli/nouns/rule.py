"""`headrace rule`: event rules, their targets, and the pattern tester, which needs no server."""

from __future__ import annotations

from typing import Annotated, Any, cast

import msgspec
import typer

from headrace.cli import client, failure, options, target
from headrace.cli.show import output, tables
from headrace.core import jsontext, pattern

app = typer.Typer(
    help="Event rules and their targets.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

Name = Annotated[str, typer.Argument(metavar="RULE", help="The name of the rule.")]
Pattern = Annotated[
    str, typer.Option("--pattern", "-p", help="The event pattern: JSON, @FILE or -.")
]


@app.command("list")
def list_(
    bus: options.AnyBus = "",
    prefix: options.Prefix = "",
    form: options.Output = options.Format.TABLE,
    endpoint: options.Endpoint = "",
) -> None:
    """List the rules of a bus, or of every bus."""
    with client.connect(endpoint) as server:
        buses = [bus] if bus else _bus_names(server)
        found = [
            rule
            for name in buses
            for rule in server.rpc_pages(
                "ListRules", "Rules", EventBusName=name, RuleNamePrefix=prefix or None
            )
        ]
    output.items(
        found,
        form,
        name="RuleName",
        columns=[
            ("BUS", "EventBusName"),
            ("NAME", "RuleName"),
            ("STATUS", "Status"),
            ("TARGETS", lambda rule: ", ".join(t["Type"] for t in rule["Targets"])),
            ("PATTERN", "FilterPattern"),
        ],
        empty="There are no rules.",
    )


def _bus_names(server: client.Client) -> list[str]:
    return [bus["EventBusName"] for bus in server.rpc_pages("ListEventBuses", "EventBuses")]


@app.command()
def get(
    name: Name,
    bus: options.Bus = "default",
    form: options.Output = options.Format.TABLE,
    endpoint: options.Endpoint = "",
) -> None:
    """Show one rule with its pattern and targets."""
    with client.connect(endpoint) as server:
        found = server.rpc("GetRule", EventBusName=bus, RuleName=name)
    output.item(
        found,
        form,
        name="RuleName",
        facts=[
            ("name", "RuleName"),
            ("bus", "EventBusName"),
            ("status", "Status"),
            ("description", "Description"),
            ("pattern", "FilterPattern"),
            ("created", lambda rule: tables.time_of(rule["CreatedTimestamp"])),
        ],
    )
    if form is options.Format.TABLE and found["Targets"]:
        print()
        rows = [
            (t["Id"], t["Type"], t["Endpoint"], t["PushRetryStrategy"]) for t in found["Targets"]
        ]
        tables.show(("TARGET", "TYPE", "ENDPOINT", "RETRY"), rows)


@app.command()
def create(
    name: Name,
    pattern_text: Pattern = "{}",
    bus: options.Bus = "default",
    description: Annotated[str, typer.Option("--description", "-d", help="For people.")] = "",
    function: Annotated[
        list[str] | None,
        typer.Option("--function", metavar="NAME", help="Call this function; repeatable."),
    ] = None,
    queue: Annotated[
        list[str] | None,
        typer.Option("--queue", metavar="NAME", help="Fill this queue; repeatable."),
    ] = None,
    url: Annotated[
        list[str] | None,
        typer.Option("--url", metavar="URL", help="POST to this address; repeatable."),
    ] = None,
    target_json: Annotated[
        list[str] | None,
        typer.Option("--target", metavar="JSON", help="A target as the API has it, or @FILE."),
    ] = None,
    retry: Annotated[
        target.Retry | None, typer.Option("--retry", help="When a delivery fails.")
    ] = None,
    sync: Annotated[
        bool, typer.Option("--sync", help="Wait for functions; an error is retried.")
    ] = False,
    disabled: Annotated[bool, typer.Option("--disabled", help="Do not match yet.")] = False,
    endpoint: options.Endpoint = "",
) -> None:  # fmt: skip
    """Make a rule: events that match PATTERN go to the targets."""
    text = options.text(pattern_text, "--pattern")
    _compiled(text)
    given = [target.parsed(options.text(one, "--target")) for one in target_json or ()]
    with client.connect(endpoint) as server:
        asked = target.Asked(function or [], queue or [], url or [], retry, sync)
        server.rpc(
            "CreateRule",
            EventBusName=bus,
            RuleName=name,
            FilterPattern=text,
            Description=description or None,
            Status="DISABLE" if disabled else "ENABLE",
            EventTargets=[*target.built(server, asked), *given] or None,
        )
    output.done(f"rule {name} created on bus {bus}")


@app.command()
def delete(name: Name, bus: options.Bus = "default", endpoint: options.Endpoint = "") -> None:
    """Delete a rule and its targets."""
    _act("DeleteRule", name, bus, endpoint)
    output.done(f"rule {name} deleted")


@app.command()
def enable(name: Name, bus: options.Bus = "default", endpoint: options.Endpoint = "") -> None:
    """Let a rule take events."""
    _act("EnableRule", name, bus, endpoint)
    output.done(f"rule {name} enabled")


@app.command()
def disable(name: Name, bus: options.Bus = "default", endpoint: options.Endpoint = "") -> None:
    """Keep a rule from taking events."""
    _act("DisableRule", name, bus, endpoint)
    output.done(f"rule {name} disabled")


def _act(action: str, name: str, bus: str, endpoint: str) -> None:
    with client.connect(endpoint) as server:
        server.rpc(action, EventBusName=bus, RuleName=name)


@app.command()
def test(
    pattern_text: Annotated[
        str, typer.Option("--pattern", "-p", help="The event pattern: JSON, @FILE or -.")
    ],
    event: Annotated[str, typer.Option("--event", "-e", help="The event: JSON, @FILE or -.")],
    form: options.Output = options.Format.TABLE,
) -> None:
    """Say whether a pattern matches an event, and which fields speak against it.

    Needs no server. Exit code 0: match, 1: no match.
    """
    if pattern_text == "-" and event == "-":
        raise failure.usage("Standard input can be the pattern or the event, not both.")
    compiled = _compiled(options.text(pattern_text, "--pattern"))
    explained = pattern.explain(compiled, _fields(options.text(event, "--event")))
    if form is options.Format.NAME:
        print("match" if explained.matched else "no match")
    elif form is options.Format.TABLE:
        _show(explained)
    else:
        output.machine(msgspec.to_builtins(explained), form)
    if not explained.matched:
        raise typer.Exit(failure.Exit.FAILED)


def _show(explained: pattern.Explanation) -> None:
    if explained.matched:
        tables.styled(tables.Styled("match", "green"))
        return
    tables.styled(tables.Styled("no match", "red"))
    for found in explained.failures:
        tables.facts(
            [
                ("  field", found.path),
                ("  expected", f"{found.operator} {found.expected}"),
                ("  got", found.got),
                ("  hint", found.hint),
            ]
        )


def _compiled(text: str) -> pattern.Pattern:
    """Compile a pattern. Raises: errors.PatternInvalid, which is a usage error on this side."""
    return pattern.compile(text)


def _fields(text: str) -> dict[str, Any]:
    try:
        fields = jsontext.decode(text)
    except jsontext.Malformed as fault:
        raise failure.usage(f"--event is not JSON: {fault}") from fault
    if not isinstance(fields, dict):
        raise failure.usage("--event must be a JSON object.")
    return cast("dict[str, Any]", fields)
