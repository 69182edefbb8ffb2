"""`headrace doctor`: what is wrong, and what to do about it.

With a server: is it there, does it know us, are its clock, sandbox, disk and books sound. With
--data and no server: every sum and count of a data directory (`headrace.doctor`).
"""

from __future__ import annotations

import email.utils
import http.client
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec
import typer

import headrace
from headrace.cli import client, failure, options, servers
from headrace.cli.show import output, tables

app = typer.Typer(rich_markup_mode=None, add_completion=False)

#: The signature's window is 15 minutes; a clock that is off by this much is worth a word.
SKEW_WARN_S: Final = 5
SKEW_FAIL_S: Final = 15 * 60
DISK_WARN_BYTES: Final = 2 * 1024**3
DISK_FAIL_BYTES: Final = 256 * 1024**2

Verdict = Literal["ok", "warn", "fail"]


class Check(NamedTuple):
    """One thing that was looked at."""

    name: str
    verdict: Verdict
    detail: str
    remedy: str = ""


@app.command()
def doctor(
    data: Annotated[
        Path | None, typer.Option("--data", help="Examine this data directory; no server may run.")
    ] = None,
    form: options.Output = options.Format.TABLE,
    endpoint: options.Endpoint = "",
) -> None:
    """Check the running server, or a data directory. Exit code 1 when something is wrong."""
    found = list(_offline(data) if data is not None else _online(endpoint))
    columns: list[output.Column] = [
        ("CHECK", "name"),
        ("VERDICT", "verdict"),
        ("DETAIL", "detail"),
    ]
    if any(check.remedy for check in found):
        columns.append(("TRY", "remedy"))
    output.items([check._asdict() for check in found], form, name="name", columns=columns)
    bad = [check for check in found if check.verdict == "fail"]
    if bad:
        unreachable = bad[0].name == "reachable"
        raise typer.Exit(failure.Exit.UNREACHABLE if unreachable else failure.Exit.FAILED)


# -- with a server ----------------------------------------------------------------------------


def _online(endpoint: str) -> Iterator[Check]:
    """Yield checks until one fails that the later ones depend on."""
    url = servers.url_of(endpoint, os.environ)
    try:
        health, date = _health(url)
    except (OSError, http.client.HTTPException, ValueError) as fault:
        yield Check("reachable", "fail", f"{url}: {fault}", "headrace up")
        return
    yield Check("reachable", "ok", f"{url}, version {health.get('version', '?')}")
    yield _version(str(health.get("version", "")))
    yield _clock(date)
    try:
        place = servers.find(url, os.environ)
        with client.Client(place) as server:
            status = server.native("GET", "status")
            books = server.native("GET", "books")
    except failure.Failure as problem:
        yield Check("credentials", "fail", problem.message, problem.remedy)
        return
    yield Check("credentials", "ok", f"{place.key.access_key_id}, account {status['account']}")
    yield _sandbox(status)
    if status.get("store") != "memory":
        yield _disk(status["usage"]["bytes_free"])
    yield _books(books)
    yield _dead_letters(status["dead_letters"])


def _health(url: str) -> tuple[dict[str, Any], str]:
    """Ask the one address that needs no key. Returns the body and the server's date."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        body = msgspec.json.decode(response.read(), type=dict[str, Any])
        return body, response.getheader("date", "")
    except msgspec.MsgspecError as fault:
        raise ValueError("what answers there is no Headrace server") from fault
    finally:
        connection.close()


def _version(theirs: str) -> Check:
    ours = headrace.__version__
    if theirs == ours:
        return Check("version", "ok", f"server and command line are {ours}")
    return Check(
        "version", "warn", f"server {theirs}, command line {ours}", "Use one version of both."
    )


def _clock(date: str) -> Check:
    try:
        skew_s = abs(email.utils.parsedate_to_datetime(date).timestamp() - time.time())
    except ValueError:
        return Check("clock", "warn", "the server told no date")
    detail = f"{max(0.0, skew_s - 1):.0f} s apart"
    if skew_s > SKEW_FAIL_S:
        return Check("clock", "fail", detail, "Set the clock: signatures hold 15 minutes.")
    if skew_s > SKEW_WARN_S:
        return Check("clock", "warn", detail, "Set the clock of this machine or the server's.")
    return Check("clock", "ok", detail)


def _sandbox(status: dict[str, Any]) -> Check:
    rung, detail = str(status.get("sandbox", "")), str(status.get("sandbox_description", ""))
    if rung == "L0":
        remedy = "Install bubblewrap and start without --sandbox none."
        return Check("sandbox", "warn", detail, remedy)
    return Check("sandbox", "ok", f"{rung}: {detail}")


def _disk(free: int) -> Check:
    detail = f"{tables.size_of(free)} free"
    remedy = "Free disk space, or keep events for a shorter time."
    if free < DISK_FAIL_BYTES:
        return Check("disk", "fail", detail, remedy)
    if free < DISK_WARN_BYTES:
        return Check("disk", "warn", detail, remedy)
    return Check("disk", "ok", detail)


def _books(books: dict[str, Any]) -> Check:
    rows = [*books["subscriptions"], *books["rules"]]
    off = [row["name"] for row in rows if row["balance"]]
    if books["balanced"] and not off:
        return Check("books", "ok", f"{len(rows)} accounts balance")
    remedy = "Stop the server and run `headrace doctor --data DIR`; please report what it says."
    return Check("books", "fail", f"off: {', '.join(off)}", remedy)


def _dead_letters(count: int) -> Check:
    if count:
        return Check("dead letters", "warn", f"{count} wait", "headrace dlq list")
    return Check("dead letters", "ok", "none")


# -- without a server -------------------------------------------------------------------------


def _offline(path: Path) -> Iterator[Check]:
    if not (path / "VERSION").is_file():
        raise failure.Failure(f"{path} is no data directory.", failure.Exit.NOT_FOUND)
    from headrace import app as apps
    from headrace import doctor as examination

    try:
        report = examination.check(path)
    except (apps.ports.StoreError, OSError) as fault:
        raise failure.Failure(
            f"{path} cannot be examined: {fault}.",
            remedy="Stop the server first, or run `headrace doctor` without --data.",
        ) from fault
    held = f"{report.events} events in {report.segments} segments, {report.open} open deliveries"
    yield Check("store", "ok", held)
    if report.balanced:
        yield Check("books", "ok", "every recount agrees with the ledger")
    else:
        yield Check("books", "fail", "the recount and the ledger differ")
    for problem in report.problems:
        yield Check("problem", "fail", problem, "Keep a copy of the directory, and report this.")
