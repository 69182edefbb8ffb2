"""`headrace backup`, `restore` and `verify`, beside a server and without one."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.e2e import commandline

HANDLER = "def handler(event, context):\n    return b'made once'\n"


@pytest.fixture
def shell(tmp_path: Path) -> commandline.Shell:
    return commandline.Shell(tmp_path)


@pytest.fixture
def server(shell: commandline.Shell) -> commandline.Server:
    """A server with a function, a queue, a rule and an event."""
    running = commandline.Server(shell, "--data", "d", "--account-id", "1234567890123456")
    (shell.home / "fn").mkdir()
    (shell.home / "fn" / "index.py").write_text(HANDLER)
    shell.ok("fn", "deploy", "fn")
    shell.ok("queue", "create", "q")
    shell.ok("rule", "create", "r", "-p", '{"source":["s"]}', "--queue", "q")
    shell.ok("event", "put", "-s", "s", "-t", "t", "--id", "kept")
    shell.until(lambda result: "delivered" in result.out, "event", "trace", "kept")
    return running


def test_a_running_server_is_backed_up_and_restored_on_another_machine(
    shell: commandline.Shell, server: commandline.Server
) -> None:
    """The new server has another key, of the same account, and everything else."""
    made = shell.ok("backup", "b", "--data", "d")
    assert "credentials.json" in made.out
    assert "Keys are never in a backup" in made.err
    secret = json.loads((shell.home / "d" / "credentials.json").read_text())["access_key_secret"]
    assert not any(secret.encode() in file.read_bytes() for file in shell.home.glob("b/*/*"))
    wanted = [shell.ok(*command).json for command in READINGS]
    server.stop()
    checked = shell.ok("restore", "b", "--dry-run", "-o", "json").json
    assert (checked["whole"], checked["accounts"]) == (True, ["1234567890123456"])
    restored = shell.ok("restore", "b", "--data", "new")
    assert "headrace up --data new --account-id 1234567890123456" in restored.err
    again = commandline.Server(shell, "--data", "new", "--account-id", "1234567890123456")
    assert again.ready["access_key_id"] != server.ready["access_key_id"]
    assert [shell.ok(*command).json for command in READINGS] == wanted
    assert "made once" in shell.ok("fn", "invoke", "fn").out
    assert "delivered" in shell.ok("event", "trace", "kept").out
    again.stop()
    assert shell.ok("doctor", "--data", "new", "-o", "json")


READINGS = (
    ("rule", "get", "r", "-o", "json"),
    ("fn", "get", "fn", "-o", "json"),
    ("queue", "list", "-o", "json"),
    ("queue", "peek", "q", "-o", "json"),
)


def test_an_increment_says_how_little_it_copied(
    shell: commandline.Shell, server: commandline.Server
) -> None:
    first = shell.ok("backup", "b", "--data", "d", "-o", "json").json
    refused = shell.run("backup", "b", "--data", "d")
    assert (refused.code, "--incremental" in refused.err) == (1, True)
    shell.ok("event", "put", "-s", "s", "-t", "t", "--id", "later")
    second = shell.ok("backup", "b", "--data", "d", "--incremental", "-o", "json").json
    assert second["positions"]["0"] > first["positions"]["0"]
    assert second["files_kept"] >= 2  # the code, VERSION
    server.stop()
    shell.ok("backup", "b", "--data", "d", "--incremental")
    assert shell.run("restore", "b", "--data", "d").code == 1
    shell.ok("restore", "b", "--data", "new")
    (segment,) = (shell.home / "new").glob("shard-0000/*.seg")
    assert b'"id":"later"' in segment.read_bytes()


def test_what_a_killed_server_had_acknowledged_is_backed_up_without_starting_it(
    shell: commandline.Shell, server: commandline.Server
) -> None:
    """The head still has its write-ahead log, which nobody has taken up."""
    server.stop(signal.SIGKILL)
    shell.ok("backup", "b", "--data", "d")
    shell.ok("restore", "b", "--data", "new")
    assert shell.ok("verify", "--data", "new", "-o", "json").json["events"] == 1
    again = commandline.Server(shell, "--data", "d", "--account-id", "1234567890123456")
    assert "delivered" in shell.ok("event", "trace", "kept").out
    again.stop()


def test_a_damaged_backup_is_named_and_restores_nothing(
    shell: commandline.Shell, server: commandline.Server
) -> None:
    server.stop()
    shell.ok("backup", "b", "--data", "d")
    largest = max((shell.home / "b" / "files").iterdir(), key=lambda file: file.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1] + b"!")
    dry = shell.run("restore", "b", "--dry-run", "-o", "json")
    assert (dry.code, dry.json["whole"], len(dry.json["problems"])) == (1, False, 1)
    assert ".seg" in shell.run("restore", "b", "--dry-run").out
    refused = shell.run("restore", "b", "--data", "new")
    assert (refused.code, "nothing was restored" in refused.err) == (1, True)
    assert not (shell.home / "new").exists()
    nothing = shell.run("restore", "d", "--data", "new")
    assert (nothing.code, "no whole backup" in nothing.err) == (1, True)


def test_a_server_in_the_way_is_named(shell: commandline.Shell, server: commandline.Server) -> None:
    shell.ok("backup", "b", "--data", "d")
    refused = shell.run("restore", "b", "--data", "d")
    assert refused.code == 1
    assert f"process id {server.ready['pid']}" in refused.err
    server.stop()


def test_verify_beside_a_server_and_without_one(
    shell: commandline.Shell, server: commandline.Server
) -> None:
    beside = shell.ok("verify", "--data", "d", "-o", "json").json
    assert (beside["whole"], "in use" in beside["skipped"]) == (True, True)
    server.stop()
    alone = shell.ok("verify", "--data", "d", "-o", "json").json
    assert (alone["whole"], alone["skipped"], alone["events"]) == (True, "", 1)
    kinds = {file["kind"] for file in alone["files"]}
    assert kinds == {"version", "registry", "segment", "code"}
    assert shell.run("verify", "--data", "nowhere").code == 3


def test_verify_names_broken_code_and_who_runs_it(
    shell: commandline.Shell, server: commandline.Server
) -> None:
    server.stop()
    (blob,) = (shell.home / "d").glob("blobs/*/*")
    content = blob.read_bytes()
    blob.write_bytes(b"?" + content[1:])
    result = shell.run("verify", "--data", "d")
    assert result.code == 1
    assert blob.name in result.out
    assert "deploy the code of fn again" in result.out
    assert "recounted when every file is whole" in result.err
    blob.unlink()
    assert "the code is missing" in shell.run("verify", "--data", "d").out
    blob.write_bytes(content)
    shell.ok("verify", "--data", "d")


def test_verify_names_a_broken_registry(
    shell: commandline.Shell, server: commandline.Server
) -> None:
    server.stop()
    registry = shell.home / "d" / "registry.db"
    content = bytearray(registry.read_bytes())
    content[4096:4300] = b"\0" * 204
    registry.write_bytes(content)
    result = shell.run("verify", "--data", "d", "-o", "json")
    assert result.code == 1
    (file,) = [file for file in result.json["files"] if file["problems"]]
    assert file["name"] == "registry.db"
    assert "backup" in file["saved"]
