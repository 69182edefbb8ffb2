"""The three signatures, written from their public descriptions, and requests sent byte by byte.

An opinion of its own: it shares no code with the server, so both cannot be wrong alike unnoticed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib import parse as urlparse

from tests.wire import sdk

FORM = "application/x-www-form-urlencoded"
_SECONDS_MAX = 20


class Request(NamedTuple):
    """A request, signed or not, as it goes on the wire; sending it twice is a replay."""

    method: str
    #: With the query.
    target: str
    headers: dict[str, str]
    body: bytes = b""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def send(place: sdk.Place, request: Request) -> Answer:
    """Send exactly this request on a connection of its own."""
    host, _, port = place.endpoint.partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=_SECONDS_MAX)
    try:
        connection.request(request.method, request.target, request.body, request.headers)
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read())
    finally:
        connection.close()


def encode(text: str) -> str:
    """RFC 3986: everything but the unreserved characters."""
    return urlparse.quote(text, safe="-_.~")


def query_of(parameters: Mapping[str, str]) -> str:
    return "&".join(f"{encode(k)}={encode(v)}" for k, v in sorted(parameters.items()))


def iso_date(at: datetime | None = None) -> str:
    return (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")


def http_date(at: datetime | None = None) -> str:
    return (at or datetime.now(UTC)).strftime("%a, %d %b %Y %H:%M:%S GMT")


def acs3(
    place: sdk.Place,
    method: str,
    path: str,
    *,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    at: datetime | None = None,
) -> Request:
    """ACS3-HMAC-SHA256, every header signed."""
    digest = hashlib.sha256(body).hexdigest()
    signed = {name.lower(): value for name, value in (headers or {}).items()} | {
        "host": place.endpoint,
        "x-acs-date": iso_date(at),
        "x-acs-signature-nonce": uuid.uuid4().hex,
        "x-acs-content-sha256": digest,
    }
    names = ";".join(sorted(signed))
    canonical_headers = "".join(f"{name}:{signed[name].strip()}\n" for name in sorted(signed))
    sent_query = query_of(query or {})
    canonical = "\n".join((method, path, sent_query, canonical_headers, names, digest))
    to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
    signature = hmac.new(place.secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    signed["authorization"] = (
        f"ACS3-HMAC-SHA256 Credential={place.key_id},SignedHeaders={names},Signature={signature}"
    )
    return Request(method, path + (f"?{sent_query}" if sent_query else ""), signed, body)


def rpc_v1(
    place: sdk.Place,
    action: str,
    parameters: Mapping[str, str],
    *,
    method: str = "POST",
    at: datetime | None = None,
) -> Request:
    """RPC signature version 1.0, HMAC-SHA1, every parameter in the form: as Terraform's core does.

    method GET puts them into the query instead.
    """
    everything = dict(parameters) | {
        "Action": action,
        "Version": "2020-04-01",
        "Format": "json",
        "AccessKeyId": place.key_id,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": uuid.uuid4().hex,
        "Timestamp": iso_date(at),
    }
    to_sign = f"{method}&{encode('/')}&{encode(query_of(everything))}"
    everything["Signature"] = _hmac_sha1(place.secret + "&", to_sign)
    encoded = query_of(everything)
    if method == "GET":
        return Request("GET", "/?" + encoded, {"host": place.endpoint})
    headers = {"host": place.endpoint, "content-type": FORM}
    return Request("POST", "/", headers, encoded.encode())


def data_plane(
    place: sdk.Place, operation: str, body: Any, *, at: datetime | None = None
) -> Request:
    """The data plane's `acs:key:signature`, HMAC-SHA1."""
    path = f"/openapi/{operation}"
    kind = "application/json; charset=utf-8"
    if operation == "putEvents":
        kind = "application/cloudevents-batch+json; charset=utf-8"
    headers = {
        "host": place.endpoint,
        "content-type": kind,
        "date": http_date(at),
        "x-acs-signature-nonce": uuid.uuid4().hex,
        "x-acs-signature-method": "HMAC-SHA1",
        "x-acs-signature-version": "1.0",
        "x-eventbridge-version": "2015-06-06",
    }
    own = "".join(f"{k}:{v}\n" for k, v in sorted(headers.items()) if k.startswith("x-acs"))
    to_sign = f"POST\n\n{kind}\n{headers['date']}\n{own}{path}"
    headers["authorization"] = f"acs:{place.key_id}:{_hmac_sha1(place.secret, to_sign)}"
    return Request("POST", path, headers, json.dumps(body).encode())


def _hmac_sha1(secret: str, text: str) -> str:
    digest = hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()
