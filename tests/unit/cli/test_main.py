"""The top command: help, languages, lazy nouns, how an error looks."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import headrace as package
from headrace.cli import words
from tests.unit.cli.conftest import Canned, Run


def test_help_names_every_noun_and_the_exit_codes(headrace: Run) -> None:
    result = headrace("--help")
    assert result.code == 0
    assert all(f"  {noun} " in result.out for noun in words.NOUNS)
    assert "3 not found" in result.out


@pytest.mark.parametrize("noun", words.NOUNS)
def test_every_noun_has_help(headrace: Run, noun: str) -> None:
    result = headrace(noun, "--help")
    assert result.code == 0
    assert f"headrace {noun}" in result.out


def test_version(headrace: Run) -> None:
    assert headrace("--version").out == f"headrace {package.__version__}\n"


def test_help_loads_no_noun_and_nothing_slow() -> None:
    """What `headrace --help` imports is what each keystroke of a completion waits for."""
    script = (
        "import sys; sys.argv = ['headrace', '--help']\n"
        "from headrace.cli import main\n"
        "try: main.main()\n"
        "except SystemExit: pass\n"
        "slow = ('rich', 'pydantic', 'msgspec', 'http.client', 'headrace.cli.nouns', 'asyncio')\n"
        "print([name for name in slow if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr == "[]\n"


def test_an_unknown_command_is_a_usage_error_with_a_suggestion(headrace: Run) -> None:
    result = headrace("bsu")
    assert result.code == 2
    assert "bus" in result.err


def test_an_unknown_option_is_a_usage_error(headrace: Run) -> None:
    assert headrace("bus", "list", "--nope").code == 2


def test_an_error_says_cause_next_command_and_code(
    headrace: Run, keyed: object, server: Canned
) -> None:
    body = {"Code": "EventBusNotExist", "Message": "no bus b", "RequestId": "R1"}
    server.answers = {("POST", "/"): (409, body)}
    result = headrace("bus", "get", "b", "--endpoint", server.url)
    assert result.code == 3
    assert result.out == ""
    assert result.err == (
        "error: no bus b\ntry: headrace bus list\ncode: EventBusNotExist, request: R1\n"
    )


def test_the_lead_words_are_chinese_where_people_read_chinese(
    headrace: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert "事件总线" in headrace("--help").out
    assert headrace("rule", "test", "-p", "{", "-e", "{}").err.startswith("错误: ")


def test_lc_all_decides_before_lang() -> None:
    assert not words.is_chinese({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"})
    assert words.is_chinese({"LANG": "zh_TW.UTF-8"})


def test_without_a_server_the_exit_code_is_5(headrace: Run, keyed: object) -> None:
    result = headrace("status", "--endpoint", "http://127.0.0.1:9")
    assert result.code == 5
    assert "headrace up" in result.err


def test_without_credentials_the_exit_code_is_4(headrace: Run, server: Canned) -> None:
    result = headrace("status", "--endpoint", server.url)
    assert result.code == 4
    assert "HEADRACE_ACCESS_KEY_ID" in result.err
    assert server.seen == []


def test_without_server_and_credentials_the_server_is_the_news(headrace: Run) -> None:
    result = headrace("status", "--endpoint", "http://127.0.0.1:9")
    assert result.code == 5
    assert "headrace up" in result.err


def test_the_endpoint_can_come_from_the_environment(
    headrace: Run, keyed: object, server: Canned, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers = {("GET", "/headrace/v1/queues"): (200, {"queues": [], "next": None})}
    monkeypatch.setenv("HEADRACE_ENDPOINT", server.url)
    assert headrace("queue", "list", "-o", "json").json == []


def test_limits_need_no_server(headrace: Run) -> None:
    found = {row["name"]: row for row in headrace("limits", "-o", "json").json}
    assert found["event_bytes_max"] == {
        "name": "event_bytes_max", "value": 1024 * 1024, "strict": 256 * 1024,
    }  # fmt: skip
    assert "unlimited" in headrace("limits").out


def test_up_refuses_more_workers_with_the_reason(headrace: Run) -> None:
    result = headrace("up", "--workers", "2")
    assert result.code == 2
    assert "not built yet" in result.err


@pytest.mark.parametrize(
    "arguments", [("--data", "d", "--ephemeral"), ("--once",), ("--port", "70000")]
)
def test_up_refuses_options_that_contradict(headrace: Run, arguments: tuple[str, ...]) -> None:
    assert headrace("up", *arguments).code == 2


def test_env_prints_what_each_tool_reads(headrace: Run, keyed: object, server: Canned) -> None:
    status = {"account": "42", "region": "cn-x"}
    server.answers = {("GET", "/headrace/v1/status"): (200, status)}
    found = headrace("env", "--shell", "json", "--endpoint", server.url).json
    assert found["ALIBABA_CLOUD_ACCESS_KEY_ID"] == found["ALICLOUD_ACCESS_KEY"] == "AKunit"
    assert found["FC_CLIENT_CUSTOM_ENDPOINT"] == server.url
    assert found["EVENTBRIDGE_ENDPOINT"] == server.url.removeprefix("http://")
    assert json.loads(found["default_serverless_devs_key"])["AccountID"] == "42"


def test_env_can_be_evaluated_by_a_shell(headrace: Run, keyed: object, server: Canned) -> None:
    server.answers = {("GET", "/headrace/v1/status"): (200, {"account": "42", "region": "it's"})}
    told = headrace("env", "--endpoint", server.url).out
    done = subprocess.run(
        ["sh", "-c", f'{told}\nprintf "%s|%s" "$ALICLOUD_REGION" "$default_serverless_devs_key"'],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    region, serverless = done.stdout.split("|")
    assert region == "it's"
    assert json.loads(serverless)["AccessKeySecret"] == "secret-of-the-unit-tests"


def test_env_for_fish_quotes_its_way(headrace: Run, keyed: object, server: Canned) -> None:
    server.answers = {("GET", "/headrace/v1/status"): (200, {"account": "4", "region": "a'b\\c"})}
    told = headrace("env", "--shell", "fish", "--endpoint", server.url).out
    assert "set -gx ALICLOUD_REGION 'a\\'b\\\\c'" in told.splitlines()
