"""Who sent this request: verifies its signature by any of three schemes, its date and its nonce.

Owns which parts of a request a scheme must cover. It must never decide what the caller may do
(`policy`), and never tell a wrong key from a wrong signature by the time it takes. Order: shape,
signature, date, nonce: a forged request leaves no trace in the nonce table.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from calendar import timegm
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

import msgspec

from headrace.access import keys, nonces, policy
from headrace.core import clock, errors, limits, signature

FORM = b"application/x-www-form-urlencoded"

_SECRET_OF_NOBODY = "no-key-has-this-secret-0000000000000000"
_ACS3_REQUIRED = frozenset(("host", "x-acs-date", "x-acs-content-sha256", "x-acs-signature-nonce"))
#: Headers a scheme reads; a second one could be read by somebody else.
_SINGLE = frozenset(
    (b"authorization", b"host", b"date", b"content-type", b"content-md5", b"content-length")
)
#: Headers that say what is asked (ce-: an event's attributes); unsigned, anybody could change them.
_CONTENT = (b"x-acs-", b"ce-")
#: Where the official client signs by `acs:`. That need not cover the body, so it counts nowhere
#: else.
_DATA_PLANE = "/openapi/"
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{3}))?Z")
_RFC1123 = re.compile(r"[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT")
_MONTHS: list[str] = [
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
]


class SignedRequest(msgspec.Struct, frozen=True):
    """A request as it came off the wire, before anybody interpreted it."""

    method: str
    #: Still encoded, exactly as sent.
    path: str
    #: Without "?", exactly as sent.
    query: str
    #: Names in lower case, in order, repeats included.
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes = b""


class Keys(Protocol):
    """Where keys are looked up; `keys.Keyring` satisfies it."""

    def find(self, access_key_id: str) -> keys.Key | None: ...


class Authenticator:
    """Turns a signed request into a principal, or refuses it."""

    def __init__(
        self,
        keys: Keys,
        clock: clock.Clock,
        nonces: nonces.Nonces,
        window_ms: int = limits.SIGNATURE_WINDOW_MS,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._nonces = nonces
        self._window_ms = window_ms

    def authenticate(self, request: SignedRequest) -> policy.Principal:
        """Return who sent the request.

        Raises: SignatureMissing, KeyUnknown, SignatureWrong, RequestStale, NonceUsed; InvalidInput
        for a header or parameter that stands twice; Unavailable when no more nonces can be
        remembered.
        """
        headers, repeated = _index(request.headers)
        authorization = headers.get(b"authorization")
        if authorization is None:
            return self._rpc(request, headers, repeated)
        if authorization.startswith(b"ACS3-"):
            return self._acs3(request, headers, repeated)
        if authorization.startswith(b"acs:"):
            return self._data_plane(request, headers, repeated)
        raise errors.SignatureMissing(
            "The authorization scheme is not known here.",
            expected=(signature.ACS3, "acs:", "RPC HMAC-SHA1"),
            got=authorization[:16].decode("latin-1"),
        )

    def authenticate_http_trigger(self, request: SignedRequest) -> policy.Principal:
        """Return who sent a request to a function's HTTP trigger of authType function.

        Such clients sign neither host nor nonce, and the body only if x-acs-content-sha256 is
        signed: the date is all that stands against a replay.  Source: Function Compute "Signature
        authentication for HTTP triggers".
        """
        headers, repeated = _index(request.headers)
        if b"authorization" not in headers:
            raise errors.SignatureMissing
        given = _read_acs3(headers)
        _check_single(repeated, given.signed_headers)
        _check_signed(given, ("x-acs-date",))
        is_hashed = "x-acs-content-sha256" in given.signed_headers
        key = self._verify_acs3(request, headers, given, is_hashed=is_hashed)
        date_ms = self._fresh(_text(headers, b"x-acs-date"))
        if "x-acs-signature-nonce" in given.signed_headers:
            self._use(key, _text(headers, b"x-acs-signature-nonce"), date_ms)
        return _principal(key)

    def _acs3(
        self, request: SignedRequest, headers: Mapping[bytes, bytes], repeated: Iterable[bytes]
    ) -> policy.Principal:
        given = _read_acs3(headers)
        _check_single(repeated, given.signed_headers)
        own = [name.decode("latin-1") for name in headers if name.startswith(_CONTENT)]
        _check_signed(given, (*_ACS3_REQUIRED, *own))
        key = self._verify_acs3(request, headers, given, is_hashed=True)
        date_ms = self._fresh(_text(headers, b"x-acs-date"))
        self._use(key, _text(headers, b"x-acs-signature-nonce"), date_ms)
        return _principal(key)

    def _verify_acs3(
        self,
        request: SignedRequest,
        headers: Mapping[bytes, bytes],
        given: signature.Acs3Authorization,
        *,
        is_hashed: bool,
    ) -> keys.Key:
        payload = _text(headers, b"x-acs-content-sha256") if is_hashed else ""
        try:
            canonical = signature.canonical_acs3(
                request.method,
                request.path,
                request.query,
                headers,
                signed=given.signed_headers,
                payload=payload,
            )
        except KeyError as fault:
            name = fault.args[0].decode("latin-1")
            raise errors.SignatureWrong(f"The signed header [{name}] is missing.") from fault
        except signature.Duplicate as fault:
            raise _twice("parameter", fault.name) from fault
        except ValueError as fault:
            raise errors.SignatureWrong(f"The request cannot be verified: {fault}.") from fault
        key = self._keys.find(given.access_key_id)
        secret = key.secret if key else _SECRET_OF_NOBODY
        is_right = signature.equal(given.signature, signature.acs3_signature(secret, canonical))
        if is_hashed:
            digest = hashlib.sha256(request.body).hexdigest()
            is_right = signature.equal(payload, digest) and is_right
        token = headers.get(b"x-acs-security-token", b"").decode("latin-1")
        return _known(key, given.access_key_id, is_right=is_right, token=token)

    def _rpc(
        self, request: SignedRequest, headers: Mapping[bytes, bytes], repeated: Iterable[bytes]
    ) -> policy.Principal:
        parameters = _rpc_parameters(request, headers)
        if b"Signature" not in parameters:
            raise errors.SignatureMissing
        _check_single(repeated, ())
        _check_rpc(request, headers, parameters)

        def value(name: bytes) -> str:
            return parameters.get(name, b"").decode("utf-8", "replace")

        access_key_id = value(b"AccessKeyId")
        key = self._keys.find(access_key_id)
        computed = signature.rpc_signature(
            key.secret if key else _SECRET_OF_NOBODY,
            signature.canonical_rpc(request.method, parameters),
        )
        is_right = signature.equal(value(b"Signature"), computed)
        key = _known(key, access_key_id, is_right=is_right, token=value(b"SecurityToken"))
        self._use(key, value(b"SignatureNonce"), self._fresh(value(b"Timestamp")))
        return _principal(key)

    def _data_plane(
        self, request: SignedRequest, headers: Mapping[bytes, bytes], repeated: Iterable[bytes]
    ) -> policy.Principal:
        if not request.path.startswith(_DATA_PLANE):
            raise errors.SignatureWrong(
                f"The scheme acs: counts below {_DATA_PLANE} only.", expected=signature.ACS3
            )
        _check_single(repeated, ())
        _, access_key_id, given = _split(_text(headers, b"authorization"))
        try:
            canonical = signature.canonical_data_plane(
                request.method, request.path, request.query, headers
            )
        except signature.Duplicate as fault:
            raise _twice("parameter", fault.name) from fault
        except ValueError as fault:
            raise errors.SignatureWrong(f"The request cannot be verified: {fault}.") from fault
        key = self._keys.find(access_key_id)
        computed = signature.data_plane_signature(
            key.secret if key else _SECRET_OF_NOBODY, canonical
        )
        is_right = signature.equal(given, computed)
        if md5 := _text(headers, b"content-md5"):
            digest = hashlib.md5(request.body, usedforsecurity=False).digest()
            is_right = signature.equal(md5, b64encode(digest).decode("ascii")) and is_right
        token = _text(headers, b"x-acs-security-token")
        key = _known(key, access_key_id, is_right=is_right, token=token)
        self._use(
            key, _text(headers, b"x-acs-signature-nonce"), self._fresh(_text(headers, b"date"))
        )
        return _principal(key)

    def _fresh(self, date: str) -> int:
        """Return the date in milliseconds if it is within the window. Raises: RequestStale."""
        date_ms = parse_date_ms(date)
        if date_ms is None:
            raise errors.RequestStale(
                f"The date [{date[:64]}] of the request cannot be read.",
                field="date",
                got=date[:64],
            )
        now_ms = self._clock.wall_ms()
        self._nonces.seen(now_ms)
        if abs(now_ms - date_ms) > self._window_ms:
            why = "is too far from the server's clock"
        elif date_ms < self._nonces.not_before_ms:
            why = "is before the server's table of nonces or its clock began anew"
        else:
            return date_ms
        raise errors.RequestStale(
            f"The date [{date}] of the request {why}; the server's clock says {_iso(now_ms)}.",
            field="date",
            expected=now_ms,
            got=date_ms,
            remedy="Compare both clocks (headrace doctor does), set the one that is wrong, and"
            " sign each request anew.",
        )

    def _use(self, key: keys.Key, nonce: str, date_ms: int) -> None:
        if not nonce or len(nonce) > limits.NONCE_CHARS_MAX:
            raise errors.SignatureWrong(
                f"A nonce of 1 to {limits.NONCE_CHARS_MAX} characters is needed.",
                field="SignatureNonce",
            )
        self._nonces.use(
            key.access_key_id,
            nonce,
            now_ms=self._clock.wall_ms(),
            # After that the date alone refuses it.
            until_ms=date_ms + self._window_ms + 1,
        )


@lru_cache(maxsize=256)
def parse_date_ms(text: str) -> int | None:
    """Return a date, 2026-01-02T03:04:05Z or RFC 1123, in milliseconds; None if it is neither.

    Cached: many requests carry the same second.
    """
    if found := _ISO.fullmatch(text):
        year, month, day, *clock_parts = (int(part) for part in found.groups("0"))
    elif (found := _RFC1123.fullmatch(text)) and found[2] in _MONTHS:
        year, month, day = int(found[3]), _MONTHS.index(found[2]) + 1, int(found[1])
        clock_parts = [int(found[4]), int(found[5]), int(found[6]), 0]
    else:
        return None
    hour, minute, second, ms = clock_parts
    if not (year and 1 <= month <= 12 and 1 <= day <= 31):
        return None
    if hour > 23 or minute > 59 or second > 60:
        return None
    return timegm((year, month, day, hour, minute, second)) * 1000 + ms


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _index(
    headers: Sequence[tuple[bytes, bytes]],
) -> tuple[dict[bytes, bytes], list[bytes]]:
    """Return the trimmed headers by name, the first of each, and the names that stand twice."""
    found = {name: value.strip(b" \t") for name, value in reversed(headers)}
    if len(found) == len(headers):
        return found, []
    counted = Counter(name for name, _ in headers)
    return found, [name for name, count in counted.items() if count > 1]


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str:
    return headers.get(name, b"").decode("latin-1")


def _read_acs3(headers: Mapping[bytes, bytes]) -> signature.Acs3Authorization:
    try:
        return signature.parse_acs3(_text(headers, b"authorization"))
    except signature.Malformed as fault:
        raise errors.SignatureWrong(f"The authorization header cannot be read: {fault}.") from fault


def _check_single(repeated: Iterable[bytes], signed: Iterable[str]) -> None:
    for name in repeated:
        text = name.decode("latin-1")
        if name in _SINGLE or name.startswith(b"x-acs-") or text in signed:
            raise _twice("header", text)


def _check_signed(given: signature.Acs3Authorization, required: Iterable[str]) -> None:
    for name in required:
        if name not in given.signed_headers:
            raise errors.SignatureWrong(f"The header [{name}] must be signed.", field=name)


def _twice(what: str, name: str) -> errors.InvalidInput:
    return errors.InvalidInput(
        f"The {what} [{name[:64]}] stands twice.", code="InvalidParameter", field=name[:64]
    )


def _known(key: keys.Key | None, access_key_id: str, *, is_right: bool, token: str) -> keys.Key:
    """Return the key if all is right with it; called after everything was computed either way."""
    if key is None:
        raise errors.KeyUnknown(
            f"The access key id [{access_key_id[:64]}] is not known here.",
            field="AccessKeyId",
            got=access_key_id[:64],
        )
    if not is_right:
        raise errors.SignatureWrong
    if not signature.equal(token, key.security_token):
        raise errors.SignatureWrong("The security token is not valid.", code="SecurityTokenInvalid")
    return key


def _principal(key: keys.Key) -> policy.Principal:
    return policy.Principal(key.account, key.access_key_id, key.root)


def _rpc_parameters(request: SignedRequest, headers: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the parameters of query and form together."""
    try:
        parameters = signature.decode_parameters(request.query)
        if request.body and _is_form(headers):
            if len(request.body) > limits.RPC_V1_BYTES_MAX:
                raise errors.PayloadTooLarge(
                    f"A form signed by RPC v1 may have {limits.RPC_V1_BYTES_MAX} bytes.",
                    got=len(request.body),
                    remedy=f"Sign larger requests by {signature.ACS3}.",
                )
            form = signature.decode_parameters(request.body.decode("latin-1"))
            for name in parameters.keys() & form.keys():
                raise signature.Duplicate(name.decode("utf-8", "replace"))
            parameters |= form
    except signature.Duplicate as fault:
        raise _twice("parameter", fault.name) from fault
    except ValueError as fault:
        raise errors.InvalidInput(f"The parameters cannot be read: {fault}.") from fault
    return parameters


def _is_form(headers: Mapping[bytes, bytes]) -> bool:
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower() == FORM


def _check_rpc(
    request: SignedRequest,
    headers: Mapping[bytes, bytes],
    parameters: Mapping[bytes, bytes],
) -> None:
    """Refuse what RPC v1 does not cover: another path, an unsigned body, an unsigned action."""
    if request.path != "/":
        raise errors.SignatureWrong("RPC v1 covers no path but /.", got=request.path[:256])
    expected = {b"SignatureMethod": b"HMAC-SHA1", b"SignatureVersion": b"1.0"}
    for name, value in expected.items():
        if parameters.get(name) != value:
            raise errors.SignatureWrong(
                f"{name.decode()} must be {value.decode()}.", field=name.decode()
            )
    if request.body and not _is_form(headers):
        raise errors.SignatureWrong("RPC v1 covers no body but a form.", field="content-type")
    for header, name in ((b"x-acs-action", b"Action"), (b"x-acs-version", b"Version")):
        if header in headers and headers[header] != parameters.get(name):
            raise errors.SignatureWrong(
                f"The header [{header.decode()}] is not signed and says something else."
            )


def _split(authorization: str) -> tuple[str, str, str]:
    parts = authorization.split(":")
    if len(parts) != 3 or not all(parts):
        raise errors.SignatureWrong("The authorization header must be acs:<key id>:<signature>.")
    return parts[0], parts[1], parts[2]
