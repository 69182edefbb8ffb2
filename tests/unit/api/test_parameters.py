"""RPC parameters: query and form merged, protocol parameters set apart."""

from __future__ import annotations

import pytest

from headrace.api import http, parameters
from headrace.core import errors

FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}


def request(
    query: str = "", body: bytes = b"", headers: dict[str, str] | None = None
) -> http.Request:
    return http.Request("POST", "/", query=query, body=body, headers=FORM | (headers or {}))


def test_query_and_form_are_merged() -> None:
    found = parameters.sorted_out(
        request("A=1&Empty=", b"B=two+words%21", {"x-acs-action": "X", "x-acs-version": "V"})
    )
    assert found == parameters.Parameters("X", "V", "", {"A": "1", "Empty": "", "B": "two words!"})


def test_action_may_be_a_parameter() -> None:
    found = parameters.sorted_out(request("Action=X&Version=V&ClientToken=t"))
    assert found == parameters.Parameters("X", "V", "t", {})


def test_protocol_parameters_are_set_apart_by_name() -> None:
    text = "&".join(f"{name}=1" for name in sorted(parameters.PROTOCOL))
    assert parameters.sorted_out(request(text)).own == {}
    assert {"RegionId", "Format", "SignatureNonce"} <= parameters.PROTOCOL


@pytest.mark.parametrize(
    "bad",
    [
        request("A=1", b"A=2"),
        request("A=1&A=2"),
        request("A=%ff"),
        request(body="Ä=1".encode()),
        request(body=b"{}", headers={"content-type": "application/json"}),
        request("&".join(f"p{n}=1" for n in range(5000))),
        request("Action=X", headers={"x-acs-action": "Y"}),
    ],
)
def test_ambiguous_or_unreadable_parameters_are_refused(bad: http.Request) -> None:
    with pytest.raises(errors.InvalidInput):
        parameters.sorted_out(bad)


def test_parameter_given_twice_with_one_value_is_taken() -> None:
    assert parameters.sorted_out(request("A=1", b"A=1")).own == {"A": "1"}
