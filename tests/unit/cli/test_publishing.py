"""Events from options and files, and cutting them into requests."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.cli import failure, publishing
from tests.unit.cli.conftest import Canned, Run

EVENTS = ("POST", "/events/default")


def stored(*ids: str) -> tuple[int, dict[str, Any]]:
    return 202, {"entries": [{"id": one, "trace_id": "T" + one} for one in ids]}


def put(headrace: Run, server: Canned, *arguments: str, stdin: bytes = b"") -> Any:
    return headrace("event", "put", *arguments, "--endpoint", server.url, stdin=stdin)


def test_an_event_of_options_is_a_cloudevent(headrace: Run, keyed: object, server: Canned) -> None:
    server.answers = {EVENTS: stored("e1")}
    result = put(
        headrace, server, "-s", "shop", "-t", "order", "--id", "e1", "--subject", "s",
        "-d", '{"price": 1.50}', "-o", "name",
    )  # fmt: skip
    assert (result.code, result.out) == (0, "e1\n")
    (sent,) = json.loads(server.seen[0].body)
    assert sent == {
        "specversion": "1.0", "id": "e1", "source": "shop", "type": "order", "subject": "s",
        "datacontenttype": "application/json", "data": {"price": 1.5},
    }  # fmt: skip
    assert b'{"price": 1.50}' in server.seen[0].body  # as it was typed
    assert server.seen[0].headers["content-type"] == "application/cloudevents-batch+json"


def test_an_event_without_id_gets_a_new_one_each_time() -> None:
    single = publishing.Single("s", "t", None, "", "")
    assert publishing.built(single) != publishing.built(single)


@pytest.mark.parametrize(
    "text",
    ['{"id":"1"}', '[{"id":"1"}]', '\n{"id":"1"}\n\n'],
)
def test_a_file_holds_one_event_an_array_or_one_a_line(text: str) -> None:
    assert [json.loads(event) for event in publishing.parsed(text)] == [{"id": "1"}]


def test_lines_are_sent_as_they_are() -> None:
    text = '{"id":"1","data":1.0}\n{"id":"2","data":1.00}\n'
    assert publishing.parsed(text) == ['{"id":"1","data":1.0}', '{"id":"2","data":1.00}']


@pytest.mark.parametrize(
    ("text", "said"),
    [("{}\n{", "Line 2"), ("[1]", "Event 1"), ("{}\n5", "Line 2"), ("5", "Event 1")],
)
def test_what_is_no_event_is_named_by_its_place(text: str, said: str) -> None:
    with pytest.raises(failure.Failure, match=said) as refused:
        publishing.parsed(text)
    assert refused.value.exit_code is failure.Exit.USAGE


@pytest.mark.parametrize(
    "arguments",
    [("-s", "shop"), ("-f", "-", "-s", "shop"), ("-s", "a", "-t", "b", "-d", "not json")],
)
def test_half_an_event_is_a_usage_error(
    headrace: Run, keyed: object, server: Canned, arguments: tuple[str, ...]
) -> None:
    assert put(headrace, server, *arguments).code == 2
    assert server.seen == []


def test_a_refused_event_is_shown_beside_the_stored_and_fails_the_command(
    headrace: Run, keyed: object, server: Canned
) -> None:
    refused = {"code": "EventSourceInvalid", "message": "no source"}
    server.answers = {EVENTS: (207, {"entries": [{"id": "1", "trace_id": "T"}, refused]})}
    result = put(headrace, server, "-f", "-", "-o", "json", stdin=b'[{"id":"1"},{"id":"2"}]')
    assert result.code == 1
    assert result.json == [{"id": "1", "trace_id": "T"}, refused]
    server.answers = {EVENTS: (400, {"entries": [refused]})}
    result = put(headrace, server, "-f", "-", stdin=b"{}")
    assert result.code == 1
    assert "EventSourceInvalid: no source" in result.out


def test_batches_keep_order_and_both_bounds() -> None:
    found = list(publishing.batches(["aa", "bb", "cc", "d" * 50, "e"], 2, 10))
    assert found == [[b"aa", b"bb"], [b"cc"], [b"d" * 50], [b"e"]]


def test_a_server_with_the_clouds_limits_gets_smaller_requests(
    headrace: Run, keyed: object, server: Canned
) -> None:
    too_many = (400, {"code": "InvalidArgument", "message": "at most 16"})
    ids = [str(number) for number in range(20)]
    server.answers = {EVENTS: [too_many, stored(*ids[:16]), stored(*ids[16:])]}
    body = "\n".join(json.dumps({"id": one}) for one in ids).encode()
    result = put(headrace, server, "-f", "-", "-o", "name", stdin=body)
    assert (result.code, result.out.split()) == (0, ids)


def test_a_refusal_of_a_whole_request_says_its_cause(
    headrace: Run, keyed: object, server: Canned
) -> None:
    body = {"code": "EventBusNotExist", "message": "no such bus"}
    server.answers = {EVENTS: (409, body)}
    result = put(headrace, server, "-s", "a", "-t", "b")
    assert result.code == 3
    assert "no such bus" in result.err
