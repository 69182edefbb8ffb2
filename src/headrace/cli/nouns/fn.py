"""`headrace fn`: functions; code from a directory, calls, logs."""

from __future__ import annotations

import base64
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from headrace.cli import client, failure, options, package
from headrace.cli.nouns import trigger
from headrace.cli.show import output, tables
from headrace.core import jsontext

app = typer.Typer(
    help="Functions and their triggers.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(trigger.app, name="trigger")

Name = Annotated[str, typer.Argument(metavar="FUNCTION", help="The name of the function.")]

RUNTIME_DEFAULT = "python3.12"
HANDLER_DEFAULT = "index.handler"
#: A synchronous call may take as long as the longest function, and a little.
INVOKE_TIMEOUT_S = 86_400 + 60
#: How often `logs -f` asks, and how far back it looks for lines that were written late.
FOLLOW_S = 1.0
FOLLOW_BACK_MS = 5_000
#: Lines that one look of `headrace fn logs --follow` takes; the next look takes the rest.
FOLLOW_LINES_MAX = 1_000


@app.command()
def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Directory and function to make.")],
) -> None:
    """Write a small function into a new directory."""
    folder = Path(name)
    package.write_sample(folder)
    print(f"{folder}/index.py written. Next:")
    print(f"  headrace fn deploy {folder}")
    print(f"""  headrace fn invoke {folder.name} -d '{{"hello": "world"}}' --tail""")
    print(f"  headrace rule create to-{folder.name} --function {folder.name}")


@app.command()
def deploy(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The directory with the code.")],
    name: Annotated[
        str, typer.Option("--name", "-n", show_default=False, help="Without it: DIR's name.")
    ] = "",
    handler: Annotated[
        str | None, typer.Option("--handler", help=f"FILE.FUNCTION; at first {HANDLER_DEFAULT}.")
    ] = None,
    runtime: Annotated[
        str | None, typer.Option("--runtime", help=f"At first {RUNTIME_DEFAULT}.")
    ] = None,
    timeout: Annotated[int | None, typer.Option("--timeout", help="Seconds of a call.")] = None,
    memory: Annotated[int | None, typer.Option("--memory", help="MB.")] = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", help="Calls at once in one instance.")
    ] = None,
    environment: Annotated[
        list[str] | None,
        typer.Option("--env", "-e", metavar="KEY=VALUE", help="Repeatable; replaces all."),
    ] = None,
    form: options.Output = options.Format.TABLE,
    endpoint: options.Endpoint = "",
) -> None:  # fmt: skip
    """Make a function from a directory, or give an existing one its code.

    Options that are not given keep what the function has.
    """
    code = package.zipped(folder)
    function = name or folder.resolve().name
    wanted: dict[str, Any] = {
        "code": {"zipFile": base64.b64encode(code).decode("ascii")},
        "handler": handler,
        "runtime": runtime,
        "timeout": timeout,
        "memorySize": memory,
        "instanceConcurrency": concurrency,
        "environmentVariables": options.pairs(environment or [], "--env") or None,
    }
    wanted = {key: value for key, value in wanted.items() if value is not None}
    with client.connect(endpoint, timeout_s=600) as server:
        found, word = _put(server, function, wanted)
    output.done(f"function {function} {word}: {tables.size_of(len(code))} of code")
    output.item(found, form, name="functionName", facts=_FACTS)


def _put(
    server: client.Client, name: str, wanted: dict[str, Any]
) -> tuple[dict[str, Any], str]:  # fmt: skip
    try:
        server.fc("GET", "functions", name)
    except failure.Failure as absent:
        if absent.exit_code is not failure.Exit.NOT_FOUND:
            raise
        first = {"functionName": name, "runtime": RUNTIME_DEFAULT, "handler": HANDLER_DEFAULT}
        return server.fc("POST", "functions", body=first | wanted), "created"
    return server.fc("PUT", "functions", name, body=wanted), "updated"


@app.command()
def invoke(
    name: Name,
    data: Annotated[
        str, typer.Option("--data", "-d", help="The event it gets: text, @FILE or -.")
    ] = "",
    asynchronous: Annotated[bool, typer.Option("--async", help="Do not wait for it.")] = False,
    tail: Annotated[bool, typer.Option("--tail", help="Show the end of its log.")] = False,
    form: options.Output = options.Format.TABLE,
    endpoint: options.Endpoint = "",
) -> None:
    """Call a function; its answer goes to standard output, byte for byte.

    Exit code 1 when the function fails.
    """
    if asynchronous and tail:
        raise failure.usage("--async does not wait for a log: headrace fn logs FUNCTION")
    headers = {
        "x-fc-invocation-type": "Async" if asynchronous else "Sync",
        "x-fc-log-type": "Tail" if tail else "None",
        "content-type": "application/octet-stream",
    }
    body = options.text_bytes(data)
    with client.connect(endpoint, timeout_s=INVOKE_TIMEOUT_S) as server:
        path = f"{client.FC}/functions/{client.encoded(name)}/invocations"
        answer = server.send("POST", path, headers=headers, body=body)
    _show_answer(_answer(answer), answer.body, form)
    if "x-fc-error-type" in answer.headers:
        raise failure.Failure(
            f"The function {name} failed: {answer.headers['x-fc-error-type']}.",
            remedy=f"headrace fn logs {name}",
            request_id=answer.headers.get("x-fc-request-id", ""),
        )


def _answer(answer: client.Answer) -> dict[str, Any]:
    headers = answer.headers
    try:
        told: dict[str, Any] = {"payload": answer.body.decode()}
    except UnicodeDecodeError:
        told = {"payload_base64": base64.b64encode(answer.body).decode("ascii")}
    told |= {
        "status": answer.status,
        "request_id": headers.get("x-fc-request-id", ""),
        "task_id": headers.get("x-fc-async-task-id"),
        "error_type": headers.get("x-fc-error-type"),
        "duration_ms": _number(headers.get("x-fc-invocation-duration")),
        "memory_mb": _number(headers.get("x-fc-max-memory-usage")),
        "log": _log(headers.get("x-fc-log-result")),
    }
    return {key: value for key, value in told.items() if value is not None}


def _number(text: str | None) -> Any:
    return None if text is None else jsontext.decode(text)


def _log(text: str | None) -> str | None:
    return None if text is None else base64.b64decode(text).decode(errors="replace")


def _show_answer(told: dict[str, Any], payload: bytes, form: options.Format) -> None:
    if form is options.Format.NAME:
        print(told["request_id"])
    elif form is not options.Format.TABLE:
        output.machine(told, form)
    elif "task_id" in told:
        output.done(f"accepted, request {told['request_id']}")
    else:
        if "log" in told:
            print(told["log"], file=sys.stderr)
        sys.stdout.buffer.write(payload)
        if payload and not payload.endswith(b"\n") and sys.stdout.isatty():
            print()
        sys.stdout.flush()


@app.command()
def logs(
    name: Name,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on, until Ctrl-C.")] = False,
    request_id: Annotated[
        str, typer.Option("--request-id", show_default=False, help="Only this call.")
    ] = "",
    since: Annotated[
        str, typer.Option("--since", show_default=False, help="No older than 90s, 15m, 2h, 7d.")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Calls at most.")] = 20,
    form: options.Output = options.Format.TABLE,
    endpoint: options.Endpoint = "",
) -> None:
    """Show what calls of a function wrote, the newest last."""
    start_ms = options.since_ms(since) if since else 0
    with client.connect(endpoint) as server:
        found = _lines(server, name, start_ms=start_ms, request_id=request_id, limit=limit)
        _show_logs(found, form)
        if not found and not follow:
            output.done(f"No log of {name} is kept that fits.")
        if follow:
            try:
                _follow(server, name, request_id, found, form)
            except KeyboardInterrupt:
                return


def _lines(
    server: client.Client, name: str, *, start_ms: int, request_id: str, limit: int
) -> list[output.Item]:
    found = server.native(
        "GET", "functions", name, "logs",
        kind="log", start_ms=start_ms, request_id=request_id or None, limit=limit,
    )  # fmt: skip
    return found["lines"]


def _follow(
    server: client.Client,
    name: str,
    request_id: str,
    shown: list[output.Item],
    form: options.Format,
) -> None:
    seen = {(one["at_ms"], one["request_id"]) for one in shown}
    newest = max((one["at_ms"] for one in shown), default=0)
    while True:
        time.sleep(FOLLOW_S)
        start_ms = max(0, newest - FOLLOW_BACK_MS)
        found = _lines(
            server, name, start_ms=start_ms, request_id=request_id, limit=FOLLOW_LINES_MAX
        )
        fresh = [one for one in found if (one["at_ms"], one["request_id"]) not in seen]
        _show_logs(fresh, form)
        newest = max((one["at_ms"] for one in found), default=newest)
        # Only what the next look-up can return again has to be remembered.
        kept = {key for key in seen if key[0] >= newest - FOLLOW_BACK_MS}
        seen = kept | {(one["at_ms"], one["request_id"]) for one in fresh}


def _show_logs(found: list[output.Item], form: options.Format) -> None:
    for one in found:
        if form is options.Format.JSON:
            output.line(one)
        elif form is options.Format.YAML:
            print("---")
            output.machine(one, form)
        elif form is options.Format.NAME:
            print(one["request_id"], flush=True)
        else:
            sys.stdout.write(f"{tables.time_of(one['at_ms'])}\n{one['text']}")
            sys.stdout.flush()


@app.command("list")
def list_(
    prefix: options.Prefix = "",
    form: options.Output = options.Format.TABLE,
    endpoint: options.Endpoint = "",
) -> None:
    """List the functions."""
    with client.connect(endpoint) as server:
        found = server.fc_pages("functions", "functions", prefix=prefix or None)
    output.items(
        found,
        form,
        name="functionName",
        columns=[
            ("NAME", "functionName"),
            ("RUNTIME", "runtime"),
            ("HANDLER", "handler"),
            ("MEMORY", lambda one: f"{one['memorySize']} MB"),
            ("TIMEOUT", lambda one: f"{one['timeout']} s"),
            ("CODE", lambda one: tables.size_of(one["codeSize"])),
            ("MODIFIED", "lastModifiedTime"),
        ],
        empty="There are no functions: headrace fn init NAME",
    )


_FACTS: list[output.Column] = [
    ("name", "functionName"),
    ("ARN", "functionArn"),
    ("runtime", "runtime"),
    ("handler", "handler"),
    ("description", "description"),
    ("memory", lambda one: f"{one['memorySize']} MB"),
    ("timeout", lambda one: f"{one['timeout']} s"),
    ("concurrency", "instanceConcurrency"),
    ("environment", lambda one: one.get("environmentVariables") or None),
    ("code", lambda one: f"{tables.size_of(one['codeSize'])}, CRC-64 {one['codeChecksum']}"),
    ("modified", "lastModifiedTime"),
]


@app.command()
def get(
    name: Name, form: options.Output = options.Format.TABLE, endpoint: options.Endpoint = ""
) -> None:
    """Show one function."""
    with client.connect(endpoint) as server:
        found = server.fc("GET", "functions", name)
    output.item(found, form, name="functionName", facts=_FACTS)


@app.command()
def delete(name: Name, endpoint: options.Endpoint = "") -> None:
    """Delete a function."""
    with client.connect(endpoint) as server:
        server.fc("DELETE", "functions", name)
    output.done(f"function {name} deleted")
