"""`headrace doctor`: what is wrong, and what to do about it.

With a server: is it there, does it know us, are its clock, sandbox, plug-ins, targets, disk and
books sound, and the directory it runs on. With --data and no server: that directory and every sum
and count in it. The checks are `headrace.diagnosis` and `headrace.verify`.
"""

from __future__ import annotations

import email.utils
import http.client
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec
import typer

import headrace
from headrace import diagnosis, outside
from headrace.cli import client, failure, options, servers
from headrace.cli.show import output

app = typer.Typer(rich_markup_mode=None, add_completion=False)

#: The signature's window is 15 minutes; a clock that is off by this much is worth a word.
SKEW_WARN_S: Final = 5
SKEW_FAIL_S: Final = 15 * 60
#: What /healthz says is far shorter.
HEALTH_BYTES_MAX: Final = 64 * 1024

Check = diagnosis.Finding


@app.command()
def doctor(
    data: Annotated[
        Path | None, typer.Option("--data", help="Examine this data directory; no server may run.")
    ] = None,
    form: options.Output = options.Format.TABLE,
    endpoint: options.Endpoint = "",
) -> None:
    """Check the running server, or a data directory. Exit code 1 when something is wrong."""
    found = list(_offline(data.absolute()) if data is not None else _online(endpoint))
    columns: list[output.Column] = [
        ("CHECK", "name"),
        ("VERDICT", "verdict"),
        ("DETAIL", "detail"),
    ]
    if any(check.remedy for check in found):
        columns.append(("TRY", "remedy"))
    output.items(
        [msgspec.structs.asdict(check) for check in found], form, name="name", columns=columns
    )
    bad = [check for check in found if check.verdict == "fail"]
    if bad:
        unreachable = bad[0].name in ("reachable", "port")
        raise typer.Exit(failure.Exit.UNREACHABLE if unreachable else failure.Exit.FAILED)


# -- with a server ----------------------------------------------------------------------------


def _online(endpoint: str) -> Iterator[Check]:
    """Yield checks until one fails that the later ones depend on."""
    url = servers.url_of(endpoint, os.environ)
    try:
        health, date = _health(url)
    except ConnectionRefusedError as fault:
        yield Check("reachable", "fail", f"{url}: {fault}", "headrace up")
        return
    except (OSError, http.client.HTTPException, ValueError) as fault:
        yield _taken(url, fault)
        return
    yield Check("reachable", "ok", f"{url}, version {health['version']}")
    yield _version(str(health["version"]))
    yield _clock(date)
    path = servers.directory_of(url, os.environ)
    if path is not None and os.access(path, os.R_OK | os.X_OK):
        if (path / "VERSION").exists():  # the keys of an ephemeral server have a directory, too
            yield diagnosis.format_of(path)
        yield from diagnosis.around(path, outside.SystemClock())
    try:
        place = servers.find(url, os.environ)
        with client.Client(place) as server:
            status = server.native("GET", "status")
            books = server.native("GET", "books")
    except failure.Failure as problem:
        yield Check("credentials", "fail", problem.message, problem.remedy)
        return
    yield Check("credentials", "ok", f"{place.key.access_key_id}, account {status['account']}")
    yield from _told(status, books)


def _told(status: dict[str, Any], books: dict[str, Any]) -> Iterator[Check]:
    """Yield what the server's own words show."""
    yield diagnosis.running_walls(status["sandbox"], status["sandbox_description"])
    yield from diagnosis.plugged(status.get("plugins", []))
    if status.get("store") != "memory":
        yield diagnosis.disk(status["usage"]["bytes_free"])
    yield _books(books)
    yield from diagnosis.failing(books["subscriptions"])
    yield _dead_letters(status["dead_letters"])
    yield _switches([one["name"] for one in status.get("switches", [])])


def _taken(url: str, fault: Exception) -> Check:
    """Something has the port, and it is no server of ours."""
    port = urlsplit(url).port
    return Check(
        "port",
        "fail",
        f"{url} is taken by another program: {fault}",
        f"Find it with `ss -ltnp 'sport = :{port}'` and stop it, or start on a free port:"
        " headrace up --port 0",
    )


def _health(url: str) -> tuple[dict[str, Any], str]:
    """Ask the one address that needs no key. Returns the body and the server's date."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        body = msgspec.json.decode(response.read(HEALTH_BYTES_MAX), type=dict[str, Any])
        if "version" not in body:
            raise ValueError("what answers there is no Headrace server")
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


def _switches(on: list[str]) -> Check:
    if on:
        return Check("switches", "warn", f"{', '.join(on)} on", "headrace switch list")
    return Check("switches", "ok", "none is on")


# -- without a server -------------------------------------------------------------------------


def _offline(path: Path) -> Iterator[Check]:
    if not (path / "VERSION").is_file():
        raise failure.Failure(f"{path} is no data directory.", failure.Exit.NOT_FOUND)
    if holder := diagnosis.directory.holder(path):
        raise failure.Failure(
            f"{path} is in use by the server with process id {holder}.",
            remedy="Stop the server first, or run `headrace doctor` without --data.",
        )
    form = diagnosis.format_of(path)
    yield form
    yield from diagnosis.around(path, outside.SystemClock())
    yield diagnosis.disk(diagnosis.free_bytes(path))
    yield diagnosis.walls()
    yield from diagnosis.installed_plugins()
    if form.verdict == "ok":
        yield from _content(path)


def _content(path: Path) -> Iterator[Check]:
    """Yield what is wrong inside the files, and the recount."""
    from headrace import app as apps
    from headrace import verify

    try:
        report = verify.verify_directory(path)
    except (apps.ports.StoreError, OSError) as fault:
        raise failure.Failure(f"{path} cannot be examined: {fault}.") from fault
    for file in report.broken:
        for problem in file.problems:
            yield Check("file", "fail", problem, _save(file.saved))
    if not report.broken:
        held = f"{report.events} events, {report.open} open deliveries"
        yield Check("files", "ok", f"{len(report.files)} whole, {held}")
    for problem in report.books:
        yield Check("books", "fail", problem, "Keep a copy of the directory, and report this.")
    if report.skipped:
        yield Check("books", "warn", report.skipped, f"headrace verify --data {path}")
    elif not report.books:
        yield Check("books", "ok", "every recount agrees with the ledger")


def _save(saved: str) -> str:
    return f"Restore from a backup: headrace restore SRC --data DIR. Can be saved of it: {saved}."
