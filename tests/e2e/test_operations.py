"""Every command of the failure table is typed against a real server, with real names filled in."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.cli import failure
from tests.e2e import commandline
from tests.house import test_operations as page

#: Commands that go on until they are stopped; tests/e2e/test_cli_up.py starts them.
LASTING = ("headrace up",)
LINES = sorted(
    {
        line
        for line in page.commands()
        if line.startswith("headrace ") and not line.startswith(LASTING)
    }
)
#: Commands that end with 1 where they say that something is wrong or nothing matched.
MAY_SAY_NO = ("headrace doctor", "headrace why")


class Place(commandline.Shell):
    """A home with a server and, beside it, a stopped directory and a backup."""

    names: dict[str, str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    shell = Place(tmp_path_factory.mktemp("home"))
    server = commandline.Server(shell, "--data", "d")
    try:
        fill(shell, server.url)
        yield shell
    finally:
        server.stop()


def fill(shell: Place, url: str) -> None:
    """Make what the table names; a push to the server itself is denied, so it is a dead letter."""
    shell.ok("fn", "init", "f")
    shell.ok("fn", "deploy", "f", "--name", "f")
    shell.ok("queue", "create", "q")
    shell.ok("rule", "create", "r", "-p", '{"source":["s"]}', "--url", url)
    shell.ok("event", "put", "-s", "s", "-t", "t", "--id", "e1", "-d", "1")
    target = letter_of(shell)["target"]
    shell.ok("backup", "b", "--data", "d")
    shell.ok("restore", "b", "--data", "stopped")
    shell.names = {
        "EVENT": "e1", "RULE": "r", "BUS": "default", "FUNCTION": "f", "SOURCE": "s",
        "TYPE": "t", "SRC": "b", "OF": f"default/r/{target}",
    }  # fmt: skip


def letter_of(shell: commandline.Shell) -> dict[str, str]:
    """Return the dead letter; one that is sent again dies again, under another."""
    result = shell.until(lambda result: bool(result.json), "dlq", "list", "-o", "json")
    return result.json[0]


def words_of(line: str, names: dict[str, str]) -> list[str]:
    return [names.get(word, word) for word in shlex.split(line)[1:]]


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_failure_table_runs(place: Place, line: str, tmp_path: Path) -> None:
    """With what it names there, it does what it says; a switch that is off is turned on first."""
    stopped = tmp_path / "stopped"
    shutil.copytree(place.home / "stopped", stopped)
    folder = str(place.home / "f") if " deploy " in line else str(stopped)
    names = {
        **place.names,
        "DIR": folder,
        "NEW": str(tmp_path / "new"),
        "ID": letter_of(place)["id"],
    }
    words = words_of(line, names)
    if words[:2] == ["switch", "off"]:
        place.ok("switch", "on", *words[2:])
    result = place.run(*words)
    allowed = {failure.Exit.OK}
    if line.startswith(MAY_SAY_NO):
        allowed.add(failure.Exit.FAILED)
    assert result.code in allowed, result
    assert result.out or result.err
