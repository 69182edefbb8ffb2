"""Canonical forms: the published vectors, and what must never be read in two ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core import signature

KEY, SECRET = "LTAIexampleid", "examplesecret"
COMMON = {
    "accept": "application/json",
    "host": "fcv3.cn-hangzhou.aliyuncs.com",
    "user-agent": "x",
    "x-acs-version": "2023-03-30",
}
MOMENT = {"date": "2026-01-02T03:04:05Z", "nonce": "0123456789abcdef0123456789abcdef"}
TRIGGER = {b"x-acs-date": b"2026-01-02T03:04:05Z", b"x-acs-security-token": b""}


def test_vector_1_get_without_body() -> None:
    headers = signature.sign_acs3(
        KEY,
        SECRET,
        method="GET",
        path="/2023-03-30/functions/my-func",
        query="qualifier=LATEST",
        headers=COMMON | {"x-acs-action": "GetFunction"},
        body=b"",
        **MOMENT,
    )
    assert headers["authorization"] == (
        "ACS3-HMAC-SHA256 Credential=LTAIexampleid,SignedHeaders=accept;host;user-agent;"
        "x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,"
        "Signature=0c0d23b962b44392afebb388ed8f4421e363f0166c8f642ae4dabeb0558fd9b2"
    )
    assert headers["x-acs-content-sha256"] == signature.EMPTY_SHA256


def test_vector_2_post_with_body_and_function_headers() -> None:
    headers = signature.sign_acs3(
        KEY,
        SECRET,
        method="POST",
        path="/2023-03-30/functions/my-func/invocations",
        query="qualifier=LATEST",
        headers=COMMON
        | {
            "x-acs-action": "InvokeFunction",
            "content-type": "application/octet-stream",
            "x-fc-invocation-type": "Sync",
            "x-fc-log-type": "Tail",
        },
        body=b'{"key":"value"}',
        **MOMENT,
    )
    assert headers["x-acs-content-sha256"] == (
        "e43abcf3375244839c012f9633f95862d232a95b00d5bc7348b3098b9fed7f32"
    )
    assert headers["authorization"].endswith(
        "Signature=9623464ddbd5cee1a705d76fa7e94708130d6788c79073c111a1c5ac39ad218d"
    )


@pytest.mark.parametrize(
    ("method", "path", "query", "signed", "expected"),
    [
        (
            "POST",
            "/hello",
            "foo=bar&a=b%20c",
            ["x-acs-date", "x-acs-security-token"],
            "02e2e0368a95633020b67e5f3a4d7a1c0ff56fc269dd3ce06df03201ac42ddb6",
        ),
        (
            "GET",
            "/hello",
            "foo=bar",
            ["x-acs-date"],
            "13c6d296622b1af3e6a1e2324ccbcf719b51d0f954ff93d636ad782df7580a14",
        ),
        (
            "GET",
            "",
            "",
            ["x-acs-date"],
            "f125b5149cd41551e10a7cf1dde018b3ca953ca946081aa995040330e4a6a7ca",
        ),
    ],
)
def test_vectors_of_http_triggers_end_in_an_empty_line(
    method: str, path: str, query: str, signed: list[str], expected: str
) -> None:
    canonical = signature.canonical_acs3(method, path, query, TRIGGER, signed=signed, payload="")
    assert signature.acs3_signature(SECRET, canonical) == expected


@pytest.mark.parametrize(
    ("query", "canonical"),
    [
        ("", ""),
        ("a=1", "a=1"),
        ("a", "a="),
        ("a=", "a="),
        ("b=2&a=1", "a=1&b=2"),
        ("a=x+y", "a=x%20y"),
        ("a=x%20y", "a=x%20y"),
        ("a=%2f", "a=%2F"),
        ("a=/", "a=%2F"),
        ("a=*~-_.", "a=%2A~-_."),
        ("a=b=c", "a=b%3Dc"),
        ("Tags.1.Key=k&Tags.1.Value=v", "Tags.1.Key=k&Tags.1.Value=v"),
        ("a=%E4%B8%AD", "a=%E4%B8%AD"),
        ("a=%FF", "a=%FF"),
        ("a%3D1%26b=2", "a%3D1%26b=2"),
        ("&a=1&&", "a=1"),
    ],
)
def test_queries_are_decoded_sorted_and_encoded_again(query: str, canonical: str) -> None:
    assert signature.canonical_query(query) == canonical


@pytest.mark.parametrize("query", ["a=1&a=1", "a=1&a=2", "a=1&%61=2", "a&a"])
def test_a_parameter_that_stands_twice_is_refused(query: str) -> None:
    with pytest.raises(signature.Duplicate) as caught:
        signature.canonical_query(query)
    assert caught.value.name == "a"


def test_the_number_of_parameters_is_bounded() -> None:
    with pytest.raises(ValueError):
        signature.canonical_query("&".join(f"a{i}=1" for i in range(5_000)))


PAIRS = st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=5)


@given(PAIRS, PAIRS)
def test_different_parameters_never_share_a_canonical_query(
    one: dict[str, str], other: dict[str, str]
) -> None:
    def wire(pairs: dict[str, str]) -> str:
        return "&".join(f"{signature.encode(k)}={signature.encode(v)}" for k, v in pairs.items())

    # A nameless, valueless parameter is written "=", which nobody reads as one.
    same = signature.canonical_query(wire(one)) == signature.canonical_query(wire(other))
    assert same == (one == other)


@pytest.mark.parametrize(
    "text",
    [
        "ACS3-HMAC-SHA256",
        "ACS3-HMAC-SHA256 ",
        "ACS3-HMAC-SM3 Credential=a,SignedHeaders=host,Signature=" + "0" * 64,
        "ACS3-HMAC-SHA256 Credential=,SignedHeaders=host,Signature=" + "0" * 64,
        "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=,Signature=" + "0" * 64,
        "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=Host,Signature=" + "0" * 64,
        "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host;host,Signature=" + "0" * 64,
        "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=x-b;x-a,Signature=" + "0" * 64,
        "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=" + "0" * 63,
        "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=" + "G" * 64,
        "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=" + "A" * 64,
        "ACS3-HMAC-SHA256 Credential=a,Credential=b,SignedHeaders=h,Signature=" + "0" * 64,
        "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host,Extra=1,Signature=" + "0" * 64,
        "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host\n,Signature=" + "0" * 64,
        "ACS3-HMAC-SHA256 Credential=" + "a" * 5_000 + ",SignedHeaders=h,Signature=" + "0" * 64,
    ],
)
def test_authorization_headers_that_cannot_be_read(text: str) -> None:
    with pytest.raises(signature.Malformed):
        signature.parse_acs3(text)


def test_blanks_after_commas_are_allowed() -> None:
    text = "ACS3-HMAC-SHA256 Credential=a, SignedHeaders=host;x-acs-date, Signature=" + "0" * 64
    found = signature.parse_acs3(text)
    assert found == signature.Acs3Authorization("a", ("host", "x-acs-date"), "0" * 64)


def test_a_missing_signed_header_has_no_canonical_form() -> None:
    with pytest.raises(KeyError):
        signature.canonical_acs3("GET", "/", "", {}, signed=["host"], payload="")


def test_rpc_signs_every_parameter_but_the_signature() -> None:
    parameters = {b"Action": b"X", b"A": b"a b*~/", b"Signature": b"old"}
    assert signature.canonical_rpc("POST", parameters) == (
        b"POST&%2F&A%3Da%2520b%252A~%252F%26Action%3DX"
    )
    other = parameters | {b"Signature": b"new"}
    assert signature.canonical_rpc("POST", parameters) == signature.canonical_rpc("POST", other)


def test_the_data_plane_signs_x_acs_headers_path_and_query() -> None:
    headers = {
        b"x-acs-signature-nonce": b"n",
        b"x-acs-b": b"2",
        b"content-type": b"application/json",
        b"date": b"D",
        b"x-eventbridge-version": b"not signed",
    }
    assert signature.canonical_data_plane("POST", "/openapi/x", "b=2&a=x%20y", headers) == (
        b"POST\n\napplication/json\nD\nx-acs-b:2\nx-acs-signature-nonce:n\n/openapi/x?a=x y&b=2"
    )


def test_a_data_plane_parameter_cannot_hide_another() -> None:
    with pytest.raises(signature.Malformed):
        signature.canonical_data_plane("POST", "/x", "a=1%26b%3D2", {})


def test_equal_compares_text() -> None:
    assert signature.equal("abc", "abc")
    assert not signature.equal("abc", "abd")
    assert not signature.equal("é", "e")
