"""Whose key a request names, before anybody has checked that it has it.

Good for dividing scarce things fairly while nothing is proven, never for granting anything. Owns no
key and computes no signature.
"""

from __future__ import annotations

from collections.abc import Iterable

from headrace.access import keys
from headrace.core import signature

_CREDENTIAL = b"Credential="
_PARAMETER = b"AccessKeyId"


def key_id(headers: Iterable[tuple[bytes, bytes]], query: str) -> str:
    """Return the access key id that a request names, "" if it is not in the head.

    headers: names in lower case. A form's parameters (RPC v1 in a body) are not looked at.
    """
    for name, value in headers:
        if name == b"authorization":
            scheme, _, rest = value.partition(b":")
            if scheme != b"acs":
                rest = value.partition(_CREDENTIAL)[2]
            return rest.replace(b":", b",").partition(b",")[0].strip().decode("latin-1")
    if not query:
        return ""
    try:
        # As the signature reads it: else a signed request could use up another account's share.
        return signature.decode_parameters(query).get(_PARAMETER, b"").decode("latin-1")
    except ValueError:
        return ""  # it will be refused for that


def account(ring: keys.Keyring, headers: Iterable[tuple[bytes, bytes]], query: str) -> str:
    """Return the account whose key a request names; "" if it names none of ours, and where there
    is only one account.
    """
    if not ring.several:
        return ""
    known = ring.find(key_id(headers, query))
    return "" if known is None else known.account
