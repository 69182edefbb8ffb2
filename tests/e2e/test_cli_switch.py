"""`headrace switch` on a real server: stop one target, look at it, restart, let it go on."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.e2e import commandline

HANDLER = "def handler(event, context):\n    return b'ran'\n"


@pytest.fixture
def shell(tmp_path: Path) -> commandline.Shell:
    return commandline.Shell(tmp_path)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_paused_target_gets_nothing_until_it_goes_on_also_over_a_restart(
    shell: commandline.Shell, end: signal.Signals
) -> None:
    """Seen in status, why, trace and the metrics; each event arrives once in the end."""
    server = commandline.Server(shell, "--data", "d")
    shell.ok("queue", "create", "q")
    shell.ok("rule", "create", "r", "-p", '{"source":["s"]}', "--queue", "q")
    (target,) = shell.ok("rule", "get", "r", "-o", "json").json["Targets"]
    name = f"default/r/{target['Id']}"
    shell.ok("event", "put", "-s", "s", "-t", "t", "--id", "before")
    shell.until(lambda result: "delivered" in result.out, "event", "trace", "before")
    on = shell.ok("switch", "on", "pause-target", name, "--reason", "incident 7")
    assert "is on" in on.err
    shell.ok("event", "put", "-s", "s", "-t", "t", "--id", "held")
    for _ in range(2):
        why = shell.ok("why", "held", "r")
        assert f"paused by switch pause-target {name}" in why.out
        assert f"paused by switch pause-target {name}" in shell.ok("event", "trace", "held").out
        assert messages(shell) == 1
        (listed,) = shell.ok("switch", "list", "-o", "json").json
        assert (listed["name"], listed["reason"]) == (f"pause-target {name}", "incident 7")
        assert listed["by"] == server.ready["access_key_id"]
        status = shell.ok("status")
        assert f"pause-target {name} since" in status.out
        assert shell.ok("status", "-o", "json").json["switches"] == [listed]
        server.stop(end)
        server = commandline.Server(shell, "--data", "d")
    shell.ok("switch", "off", "pause-target", name, "--reason", "over")
    shell.until(lambda result: "delivered" in result.out, "event", "trace", "held")
    assert messages(shell) == 2
    assert shell.ok("switch", "list", "-o", "json").json == []
    (kept,) = shell.ok("switch", "list", "--all", "-o", "json").json
    assert [one["reason"] for one in kept["history"]] == ["incident 7", "over"]
    assert server.stop().code == 0


def messages(shell: commandline.Shell) -> int:
    return len(shell.ok("queue", "peek", "q", "-o", "json").json)


def test_read_only_and_drain_refuse_with_a_code_and_say_how_they_end(
    shell: commandline.Shell,
) -> None:
    server = commandline.Server(shell, "--data", "d")
    (shell.home / "fn").mkdir()
    (shell.home / "fn" / "index.py").write_text(HANDLER)
    shell.ok("fn", "deploy", "fn")
    shell.ok("switch", "on", "read-only")
    for command in (
        ("event", "put", "-s", "s", "-t", "t"),
        ("queue", "create", "q"),
        ("fn", "invoke", "fn", "--async"),
    ):
        refused = shell.run(*command)
        assert (refused.code, "ServerReadOnly" in refused.err) == (1, True), command
        assert "headrace switch off read-only" in refused.err
    assert "ran" in shell.ok("fn", "invoke", "fn").out
    shell.ok("switch", "off", "read-only")
    shell.ok("switch", "on", "drain")
    drained = shell.run("fn", "invoke", "fn")
    assert (drained.code, "ServerDraining" in drained.err) == (1, True)
    shell.ok("fn", "invoke", "fn", "--async")
    assert shell.ok("status", "-o", "json").json["under_way"] == {
        "deliveries": 0,
        "invocations": 0,
    }
    warned = shell.run("doctor")
    assert "drain" in warned.out
    shell.ok("switch", "off", "drain")
    assert "ran" in shell.ok("fn", "invoke", "fn").out
    wrong = shell.run("switch", "off", "drain")
    assert (wrong.code, "headrace switch list" in wrong.err) == (3, True)
    assert server.stop().code == 0
