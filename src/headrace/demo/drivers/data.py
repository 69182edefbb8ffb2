"""Calls the data-plane SDK, alibabacloud_eventbridge: publishes CloudEvents.

A request holds place and events (each the model as a map, its data as text). Runs in the
environment of that SDK and must never import ours.
"""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import functools
from typing import Any

import pipe
from alibabacloud_eventbridge import client as eventbridge_client
from alibabacloud_eventbridge import models


@functools.cache
def client_of(endpoint: str, key_id: str, secret: str, region: str) -> Any:
    return eventbridge_client.Client(
        models.Config(
            access_key_id=key_id, access_key_secret=secret, endpoint=endpoint, region_id=region
        )
    )


def call(asked: dict[str, Any]) -> dict[str, Any]:
    events = [models.CloudEvent().from_map(event) for event in asked["events"]]
    for event in events:
        event.data = event.data.encode()
    return {"body": client_of(*asked["place"]).put_events(events).to_map()}


if __name__ == "__main__":
    pipe.serve(["alibabacloud_eventbridge"], call)
