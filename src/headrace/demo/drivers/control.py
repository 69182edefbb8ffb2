"""Calls the control-plane SDKs, alibabacloud_eventbridge20200401 and alibabacloud_fc20230330.

A request names api, op, path (the arguments before the request model), args (the model as a map)
and place. Runs in the environment of those SDKs and must never import ours.
"""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import functools
from typing import Any

import pipe
from alibabacloud_eventbridge20200401 import client as eventbridge_client
from alibabacloud_eventbridge20200401 import models as eventbridge_models
from alibabacloud_fc20230330 import client as fc_client
from alibabacloud_fc20230330 import models as fc_models
from alibabacloud_tea_openapi import models as openapi_models

APIS = {
    "eventbridge": (eventbridge_client.Client, eventbridge_models),
    "fc": (fc_client.Client, fc_models),
}


@functools.cache
def client_of(api: str, endpoint: str, key_id: str, secret: str, region: str) -> Any:
    return APIS[api][0](
        openapi_models.Config(
            access_key_id=key_id, access_key_secret=secret, endpoint=endpoint, protocol="http",
            region_id=region,
        )
    )  # fmt: skip


def call(asked: dict[str, Any]) -> dict[str, Any]:
    models = APIS[asked["api"]][1]
    arguments = list(asked["path"])
    model = getattr(models, pipe.class_name(asked["op"]) + "Request", None)
    if model is not None:
        arguments.append(_filled(model(), asked["args"]))
    answer = getattr(client_of(asked["api"], *asked["place"]), asked["op"])(*arguments)
    body = answer.body
    return {"text": body.read().decode()} if hasattr(body, "read") else {"body": body.to_map()}


def _filled(request: Any, args: dict[str, Any]) -> Any:
    """Fill a request model; a text body goes as it is (InvokeFunction)."""
    if isinstance(args.get("body"), str):
        request.body = args["body"].encode()
        return request
    request.from_map(args)
    for name, value in vars(request).items():
        # A program leaves a list that it does not set alone; only from_map makes it an empty one.
        if value == []:
            setattr(request, name, None)
    return request


if __name__ == "__main__":
    pipe.serve(["alibabacloud_eventbridge20200401", "alibabacloud_fc20230330"], call)
