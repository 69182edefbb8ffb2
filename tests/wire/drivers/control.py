"""Drives the control-plane SDKs: alibabacloud_eventbridge20200401 and alibabacloud_fc20230330.

A request names api, op, place (endpoint and key), path, args (the request model as a map), headers
and payload (base64); the answer is what the SDK gave back. Run in the environment of those SDKs.
"""

from __future__ import annotations

import base64
import functools
import inspect
from typing import Any

import lines
from alibabacloud_eventbridge20200401 import client as eventbridge_client
from alibabacloud_eventbridge20200401 import models as eventbridge_models
from alibabacloud_fc20230330 import client as fc_client
from alibabacloud_fc20230330 import models as fc_models
from alibabacloud_tea_openapi import models as openapi_models
from darabonba import runtime
from Tea import exceptions

APIS = {
    "eventbridge": (eventbridge_client.Client, eventbridge_models),
    "fc": (fc_client.Client, fc_models),
}


@functools.cache
def client_of(api: str, signature: str | None, endpoint: str, key_id: str, secret: str) -> Any:
    """signature: "v2" has the SDK sign by RPC v1, HMAC-SHA1, as older cores do."""
    kind, _ = APIS[api]
    return kind(
        openapi_models.Config(
            access_key_id=key_id,
            access_key_secret=secret,
            endpoint=endpoint,
            protocol="http",
            region_id="cn-hangzhou",
            signature_algorithm=signature,
        )
    )


def call(asked: dict[str, Any]) -> dict[str, Any]:
    client = client_of(asked["api"], asked.get("signature"), *asked["place"])
    method = getattr(client, asked["op"] + "_with_options")
    try:
        return answer_of(method(*arguments(asked, method)))
    except exceptions.TeaException as fault:
        return lines.error_of(fault)


def arguments(asked: dict[str, Any], method: Any) -> list[Any]:
    """Fill the parameters of an operation: path names, request model, headers, options."""
    _, models = APIS[asked["api"]]
    path = iter(asked["path"])
    filled: list[Any] = []
    for name in inspect.signature(method).parameters:
        if name in ("request", "tmp_req"):
            filled.append(request_of(asked, models))
        elif name == "headers":
            filled.append(headers_of(asked, models))
        elif name == "runtime":
            filled.append(runtime.RuntimeOptions(read_timeout=30_000))
        else:
            filled.append(next(path))
    return filled


def request_of(asked: dict[str, Any], models: Any) -> Any:
    made = getattr(models, lines.class_name(asked["op"]) + "Request")()
    if asked.get("payload") is not None:
        made.body = base64.b64decode(asked["payload"])
    made.from_map(asked["args"])
    for name, value in vars(made).items():
        # A list that a program does not set stays None; only from_map makes it an empty one.
        if value == [] and [] not in asked["args"].values():
            setattr(made, name, None)
    return made


def headers_of(asked: dict[str, Any], models: Any) -> Any:
    typed = getattr(models, lines.class_name(asked["op"]) + "Headers", None)
    return asked["headers"] if typed is None else typed().from_map(asked["headers"])


def answer_of(response: Any) -> dict[str, Any]:
    answer = {"status": response.status_code, "headers": dict(response.headers or {})}
    body = getattr(response, "body", None)
    if body is None:
        return answer
    if hasattr(body, "read"):
        return answer | {"payload": base64.b64encode(body.read()).decode()}
    return answer | {"body": body.to_map() if hasattr(body, "to_map") else body}


if __name__ == "__main__":
    lines.serve(call)
