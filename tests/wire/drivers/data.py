"""Drives the data-plane SDK, alibabacloud_eventbridge 1.3.8.

A request names op, place (endpoint and key) and args: the request model as a map, or for put_events
a list of events whose `data` is base64. Run in the environment of that SDK.
"""

from __future__ import annotations

import base64
import functools
from typing import Any

import lines
from alibabacloud_eventbridge import client as eventbridge_client
from alibabacloud_eventbridge import models
from alibabacloud_tea_util import models as util_models
from Tea import exceptions


@functools.cache
def client_of(endpoint: str, key_id: str, secret: str) -> Any:
    return eventbridge_client.Client(
        models.Config(
            access_key_id=key_id,
            access_key_secret=secret,
            endpoint=endpoint,
            region_id="cn-hangzhou",
        )
    )


def call(asked: dict[str, Any]) -> dict[str, Any]:
    client = client_of(*asked["place"])
    options = util_models.RuntimeOptions(autoretry=False, read_timeout=30_000)
    try:
        response = getattr(client, asked["op"] + "_with_options")(request_of(asked), options)
    except exceptions.TeaException as fault:
        return lines.error_of(fault)
    return {"body": response.to_map()}


def request_of(asked: dict[str, Any]) -> Any:
    if asked["op"] == "put_events":
        return [event_of(given) for given in asked["args"]]
    return getattr(models, lines.class_name(asked["op"]) + "Request")().from_map(asked["args"])


def event_of(given: dict[str, Any]) -> Any:
    made = models.CloudEvent().from_map(given)
    if given.get("data") is not None:
        made.data = base64.b64decode(given["data"])
    return made


if __name__ == "__main__":
    lines.serve(call)
