"""Whose key a request names: read off its head, believed by nobody."""

from __future__ import annotations

import pytest

from headrace.access import claims, keys

ONE, TWO = keys.Key("K1", "s", "1"), keys.Key("K2", "s", "2")


@pytest.mark.parametrize(
    ("headers", "query", "named"),
    [
        ([(b"authorization", b"acs:K1:c2ln")], "", "K1"),
        (
            [(b"authorization", b"ACS3-HMAC-SHA256 Credential=K1,SignedHeaders=host,Signature=0")],
            "",
            "K1",
        ),
        ([(b"host", b"x")], "Action=PutEvents&AccessKeyId=K1&Format=JSON", "K1"),
        ([(b"authorization", b"Bearer x")], "", ""),
        ([(b"authorization", b"")], "AccessKeyId=K1", ""),
        ([], "", ""),
        # Another parameter that ends like it names nobody; its own name may be encoded.
        ([], "XAccessKeyId=K2&AccessKeyId=K1", "K1"),
        ([], "x=AccessKeyId=K2&AccessKeyId=K1", "K1"),
        ([], "Access%4BeyId=K1&Action=PutEvents", "K1"),
        ([], "AccessKeyId=K%31", "K1"),
        ([], "&" * 100_000 + "AccessKeyId=K1", ""),
    ],
)
def test_each_scheme_names_its_key(
    headers: list[tuple[bytes, bytes]], query: str, named: str
) -> None:
    assert claims.key_id(headers, query) == named


def test_a_claim_counts_for_the_account_of_a_known_key_only() -> None:
    ring = keys.Keyring([ONE, TWO])
    for claimed, account in ((b"acs:K1:x", "1"), (b"acs:K2:x", "2"), (b"acs:K3:x", "")):
        assert claims.account(ring, [(b"authorization", claimed)], "") == account


def test_with_one_account_nobody_looks() -> None:
    ring = keys.Keyring([ONE, keys.Key("K9", "s", "1")])
    assert claims.account(ring, [(b"authorization", b"acs:K1:x")], "") == ""
