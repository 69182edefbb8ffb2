"""Requests captured from the official SDKs pass; altered, stale and second ones do not."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from headrace.access import authenticate, keys, nonces
from headrace.core import errors, signature

ID, SECRET, ACCOUNT = "LTAIexampleid", "examplesecret", "1234567890123456"
NOW_MS = 1_767_323_045_000  # 2026-01-02T03:04:05Z
WINDOW_MS = 15 * 60 * 1000
NONE: tuple[type[Exception], ...] = (errors.AuthError, errors.InvalidInput)

Request = authenticate.SignedRequest


class Wall:
    """A clock that is set by hand."""

    def __init__(self, ms: int = NOW_MS) -> None:
        self.ms = ms

    def wall_ms(self) -> int:
        return self.ms

    def mono_us(self) -> int:
        return self.ms * 1000


def golden() -> Iterator[tuple[str, Request, int]]:
    """Requests of the official SDKs as they came off the wire, with the moment they were signed."""
    for line in Path(__file__).with_name("golden.jsonl").read_text().splitlines():
        record = json.loads(line)
        headers = tuple((n.encode(), v.encode("latin-1")) for n, v in record["headers"])
        request = Request(
            record["method"],
            record["path"],
            record["query"],
            headers,
            record["body"].encode("latin-1"),
        )
        named = dict(headers)
        date = named.get(b"x-acs-date") or named.get(b"date")
        if date is None:
            date = signature.decode_parameters(record["query"])[b"Timestamp"]
        ms = authenticate.parse_date_ms(date.decode())
        assert ms is not None
        yield record["name"], request, ms


GOLDEN = list(golden())
NAMES = [name for name, _, _ in GOLDEN]


def authenticator(
    ms: int = NOW_MS, table: nonces.Nonces | None = None, **fields: str
) -> tuple[authenticate.Authenticator, Wall]:
    wall = Wall(ms)
    ring = keys.Keyring([keys.Key(ID, SECRET, ACCOUNT, **fields)])
    return authenticate.Authenticator(ring, wall, table or nonces.Nonces.in_memory(4096)), wall


def acs3(
    body: bytes = b"",
    query: str = "a=1&b=2",
    *,
    date: str = "2026-01-02T03:04:05Z",
    nonce: str = "n-1",
    **more: str,
) -> Request:
    headers = signature.sign_acs3(
        ID,
        SECRET,
        method="POST",
        path="/",
        query=query,
        headers={"host": "localhost", "x-acs-action": "PutEvents", "content-type": "text/plain"}
        | {name.replace("_", "-"): value for name, value in more.items()},
        body=body,
        date=date,
        nonce=nonce,
    )
    return Request("POST", "/", query, pairs(headers), body)


def rpc(form: bool = True, **parameters: str) -> Request:
    signed = signature.sign_rpc(
        ID,
        SECRET,
        method="POST",
        parameters={"Action": "CreateRule", "Version": "2020-04-01"} | parameters,
        timestamp="2026-01-02T03:04:05Z",
        nonce="n-1",
    )
    text = "&".join(f"{signature.encode(k)}={signature.encode(v)}" for k, v in signed.items())
    kind = ((b"content-type", authenticate.FORM), (b"host", b"localhost"))
    return Request("POST", "/", "", kind, text.encode()) if form else Request("POST", "/", text, ())


def data_plane(body: bytes = b"[]", **more: str) -> Request:
    headers = signature.sign_data_plane(
        ID,
        SECRET,
        method="POST",
        path="/openapi/putEvents",
        headers={"content-type": "application/cloudevents-batch+json", "host": "localhost"} | more,
        date="Fri, 02 Jan 2026 03:04:05 GMT",
        nonce="n-1",
    )
    return Request("POST", "/openapi/putEvents", "", pairs(headers), body)


def pairs(headers: dict[str, str]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.encode(), value.encode()) for name, value in headers.items())


def header(request: Request, name: str, value: str | None) -> Request:
    """The request with a header changed, or dropped when `value` is None."""
    kept = [(n, v) for n, v in request.headers if n != name.encode()]
    if value is not None:
        kept.append((name.encode(), value.encode()))
    return msgspec.structs.replace(request, headers=tuple(kept))


# ------------------------------------------------------------------ golden


@pytest.mark.parametrize(("name", "request_", "ms"), GOLDEN, ids=NAMES)
def test_requests_of_the_official_sdks_are_accepted_once(
    name: str, request_: Request, ms: int
) -> None:
    door, _ = authenticator(ms)
    principal = door.authenticate(request_)
    assert (principal.account, principal.access_key_id, principal.root) == (ACCOUNT, ID, True)
    with pytest.raises(errors.NonceUsed):
        door.authenticate(request_)


def mutations(request: Request, chance: random.Random) -> Iterator[tuple[str, Request]]:
    """Every single change to a part that a scheme signs, and some that smuggle."""
    replace = msgspec.structs.replace
    yield "method", replace(request, method="PUT")
    for path in (request.path + "/", request.path + "%2F", "/x" + request.path):
        yield f"path {path}", replace(request, path=path)
    if request.path != request.path.lower():
        yield "path case", replace(request, path=request.path.lower())
    yield "query added", replace(request, query=f"{request.query}&zz=1".lstrip("&"))
    for at, pair in enumerate(parts := request.query.split("&") if request.query else []):
        dropped = "&".join(parts[:at] + parts[at + 1 :])
        yield f"query dropped {pair}", replace(request, query=dropped)
        yield f"query doubled {pair}", replace(request, query=f"{request.query}&{pair}")
        changed = "&".join([*parts[:at], pair + "x", *parts[at + 1 :]])
        yield f"query changed {pair}", replace(request, query=changed)
        encoded = "&".join([*parts[:at], signature.encode(pair), *parts[at + 1 :]])
        yield f"query swallowed {pair}", replace(request, query=encoded)
    for name, value in request.headers:
        if not is_signed(request, name):
            continue
        text = name.decode()
        yield f"{text} dropped", header(request, text, None)
        yield f"{text} changed", header(request, text, value.decode() + "x")
        if value != value.swapcase():
            yield f"{text} case", header(request, text, value.swapcase().decode())
        doubled = (*request.headers, (name, value))
        yield f"{text} doubled", replace(request, headers=doubled)
        yield f"{text} first", replace(request, headers=((name, b"x"), *request.headers))
    yield "x-acs added", header(request, "x-acs-extra", "1")
    if covers_body(request):
        yield "body grown", replace(request, body=request.body + b"x")
        if request.body:
            at = chance.randrange(len(request.body))
            flipped = bytearray(request.body)
            flipped[at] ^= 1
            yield f"body bit {at}", replace(request, body=bytes(flipped))
            yield "body cut", replace(request, body=request.body[:-1])
            yield "body gone", replace(request, body=b"")


def is_signed(request: Request, name: bytes) -> bool:
    authorization = dict(request.headers).get(b"authorization", b"")
    if name == b"authorization":
        return True
    if authorization.startswith(b"ACS3"):
        return name.decode() in signature.parse_acs3(authorization.decode()).signed_headers
    if authorization:
        return name in (b"date", b"content-type") or name.startswith(b"x-acs")
    # RPC v1 signs no header; these two must agree with what it signs.
    return name in (b"x-acs-action", b"x-acs-version")


def covers_body(request: Request) -> bool:
    return not dict(request.headers).get(b"authorization", b"").startswith(b"acs:")


def test_no_altered_request_is_accepted() -> None:
    """Each signed element of each golden request altered, dropped or doubled, one at a time."""
    chance = random.Random(3)
    tried = 0
    for name, request, ms in GOLDEN:
        for change, altered in mutations(request, chance):
            is_rpc = b"authorization" not in dict(request.headers)
            if is_rpc and change in (
                "x-acs-action dropped",
                "x-acs-version dropped",
                "x-acs added",
            ):
                continue  # RPC v1 carries these among its parameters and signs no header
            tried += 1
            door, _ = authenticator(ms)
            try:
                door.authenticate(altered)
            except NONE:
                continue
            pytest.fail(f"{name}: {change} was accepted")
    assert tried > 500


@pytest.mark.parametrize(("name", "request_", "ms"), GOLDEN, ids=NAMES)
def test_random_damage_to_the_signature_is_never_accepted(
    name: str, request_: Request, ms: int
) -> None:
    chance = random.Random(name)
    for _ in range(100):
        authorization = dict(request_.headers).get(b"authorization")
        if authorization is None:
            damaged = msgspec.structs.replace(request_, query=damage(request_.query, chance))
            if says_the_same(damaged.query, request_.query):
                continue
        else:
            damaged = header(request_, "authorization", damage(authorization.decode(), chance))
        door, _ = authenticator(ms)
        with pytest.raises(NONE):
            door.authenticate(damaged)


def says_the_same(query: str, other: str) -> bool:
    """True for another spelling of the same parameters, which is no alteration."""
    try:
        return signature.decode_parameters(query) == signature.decode_parameters(other)
    except signature.Duplicate:
        return False


def damage(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text))
    other = chance.choice([c for c in "abcXYZ019=&;,:% " if c != text[at]])
    return text[:at] + other + text[at + 1 :]


# ------------------------------------------------------------------ ACS3


def test_a_signed_request_names_its_principal() -> None:
    door, _ = authenticator()
    assert door.authenticate(acs3(b"body")).account == ACCOUNT


@pytest.mark.parametrize(
    "name", ["host", "x-acs-date", "x-acs-content-sha256", "x-acs-signature-nonce", "x-acs-action"]
)
def test_required_headers_and_every_x_acs_header_must_be_signed(name: str) -> None:
    """A signature that is right, over too little."""
    request = acs3(b"body")
    headers = dict(request.headers)
    given = signature.parse_acs3(headers[b"authorization"].decode())
    signed = [n for n in given.signed_headers if n != name]
    canonical = signature.canonical_acs3(
        "POST",
        "/",
        request.query,
        headers,
        signed=signed,
        payload=headers[b"x-acs-content-sha256"].decode(),
    )
    value = signature.acs3_signature(SECRET, canonical)
    altered = header(
        request,
        "authorization",
        f"ACS3-HMAC-SHA256 Credential={ID},SignedHeaders={';'.join(signed)},Signature={value}",
    )
    door, _ = authenticator()
    with pytest.raises(errors.SignatureWrong, match="must be signed"):
        door.authenticate(altered)


def test_a_body_other_than_the_signed_hash_is_refused() -> None:
    door, _ = authenticator()
    with pytest.raises(errors.SignatureWrong):
        door.authenticate(msgspec.structs.replace(acs3(b"body"), body=b"Body"))


def test_an_unhashed_payload_is_refused_even_if_signed() -> None:
    request = acs3(b"", x_acs_content_sha256="ignored")
    headers = {n.decode(): v.decode() for n, v in request.headers}
    names = sorted(set(headers) - {"authorization"})
    headers["x-acs-content-sha256"] = "UNSIGNED-PAYLOAD"
    canonical = signature.canonical_acs3(
        "POST",
        "/",
        request.query,
        {n.encode(): v.encode() for n, v in headers.items()},
        signed=names,
        payload="UNSIGNED-PAYLOAD",
    )
    value = signature.acs3_signature(SECRET, canonical)
    headers["authorization"] = (
        f"ACS3-HMAC-SHA256 Credential={ID},SignedHeaders={';'.join(names)},Signature={value}"
    )
    door, _ = authenticator()
    with pytest.raises(errors.SignatureWrong):
        door.authenticate(msgspec.structs.replace(request, headers=pairs(headers)))


def test_doubled_headers_and_parameters_are_a_bad_request() -> None:
    door, _ = authenticator()
    request = acs3()
    for name in ("host", "x-acs-date", "content-type", "authorization", "content-length"):
        doubled = (*request.headers, (name.encode(), b"x"), (name.encode(), b"x"))
        with pytest.raises(errors.InvalidInput) as caught:
            door.authenticate(msgspec.structs.replace(request, headers=doubled))
        assert (caught.value.status, caught.value.field) == (400, name)
    with pytest.raises(errors.InvalidInput) as caught:
        door.authenticate(acs3_with_query("a=1&a=1"))
    assert caught.value.field == "a"


def acs3_with_query(query: str) -> Request:
    return msgspec.structs.replace(acs3(), query=query)


def test_unsigned_headers_may_repeat() -> None:
    door, _ = authenticator()
    request = acs3()
    more = ((b"via", b"1"), (b"via", b"2"))
    door.authenticate(msgspec.structs.replace(request, headers=(*request.headers, *more)))


def test_an_unknown_key_is_told_from_a_wrong_secret_only_by_its_code() -> None:
    stranger = authenticate.Authenticator(keys.Keyring([]), Wall(), nonces.Nonces.in_memory(16))
    with pytest.raises(errors.KeyUnknown):
        stranger.authenticate(acs3())
    ring = keys.Keyring([keys.Key(ID, "other", ACCOUNT)])
    wrong = authenticate.Authenticator(ring, Wall(), nonces.Nonces.in_memory(16))
    with pytest.raises(errors.SignatureWrong):
        wrong.authenticate(acs3())


def test_the_secret_of_nobody_opens_nothing() -> None:
    """The signature computed for unknown keys is right for no request."""
    nobody = authenticate._SECRET_OF_NOBODY  # pyright: ignore[reportPrivateUsage]
    headers = signature.sign_acs3(
        "ghost",
        nobody,
        method="GET",
        path="/",
        headers={"host": "h"},
        body=b"",
        date="2026-01-02T03:04:05Z",
        nonce="n",
    )
    door, _ = authenticator()
    with pytest.raises(errors.KeyUnknown):
        door.authenticate(Request("GET", "/", "", pairs(headers)))


@pytest.mark.parametrize(
    "authorization", ["Bearer x", "acs a:b", "Basic YTpi", "ACS3-RSA-SHA256 Credential=a", ""]
)
def test_other_schemes_are_refused(authorization: str) -> None:
    door, _ = authenticator()
    with pytest.raises((errors.SignatureMissing, errors.SignatureWrong)):
        door.authenticate(header(acs3(), "authorization", authorization))


def test_an_unsigned_request_is_told_so() -> None:
    door, _ = authenticator()
    with pytest.raises(errors.SignatureMissing):
        door.authenticate(Request("GET", "/", "Action=ListEventBuses", ()))
    with pytest.raises(errors.SignatureMissing):
        door.authenticate(header(acs3(b"x" * 100), "authorization", None))


# ------------------------------------------------------------------ dates and nonces


SCHEMES: list[Callable[[], Request]] = [acs3, rpc, data_plane, lambda: rpc(form=False)]
SCHEME_NAMES = ["acs3", "rpc form", "data plane", "rpc query"]


@pytest.mark.parametrize("make", SCHEMES, ids=SCHEME_NAMES)
@pytest.mark.parametrize("off_ms", [-WINDOW_MS, 0, WINDOW_MS])
def test_dates_within_the_window_are_fresh(make: Callable[[], Request], off_ms: int) -> None:
    door, wall = authenticator()
    wall.ms += off_ms
    assert door.authenticate(make()).access_key_id == ID


@pytest.mark.parametrize("make", SCHEMES, ids=SCHEME_NAMES)
@pytest.mark.parametrize("off_ms", [-WINDOW_MS - 1, WINDOW_MS + 1, 86_400_000])
def test_dates_outside_the_window_are_stale(make: Callable[[], Request], off_ms: int) -> None:
    door, wall = authenticator()
    wall.ms += off_ms
    with pytest.raises(errors.RequestStale):
        door.authenticate(make())


@pytest.mark.parametrize("make", SCHEMES, ids=SCHEME_NAMES)
@pytest.mark.parametrize("off_ms", [0, 1, WINDOW_MS - 1, WINDOW_MS, WINDOW_MS + 1])
def test_a_replay_is_refused_at_any_time(make: Callable[[], Request], off_ms: int) -> None:
    """Up to the edge of the window by its nonce, after that by its date."""
    door, wall = authenticator()
    door.authenticate(make())
    wall.ms += off_ms
    with pytest.raises((errors.NonceUsed, errors.RequestStale)):
        door.authenticate(make())


def test_a_request_from_the_future_edge_cannot_be_replayed_later() -> None:
    door, wall = authenticator(NOW_MS - WINDOW_MS)
    door.authenticate(acs3())
    for wall.ms in range(NOW_MS - WINDOW_MS, NOW_MS + WINDOW_MS + 2, WINDOW_MS // 7):
        with pytest.raises((errors.NonceUsed, errors.RequestStale)):
            door.authenticate(acs3())


def test_a_nonce_used_by_another_request_of_the_key_is_used() -> None:
    door, _ = authenticator()
    door.authenticate(acs3(b"one"))
    with pytest.raises(errors.NonceUsed):
        door.authenticate(acs3(b"two", date="2026-01-02T03:04:06Z"))


def test_a_forged_request_does_not_use_up_a_nonce() -> None:
    door, _ = authenticator()
    with pytest.raises(errors.SignatureWrong):
        door.authenticate(msgspec.structs.replace(acs3(b"one"), body=b"two"))
    door.authenticate(acs3(b"one"))


def test_requests_dated_before_a_lost_table_are_stale() -> None:
    table = nonces.Nonces.in_memory(16)
    table.not_before_ms = NOW_MS + 1000
    door, _ = authenticator(table=table)
    with pytest.raises(errors.RequestStale):
        door.authenticate(acs3())


def test_a_replay_is_refused_after_the_clock_went_ahead_and_back() -> None:
    """While it was ahead the nonce made room for others; back again, the date alone would do."""
    door, wall = authenticator(table=nonces.Nonces.in_memory(1))
    captured = acs3()
    door.authenticate(captured)
    wall.ms = NOW_MS + 3_600_000
    door.authenticate(acs3(date="2026-01-02T04:04:05Z", nonce="of that hour"))
    wall.ms = NOW_MS + 5_000
    with pytest.raises(errors.RequestStale):
        door.authenticate(captured)


def test_a_stale_request_is_told_what_the_servers_clock_says() -> None:
    """After a jump it is the server's that is wrong, and only it can say so."""
    door, wall = authenticator()
    wall.ms = NOW_MS + 365 * 86_400_000
    with pytest.raises(errors.RequestStale, match="clock says 2027-01-02T03:04:05Z") as refused:
        door.authenticate(acs3())
    assert "headrace doctor" in refused.value.remedy


def test_a_full_table_refuses_rather_than_forgets() -> None:
    door, _ = authenticator(table=nonces.Nonces.in_memory(1))
    door.authenticate(acs3())
    with pytest.raises(errors.Unavailable):
        door.authenticate(GOLDEN_NOW)


def _golden_now() -> Request:
    headers = signature.sign_acs3(
        ID,
        SECRET,
        method="GET",
        path="/",
        headers={"host": "h"},
        body=b"",
        date="2026-01-02T03:04:05Z",
        nonce="another",
    )
    return Request("GET", "/", "", pairs(headers))


GOLDEN_NOW = _golden_now()


@pytest.mark.parametrize(
    "date",
    [
        *("", "now", "2026-01-02", "2026-01-02T03:04:05", "2026-01-02T03:04:05+00:00"),
        *("2026-13-02T03:04:05Z", "2026-01-02T24:04:05Z", "0000-00-00T00:00:00Z"),
    ],
)
def test_a_date_that_cannot_be_read_is_stale(date: str) -> None:
    door, _ = authenticator()
    with pytest.raises(errors.RequestStale):
        door.authenticate(acs3(date=date))


def test_both_spellings_of_dates_are_read() -> None:
    assert authenticate.parse_date_ms("2026-01-02T03:04:05Z") == NOW_MS
    assert authenticate.parse_date_ms("2026-01-02T03:04:05.678Z") == NOW_MS + 678
    assert authenticate.parse_date_ms("Fri, 02 Jan 2026 03:04:05 GMT") == NOW_MS
    assert authenticate.parse_date_ms("Fri, 02 Xxx 2026 03:04:05 GMT") is None
    assert authenticate.parse_date_ms("Fri, 02 Jan 2026 03:04:05 +0800") is None


# ------------------------------------------------------------------ RPC v1


def test_rpc_in_query_and_in_form() -> None:
    for form in (True, False):
        door, _ = authenticator()
        assert door.authenticate(rpc(form, Name="a b*~/+中")).account == ACCOUNT


def test_rpc_parameters_may_be_split_between_query_and_form() -> None:
    whole = rpc().body.decode()
    first, rest = whole.split("&", 1)
    door, _ = authenticator()
    split = msgspec.structs.replace(rpc(), query=first, body=rest.encode())
    assert door.authenticate(split).access_key_id == ID


def test_rpc_refuses_a_parameter_in_both_places() -> None:
    door, _ = authenticator()
    with pytest.raises(errors.InvalidInput) as caught:
        door.authenticate(msgspec.structs.replace(rpc(), query="Action=DeleteRule"))
    assert caught.value.field == "Action"


@pytest.mark.parametrize(
    ("name", "value"), [("x-acs-action", "DeleteRule"), ("x-acs-version", "1")]
)
def test_rpc_refuses_an_unsigned_header_that_says_another_action(name: str, value: str) -> None:
    door, _ = authenticator()
    with pytest.raises(errors.SignatureWrong):
        door.authenticate(header(rpc(), name, value))


def test_rpc_refuses_a_body_it_does_not_cover() -> None:
    request = rpc(form=False)
    kind = ((b"content-type", b"application/json"),)
    door, _ = authenticator()
    with pytest.raises(errors.SignatureWrong):
        door.authenticate(msgspec.structs.replace(request, body=b"{}", headers=kind))


@pytest.mark.parametrize(
    ("name", "value"), [("SignatureMethod", "HMAC-MD5"), ("SignatureVersion", "2")]
)
def test_rpc_takes_one_method_and_version_only(name: str, value: str) -> None:
    request = rpc(form=False)
    parameters = signature.decode_parameters(request.query)
    parameters[name.encode()] = value.encode()
    right = signature.rpc_signature(SECRET, signature.canonical_rpc("POST", parameters))
    parameters[b"Signature"] = right.encode()
    query = "&".join(f"{signature.encode(k)}={signature.encode(v)}" for k, v in parameters.items())
    door, _ = authenticator()
    with pytest.raises(errors.SignatureWrong):
        door.authenticate(msgspec.structs.replace(request, query=query))


def test_rpc_bounds_the_form_it_verifies() -> None:
    door, _ = authenticator()
    with pytest.raises(errors.PayloadTooLarge):
        door.authenticate(rpc(Big="x" * 2**20))


# ------------------------------------------------------------------ data plane


def test_the_data_plane_checks_content_md5_if_it_is_there() -> None:
    md5 = base64.b64encode(hashlib.md5(b"[1]").digest()).decode()
    door, _ = authenticator()
    door.authenticate(data_plane(b"[1]", **{"content-md5": md5}))
    door, _ = authenticator()
    with pytest.raises(errors.SignatureWrong):
        door.authenticate(data_plane(b"[2]", **{"content-md5": md5}))


@pytest.mark.parametrize("name", ["date", "x-acs-signature-nonce"])
def test_the_data_plane_needs_date_and_nonce_although_a_signature_exists_without(name: str) -> None:
    request = header(data_plane(), name, None)
    canonical = signature.canonical_data_plane("POST", request.path, "", dict(request.headers))
    value = signature.data_plane_signature(SECRET, canonical)
    door, _ = authenticator()
    with pytest.raises((errors.RequestStale, errors.SignatureWrong)):
        door.authenticate(header(request, "authorization", f"acs:{ID}:{value}"))


@pytest.mark.parametrize("authorization", ["acs:", "acs:a", "acs::x", "acs:a:", "acs:a:b:c"])
def test_malformed_data_plane_headers_are_refused(authorization: str) -> None:
    door, _ = authenticator()
    with pytest.raises(errors.SignatureWrong):
        door.authenticate(header(data_plane(), "authorization", authorization))


# ------------------------------------------------------------------ temporary keys, HTTP triggers


def test_a_security_token_nobody_issued_is_refused() -> None:
    door, _ = authenticator()
    for make in (acs3(x_acs_security_token="t"), data_plane(**{"x-acs-security-token": "t"})):
        with pytest.raises(errors.SignatureWrong) as caught:
            door.authenticate(make)
        assert caught.value.code == "SecurityTokenInvalid"
    with pytest.raises(errors.SignatureWrong):
        door.authenticate(rpc(SecurityToken="t"))


def test_a_temporary_key_needs_its_token() -> None:
    door, _ = authenticator(security_token="t")
    with pytest.raises(errors.SignatureWrong):
        door.authenticate(acs3())
    door.authenticate(acs3(x_acs_security_token="t"))


def trigger(signed: list[str], headers: dict[str, str], body: bytes = b"") -> Request:
    encoded = {n.encode(): v.encode() for n, v in headers.items()}
    payload = headers.get("x-acs-content-sha256", "") if "x-acs-content-sha256" in signed else ""
    canonical = signature.canonical_acs3("POST", "/f", "", encoded, signed=signed, payload=payload)
    value = signature.acs3_signature(SECRET, canonical)
    authorization = (
        f"ACS3-HMAC-SHA256 Credential={ID},SignedHeaders={';'.join(signed)},Signature={value}"
    )
    return Request("POST", "/f", "", pairs(headers | {"authorization": authorization}), body)


DATE = {"x-acs-date": "2026-01-02T03:04:05Z"}


def test_http_trigger_requests_may_sign_the_date_alone() -> None:
    door, wall = authenticator()
    request = trigger(["x-acs-date"], DATE, b"any body")
    assert door.authenticate_http_trigger(request).account == ACCOUNT
    assert door.authenticate_http_trigger(request).account == ACCOUNT, "no nonce, no memory"
    with pytest.raises(errors.SignatureWrong):
        door.authenticate(request)
    wall.ms += WINDOW_MS + 1
    with pytest.raises(errors.RequestStale):
        door.authenticate_http_trigger(request)


def test_an_empty_security_token_of_a_trigger_client_is_none() -> None:
    door, _ = authenticator()
    token = {"x-acs-security-token": ""}
    door.authenticate_http_trigger(trigger(["x-acs-date", "x-acs-security-token"], DATE | token))


def test_a_signed_hash_of_a_trigger_request_binds_its_body() -> None:
    digest = {"x-acs-content-sha256": hashlib.sha256(b"body").hexdigest()}
    signed = ["x-acs-content-sha256", "x-acs-date"]
    door, _ = authenticator()
    door.authenticate_http_trigger(trigger(signed, DATE | digest, b"body"))
    with pytest.raises(errors.SignatureWrong):
        door.authenticate_http_trigger(trigger(signed, DATE | digest, b"other"))


def test_an_unsigned_hash_of_a_trigger_request_is_no_part_of_it() -> None:
    door, _ = authenticator()
    request = trigger(["x-acs-date"], DATE | {"x-acs-content-sha256": "0" * 64})
    assert door.authenticate_http_trigger(request).access_key_id == ID


def test_trigger_requests_must_sign_the_date() -> None:
    door, _ = authenticator()
    with pytest.raises(errors.SignatureWrong):
        door.authenticate_http_trigger(trigger(["x-other"], DATE | {"x-other": "1"}))
    with pytest.raises(errors.SignatureMissing):
        door.authenticate_http_trigger(Request("POST", "/f", "", pairs(DATE)))


def test_a_signed_nonce_of_a_trigger_request_is_used_once() -> None:
    door, _ = authenticator()
    request = trigger(
        ["x-acs-date", "x-acs-signature-nonce"], DATE | {"x-acs-signature-nonce": "n"}
    )
    door.authenticate_http_trigger(request)
    with pytest.raises(errors.NonceUsed):
        door.authenticate_http_trigger(request)


@pytest.mark.parametrize("year", ["0000", "0001", "9999"])
def test_every_year_of_four_digits_is_only_too_far_away(year: str) -> None:
    """Year 0 does not exist for Python; that must not be the server's failure."""
    desk, _ = authenticator()
    with pytest.raises(errors.RequestStale):
        desk.authenticate(acs3(date=f"{year}-01-02T03:04:05Z"))


def test_attributes_of_an_event_must_be_signed() -> None:
    """In binary mode they are the event; a ce- header that nobody signed is anybody's."""
    door, _ = authenticator()
    door.authenticate(acs3(ce_id="1"))
    door, _ = authenticator()
    with pytest.raises(errors.SignatureWrong, match="ce-id"):
        door.authenticate(header(acs3(), "ce-id", "1"))


def test_the_data_planes_scheme_counts_on_the_data_plane_only() -> None:
    """It need not cover the body: elsewhere a deployment could be exchanged under its signature."""
    signed = signature.sign_data_plane(
        ID,
        SECRET,
        method="POST",
        path="/2023-03-30/functions",
        headers={"host": "localhost"},
        date="Fri, 02 Jan 2026 03:04:05 GMT",
        nonce="n-1",
    )
    door, _ = authenticator()
    with pytest.raises(errors.SignatureWrong, match="/openapi/"):
        door.authenticate(Request("POST", "/2023-03-30/functions", "", pairs(signed), b"{}"))
