"""The README and the start page work when pasted: the snippet, the pictures, the commands."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import commandline
from tests.wire import processes

ROOT = Path(__file__).parents[2]
ADDRESS = "127.0.0.1:7280"


def blocks(name: str, language: str = "") -> list[str]:
    """Return the fenced blocks of a page."""
    text = (ROOT / name).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[processes.Server]:
    """A server that is started by the test."""
    made = processes.Server(tmp_path)
    yield made
    made.close()


@pytest.fixture
def shell(tmp_path: Path) -> commandline.Shell:
    """The other terminal."""
    return commandline.Shell(tmp_path, HEADRACE_DATA=str(tmp_path / "data"))


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_the_snippet_publishes_with_the_official_sdk(
    server: processes.Server, shell: commandline.Shell, sdk_data_python: Path, name: str
) -> None:
    """As it stands, but for the port."""
    server.start()
    (snippet,) = blocks(name, "python")
    assert ADDRESS in snippet
    done = subprocess.run(
        [sdk_data_python, "-c", snippet.replace(ADDRESS, server.place.endpoint)],
        env={**shell.environ, **shell.ok("env", "--shell", "json").json},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kept = shell.ok("event", "get", "order-1", "-o", "json").json
    assert (kept["source"], kept["type"], kept["event"]["data"]) == (
        "my.shop", "order.placed", {"amount": 80},
    )  # fmt: skip


def shape(picture: str) -> list[str]:
    """Return the lines of a picture without what differs from run to run.

    Numbers and widths; and the order of targets, which end when they end.
    """
    lines = [re.sub(r"[│├└─]+", "", line) for line in picture.splitlines()]
    return sorted(" ".join(re.sub(r"[\dA-F]*\d[\dA-F.]*", "N", line).split()) for line in lines)


def test_the_pictures_are_what_the_commands_show(
    server: processes.Server, shell: commandline.Shell, tmp_path: Path
) -> None:
    """On the data that the demo leaves behind."""
    shell.ok("up", "--demo", "--once", "--port", "0", "--data", str(tmp_path / "data"))
    server.start()
    pictures = [block for block in blocks("README.md") if block.startswith("$ ")]
    assert len(pictures) == 2
    for picture in pictures:
        command, _, shown = picture.partition("\n")
        words = shlex.split(command.removeprefix("$ "))
        assert words[0] == "headrace"
        assert shape(shell.run(*words[1:]).out) == shape(shown), command


def test_the_start_page_works_step_by_step(
    server: processes.Server, shell: commandline.Shell
) -> None:
    """Every command of it, in order; only the id of the event has to be filled in."""
    server.start()
    lines = [
        line.split("  #")[0]
        for block in blocks("docs/start.md")
        for line in block.splitlines()
        if re.match(r"headrace (?!up)", line)
    ]
    event_id = ""
    for line in lines:
        words = [event_id if word == "ID" else word for word in shlex.split(line)[1:]]
        done = shell.ok(*words)
        if words[:2] == ["event", "put"]:
            event_id = done.lines[1][0]
    assert event_id
    (target,) = [
        step
        for step in shell.ok("event", "trace", event_id, "-o", "json").json["steps"]
        if step["action"] == "PushEvent"
    ]
    assert target["rule"] == "to-hello"
