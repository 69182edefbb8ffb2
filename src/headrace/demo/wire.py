"""The door without an SDK: signed requests, byte for byte what the SDKs send.

Also reaches Headrace's own API, for which there is no SDK. Must never be needed by the server.
"""

from __future__ import annotations

import datetime
import http.client
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from headrace.core import signature
from headrace.demo import doors

TIMEOUT_S = 20.0
_DATA_PLANE_TYPE = "application/cloudevents-batch+json; charset=utf-8"


class Wire:
    """Satisfies `doors.Door`; one connection for each request."""

    def __init__(self, place: doors.Place) -> None:
        self._place = place

    # -- the two public APIs ----------------------------------------------------------------------

    def create_function(self, body: doors.Object) -> doors.Object:
        return self.fc("POST", "functions", body=body)

    def invoke(self, function: str, payload: str) -> str:
        path = f"/2023-03-30/functions/{quote(function, safe='')}/invocations"
        return self._acs3("POST", path, {}, {}, payload.encode()).decode()

    def create_trigger(self, function: str, body: doors.Object) -> doors.Object:
        return self.fc("POST", "functions", function, "triggers", body=body)

    def update_trigger(self, function: str, trigger: str, body: doors.Object) -> doors.Object:
        return self.fc("PUT", "functions", function, "triggers", trigger, body=body)

    def get_trigger(self, function: str, trigger: str) -> doors.Object:
        return self.fc("GET", "functions", function, "triggers", trigger)

    def eventbridge(self, operation: str, args: Mapping[str, Any]) -> doors.Object:
        form = urlencode(
            {
                name: value if isinstance(value, str) else json.dumps(value)
                for name, value in args.items()
            }
        )
        headers = {
            "x-acs-action": operation,
            "x-acs-version": "2020-04-01",
            "content-type": "application/x-www-form-urlencoded",
        }
        return json.loads(self._acs3("POST", "/", {}, headers, form.encode()))["Data"]

    def put_events(self, events: Sequence[doors.Object]) -> doors.Object:
        path = "/openapi/putEvents"
        headers = signature.sign_data_plane(
            self._place.key_id, self._place.secret, method="POST", path=path,
            headers={"content-type": _DATA_PLANE_TYPE, "x-eventbridge-version": "2015-06-06"},
            date=_now().strftime("%a, %d %b %Y %H:%M:%S GMT"), nonce=secrets.token_hex(16),
        )  # fmt: skip
        return json.loads(self._send("POST", path, headers, json.dumps(events).encode()))

    # -- the rest ---------------------------------------------------------------------------------

    def fc(
        self, method: str, *path: str, body: doors.Object | None = None, **query: str
    ) -> doors.Object:  # fmt: skip
        """Call Function Compute with JSON; path: parts below the version."""
        return self._json(method, "/2023-03-30", path, body, query)

    def native(
        self, method: str, *path: str, body: doors.Object | None = None, **query: str
    ) -> doors.Object:  # fmt: skip
        """Call Headrace's own API with JSON; path: parts below /headrace/v1."""
        return self._json(method, "/headrace/v1", path, body, query)

    def _json(
        self,
        method: str,
        root: str,
        path: tuple[str, ...],
        body: doors.Object | None,
        query: Mapping[str, str],
    ) -> doors.Object:
        sent = b"" if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"} if sent else {}
        whole = root + "".join(f"/{quote(part, safe='')}" for part in path)
        return json.loads(self._acs3(method, whole, query, headers, sent) or b"{}")

    def _acs3(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
    ) -> bytes:
        asked = urlencode(query, quote_via=quote)
        signed = signature.sign_acs3(
            self._place.key_id, self._place.secret, method=method, path=path, query=asked,
            headers={"host": self._place.endpoint, **headers}, body=body,
            date=_now().strftime("%Y-%m-%dT%H:%M:%SZ"), nonce=secrets.token_hex(16),
        )  # fmt: skip
        return self._send(method, f"{path}?{asked}" if asked else path, signed, body)

    def _send(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
        connection = http.client.HTTPConnection(self._place.endpoint, timeout=TIMEOUT_S)
        try:
            connection.request(method, target, body, dict(headers))
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as fault:
            raise doors.Refused("Unreachable", f"{self._place.endpoint}: {fault}") from fault
        finally:
            connection.close()
        if response.status >= 400:
            raise _refusal(response.status, answer)
        return answer


def _refusal(status: int, answer: bytes) -> doors.Refused:
    """Return the error of an answer; the APIs differ in the case of its keys."""
    try:
        fields = {name.lower(): value for name, value in json.loads(answer).items()}
    except (ValueError, AttributeError):
        return doors.Refused(str(status), answer[:200].decode(errors="replace"))
    return doors.Refused(str(fields.get("code", status)), str(fields.get("message", "")))


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
