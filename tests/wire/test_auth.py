"""Who may call: the three signatures through the SDKs and byte by byte, and every way to fail."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.wire import processes, sdk, signing

Sign = Callable[..., signing.Request]


def control(place: sdk.Place, **options: Any) -> signing.Request:
    headers = {"x-acs-action": "GetEventBus", "x-acs-version": "2020-04-01"}
    return signing.acs3(
        place, "POST", "/", query={"EventBusName": "default"}, headers=headers, **options
    )


def rpc(place: sdk.Place, **options: Any) -> signing.Request:
    return signing.rpc_v1(place, "GetEventBus", {"EventBusName": "default"}, **options)


def data(place: sdk.Place, **options: Any) -> signing.Request:
    return signing.data_plane(place, "getEventBus", {"EventBusName": "default"}, **options)


def fc(place: sdk.Place, **options: Any) -> signing.Request:
    headers = {"x-acs-action": "ListFunctions", "x-acs-version": "2023-03-30"}
    return signing.acs3(place, "GET", "/2023-03-30/functions", headers=headers, **options)


#: Each scheme on each API it is used on.
SCHEMES = [control, rpc, data, fc]
#: What Function Compute calls the same thing.
FC_WORDS = {
    "SignatureDoesNotMatch": "SignatureNotMatch",
    "InvalidAccessKeyId": "InvalidAccessKeyID",
    "MissingSignature": "MissingRequiredHeader",
}


def code_of(answer: signing.Answer) -> str:
    told = answer.json()
    return told.get("Code") or told["code"]


def expected(code: str, sign: Sign) -> str:
    return FC_WORDS.get(code, code) if sign is fc else code


def other_secret(place: sdk.Place) -> sdk.Place:
    return place._replace(secret="x" * len(place.secret))


def other_key(place: sdk.Place) -> sdk.Place:
    return place._replace(key_id="HRAKNOBODY")


@pytest.mark.parametrize(
    ("change", "code", "fc_code"),
    [
        (other_secret, "SignatureDoesNotMatch", "SignatureNotMatch"),
        (other_key, "InvalidAccessKeyId", "InvalidAccessKeyID"),
    ],
)
def test_sdks_raise_for_a_wrong_secret_and_an_unknown_key(
    control_driver: sdk.Driver,
    data_driver: sdk.Driver,
    server: processes.Server,
    change: Callable[[sdk.Place], sdk.Place],
    code: str,
    fc_code: str,
) -> None:
    place = change(server.place)
    with pytest.raises(sdk.SdkError) as refused:
        sdk.EventBridge(control_driver, lambda: place).get_event_bus(EventBusName="default")
    assert (refused.value.code, refused.value.status) == (code, 403)
    with pytest.raises(sdk.SdkError) as refused:
        sdk.Functions(control_driver, lambda: place).list_functions()
    assert (refused.value.code, refused.value.status) == (fc_code, 403)
    with pytest.raises(sdk.SdkError) as refused:
        sdk.DataPlane(data_driver, lambda: place).get_event_bus(EventBusName="default")
    assert refused.value.code == code


@pytest.mark.parametrize("sign", SCHEMES)
def test_signed_request_is_answered(server: processes.Server, sign: Sign) -> None:
    answer = signing.send(server.place, sign(server.place))
    assert answer.status == 200, answer


def test_rpc_signature_is_taken_from_the_query_too(server: processes.Server) -> None:
    assert signing.send(server.place, rpc(server.place, method="GET")).status == 200


@pytest.mark.parametrize("sign", SCHEMES)
@pytest.mark.parametrize(
    ("change", "code"),
    [(other_secret, "SignatureDoesNotMatch"), (other_key, "InvalidAccessKeyId")],
)
def test_wrong_secret_and_unknown_key_are_refused(
    server: processes.Server,
    sign: Sign,
    change: Callable[[sdk.Place], sdk.Place],
    code: str,
) -> None:
    answer = signing.send(server.place, sign(change(server.place)))
    assert (answer.status, code_of(answer)) == (403, expected(code, sign))


@pytest.mark.parametrize("sign", SCHEMES)
def test_second_sending_of_the_same_bytes_is_refused(server: processes.Server, sign: Sign) -> None:
    request = sign(server.place)
    assert signing.send(server.place, request).status == 200
    answer = signing.send(server.place, request)
    assert (answer.status, code_of(answer)) == (400, "SignatureNonceUsed")
    assert signing.send(server.place, sign(server.place)).status == 200


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_request_sent_before_a_restart_is_refused_after_it(
    server: processes.Server, how: str
) -> None:
    """The nonces used are kept on disk. The host header must not change, so RPC v1 it is."""
    request = rpc(server.place)
    assert signing.send(server.place, request).status == 200
    server.restart(how)
    answer = signing.send(server.place, request)
    assert answer.status == 400
    assert code_of(answer) in ("SignatureNonceUsed", "InvalidTimeStamp.Expired")
    assert signing.send(server.place, rpc(server.place)).status == 200


@pytest.mark.parametrize("sign", SCHEMES)
@pytest.mark.parametrize("minutes", [-16, 16])
def test_date_outside_the_window_is_refused(
    server: processes.Server, sign: Sign, minutes: int
) -> None:
    request = sign(server.place, at=datetime.now(UTC) + timedelta(minutes=minutes))
    answer = signing.send(server.place, request)
    assert (answer.status, code_of(answer)) == (400, "InvalidTimeStamp.Expired")


@pytest.mark.parametrize("sign", SCHEMES)
def test_date_a_little_off_is_taken(server: processes.Server, sign: Sign) -> None:
    for minutes in (-14, 14):
        request = sign(server.place, at=datetime.now(UTC) + timedelta(minutes=minutes))
        assert signing.send(server.place, request).status == 200


@pytest.mark.parametrize("sign", [control, data, fc])
def test_unsigned_request_is_refused(server: processes.Server, sign: Sign) -> None:
    signed = sign(server.place)
    headers = {k: v for k, v in signed.headers.items() if k != "authorization"}
    answer = signing.send(server.place, signed._replace(headers=headers))
    assert answer.status in (400, 403)
    assert code_of(answer) == expected("MissingSignature", sign)


def test_unsigned_rpc_request_is_refused(server: processes.Server) -> None:
    form = signing.query_of({"Action": "GetEventBus", "EventBusName": "default"}).encode()
    headers = {"host": server.place.endpoint, "content-type": signing.FORM}
    answer = signing.send(server.place, signing.Request("POST", "/", headers, form))
    assert (answer.status, code_of(answer)) == (403, "MissingSignature")


@pytest.mark.parametrize("path", ["/headrace/v1/status", "/events/default"])
def test_own_addresses_ask_for_a_signature_too(server: processes.Server, path: str) -> None:
    method = "GET" if path.endswith("status") else "POST"
    request = signing.Request(method, path, {"host": server.place.endpoint})
    answer = signing.send(server.place, request)
    assert (answer.status, code_of(answer)) == (403, "MissingSignature")


def test_body_that_was_changed_on_the_way_is_refused(server: processes.Server) -> None:
    put = signing.acs3(
        server.place, "POST", "/", body=b"EventBusName=default",
        headers={
            "x-acs-action": "GetEventBus", "x-acs-version": "2020-04-01",
            "content-type": signing.FORM,
        },
    )  # fmt: skip
    changed = put._replace(body=b"EventBusName=other")
    answer = signing.send(server.place, changed)
    assert (answer.status, code_of(answer)) == (403, "SignatureDoesNotMatch")
    assert signing.send(server.place, put).status == 200


def test_query_and_action_that_were_changed_on_the_way_are_refused(
    server: processes.Server,
) -> None:
    signed = control(server.place)
    for changed in (
        signed._replace(target="/?EventBusName=other"),
        signed._replace(headers=signed.headers | {"x-acs-action": "DeleteEventBus"}),
        signed._replace(method="GET"),
    ):
        answer = signing.send(server.place, changed)
        assert (answer.status, code_of(answer)) == (403, "SignatureDoesNotMatch")


def test_refused_publish_stores_nothing(
    server: processes.Server, eventbridge: sdk.EventBridge
) -> None:
    event = {
        "id": "forged", "source": "s", "type": "t", "specversion": "1.0",
        "aliyuneventbusname": "default",
    }  # fmt: skip
    request = signing.data_plane(other_secret(server.place), "putEvents", [event])
    assert signing.send(server.place, request).status == 403
    found = eventbridge.query_traced_event_by_event_id(EventBusName="default", EventId="forged")
    assert found.data[0]["Events"] == []
    request = signing.data_plane(server.place, "putEvents", [event])
    assert signing.send(server.place, request).json()["FailedEntryCount"] == 0
    assert signing.send(server.place, request).status == 400, "a replay publishes nothing"
    found = eventbridge.query_traced_event_by_event_id(EventBusName="default", EventId="forged")
    assert found.data[0]["Total"] == 1


def test_caller_is_known_before_anything_is_told(server: processes.Server) -> None:
    """An unknown caller learns nothing of what exists, here or at another address."""
    stranger = other_key(server.place)
    for action in ("GetEventBus", "NoSuchAction", "CreateAgent"):
        answer = signing.send(server.place, signing.rpc_v1(stranger, action, {}))
        assert (answer.status, code_of(answer)) == (403, "InvalidAccessKeyId")


def test_health_is_told_without_a_signature(server: processes.Server) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        request = signing.Request("GET", path, {"host": server.place.endpoint})
        assert signing.send(server.place, request).status == 200
