"""The signed client: what it sends, and what a refusal means for the exit code."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import parse_qs

import pytest

from headrace import outside
from headrace.access import authenticate, keys, nonces
from headrace.cli import client, failure, servers
from tests.unit.cli.conftest import KEY_ID, SECRET, Canned, Seen

KEY = keys.Key(KEY_ID, SECRET, "1000000000000001")


def connect(server: Canned) -> client.Client:
    return client.Client(servers.Place(server.url, KEY), timeout_s=10)


def authenticator() -> authenticate.Authenticator:
    table = nonces.Nonces.in_memory(entries=1024)
    return authenticate.Authenticator(keys.Keyring([KEY]), outside.SystemClock(), table)


def signed(seen: Seen) -> authenticate.SignedRequest:
    path, _, query = seen.target.partition("?")
    headers = [(name.encode(), value.encode()) for name, value in seen.headers.items()]
    return authenticate.SignedRequest(seen.method, path, query, headers, seen.body)


def test_every_kind_of_request_carries_a_signature_the_server_accepts(server: Canned) -> None:
    """RPC with a form, a query with characters to encode, a JSON body: each is verified."""
    server.answers = {
        ("POST", "/"): (200, {"Data": {"x": 1}, "Success": True}),
        ("GET", "/headrace/v1/events"): (200, {}),
        ("PUT", "/2023-03-30/functions/f"): (200, {}),
    }
    with connect(server) as asking:
        asking.rpc("CreateRule", RuleName="r", EventTargets=[{"Id": "ä b"}])
        asking.native("GET", "events", source="a b/ü&=?+~", start_ms=5)
        asking.fc("PUT", "functions", "f", body={"timeout": 3})
    judge = authenticator()
    for seen in server.seen:
        assert judge.authenticate(signed(seen)).access_key_id == KEY_ID


def test_each_request_has_a_nonce_of_its_own(server: Canned) -> None:
    server.answers = {("GET", "/headrace/v1/status"): (200, {})}
    with connect(server) as asking:
        asking.native("GET", "status")
        asking.native("GET", "status")
    assert len({seen.headers["x-acs-signature-nonce"] for seen in server.seen}) == 2


def test_rpc_parameters_travel_as_a_form_and_absent_ones_do_not(server: Canned) -> None:
    server.answers = {("POST", "/"): (200, {"Data": {"RuleARN": "arn"}, "Success": True})}
    with connect(server) as asking:
        found = asking.rpc("CreateRule", RuleName="r", Description=None, EventTargets=[{"Id": "1"}])
    assert found == {"RuleARN": "arn"}
    form = parse_qs(server.seen[0].body.decode())
    assert form == {"RuleName": ["r"], "EventTargets": ['[{"Id": "1"}]']}
    assert server.seen[0].headers["x-acs-action"] == "CreateRule"


def test_a_name_never_adds_a_level_to_a_path(server: Canned) -> None:
    server.answers = {("GET", "/2023-03-30/functions/..%2Fother%3Fx"): (200, {})}
    with connect(server) as asking:
        asking.fc("GET", "functions", "../other?x")
    assert server.seen[0].target == "/2023-03-30/functions/..%2Fother%3Fx"


def test_numbers_keep_their_spelling(server: Canned) -> None:
    server.answers = {
        ("GET", "/headrace/v1/status"): (200, b'{"n": 1.50, "big": 12345678901234567890}')
    }
    with connect(server) as asking:
        found = asking.native("GET", "status")
    assert found["n"].text == "1.50"
    assert found["big"] == 12345678901234567890


def test_listings_follow_their_tokens_to_the_end(server: Canned) -> None:
    server.answers = {
        ("GET", "/headrace/v1/queues"): [
            (200, {"queues": [{"name": "a"}], "next": "T"}),
            (200, {"queues": [{"name": "b"}], "next": None}),
        ]
    }
    with connect(server) as asking:
        found = asking.native_pages("queues", "queues")
    assert [queue["name"] for queue in found] == ["a", "b"]
    assert "token=T" in server.seen[1].target


def test_a_listing_stops_at_the_number_that_was_asked_for(server: Canned) -> None:
    page = {"events": [{"id": "1"}, {"id": "2"}], "next": "T"}
    server.answers = {("GET", "/headrace/v1/events"): [(200, page), (200, page)]}
    with connect(server) as asking:
        assert len(asking.native_pages("events", "events", most=3)) == 3


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (409, "EventBusNotExist", failure.Exit.NOT_FOUND),
        (409, "EventRuleNotExisted", failure.Exit.NOT_FOUND),
        (404, "FunctionNotFound", failure.Exit.NOT_FOUND),
        (404, "InvalidAction.NotFound", failure.Exit.FAILED),
        (404, "NotFound", failure.Exit.FAILED),
        (403, "SignatureDoesNotMatch", failure.Exit.AUTH),
        (403, "InvalidAccessKeyId", failure.Exit.AUTH),
        (400, "InvalidTimeStamp.Expired", failure.Exit.AUTH),
        (400, "SignatureNonceUsed", failure.Exit.AUTH),
        (400, "InvalidArgument", failure.Exit.FAILED),
        (409, "EventBusAlreadyExist", failure.Exit.FAILED),
        (429, "TooManyRequests", failure.Exit.FAILED),
        (503, "ServiceUnavailable", failure.Exit.UNREACHABLE),
        (507, "StoreFull", failure.Exit.FAILED),
    ],
)
def test_exit_code_of_a_refusal(status: int, code: str, expected: failure.Exit) -> None:
    assert client.exit_of(status, code) is expected


@pytest.mark.parametrize(
    "body",
    [
        {"Code": "EventBusNotExist", "Message": "no such bus", "RequestId": "R"},
        {"code": "EventBusNotExist", "message": "no such bus", "request_id": "R"},
    ],
)
def test_a_refusal_of_any_api_gives_cause_code_and_next_command(
    server: Canned, body: dict[str, Any]
) -> None:
    server.answers = {("GET", "/headrace/v1/status"): (409, body)}
    with connect(server) as asking, pytest.raises(failure.Failure) as refused:
        asking.native("GET", "status")
    problem = refused.value
    assert (problem.message, problem.code, problem.request_id) == (
        "no such bus", "EventBusNotExist", "R",
    )  # fmt: skip
    assert problem.remedy == "headrace bus list"


def test_the_servers_own_remedy_comes_first(server: Canned) -> None:
    body = {"code": "EventNotExist", "message": "gone", "remedy": "Look elsewhere."}
    server.answers = {("GET", "/headrace/v1/status"): (404, body)}
    with connect(server) as asking, pytest.raises(failure.Failure) as refused:
        asking.native("GET", "status")
    assert refused.value.remedy == "Look elsewhere."


def test_a_failure_inside_a_success_is_a_failure(server: Canned) -> None:
    """DeleteRule of a rule that is not there answers 200 (Terraform needs it so)."""
    body = {"Code": "EventRuleNotExisted", "Message": "not existed", "Success": False}
    server.answers = {("POST", "/"): (200, body)}
    with connect(server) as asking, pytest.raises(failure.Failure) as refused:
        asking.rpc("DeleteRule", RuleName="r")
    assert refused.value.exit_code is failure.Exit.NOT_FOUND


def test_an_answer_that_is_no_json_is_no_headrace_server(server: Canned) -> None:
    server.answers = {("GET", "/headrace/v1/status"): (404, b"<html>nginx</html>")}
    with connect(server) as asking, pytest.raises(failure.Failure) as refused:
        asking.native("GET", "status")
    assert refused.value.exit_code is failure.Exit.UNREACHABLE
    assert "no Headrace server" in refused.value.message


def test_nobody_listening_is_unreachable_and_says_how_to_start() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with client.Client(servers.Place(url, KEY)) as asking, pytest.raises(failure.Failure) as f:
            asking.native("GET", "status")
    assert f.value.exit_code is failure.Exit.UNREACHABLE
    assert f.value.remedy == "headrace up"


def test_a_server_that_never_answers_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        place = servers.Place(url, KEY)
        with client.Client(place, timeout_s=0.05) as asking, pytest.raises(failure.Failure) as f:
            asking.native("GET", "status")
    assert f.value.exit_code is failure.Exit.UNREACHABLE
    assert "in time" in f.value.message


def test_a_stream_yields_lines_and_its_end_is_a_failure(server: Canned) -> None:
    server.answers = {("GET", "/headrace/v1/tail"): (200, b'\n{"id": 1}\n')}
    with connect(server) as asking:
        lines = asking.lines("/headrace/v1/tail", {"bus": "b"})
        assert [next(lines), json.loads(next(lines))] == [b"", {"id": 1}]
        with pytest.raises(failure.Failure, match="ended the stream"):
            next(lines)
