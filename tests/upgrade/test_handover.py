"""`headrace up` and `headrace upgrade` as an operator has them: what outlives a server process."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import headrace
from headrace.store.sqlite import directory
from tests import versions
from tests.e2e import commandline

#: Another format, with a step up to it.
NEXT_FORMAT = (
    versions.Change("store/sqlite/directory.py", "FORMAT = 1\n", "FORMAT = 2\n"),
    versions.Change(
        "store/sqlite/directory.py",
        "MIGRATIONS: Mapping[int, Migration] = {}",
        'MIGRATIONS: Mapping[int, Migration] = {1: lambda path: (path / "moved").touch()}',
    ),
)
#: It describes itself well and then does not start.
BROKEN = versions.Change(
    "app.py", "    def hold(self, *, lock: bool = True)", "    def held(self, *, lock: bool = True)"
)


@pytest.fixture
def shell(tmp_path: Path) -> commandline.Shell:
    return commandline.Shell(tmp_path)


@pytest.fixture
def data(shell: commandline.Shell) -> Path:
    return shell.home / "data"


@pytest.fixture
def server(shell: commandline.Shell, data: Path) -> Iterator[commandline.Server]:
    server = commandline.Server(shell, "--data", str(data))
    try:
        yield server
    finally:
        server.stop(signal.SIGKILL)


def ready(server: commandline.Server) -> Any:
    return json.loads(server.ready_file.read_text())


def version_of(connection: http.client.HTTPConnection) -> str:
    """Ask over a connection that is kept."""
    connection.auto_open = 0  # type: ignore[assignment]
    connection.request("GET", "/healthz")
    return json.loads(connection.getresponse().read())["version"]


def connected(server: commandline.Server) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(server.ready["host"], server.ready["port"], timeout=60)
    connection.connect()
    return connection


def upgrade(shell: commandline.Shell, data: Path, *arguments: str) -> commandline.Result:
    return shell.run("upgrade", "--data", str(data), "-o", "json", *arguments)


def upgraded(shell: commandline.Shell, data: Path, to: Path) -> Any:
    result = upgrade(shell, data, "--to", str(to))
    assert result.code == 0, result
    return result.json


def ended(pid: int) -> None:
    """Wait for the end of a process that is no child of ours."""
    try:
        life = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([life], [], [], commandline.SECONDS_MAX)[0], f"{pid} lives"
    finally:
        os.close(life)


def test_another_version_takes_over_process_port_and_connections(
    shell: commandline.Shell, server: commandline.Server, data: Path
) -> None:
    other = versions.make(shell.home, "0.1.0+other")
    kept, silent = connected(server), connected(server)
    assert version_of(kept) == headrace.__version__
    shell.ok("bus", "create", "orders")
    answer = upgraded(shell, data, other)
    assert answer["version"] == "0.1.0+other"
    assert 0 < answer["gap_s"] < commandline.SECONDS_MAX
    now = ready(server)
    assert (now["pid"], now["port"]) == (server.ready["pid"], server.ready["port"])
    assert now["worker_pid"] != server.ready["worker_pid"]
    assert version_of(kept) == version_of(silent) == version_of(connected(server)) == "0.1.0+other"
    assert "orders" in shell.ok("bus", "list").out
    ended(server.ready["worker_pid"])


def test_events_accepted_by_the_one_are_delivered_by_the_next(
    shell: commandline.Shell, server: commandline.Server, data: Path
) -> None:
    shell.ok("queue", "create", "inbox")
    shell.ok("rule", "create", "r", "-p", '{"source":["a"]}', "--queue", "inbox")
    shell.ok("switch", "on", "pause-all", "--reason", "test")
    shell.ok("event", "put", "--source", "a", "--type", "b", "--id", "before")
    upgraded(shell, data, versions.make(shell.home, "0.1.0+other"))
    shell.ok("switch", "off", "pause-all")
    shell.until(lambda result: "before" in result.out, "queue", "peek", "inbox", "-o", "json")


def test_the_same_command_goes_back(
    shell: commandline.Shell, server: commandline.Server, data: Path
) -> None:
    kept = connected(server)
    for version in ("0.1.0+blue", "0.1.0+green"):
        upgraded(shell, data, versions.make(shell.home, version))
        assert version_of(kept) == version
    result = upgrade(shell, data, "--to", str(shell.home / "0.1.0+blue"))
    assert result.code == 0, result
    assert version_of(kept) == "0.1.0+blue"
    # Without --to: what runs, as it is installed now.
    (shell.home / "0.1.0+blue/headrace/__init__.py").write_text('__version__ = "0.1.0+mended"\n')
    assert upgrade(shell, data).json["version"] == "0.1.0+mended"
    assert version_of(kept) == "0.1.0+mended"


def test_a_program_that_cannot_take_over_is_refused_and_nothing_changes(
    shell: commandline.Shell, server: commandline.Server, data: Path
) -> None:
    kept = connected(server)
    torn = versions.make(shell.home, "torn", versions.Change("app.py", "import asyncio", "impart"))
    far = versions.make(
        shell.home, "far", *NEXT_FORMAT,
        versions.Change("store/sqlite/directory.py", "OLDEST = 1", "OLDEST = 2"),
    )  # fmt: skip
    for program, why in ((torn, "does not start"), (far, "works with formats 2 to 2")):
        result = upgrade(shell, data, "--to", str(program))
        assert result.code == 1, result
        assert why in result.err
    assert upgrade(shell, data, "--to", str(shell.home / "nothing")).code == 2
    assert version_of(kept) == headrace.__version__
    assert ready(server) == server.ready


def test_a_version_that_fails_at_its_start_gives_back_what_it_got(
    shell: commandline.Shell, server: commandline.Server, data: Path
) -> None:
    kept = connected(server)
    result = upgrade(shell, data, "--to", str(versions.make(shell.home, "broken", BROKEN)))
    assert result.code == 1, result
    assert "version broken does not start" in result.err
    assert f"version {headrace.__version__} goes on" in result.err
    assert version_of(kept) == headrace.__version__
    assert ready(server)["pid"] == server.ready["pid"]


def test_the_old_version_comes_back_until_somebody_finalizes(
    shell: commandline.Shell, server: commandline.Server, data: Path
) -> None:
    old = versions.make(shell.home, "old")
    new = versions.make(shell.home, "new", *NEXT_FORMAT)
    kept = connected(server)
    for program in (old, new, old, new):
        upgraded(shell, data, program)
        assert directory.format_of(data) == 1
    assert shell.ok("status", "-o", "json").json["format"] == 1
    doctor = subprocess.run(
        [new, "doctor"], env=shell.environ, capture_output=True, text=True, check=False
    )
    assert "headrace upgrade --finalize" in doctor.stdout, doctor
    finalized = upgrade(shell, data, "--finalize")
    assert finalized.code == 0, finalized
    assert directory.format_of(data) == 2
    assert (data / "moved").exists()
    assert version_of(kept) == "new"
    refused = upgrade(shell, data, "--to", str(old))
    assert refused.code == 1
    assert "works with formats 1 to 1, the data directory has 2" in refused.err
    assert version_of(kept) == "new"
    again = upgrade(shell, data, "--finalize")
    assert again.code == 1
    assert "there is no newer one" in again.err
    server.stop()
    started = shell.run("up", "--port", "0", "--data", str(data))
    assert started.code == 1
    assert "knows up to 1" in started.err


def test_a_step_that_fails_leaves_the_server_running(
    shell: commandline.Shell, server: commandline.Server, data: Path
) -> None:
    step, change = NEXT_FORMAT
    failing = change._replace(new=change.new.replace('(path / "moved").touch()', "1 / 0"))
    upgraded(shell, data, versions.make(shell.home, "new", step, failing))
    kept = connected(server)
    result = upgrade(shell, data, "--finalize")
    assert result.code == 1
    assert "the format stays 1" in result.err
    assert version_of(kept) == "new"


def test_a_directory_at_rest_is_finalized_where_it_lies(
    shell: commandline.Shell, server: commandline.Server, data: Path
) -> None:
    server.stop()
    new = versions.make(shell.home, "new", *NEXT_FORMAT)
    done = subprocess.run(
        [new, "upgrade", "--finalize", "--data", str(data)],
        env=shell.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done
    assert directory.format_of(data) == 2


def test_without_a_server_there_is_nothing_to_upgrade(
    shell: commandline.Shell, tmp_path: Path
) -> None:
    result = upgrade(shell, tmp_path)
    assert result.code == 5
    assert "headrace up" in result.err
    assert upgrade(shell, tmp_path, "--finalize").code == 1
    assert not list(tmp_path.glob("lock"))


def test_a_worker_that_dies_is_started_again(
    shell: commandline.Shell, server: commandline.Server
) -> None:
    shell.ok("bus", "create", "orders")
    os.kill(server.ready["worker_pid"], signal.SIGKILL)
    ended(server.ready["worker_pid"])
    # Whoever comes now waits for the next worker.
    assert "orders" in shell.ok("bus", "list").out
    now = ready(server)
    assert now["pid"] == server.ready["pid"]
    assert now["worker_pid"] != server.ready["worker_pid"]
    result = server.stop()
    assert result.code == 0
    assert "killed by SIGKILL" in result.err


def test_a_worker_never_outlives_its_supervisor(
    shell: commandline.Shell, server: commandline.Server, data: Path
) -> None:
    server.stop(signal.SIGKILL)
    # At once, and on the same port: lock and port are free when the worker is gone.
    port = str(server.ready["port"])
    again = commandline.Server(shell, "--data", str(data), "--port", port)
    ended(server.ready["worker_pid"])
    assert again.ready["port"] == server.ready["port"]
    assert again.stop().code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_both(server: commandline.Server, number: signal.Signals) -> None:
    result = server.stop(number)
    assert result.code == 0, result
    ended(server.ready["worker_pid"])
    assert not server.ready_file.exists()


def test_a_signal_in_the_middle_of_a_hand_over_ends_the_server_after_it(
    shell: commandline.Shell, server: commandline.Server, data: Path
) -> None:
    other = versions.make(shell.home, "0.1.0+other")
    asking = shell.start("upgrade", "--data", str(data), "--to", str(other))
    assert asking.stderr is not None
    while b"comes to its end" not in (line := asking.stderr.readline()):
        assert line, asking.communicate()
    result = server.stop()
    assert result.code == 0, result
    asking.communicate(timeout=commandline.SECONDS_MAX)
    assert shell.run("status").code == 5


def test_a_signal_while_the_other_version_is_looked_at_is_not_lost(
    shell: commandline.Shell, server: commandline.Server, data: Path
) -> None:
    looked = shell.home / "looked"
    os.mkfifo(looked)
    other = versions.make(
        shell.home, "0.1.0+other",
        versions.Change(
            "cli/nouns/up.py", "    if describe:\n",
            f"    if describe:\n        open({str(looked)!r}).read()\n",
        ),
    )  # fmt: skip
    asking = shell.start("upgrade", "--data", str(data), "--to", str(other))
    with looked.open("w"):  # it is being looked at
        server.tell(signal.SIGTERM)
    asking.communicate(timeout=commandline.SECONDS_MAX)
    result = server.ended()
    assert result.code == 0, result
    ended(server.ready["worker_pid"])
    assert not server.ready_file.exists()


def test_a_worker_that_dies_while_the_other_version_is_looked_at_is_relieved(
    shell: commandline.Shell, server: commandline.Server, data: Path
) -> None:
    looked = shell.home / "looked"
    os.mkfifo(looked)
    other = versions.make(
        shell.home, "0.1.0+other",
        versions.Change(
            "cli/nouns/up.py", "    if describe:\n",
            f"    if describe:\n        open({str(looked)!r}).read()\n",
        ),
    )  # fmt: skip
    asking = shell.start("upgrade", "--data", str(data), "--to", str(other), "-o", "json")
    with looked.open("w"):
        os.kill(server.ready["worker_pid"], signal.SIGKILL)
        ended(server.ready["worker_pid"])
    out, err = asking.communicate(timeout=commandline.SECONDS_MAX)
    assert asking.returncode == 0, err
    assert json.loads(out)["gap_s"] < commandline.SECONDS_MAX
    assert version_of(connected(server)) == "0.1.0+other"


def test_a_store_that_failed_is_not_tried_again_by_the_next_version(
    shell: commandline.Shell, data: Path
) -> None:
    failing = versions.make(
        shell.home, "failing",
        versions.Change(
            "serve.py", "        server.config.timeout_graceful",
            "        self._broken(OSError(5, 'sync'))\n        server.config.timeout_graceful",
        ),
    )  # fmt: skip
    server = commandline.Server(shell, "--data", str(data))
    upgraded(shell, data, failing)
    result = upgrade(shell, data, "--to", str(versions.make(shell.home, "0.1.0+other")))
    assert result.code == 1, result
    assert "ended with code 70" in result.err
    assert server.ended().code == 70
    assert not server.ready_file.exists()


def test_whoever_asks_meanwhile_is_answered_after(
    shell: commandline.Shell, server: commandline.Server, data: Path
) -> None:
    asking = [shell.start("upgrade", "--data", str(data)) for _ in range(3)]
    for one in asking:
        _, err = one.communicate(timeout=commandline.SECONDS_MAX)
        assert one.returncode == 0, err
    assert version_of(connected(server)) == headrace.__version__


def test_nobody_who_reads_what_it_says_is_no_reason_to_end(
    shell: commandline.Shell, server: commandline.Server, data: Path
) -> None:
    server.hang_up()
    assert upgrade(shell, data).code == 0
    os.kill(ready(server)["worker_pid"], signal.SIGKILL)
    shell.ok("bus", "list")
    assert upgrade(shell, data).code == 0


def test_a_live_tail_does_not_hold_the_others_up(
    shell: commandline.Shell, server: commandline.Server, data: Path
) -> None:
    tail = shell.start("event", "tail")
    assert tail.stderr is not None
    assert b"watching" in tail.stderr.readline()
    answer = json.loads(upgrade(shell, data, "--drain", "30").out)
    assert answer["gap_s"] < 15
    assert tail.wait(commandline.SECONDS_MAX) == 5
    tail.communicate()


def test_a_start_that_was_cut_short_is_not_in_the_way(shell: commandline.Shell, data: Path) -> None:
    killed = versions.make(
        shell.home, "killed",
        versions.Change(
            "app.py", "        self.stores = _open_stores(",
            "        os.kill(os.getpid(), 9)\n        self.stores = _open_stores(",
        ),
        versions.Change("app.py", "import asyncio\n", "import asyncio\nimport os\n"),
    )  # fmt: skip
    done = subprocess.run(
        [killed, "up", "--port", "0", "--data", str(data)], env=shell.environ, check=False
    )
    assert done.returncode == 128 + signal.SIGKILL
    assert not (data / "VERSION").exists()
    assert commandline.Server(shell, "--data", str(data)).stop().code == 0


def test_an_invocation_under_way_is_answered_by_the_one_who_began_it(
    shell: commandline.Shell, server: commandline.Server, data: Path
) -> None:
    (shell.home / "slow").mkdir()
    (shell.home / "slow/index.py").write_text(
        "import time\ndef handler(event, context):\n    time.sleep(3)\n    return b'done'\n"
    )
    shell.ok("fn", "deploy", "slow", "--timeout", "60")
    results: list[commandline.Result] = []
    caller = threading.Thread(target=lambda: results.append(shell.run("fn", "invoke", "slow")))
    caller.start()
    shell.until(lambda result: _running(result), "status", "-o", "json")
    answer = upgraded(shell, data, versions.make(shell.home, "0.1.0+other"))
    assert answer["gap_s"] < 2, "others do not wait for it"
    caller.join()
    assert results[0].code == 0, results
    assert "done" in results[0].out


def _running(status: commandline.Result) -> bool:
    return bool(status.json["under_way"]["invocations"])


def test_the_answer_of_a_foreign_program_says_what_to_do(
    shell: commandline.Shell, server: commandline.Server, data: Path
) -> None:
    script = shell.home / "headrace"
    script.write_text(f"#!{sys.executable}\nprint('hello')\n")
    script.chmod(0o755)
    result = upgrade(shell, data, "--to", str(script))
    assert result.code == 1
    assert "is no Headrace" in result.err
