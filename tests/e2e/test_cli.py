"""Every command of the command line, as a user would type it, against a server in memory."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import commandline

HANDLER = """\
import json
def handler(event, context):
    print("saw", event.decode())
    order = json.loads(event)
    if order.get("fail"):
        raise ValueError("told to fail")
    return json.dumps({"got": order})
"""


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> commandline.Shell:
    return commandline.Shell(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module", autouse=True)
def server(shell: commandline.Shell) -> Iterator[commandline.Server]:
    running = commandline.Server(shell, "--ephemeral")
    yield running
    ended = running.stop()
    assert (ended.code, ended.err) == (0, "")


@pytest.fixture(scope="module")
def function(shell: commandline.Shell) -> str:
    """A deployed function, made as `fn deploy` is meant to be used."""
    folder = shell.home / "echo"
    folder.mkdir()
    (folder / "index.py").write_text(HANDLER)
    shell.ok("fn", "deploy", str(folder))
    return "echo"


class Receiver(ThreadingHTTPServer):
    """An HTTP target that answers with the status it is told."""

    status = 200

    def __init__(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                self.send_response(receiver.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.05,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def verdicts(trace: commandline.Result) -> list[str]:
    return [step["verdict"] for step in trace.json["steps"] if step["action"] == "PushEvent"]


# -- the server --------------------------------------------------------------


def test_status_says_what_runs(shell: commandline.Shell, server: commandline.Server) -> None:
    found = shell.ok("status", "-o", "json").json
    assert (found["url"], found["store"], found["balanced"]) == (server.url, "memory", True)
    assert "books balance:" in shell.ok("status").out
    assert shell.ok("status", "-o", "name").out == server.url + "\n"


def test_doctor_finds_a_sound_server(shell: commandline.Shell) -> None:
    found = {check["name"]: check["verdict"] for check in shell.ok("doctor", "-o", "json").json}
    for name in ("reachable", "version", "clock", "credentials", "books"):
        assert found[name] == "ok"


def test_doctor_tells_an_absent_server(shell: commandline.Shell) -> None:
    result = shell.run("doctor", "--endpoint", "http://127.0.0.1:9")
    assert result.code == 5
    assert "headrace up" in result.out


def test_doctor_tells_wrong_credentials(shell: commandline.Shell) -> None:
    wrong = {"HEADRACE_ACCESS_KEY_ID": "AKnobody", "HEADRACE_ACCESS_KEY_SECRET": "x"}
    result = shell.run("doctor", "-o", "json", **wrong)
    assert result.code == 1
    assert result.json[-1]["name"] == "credentials"
    assert result.json[-1]["verdict"] == "fail"


def test_the_exports_of_env_are_enough_to_reach_the_server(
    shell: commandline.Shell, server: commandline.Server, tmp_path: Path
) -> None:
    exports = shell.ok("env", "--shell", "json").json
    stranger = commandline.Shell(tmp_path, **exports)
    assert stranger.ok("status", "-o", "name").out == server.url + "\n"


@pytest.mark.parametrize(
    ("environ", "code"),
    [
        ({"HEADRACE_ACCESS_KEY_ID": "AKnobody", "HEADRACE_ACCESS_KEY_SECRET": "x"}, 4),
        ({"HEADRACE_ENDPOINT": "http://127.0.0.1:9"}, 5),
        ({"HEADRACE_ENDPOINT": "ftp://x"}, 2),
    ],
)
def test_exit_codes_of_a_way_that_is_barred(
    shell: commandline.Shell, environ: dict[str, str], code: int
) -> None:
    key = {"HEADRACE_ACCESS_KEY_ID": "AK", "HEADRACE_ACCESS_KEY_SECRET": "x"}
    result = shell.run("bus", "list", **{**key, **environ})
    assert result.code == code
    assert result.err.startswith("error: ")
    assert "\ntry: " in result.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("bus", "get", "nope"),
        ("bus", "delete", "nope"),
        ("rule", "get", "nope"),
        ("rule", "delete", "nope"),
        ("rule", "enable", "nope"),
        ("rule", "list", "--bus", "nope"),
        ("event", "get", "nope"),
        ("event", "trace", "nope"),
        ("event", "replay", "nope"),
        ("event", "put", "-s", "a", "-t", "b", "--bus", "nope"),
        ("event", "tail", "--bus", "nope"),
        ("why", "nope"),
        ("fn", "get", "nope"),
        ("fn", "invoke", "nope"),
        ("fn", "logs", "nope"),
        ("fn", "delete", "nope"),
        ("fn", "trigger", "list", "nope"),
        ("queue", "peek", "nope"),
        ("queue", "send", "nope", "x"),
        ("queue", "delete", "nope"),
        ("dlq", "show", "999999"),
        ("dlq", "replay", "999999"),
    ],
    ids=" ".join,
)
def test_what_is_not_there_is_exit_code_3_with_the_next_command(
    shell: commandline.Shell, arguments: tuple[str, ...]
) -> None:
    result = shell.run(*arguments)
    assert result.code == 3, result
    assert result.out == ""
    assert "\ntry: " in result.err


# -- buses and rules --------------------------------------------------------------


def test_a_bus_from_making_to_deleting(shell: commandline.Shell) -> None:
    shell.ok("bus", "create", "orders", "-d", "all orders")
    assert shell.ok("bus", "list", "-o", "name").out.split() == ["default", "orders"]
    assert shell.ok("bus", "list", "--prefix", "ord", "-o", "name").out == "orders\n"
    assert shell.ok("bus", "get", "orders", "-o", "json").json["Description"] == "all orders"
    assert shell.run("bus", "create", "orders").code == 1
    shell.ok("rule", "create", "r", "--bus", "orders")
    held = shell.run("bus", "delete", "orders")
    assert (held.code, "code: EventBusRuleNotEmptyForDelete" in held.err) == (1, True)
    shell.ok("rule", "delete", "r", "--bus", "orders")
    shell.ok("bus", "delete", "orders")
    assert shell.run("bus", "get", "orders").code == 3


def test_a_rule_in_every_format(shell: commandline.Shell) -> None:
    pattern = '{"source":["formats"]}'
    shell.ok("rule", "create", "formats", "-p", pattern, "-d", "for people", "--disabled")
    shell.ok("rule", "enable", "formats")
    found = shell.ok("rule", "get", "formats", "-o", "json").json
    assert (found["FilterPattern"], found["Status"]) == (pattern, "ENABLE")
    shell.ok("rule", "disable", "formats")
    assert "Status: DISABLE\n" in shell.ok("rule", "get", "formats", "-o", "yaml").out
    heads, *rows = shell.ok("rule", "list", "--prefix", "formats").lines
    assert heads == ["BUS", "NAME", "STATUS", "TARGETS", "PATTERN"]
    assert rows == [["default", "formats", "DISABLE", pattern]]
    assert shell.ok("rule", "list", "--prefix", "formats", "-o", "name").out == "formats\n"
    shell.ok("rule", "delete", "formats")


def test_rule_test_needs_no_server(tmp_path: Path) -> None:
    alone = commandline.Shell(tmp_path)
    (tmp_path / "event.json").write_text('{"source":"a","data":{"n":1}}')
    assert alone.ok("rule", "test", "-p", '{"source":["a"]}', "-e", "@event.json").out == "match\n"
    missed = alone.run("rule", "test", "-p", '{"data":{"n":[2]}}', "-e", "@event.json")
    assert missed.code == 1
    assert ["field:", "data.n"] in missed.lines


# -- events --------------------------------------------------------------


def test_an_event_from_publishing_to_its_trace(shell: commandline.Shell, function: str) -> None:
    """The main job: publish, a rule takes it, function and queue get it, and one can see why."""
    shell.ok("queue", "create", "big-orders")
    pattern = '{"source":["shop"],"data":{"amount":[{"numeric":[">",100]}]}}'
    shell.ok("rule", "create", "big", "-p", pattern, "--function", function, "--sync",
             "--queue", "big-orders")  # fmt: skip
    put = ("event", "put", "-s", "shop", "-t", "order")
    assert shell.ok(*put, "--id", "o-1", "-d", '{"amount": 250.00}', "-o", "name").out == "o-1\n"
    shell.ok(*put, "--id", "o-2", "-d", '{"amount": 5}')

    trace = shell.until(
        lambda result: verdicts(result) == ["delivered"] * 2, "event", "trace", "o-1", "-o", "json"
    )
    assert {step["target"] for step in trace.json["steps"]} >= {"fn-echo", "queue-big-orders"}
    tree = shell.ok("event", "trace", "o-1").out
    for part in ("rule big matched", "target fn-echo", "attempt 1  delivered  [200]"):
        assert part in tree
    assert '"amount": 250.00' in shell.ok("event", "get", "o-1", "-o", "json").out
    (message,) = shell.ok("queue", "peek", "big-orders", "-o", "json").json
    assert json.loads(message["body"])["id"] == "o-1"

    assert "no rule took it" in shell.ok("event", "trace", "o-2").out
    shell.ok("why", "o-1", "big")
    missed = shell.run("why", "o-2", "big", "-o", "json")
    assert missed.code == 1
    failure = missed.json["rules"][0]["failure"]
    assert (failure["path"], failure["got"]) == ("data.amount", "5")
    assert "data.amount: expected" in shell.ok("why", "o-2").out

    assert shell.ok("event", "list", "--source", "shop", "-o", "name").out.split() == ["o-2", "o-1"]
    assert shell.ok("event", "list", "--rule", "big", "-o", "name").out == "o-1\n"
    assert shell.ok("event", "list", "--since", "1h", "--limit", "1", "-o", "name").out == "o-2\n"

    assert shell.ok("event", "replay", "o-1", "-o", "json").json["deliveries"] == 2
    shell.until(lambda result: len(result.json) == 2, "queue", "peek", "big-orders", "-o", "json")
    assert shell.run("event", "replay", "o-2").code == 1
    shell.ok("rule", "delete", "big")


def test_events_of_a_file_are_judged_one_by_one(shell: commandline.Shell) -> None:
    good = '{"specversion":"1.0","id":"f-1","source":"file","type":"t"}'
    bad = '{"specversion":"1.0","id":"","source":"file","type":"t"}'
    assert shell.ok("event", "put", "-f", "-", "-o", "name", stdin=good).out == "f-1\n"
    mixed = shell.run("event", "put", "-f", "-", "-o", "json", stdin=f"{good}\n{bad}\n")
    assert mixed.code == 1
    assert mixed.json[0]["id"] == "f-1"
    assert mixed.json[1]["code"] == "EventIdEmpty"


def test_tail_shows_events_that_match_as_they_come(shell: commandline.Shell) -> None:
    tail = shell.start("event", "tail", "-p", '{"source":["tailed"]}', "-n", "1", "-o", "json")
    assert tail.stderr is not None
    assert b"watching bus default" in tail.stderr.readline()
    shell.ok("event", "put", "-s", "other", "-t", "t")
    shell.ok("event", "put", "-s", "tailed", "-t", "t", "--id", "seen", "-d", "1.50")
    out, _ = tail.communicate(timeout=commandline.SECONDS_MAX)
    assert tail.returncode == 0
    (line,) = out.decode().splitlines()
    assert json.loads(line)["id"] == "seen"
    assert '"data":1.50' in line


def test_tail_ends_well_on_control_c(shell: commandline.Shell) -> None:
    tail = shell.start("event", "tail")
    assert tail.stderr is not None
    assert b"watching" in tail.stderr.readline()
    tail.send_signal(2)
    assert (*tail.communicate(timeout=commandline.SECONDS_MAX), tail.returncode) == (b"", b"", 0)


# -- functions --------------------------------------------------------------


def test_a_function_from_init_to_delete(shell: commandline.Shell) -> None:
    hints = shell.ok("fn", "init", "hello").out
    assert "headrace fn deploy hello" in hints
    assert shell.run("fn", "init", "hello").code == 2
    made = shell.ok("fn", "deploy", "hello", "--memory", "256", "-e", "MODE=test", "-o", "json")
    assert made.json["memorySize"] == 256
    called = shell.ok("fn", "invoke", "hello", "-d", '{"n": 1}', "--tail")
    assert json.loads(called.out) == {"ok": True, "got": {"n": 1}}
    assert "FC Invoke Start RequestId" in called.err

    (shell.home / "hello" / "index.py").write_text(
        "def handler(event, context):\n    return 'two'\n"
    )
    again = shell.ok("fn", "deploy", "hello", "-o", "json").json
    assert (again["memorySize"], again["environmentVariables"]) == (256, {"MODE": "test"})
    assert again["codeChecksum"] != made.json["codeChecksum"]
    assert shell.ok("fn", "invoke", "hello").out == "two"
    assert "hello" in shell.ok("fn", "list", "-o", "name").out.split()
    assert shell.ok("fn", "get", "hello", "-o", "json").json["runtime"] == "python3.12"
    shell.ok("fn", "delete", "hello")
    assert shell.run("fn", "get", "hello").code == 3


def test_a_function_that_fails_is_exit_code_1_with_its_own_error(
    shell: commandline.Shell, function: str
) -> None:
    failed = shell.run("fn", "invoke", function, "-d", '{"fail": true}')
    assert failed.code == 1
    assert json.loads(failed.out)["errorMessage"] == "told to fail"
    assert "try: headrace fn logs echo" in failed.err
    told = shell.run("fn", "invoke", function, "-d", '{"fail": true}', "-o", "json")
    assert told.code == 1
    assert told.json["error_type"] == "UnhandledInvocationError"


def test_logs_show_what_one_call_wrote(shell: commandline.Shell, function: str) -> None:
    request = shell.ok("fn", "invoke", function, "-d", '{"mark": 41}', "-o", "json").json
    shell.ok("fn", "invoke", function, "-d", '{"mark": 42}')
    logs = shell.ok("fn", "logs", function, "--request-id", request["request_id"]).out
    assert 'saw {"mark": 41}' in logs
    assert 'saw {"mark": 42}' not in logs
    everything = shell.ok("fn", "logs", function, "-o", "json").out.splitlines()
    assert 'saw {"mark": 42}' in json.loads(everything[-1])["text"]


def test_following_logs_shows_what_comes_later_once(
    shell: commandline.Shell, function: str
) -> None:
    follow = shell.start("fn", "logs", function, "-f", "-o", "name", "--since", "1s")
    assert follow.stdout is not None
    asked = shell.ok("fn", "invoke", function, "-d", "{}", "-o", "name").out.strip()
    seen = [follow.stdout.readline().decode().strip()]
    while seen[-1] != asked:
        seen.append(follow.stdout.readline().decode().strip())
    follow.send_signal(2)
    assert follow.wait(commandline.SECONDS_MAX) == 0
    assert seen.count(asked) == 1
    follow.communicate()


def test_an_asynchronous_call_runs_later(shell: commandline.Shell, function: str) -> None:
    asked = shell.ok("fn", "invoke", function, "-d", '{"late": 1}', "--async", "-o", "name")
    request_id = asked.out.strip()
    shell.until(
        lambda result: 'saw {"late": 1}' in result.out,
        "fn", "logs", function, "--request-id", request_id,
    )  # fmt: skip
    assert shell.run("fn", "invoke", function, "--async", "--tail").code == 2


def test_a_trigger_is_a_rule_seen_from_the_function(
    shell: commandline.Shell, function: str
) -> None:
    pattern = '{"source":["triggered"]}'
    shell.ok("fn", "trigger", "add", function, "t1", "-p", pattern)
    (listed,) = shell.ok("fn", "trigger", "list", function, "-o", "json").json
    assert (listed["triggerName"], listed["triggerType"]) == ("t1", "eventbridge")
    assert shell.ok("rule", "get", "echo-t1", "-o", "json").json["FilterPattern"] == pattern
    shell.ok("event", "put", "-s", "triggered", "-t", "t", "--id", "tr-1")
    shell.until(
        lambda result: verdicts(result) == ["delivered"], "event", "trace", "tr-1", "-o", "json"
    )
    shell.ok("fn", "trigger", "remove", function, "t1")
    assert shell.run("rule", "get", "echo-t1").code == 3


def test_a_wrong_zip_leaves_no_function_behind(shell: commandline.Shell, tmp_path: Path) -> None:
    (tmp_path / "index.py").write_text("x = 1\n")
    refused = shell.run("fn", "deploy", str(tmp_path), "--name", "wrong", "--runtime", "cobol")
    assert refused.code == 1
    assert "runtime" in refused.err
    assert shell.run("fn", "get", "wrong").code == 3


# -- queues and dead letters --------------------------------------------------------------


def test_a_queue_from_making_to_deleting(shell: commandline.Shell) -> None:
    shell.ok("queue", "create", "q1")
    sent = shell.ok("queue", "send", "q1", "hello\x1b[2J", "-o", "name").out.strip()
    shell.ok("queue", "send", "q1", "-", stdin="from input")
    peeked = shell.ok("queue", "peek", "q1", "-o", "json").json
    assert [message["body"] for message in peeked] == ["hello\x1b[2J", "from input"]
    assert peeked[0]["message_id"] == sent
    table = shell.ok("queue", "peek", "q1", "--limit", "1")
    assert "\x1b" not in table.out
    assert "1 of 2 messages" in table.err
    assert ["q1", "2"] in [line[:2] for line in shell.ok("queue", "list").lines]
    assert "2 messages purged" in shell.ok("queue", "purge", "q1").err
    assert shell.ok("queue", "peek", "q1").out == ""
    shell.ok("queue", "delete", "q1")
    assert "q1" not in shell.ok("queue", "list", "-o", "name").out.split()


def test_a_dead_letter_is_kept_shown_and_sent_again(
    shell: commandline.Shell, receiver: Receiver
) -> None:
    receiver.status = 400
    shell.ok("rule", "create", "to-http", "-p", '{"source":["dying"]}', "--url", receiver.url)
    shell.ok("event", "put", "-s", "dying", "-t", "t", "--id", "d-1", "-d", '{"n": 1}')
    found = shell.until(
        lambda result: len(result.json) == 1, "dlq", "list", "--rule", "to-http", "-o", "json"
    )
    (letter,) = found.json
    assert (letter["event_id"], letter["target"]) == ("d-1", "url-1")
    assert '"n": 1' in shell.ok("dlq", "show", letter["id"]).out
    assert "dead" in shell.ok("event", "trace", "d-1").out

    receiver.status = 200
    assert shell.run("dlq", "replay").code == 2
    again = shell.ok("dlq", "replay", "--rule", "to-http", "-o", "json").json
    assert [one["id"] for one in again] == [letter["id"]]
    shell.until(
        lambda result: verdicts(result)[-1:] == ["delivered"],
        "event", "trace", "d-1", "-o", "json",
    )  # fmt: skip
    assert shell.ok("dlq", "list", "--rule", "to-http", "-o", "json").json == []
    shell.ok("rule", "delete", "to-http")


def test_output_can_be_cut_off_by_the_reader(shell: commandline.Shell) -> None:
    """`headrace limits | head -1` ends quietly."""
    writer = shell.start("limits")
    assert writer.stdout is not None
    assert writer.stderr is not None
    writer.stdout.close()
    assert b"Traceback" not in writer.stderr.read()
    writer.stderr.close()
    writer.wait(commandline.SECONDS_MAX)
