"""`rule test` without a server, and the targets that short options make."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from tests.unit.cli.conftest import Canned, Run

PATTERN = '{"source":["shop"],"data":{"n":[{"numeric":[">",5]}]}}'


def test_a_match_is_exit_code_0(headrace: Run) -> None:
    result = headrace("rule", "test", "-p", PATTERN, "-e", '{"source":"shop","data":{"n":6}}')
    assert (result.code, result.out) == (0, "match\n")


def test_no_match_is_exit_code_1_and_names_field_expected_and_got(headrace: Run) -> None:
    result = headrace("rule", "test", "-p", PATTERN, "-e", '{"source":"shop","data":{"n":3}}')
    assert result.code == 1
    assert [line.split() for line in result.out.splitlines()] == [
        ["no", "match"],
        ["field:", "data.n"],
        ["expected:", "numeric", '[{"numeric":[">",5]}]'],
        ["got:", "3"],
    ]


def test_no_match_for_programs(headrace: Run) -> None:
    event = '{"source":"Shop","data":{"n":1.0}}'
    result = headrace("rule", "test", "-p", PATTERN, "-e", event, "-o", "json")
    assert result.code == 1
    assert result.json["matched"] is False
    first, second = result.json["failures"]
    assert (first["path"], first["got"]) == ("source", '"Shop"')
    assert "case" in first["hint"]
    assert (second["path"], second["got"]) == ("data.n", "1.0")


def test_pattern_and_event_come_from_files_and_standard_input(
    headrace: Run, tmp_path: Path
) -> None:
    (tmp_path / "p.json").write_text('{"source":["a"]}')
    result = headrace(
        "rule", "test", "-p", f"@{tmp_path / 'p.json'}", "-e", "-", "-o", "name",
        stdin=b'{"source":"a"}',
    )  # fmt: skip
    assert (result.code, result.out) == (0, "match\n")


@pytest.mark.parametrize(
    ("pattern", "event", "said"),
    [
        ('{"source":"a"}', "{}", "source"),
        ("{", "{}", "error"),
        ("{}", "{", "--event"),
        ("{}", "[]", "--event"),
        ("@/no/such/file", "{}", "/no/such/file"),
        ("-", "-", "Standard input"),
    ],
)
def test_what_cannot_be_read_is_a_usage_error_not_a_mismatch(
    headrace: Run, pattern: str, event: str, said: str
) -> None:
    result = headrace("rule", "test", "-p", pattern, "-e", event)
    assert result.code == 2
    assert said in result.err


def created(server: Canned) -> dict[str, list[str]]:
    return parse_qs(server.seen[-1].body.decode())


def test_short_options_make_whole_targets(headrace: Run, keyed: object, server: Canned) -> None:
    server.answers = {
        ("GET", "/headrace/v1/status"): (200, {"account": "42", "region": "cn-x"}),
        ("POST", "/"): (200, {"Data": {}, "Success": True}),
    }
    result = headrace(
        "rule", "create", "r", "-p", PATTERN, "--function", "f", "--queue", "q",
        "--url", "https://h/x", "--retry", "EXPONENTIAL_DECAY_RETRY", "--sync", "--disabled",
        "--target", '{"Id":"own","Type":"http","Endpoint":"http://o"}', "--endpoint", server.url,
    )  # fmt: skip
    assert result.code == 0, result.err
    form = created(server)
    assert (form["FilterPattern"], form["Status"]) == ([PATTERN], ["DISABLE"])
    function, queue, address, own = json.loads(form["EventTargets"][0])
    assert function["Endpoint"] == "acs:fc:cn-x:42:functions/f"
    assert {"ResourceKey": "InvocationType", "Form": "CONSTANT", "Value": "Sync"} in function[
        "ParamList"
    ]
    assert function["PushRetryStrategy"] == "EXPONENTIAL_DECAY_RETRY"
    assert (queue["Type"], queue["Endpoint"]) == ("acs.mns.queue", "acs:mns:cn-x:42:queues/q")
    assert (address["Type"], address["Endpoint"]) == ("https", "https://h/x")
    assert own == {"Id": "own", "Type": "http", "Endpoint": "http://o"}


def test_a_pattern_that_is_wrong_never_reaches_the_server(
    headrace: Run, keyed: object, server: Canned
) -> None:
    result = headrace("rule", "create", "r", "-p", '{"x":1}', "--endpoint", server.url)
    assert result.code == 2
    assert server.seen == []


def test_a_url_of_another_scheme_is_a_usage_error(
    headrace: Run, keyed: object, server: Canned
) -> None:
    server.answers = {("GET", "/headrace/v1/status"): (200, {"account": "4", "region": "r"})}
    result = headrace("rule", "create", "r", "--url", "ftp://h", "--endpoint", server.url)
    assert result.code == 2
    assert "http://" in result.err
