"""Data directories of released versions, opened by this one: all that was in them is there.

Goal: whoever upgrades finds every resource, event, delivery and log again. Method: each directory
of `directories/` is unpacked and a real server is started on it at the time it was left (its clock
is moved, so no archive ages), and asked everything through both clouds' APIs and our own; then once
more at the true time, as somebody does who restores an old backup.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from headrace import app, doctor, settings, verify
from headrace.access import keys
from headrace.store.sqlite import directory
from tests.upgrade import client, saying
from tests.wire import making, receivers, waiting

DIRECTORIES = Path(__file__).parent / "directories"
#: As they were when their version was released. A line is added here and never changed.
RECORDED = {
    "0.1.0.tar.xz": "83038f17406693d6d1e05c3509921d7d3c4d0ff8dd589efde7b4817915bb76a9",
    "0.1.0.json": "4178e6e840928f6a488e5f26d1a503b9b6d2919945b7ca40601104d833ee662f",
}
VERSIONS = sorted(name.removesuffix(".json") for name in RECORDED if name.endswith(".json"))
HOUR_MS = 3_600_000


class Left:
    """A directory of an old version, unpacked, and what is recorded of it."""

    def __init__(self, version: str, home: Path) -> None:
        self.home = home
        self.data = home / "data"
        self.recorded: dict[str, Any] = json.loads((DIRECTORIES / f"{version}.json").read_text())
        self.said: dict[str, Any] = self.recorded["said"]
        self.left_ms: int = self.recorded["left_ms"]
        self.data.mkdir(mode=0o700)
        packed = lzma.decompress((DIRECTORIES / f"{version}.tar.xz").read_bytes())
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            tar.extractall(self.data, filter="data")

    def format(self) -> int:
        return json.loads((self.data / "VERSION").read_text())["format"]


@pytest.fixture(params=VERSIONS)
def left(request: pytest.FixtureRequest, tmp_path: Path) -> Left:
    return Left(request.param, tmp_path)


@pytest.fixture
def receiver() -> Iterator[receivers.Receiver]:
    running = receivers.Receiver()
    yield running
    running.close()


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_a_recorded_directory_is_never_made_anew(name: str) -> None:
    """What this version would write today proves nothing about what an older one wrote."""
    assert hashlib.sha256((DIRECTORIES / name).read_bytes()).hexdigest() == RECORDED[name]


def test_every_recorded_file_is_checked_and_small() -> None:
    """A directory that nobody listed would never be opened."""
    found = [path for path in DIRECTORIES.iterdir() if path.name != "README.md"]
    assert {path.name for path in found} == RECORDED.keys()
    assert max(path.stat().st_size for path in found) < 300_000


def test_an_old_directory_is_whole(left: Left) -> None:
    """Every file, and both conservation laws recounted from the rows."""
    report = verify.verify_directory(left.data)
    assert report.whole, report
    assert report.skipped == ""
    assert report.events > 0
    assert report.open > 0
    assert sum(file.kind == "segment" for file in report.files) >= 4


def test_an_old_directory_says_through_every_door_what_it_said(left: Left) -> None:
    """Resources, events, traces, queues, dead letters, logs, switches and books."""
    server = client.Client(left.home, left.left_ms)
    server.server.start()
    try:
        assert list(saying.differences(left.said, saying.everything(server))) == []
        server.server.stop()
    finally:
        server.server.close()
    assert left.format() == left.recorded["format"] <= directory.FORMAT
    assert doctor.check(left.data).problems == []


def test_what_waited_in_an_old_directory_goes_on(left: Left, receiver: receivers.Receiver) -> None:
    """A retry at its time, the rest when the switches are off; a letter when it is sent again."""
    hook = receiver.hook("hook")
    server = client.Client(left.home, left.left_ms)
    server.server.start()
    try:
        for rule in ("later", "paused", "refused"):
            redirect(server, rule, hook.url)
        for waits_for in ("orders/paused/hook", "async/price"):
            server.own("DELETE", "switches/pause-target", of=waits_for)
        paused = left.recorded["waiting"]["paused"]
        assert ids(hook.wait(len(paused))) == sorted(paused)
        waiting.wait_for(lambda: calls(server) == 2, "the asynchronous invocations")
        letters = server.own("GET", "dead-letters", limit="100")["dead_letters"]
        (first, *_) = [one["id"] for one in letters if one["rule"] == "orders/refused"]
        server.own("POST", "dead-letters/resend", body={"ids": [first]})
        hook.wait(len(paused) + 1)
        server.server.stop()
    finally:
        server.server.close()
    hook.received.clear()
    later = client.Client(left.home, left.left_ms + 2 * HOUR_MS)
    later.server.start()
    try:
        retried = left.recorded["waiting"]["later"]
        assert ids(hook.wait(len(retried))) == sorted(retried)
        assert [one.headers["x-eventbridge-attempt"] for one in hook.received] == ["2", "2"]
        waiting.wait_for(lambda: open_of(later, "orders/later/hook") == 0, "the settlements")
        assert later.own("GET", "books")["balanced"]
        later.server.stop()
    finally:
        later.server.close()
    assert doctor.check(left.data).problems == []


def test_years_later_an_old_directory_has_lost_nothing_that_was_open(
    left: Left, receiver: receivers.Receiver
) -> None:
    """Retention takes settled events then, never a queue message, a dead letter or a delivery."""
    anyio.run(trimmed, left.data)
    hook = receiver.hook("hook")
    server = client.Client(left.home, None)
    server.server.start()
    try:
        found = saying.everything(server)
        kept = ("Get", "get", "List", "list", "Peek")
        passing = ("GetBooks", "GetStatus", "ReadLogs")
        wanted = {
            name: stable(answer)
            for name, answer in left.said.items()
            if name.startswith(kept) and not name.startswith((*passing, "GetDeadLetter "))
        }
        assert list(saying.differences(wanted, {k: stable(v) for k, v in found.items()})) == []
        for rule in ("later", "paused"):
            redirect(server, rule, hook.url)
        server.own("DELETE", "switches/pause-target", of="orders/paused/hook")
        hook.wait(len(left.recorded["waiting"]["paused"]))
        assert server.own("GET", "books")["balanced"]
        server.server.stop()
    finally:
        server.server.close()
    assert left.format() == left.recorded["format"] <= directory.FORMAT
    assert doctor.check(left.data).problems == []


async def trimmed(data: Path) -> None:
    """Open the directory at the true time and let retention do at once what it does by and by."""
    faults: list[BaseException] = []
    application = app.App(settings.Settings(data=data, sandbox="none"), broken=faults.append)
    application.hold()
    try:
        await application.open(keys.load(data / keys.FILE_NAME), first_start=False)
        journal, retention = application.stores.journal, application.engine.retention
        with anyio.fail_after(20):
            while any(segment.sealed for segment in await journal.segments()):
                await retention.sweep()
    finally:
        await application.close()
    assert faults == []


def redirect(server: client.Client, rule: str, url: str) -> None:
    """Give the targets of a rule an address that this test listens on."""
    named = {"EventBusName": "orders", "RuleName": rule}
    known = server.control("ListTargets", **named)["Data"]["Targets"]
    targets = [making.http_target(url, id=target["Id"]) for target in known]
    server.control("PutTargets", **named, Targets=targets)


def ids(received: list[receivers.Received]) -> list[str]:
    return sorted(json.loads(one.body)["id"] for one in received)


def calls(server: client.Client) -> int:
    """Return how many invocations of `price` ended that had waited."""
    return 2 - open_of(server, "function/price")


def open_of(server: client.Client, name: str) -> int:
    rows = server.own("GET", "books")["subscriptions"]
    (found,) = [row["open"] for row in rows if f"/{name}/" in row["name"]]
    return found


def stable(value: Any) -> Any:
    """Return an answer without what a copy of an event has anew: where it lies, and its letter."""
    moved = ("position", "origin", "id") if isinstance(value, dict) else ()
    if isinstance(value, dict):
        return {k: stable(v) for k, v in value.items() if k not in moved}
    return [stable(one) for one in value] if isinstance(value, list) else value


# -- the comparison itself -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ({"a": [1, 2]}, "/b is gone, it was True"),
        ({"a": [1], "b": True}, "/a has 1 rows, it had 2"),
        ({"a": [1, 3], "b": True}, "/a/1 is 3, it was 2"),
        ({"a": [1, 2], "b": 1}, "/b is 1, it was True"),
    ],
)
def test_a_difference_is_told(found: dict[str, Any], sentence: str) -> None:
    assert list(saying.differences({"a": [1, 2], "b": True}, found)) == [sentence]


def test_a_member_that_a_later_version_adds_is_no_difference() -> None:
    assert list(saying.differences({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}, "d": 3})) == []
