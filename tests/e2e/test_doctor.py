"""`headrace doctor` against planted faults: each is named with a remedy; a healthy system has none.

The twelfth, a disk that is nearly full, is in tests/unit/cli/test_doctor.py.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import apsw
import pytest

from headrace import outside, plugins
from headrace.bus import ledger as ledgers
from headrace.store import ports, sqlite
from tests.e2e import commandline


@pytest.fixture
def shell(tmp_path: Path) -> commandline.Shell:
    return commandline.Shell(tmp_path)


def findings(result: commandline.Result) -> list[dict[str, Any]]:
    return [check for check in result.json if check["verdict"] != "ok"]


def only(result: commandline.Result, name: str) -> dict[str, Any]:
    """Return the one finding; nothing else may be wrong, and it says what to do."""
    found = findings(result)
    assert [one["name"] for one in found] == [name], found
    assert found[0]["remedy"], found
    return found[0]


@pytest.fixture
def directory(shell: commandline.Shell) -> Path:
    """A directory that a server was stopped on, with events and deliveries in it."""
    server = commandline.Server(shell, "--data", "d")
    shell.ok("queue", "create", "q")
    shell.ok("rule", "create", "r", "-p", '{"source":["s"]}', "--queue", "q")
    for number in range(3):
        shell.ok(
            "event", "put", "-s", "s", "-t", "t", "--id", f"e{number}", "-d", '"' + "x" * 9000 + '"'
        )
    shell.until(lambda result: "delivered" in result.out, "event", "trace", "e2")
    server.stop()
    return shell.home / "d"


def examine(shell: commandline.Shell) -> commandline.Result:
    return shell.run("doctor", "--data", "d", "-o", "json")


def segment(directory: Path) -> Path:
    return max(directory.glob("shard-0000/*.seg"))


async def append(path: Path, shard: int, frame: ports.Frame) -> None:
    """Write one frame as a server would."""
    held = sqlite.Directory.open(path)
    writer = outside.writer_executor("test")
    journal = sqlite.SqliteJournal(held, shard, writer=writer)
    await journal.open()
    await journal.append(frame)
    await journal.close()
    writer.shutdown()
    held.close()


# -- healthy


@pytest.mark.usefixtures("directory")
def test_a_healthy_directory_has_no_finding(shell: commandline.Shell) -> None:
    result = examine(shell)
    assert (result.code, findings(result)) == (0, [])
    looked_at = {check["name"] for check in result.json}
    assert looked_at == {
        "format", "key file", "shards", "records", "disk", "sandbox", "plug-ins", "files", "books",
    }  # fmt: skip


@pytest.mark.usefixtures("directory")
def test_a_healthy_server_has_no_finding(shell: commandline.Shell) -> None:
    server = commandline.Server(shell, "--data", "d")
    result = shell.run("doctor", "-o", "json")
    assert (result.code, findings(result)) == (0, [])
    looked_at = {check["name"] for check in result.json}
    assert {"reachable", "key file", "records", "shards", "targets", "books"} <= looked_at
    server.stop()


# -- planted in the directory


def test_a_clock_behind_the_newest_record(shell: commandline.Shell, directory: Path) -> None:
    ahead = ports.Frame(at_ms=time.time_ns() // 1_000_000 + 3_600_000, marks={"m": b"1"})
    asyncio.run(append(directory, 0, ahead))
    found = only(examine(shell), "records")
    assert "3600 s behind" in found["detail"] or "3599 s behind" in found["detail"]
    assert "timedatectl set-ntp true" in found["remedy"]


def test_a_key_file_that_others_can_read(shell: commandline.Shell, directory: Path) -> None:
    (directory / "credentials.json").chmod(0o644)
    found = only(examine(shell), "key file")
    assert "0644" in found["detail"]
    assert "chmod 600" in found["remedy"]


def test_a_corrupt_file(shell: commandline.Shell, directory: Path) -> None:
    content = segment(directory).read_bytes()
    segment(directory).write_bytes(content.replace(b"x" * 1000, b"y" + b"x" * 999, 1))
    result = examine(shell)
    assert result.code == 1
    found = [one for one in findings(result) if one["name"] == "file"]
    assert segment(directory).name in found[0]["detail"]
    assert "5 of 6 events are whole" in found[0]["remedy"]
    assert "restore" in found[0]["remedy"]


def test_unbalanced_books(shell: commandline.Shell, directory: Path) -> None:
    """The snapshot of the ledger has forgotten every delivery; the sums of all files are right."""
    connection = apsw.Connection(str(segment(directory)))
    ((at,),) = connection.execute("SELECT max(at) FROM state")
    forgetful = ledgers.Ledger()
    forgetful.last = ports.Position(at)
    connection.execute("UPDATE state SET ledger = ? WHERE at = ?", (forgetful.dump(), at))
    connection.close()
    result = examine(shell)
    assert result.code == 1
    assert {one["name"] for one in findings(result)} == {"books"}
    assert all(one["remedy"] for one in findings(result))
    told = json.dumps(findings(result))
    assert "enqueued 0 by the ledger, 3 by the rows" in told


def test_an_old_format(shell: commandline.Shell, directory: Path) -> None:
    (directory / "VERSION").write_text('{"format": 0}')
    result = examine(shell)
    assert result.code == 1
    assert "has format 0" in only(result, "format")["detail"]
    assert "finalize there" in only(result, "format")["remedy"]
    (directory / "VERSION").write_text('{"format": 99}')
    assert "later version" in only(examine(shell), "format")["remedy"]
    assert json.loads((directory / "VERSION").read_text()) == {"format": 99}


def test_an_orphan_shard(shell: commandline.Shell, directory: Path) -> None:
    record = ports.Record(1, 0, 0, 0, 0, (), b"{}")
    asyncio.run(append(directory, 3, ports.Frame(at_ms=1, events=(record,))))
    found = only(examine(shell), "shards")
    assert str(directory / "shard-0003") in found["detail"]
    assert "--workers 4" in found["remedy"]


# -- planted around a server


def test_a_port_that_another_program_has(shell: commandline.Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:

        def answer() -> None:
            caller, _ = taken.accept()
            with caller:
                caller.sendall(b"220 mail.example.com ESMTP\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        port = taken.getsockname()[1]
        result = shell.run("doctor", "--endpoint", f"http://127.0.0.1:{port}", "-o", "json")
        thread.join()
    assert result.code == 5
    found = only(result, "port")
    assert f":{port} is taken by another program" in found["detail"]
    assert "--port 0" in found["remedy"]


def test_no_sandbox(shell: commandline.Shell) -> None:
    server = commandline.Server(shell, "--ephemeral", "--sandbox", "none")
    found = only(shell.run("doctor", "-o", "json"), "sandbox")
    assert "bubblewrap" in found["remedy"]
    server.stop()


def test_a_target_that_is_dead(shell: commandline.Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    server = commandline.Server(shell, "--ephemeral")
    shell.ok("rule", "create", "r", "-p", '{"source":["s"]}', "--url", f"http://127.0.0.1:{port}/")
    shell.ok("event", "put", "-s", "s", "-t", "t")
    result = shell.until(lambda result: bool(findings(result)), "doctor", "-o", "json")
    found = only(result, "target")
    assert "target url-1 of rule r on bus default: 1 deliveries wait" in found["detail"]
    assert "headrace rule get r --bus default" in found["remedy"]
    server.stop()


def test_credentials_that_the_server_does_not_know(shell: commandline.Shell) -> None:
    server = commandline.Server(shell, "--ephemeral")
    other = {"HEADRACE_ACCESS_KEY_ID": "AKnobody", "HEADRACE_ACCESS_KEY_SECRET": "x"}
    result = shell.run("doctor", "-o", "json", **other)
    assert result.code == 1
    assert "AKnobody" in only(result, "credentials")["detail"]
    server.stop()


# -- plug-ins

PLUGIN = """
api_version = {version}
type = "acme.note"


class Sender:
    def __init__(self, endpoint):
        self.path = endpoint

    async def send(self, batch, deadline_us):
        from headrace.core import delivery

        with open(self.path, "ab") as file:
            for message in batch:
                file.write(message.payload() + b"\\n")
        return [delivery.delivered(200) for _ in batch]

    async def close(self):
        pass


open_file = open


def open_(endpoint):
    return Sender(endpoint)
"""


@pytest.fixture
def install(shell: commandline.Shell) -> Any:
    """Install a plug-in where this user's Python finds it."""

    def install(source: str, group: str = plugins.TARGETS) -> None:
        site = shell.home / "site"
        info = site / "acme_note-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-note\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[{group}]\nnote = acme_note:target\n")
        (site / "acme_note.py").write_text(source)
        paths = [str(site), shell.environ.get("PYTHONPATH", "")]
        shell.environ["PYTHONPATH"] = ":".join(filter(None, paths))

    return install


TARGET = (
    PLUGIN
    + """

class target:
    api_version = api_version
    type = type
    open = staticmethod(open_)
"""
)


def test_a_plugin_that_does_not_load(shell: commandline.Shell, install: Any) -> None:
    install("import no_such_module\n")
    server = commandline.Server(shell, "--ephemeral")
    assert "note is refused: it does not load: ModuleNotFoundError" in server.announced
    found = only(shell.run("doctor", "-o", "json"), "plug-in")
    assert "note of acme-note 1.2 is refused" in found["detail"]
    assert "no_such_module" in shell.ok("status").out
    server.stop()


def test_a_plugin_of_another_version_is_refused_by_name(
    shell: commandline.Shell, install: Any
) -> None:
    install(TARGET.format(version=2))
    server = commandline.Server(shell, "--ephemeral")
    found = only(shell.run("doctor", "-o", "json"), "plug-in")
    assert "it declares API version 2, this version of Headrace has 1" in found["detail"]
    ended = server.stop()
    assert "note of acme-note 1.2 is refused" in ended.err


def test_a_source_is_refused_as_long_as_none_are_run(
    shell: commandline.Shell, install: Any
) -> None:
    install(TARGET.format(version=1), plugins.SOURCES)
    server = commandline.Server(shell, "--ephemeral")
    found = only(shell.run("doctor", "-o", "json"), "plug-in")
    assert "sources are not run" in found["detail"]
    server.stop()


def test_a_plugin_of_our_version_delivers_and_what_is_gone_later_is_retried(
    shell: commandline.Shell, install: Any
) -> None:
    path = shell.environ.get("PYTHONPATH", "")
    install(TARGET.format(version=1))
    notes = shell.home / "notes"
    target = {"Id": "n", "Type": "acme.note", "Endpoint": str(notes)}
    server = commandline.Server(shell, "--data", "d")
    assert "note serves acme.note" in server.announced
    shell.ok("rule", "create", "r", "-p", '{"source":["s"]}', "--target", json.dumps(target))
    shell.ok("event", "put", "-s", "s", "-t", "t", "--id", "one")
    shell.until(lambda result: "delivered" in result.out, "event", "trace", "one")
    assert json.loads(notes.read_text())["id"] == "one"
    assert findings(shell.run("doctor", "-o", "json")) == []
    server.stop()
    shell.environ["PYTHONPATH"] = path
    server = commandline.Server(shell, "--data", "d")
    shell.ok("event", "put", "-s", "s", "-t", "t", "--id", "two")
    shell.until(lambda result: "PluginFailed" in result.out, "event", "trace", "two")
    assert server.stop().code == 0
