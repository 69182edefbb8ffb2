"""`headrace fn trigger`: triggers of functions; each is a rule of the bus `default`, seen from the
function's side.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from headrace.cli import client, options, target
from headrace.cli.show import output
from headrace.core import jsontext, pattern

app = typer.Typer(
    help="Triggers of a function.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

Function = Annotated[str, typer.Argument(metavar="FUNCTION", help="The name of the function.")]
Name = Annotated[str, typer.Argument(metavar="TRIGGER", help="The name of the trigger.")]


@app.command()
def add(
    function: Function,
    name: Name,
    pattern_text: Annotated[
        str, typer.Option("--pattern", "-p", help="Which events call it: JSON, @FILE or -.")
    ] = "{}",
    asynchronous: Annotated[
        bool, typer.Option("--async", help="Deliver to the function's own queue; do not wait.")
    ] = False,
    retry: Annotated[
        target.Retry | None, typer.Option("--retry", help="When a call fails.")
    ] = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="Do not match yet.")] = False,
    description: Annotated[str, typer.Option("--description", help="For people.")] = "",
    form: options.Output = options.Format.TABLE,
    endpoint: options.Endpoint = "",
) -> None:
    """Call a function with the events of the bus `default` that match PATTERN."""
    text = options.text(pattern_text, "--pattern")
    pattern.compile(text)
    config: dict[str, Any] = {
        "triggerEnable": not disabled,
        "asyncInvocationType": asynchronous,
        "eventRuleFilterPattern": text,
        "eventSourceConfig": {"eventSourceType": "Default"},
    }
    if retry is not None:
        config["runOptions"] = {"retryStrategy": {"PushRetryStrategy": retry.value}}
    wanted = {
        "triggerName": name,
        "triggerType": "eventbridge",
        "triggerConfig": json.dumps(config, ensure_ascii=False),
        "description": description,
    }
    with client.connect(endpoint) as server:
        found = server.fc("POST", "functions", function, "triggers", body=wanted)
    output.done(f"trigger {name} of {function} created")
    output.item(
        found, form, name="triggerName",
        facts=[
            ("trigger", "triggerName"),
            ("is the rule", "sourceArn"),
            ("pattern", lambda one: _pattern(one)),
        ],
    )  # fmt: skip


@app.command("list")
def list_(
    function: Function,
    form: options.Output = options.Format.TABLE,
    endpoint: options.Endpoint = "",
) -> None:
    """List the triggers of a function, and the rules of the bus that call it."""
    with client.connect(endpoint) as server:
        found = server.fc_pages("triggers", "functions", function, "triggers")
    output.items(
        found,
        form,
        name="triggerName",
        columns=[
            ("TRIGGER", "triggerName"),
            ("TYPE", "triggerType"),
            ("STATUS", "status"),
            ("PATTERN", lambda one: _pattern(one)),
            ("IS THE RULE", lambda one: one.get("sourceArn", "").partition(":eventbus/")[2]),
        ],
        empty=f"{function} has no triggers: headrace fn trigger add {function} NAME -p PATTERN",
    )


@app.command()
def remove(function: Function, name: Name, endpoint: options.Endpoint = "") -> None:
    """Remove a trigger, and with it its rule."""
    with client.connect(endpoint) as server:
        server.fc("DELETE", "functions", function, "triggers", name)
    output.done(f"trigger {name} of {function} removed")


def _pattern(trigger: output.Item) -> str:
    return jsontext.decode(trigger["triggerConfig"]).get("eventRuleFilterPattern", "")
