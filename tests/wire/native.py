"""Headrace's own API with signed requests, for what the cloud's APIs do not show."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.wire import sdk, signing


class Native:
    def __init__(self, place: Callable[[], sdk.Place]) -> None:
        self._place = place

    def get(self, path: str, **query: str) -> Any:
        return self._ask("GET", path, query, None)

    def put(self, path: str) -> Any:
        return self._ask("PUT", path, {}, None)

    def post(self, path: str, body: Any) -> Any:
        return self._ask("POST", path, {}, body)

    def _ask(self, method: str, path: str, query: dict[str, str], body: Any) -> Any:
        place = self._place()
        sent = b"" if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"} if sent else {}
        request = signing.acs3(
            place, method, f"/headrace/v1/{path}", query=query, headers=headers, body=sent
        )
        answer = signing.send(place, request)
        assert answer.status == 200, answer
        return answer.json()
