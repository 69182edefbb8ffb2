"""Canonical forms and signatures of the three schemes official clients use; pure text and keys.

ACS3-HMAC-SHA256 (control planes), RPC v1 HMAC-SHA1 (Terraform and older cores), `acs:AK:sig`
HMAC-SHA1 (the EventBridge data plane). It must never decide who may do what, look at a clock, or
remember a nonce: that is `access`. The sign_ functions are for our own client, CLI and demo.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from urllib.parse import quote_from_bytes, unquote_to_bytes

import msgspec

from headrace.core import limits

ACS3 = "ACS3-HMAC-SHA256"
#: Hex sha256 of no bytes.
EMPTY_SHA256 = sha256(b"").hexdigest()

#: A query that is its own canonical form but for its order.
_PLAIN_QUERY = re.compile(r"[A-Za-z0-9_.~=&-]*")
_HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_HEX_SIGNATURE = re.compile(r"[0-9a-f]{64}")


class Malformed(ValueError):
    """An authorization header cannot be read."""


class Duplicate(ValueError):
    """A parameter stands twice; the argument is its name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The parameter [{name}] stands twice.")
        self.name = name


class Acs3Authorization(msgspec.Struct, frozen=True):
    access_key_id: str
    #: Lower case, as listed.
    signed_headers: tuple[str, ...]
    signature: str


def encode(text: str | bytes) -> str:
    """Percent-encode all but RFC 3986's unreserved characters."""
    return quote_from_bytes(text.encode() if isinstance(text, str) else text, safe="~")


def decode_parameters(query: str) -> dict[bytes, bytes]:
    """Return the decoded parameters of a query or form ("+" is a space).

    Raises: Duplicate; ValueError when there are too many.
    """
    found: dict[bytes, bytes] = {}
    pairs = query.split("&")
    if len(pairs) > limits.PARAMETERS_MAX:
        raise ValueError(f"more than {limits.PARAMETERS_MAX} parameters")
    for pair in pairs:
        if not pair:
            continue
        name, _, value = pair.replace("+", " ").partition("=")
        key = unquote_to_bytes(name)
        if key in found:
            raise Duplicate(key.decode("utf-8", "replace"))
        found[key] = unquote_to_bytes(value)
    return found


def canonical_query(query: str) -> str:
    """Return a query as the schemes sign it: decoded, sorted by name, encoded again.

    Names are encoded like values, although the Python core leaves them as they are: all names in
    use are plain, and a raw name could otherwise pose as two parameters.  Raises: Duplicate.
    """
    if not query:
        return ""
    if "&" not in query and query.count("=") == 1 and _PLAIN_QUERY.fullmatch(query):
        return query
    parameters = decode_parameters(query)
    return "&".join(f"{encode(name)}={encode(parameters[name])}" for name in sorted(parameters))


def parse_acs3(authorization: str) -> Acs3Authorization:
    """Read `ACS3-HMAC-SHA256 Credential=…,SignedHeaders=…,Signature=…`, blanks after commas or not.

    Raises: Malformed.
    """
    algorithm, _, rest = authorization.partition(" ")
    if len(authorization) > limits.AUTHORIZATION_CHARS_MAX:
        raise Malformed("the authorization header is too long")
    if algorithm != ACS3:
        raise Malformed(f"the algorithm [{algorithm[:32]}] is not supported; use {ACS3}")
    parts: dict[str, str] = {}
    for part in rest.split(","):
        name, _, value = part.strip(" ").partition("=")
        if name in parts:
            raise Malformed(f"{name} stands twice")
        parts[name] = value
    if parts.keys() != {"Credential", "SignedHeaders", "Signature"}:
        raise Malformed("Credential, SignedHeaders and Signature are needed, and nothing else")
    signed = tuple(parts["SignedHeaders"].split(";"))
    if len(signed) > limits.SIGNED_HEADERS_MAX:
        raise Malformed(f"more than {limits.SIGNED_HEADERS_MAX} signed headers")
    if list(signed) != sorted(set(signed)) or not all(map(_HEADER_NAME.fullmatch, signed)):
        raise Malformed("SignedHeaders must be lower-case names, in order, each once")
    if not parts["Credential"] or not _HEX_SIGNATURE.fullmatch(parts["Signature"]):
        raise Malformed("Credential is empty or Signature is not 64 hex digits")
    return Acs3Authorization(parts["Credential"], signed, parts["Signature"])


def canonical_acs3(
    method: str,
    path: str,
    query: str,
    headers: Mapping[bytes, bytes],
    *,
    signed: Sequence[str],
    payload: str,
) -> bytes:
    """Return the canonical request of ACS3.

    path: as sent, still encoded.  query: as sent.  headers: lower-case names, trimmed values.
    payload: the signed value of x-acs-content-sha256, or "" for an HTTP trigger's request that has
    none.
    Raises: KeyError (a signed header is missing), Duplicate.
    """
    names = [name.encode() for name in signed]
    lines = [method.encode(), path.encode("latin-1") or b"/", canonical_query(query).encode()]
    lines.extend(b"%b:%b" % (name, headers[name]) for name in names)
    lines += (b"", b";".join(names), payload.encode())
    return b"\n".join(lines)


def acs3_signature(secret: str, canonical: bytes) -> str:
    text = f"{ACS3}\n{sha256(canonical).hexdigest()}".encode()
    return hmac.digest(secret.encode(), text, "sha256").hex()


def canonical_rpc(method: str, parameters: Mapping[bytes, bytes]) -> bytes:
    """Return what RPC v1 signs.

    parameters: all of query and form, decoded; `Signature` is left out here.
    """
    pairs = (
        f"{encode(name)}={encode(parameters[name])}"
        for name in sorted(parameters)
        if name != b"Signature"
    )
    return f"{method}&%2F&{encode('&'.join(pairs))}".encode()


def rpc_signature(secret: str, canonical: bytes) -> str:
    return _hmac_sha1(f"{secret}&", canonical)


def canonical_data_plane(
    method: str, path: str, query: str, headers: Mapping[bytes, bytes]
) -> bytes:
    """Return what the data plane signs; only a content-md5 header covers the body.

    headers: lower-case names; every x-acs one is signed.  Raises: Duplicate.
    """
    get = headers.get
    lines = [
        method.encode(),
        get(b"content-md5", b""),
        get(b"content-type", b""),
        get(b"date", b""),
    ]
    signed = sorted([name for name in headers if name.startswith(b"x-acs")])
    lines += [b"%b:%b" % (name, headers[name]) for name in signed]
    resource = path.encode("latin-1")
    if query and (parameters := decode_parameters(query)):
        # The scheme joins raw values, so one text can read as two queries: no "&" or "=" may hide
        # in them.
        if any(set(part) & set(b"&=") for pair in parameters.items() for part in pair):
            raise Malformed("the data plane cannot sign parameters with & or = in them")
        resource += b"?" + b"&".join(b"%b=%b" % (k, parameters[k]) for k in sorted(parameters))
    return b"\n".join([*lines, resource])


def data_plane_signature(secret: str, canonical: bytes) -> str:
    return _hmac_sha1(secret, canonical)


def equal(given: str, computed: str) -> bool:
    """Compare two signatures in a time that does not tell where they differ."""
    return hmac.compare_digest(given.encode(), computed.encode())


def sign_acs3(
    access_key_id: str,
    secret: str,
    *,
    method: str,
    path: str,
    query: str = "",
    headers: Mapping[str, str],
    body: bytes,
    date: str,
    nonce: str,
) -> dict[str, str]:
    """Return `headers` (lower-case names, with host) and what ACS3 adds, every one signed.

    date: 2026-01-02T03:04:05Z.  path and query: encoded, as they will be sent.
    """
    signed = dict(headers)
    signed["x-acs-date"] = date
    signed["x-acs-signature-nonce"] = nonce
    signed["x-acs-content-sha256"] = sha256(body).hexdigest()
    names = sorted(signed)
    canonical = canonical_acs3(
        method,
        path,
        query,
        {name.encode(): value.strip().encode() for name, value in signed.items()},
        signed=names,
        payload=signed["x-acs-content-sha256"],
    )
    signature = acs3_signature(secret, canonical)
    listed = ";".join(names)
    signed["authorization"] = (
        f"{ACS3} Credential={access_key_id},SignedHeaders={listed},Signature={signature}"
    )
    return signed


def sign_rpc(
    access_key_id: str,
    secret: str,
    *,
    method: str,
    parameters: Mapping[str, str],
    timestamp: str,
    nonce: str,
) -> dict[str, str]:
    """Return `parameters` with what RPC v1 adds, `Signature` too; to be sent as query or form."""
    signed = dict(parameters)
    signed |= {
        "AccessKeyId": access_key_id,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureNonce": nonce,
        "SignatureVersion": "1.0",
        "Timestamp": timestamp,
    }
    plain = {name.encode(): value.encode() for name, value in signed.items()}
    signed["Signature"] = rpc_signature(secret, canonical_rpc(method, plain))
    return signed


def sign_data_plane(
    access_key_id: str,
    secret: str,
    *,
    method: str,
    path: str,
    query: str = "",
    headers: Mapping[str, str],
    date: str,
    nonce: str,
) -> dict[str, str]:
    """Return `headers` (lower-case names, with content-type) and what the scheme adds.

    date: Fri, 02 Jan 2026 03:04:05 GMT.
    """
    signed = dict(headers)
    signed["date"] = date
    signed["x-acs-signature-nonce"] = nonce
    signed["x-acs-signature-method"] = "HMAC-SHA1"
    signed["x-acs-signature-version"] = "1.0"
    plain = {name.encode(): value.strip().encode() for name, value in signed.items()}
    signature = data_plane_signature(secret, canonical_data_plane(method, path, query, plain))
    signed["authorization"] = f"acs:{access_key_id}:{signature}"
    return signed


def _hmac_sha1(secret: str, text: bytes) -> str:
    return b64encode(hmac.digest(secret.encode(), text, "sha1")).decode("ascii")
