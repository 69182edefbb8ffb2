"""`headrace up` as a process: directories, ports, keys, signals, and the doctor of what it left."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.e2e import commandline


@pytest.fixture
def shell(tmp_path: Path) -> commandline.Shell:
    return commandline.Shell(tmp_path)


def test_a_new_key_is_shown_once_and_kept_for_its_owner(shell: commandline.Shell) -> None:
    first = commandline.Server(shell, "--data", "d")
    path = Path(first.ready["keys_file"])
    secret = json.loads(path.read_text())["access_key_secret"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert secret not in json.dumps(first.ready)
    assert first.announced.count(secret) == 1
    ended = first.stop()
    assert secret not in ended.out + ended.err
    again = commandline.Server(shell, "--data", "d")
    assert again.ready["access_key_id"] == first.ready["access_key_id"]
    assert secret not in again.announced
    again.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_clean_and_takes_the_ready_files_along(
    shell: commandline.Shell, number: signal.Signals
) -> None:
    server = commandline.Server(shell, "--data", "d")
    ended = server.stop(number)
    assert (ended.code, ended.err) == (0, "")
    assert not server.ready_file.exists()
    assert not (shell.home / "d" / "ready.json").exists()
    assert shell.run("status").code == 5


def test_what_was_published_is_there_after_a_restart(shell: commandline.Shell) -> None:
    """`headrace event trace ID` in another terminal needs neither address nor key."""
    server = commandline.Server(shell, "--data", "d")
    shell.ok("queue", "create", "q")
    shell.ok("rule", "create", "r", "-p", '{"source":["s"]}', "--queue", "q")
    shell.ok("event", "put", "-s", "s", "-t", "t", "--id", "kept")
    shell.until(lambda result: "delivered" in result.out, "event", "trace", "kept")
    server.stop()
    server = commandline.Server(shell, "--data", "d")
    assert "target queue-q" in shell.ok("event", "trace", "kept").out
    assert shell.ok("status", "-o", "json").json["store"] == "sqlite"
    found = {check["name"]: check for check in shell.ok("doctor", "-o", "json").json}
    assert found["books"]["verdict"] == "ok"
    assert "disk" in found
    server.stop()


def test_doctor_examines_a_directory_that_no_server_holds(shell: commandline.Shell) -> None:
    server = commandline.Server(shell, "--data", "d")
    shell.ok("event", "put", "-s", "s", "-t", "t")
    held = shell.run("doctor", "--data", "d")
    assert held.code == 1
    assert "in use" in held.err
    server.stop()
    checks = shell.ok("doctor", "--data", "d", "-o", "json").json
    found = {check["name"]: check["verdict"] for check in checks}
    assert found["files"] == found["books"] == "ok"
    assert set(found.values()) == {"ok"}


def test_doctor_makes_no_directory_where_there_is_none(shell: commandline.Shell) -> None:
    assert shell.run("doctor", "--data", "typo").code == 3
    assert not (shell.home / "typo").exists()


def test_doctor_finds_a_broken_file(shell: commandline.Shell) -> None:
    server = commandline.Server(shell, "--data", "d")
    shell.ok("event", "put", "-s", "s", "-t", "t", "-d", json.dumps("x" * 20_000))
    server.stop()
    (segment,) = (shell.home / "d").glob("shard-*/*.seg")
    content = bytearray(segment.read_bytes())
    at = content.index(b"x" * 1000)
    content[at] = ord("y")
    segment.write_bytes(content)
    result = shell.run("doctor", "--data", "d")
    assert result.code == 1
    assert "fail" in result.out


def test_a_second_server_on_one_directory_is_refused(shell: commandline.Shell) -> None:
    server = commandline.Server(shell, "--data", "d")
    second = shell.run("up", "--data", "d", "--port", "0")
    assert second.code == 1
    assert "in use" in second.err
    shell.ok("status")
    server.stop()


def test_a_busy_port_is_named(shell: commandline.Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = shell.run("up", "--ephemeral", "--port", str(port))
    assert result.code == 1
    assert str(port) in result.err
    assert "--port 0" in result.err


def test_listening_for_others_needs_a_word(shell: commandline.Shell) -> None:
    result = shell.run("up", "--ephemeral", "--port", "0", "--host", "0.0.0.0")
    assert result.code == 2
    assert "--insecure" in result.err


def test_a_directory_of_something_else_is_left_alone(shell: commandline.Shell) -> None:
    (shell.home / "photos").mkdir()
    (shell.home / "photos" / "1.jpg").write_text("x")
    result = shell.run("up", "--data", "photos", "--port", "0")
    assert result.code == 1
    assert os.listdir(shell.home / "photos") == ["1.jpg"]


def test_the_default_directory_is_that_of_the_user(shell: commandline.Shell) -> None:
    server = commandline.Server(shell)
    assert server.ready["data"] == str(shell.home / ".local" / "share" / "headrace")
    server.stop()


def test_a_key_of_the_environment_is_used_and_kept_nowhere(shell: commandline.Shell) -> None:
    shell.environ |= {"HEADRACE_ACCESS_KEY_ID": "AKmine", "HEADRACE_ACCESS_KEY_SECRET": "mysecret"}
    server = commandline.Server(shell, "--data", "d")
    assert (server.ready["access_key_id"], server.ready["keys_file"]) == ("AKmine", None)
    shell.ok("bus", "list")
    ended = server.stop()
    assert "mysecret" not in server.announced + ended.out + ended.err
    assert not (shell.home / "d" / "credentials.json").exists()


def test_strict_limits_account_and_region_are_played(shell: commandline.Shell) -> None:
    options = ("--strict-limits", "--account-id", "1234567890123456", "--region", "cn-x")
    server = commandline.Server(shell, "--ephemeral", *options)
    found = shell.ok("status", "-o", "json").json
    assert (found["account"], found["region"]) == ("1234567890123456", "cn-x")
    events = "\n".join(
        json.dumps({"specversion": "1.0", "id": str(n), "source": "s", "type": "t"})
        for n in range(20)
    )
    stored = shell.ok("event", "put", "-f", "-", "-o", "name", stdin=events).out.split()
    assert stored == [str(n) for n in range(20)]
    server.stop()


def test_two_servers_have_to_be_told_apart(shell: commandline.Shell) -> None:
    one, two = commandline.Server(shell, "--ephemeral"), commandline.Server(shell, "--ephemeral")
    result = shell.run("status")
    assert result.code == 2
    assert one.url in result.err
    assert two.url in result.err
    assert shell.ok("status", "--endpoint", two.url, "-o", "name").out == two.url + "\n"
    one.stop()
    assert shell.ok("status", "-o", "name").out == two.url + "\n"
    two.stop()


def test_a_home_that_cannot_be_written_stops_no_server(shell: commandline.Shell) -> None:
    (shell.home / "file").write_text("")
    shell.environ |= {"XDG_STATE_HOME": str(shell.home / "file")}
    server = commandline.Server(shell, "--ephemeral")
    keys_file = json.loads(Path(server.ready["keys_file"]).read_text())
    key = {
        "HEADRACE_ACCESS_KEY_ID": keys_file["access_key_id"],
        "HEADRACE_ACCESS_KEY_SECRET": keys_file["access_key_secret"],
    }
    assert shell.run("status", "--endpoint", server.url, **key).code == 0
    ended = server.stop()
    assert ended.code == 0
    assert "HEADRACE_ENDPOINT" in ended.err
