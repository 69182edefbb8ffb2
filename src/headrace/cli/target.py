"""Targets of a rule from short options: a function, a queue, an address."""

from __future__ import annotations

import enum
from typing import Any, NamedTuple, cast

from headrace.cli import client, failure
from headrace.core import jsontext, names


class Retry(enum.StrEnum):
    """Retry policies, as the API names them."""

    backoff = "BACKOFF_RETRY"
    exponential = "EXPONENTIAL_DECAY_RETRY"


class Asked(NamedTuple):
    """What the options say."""

    functions: list[str]
    queues: list[str]
    urls: list[str]
    retry: Retry | None
    #: Functions are called synchronously: an error in the function is a failed delivery.
    sync: bool


def built(server: client.Client, asked: Asked) -> list[dict[str, Any]]:
    """Return the targets as the API takes them; asks the server for account and region."""
    if not (asked.functions or asked.queues or asked.urls):
        return []
    status = server.native("GET", "status")
    account, region = status["account"], status["region"]
    targets = [
        *(_function(name, region, account, sync=asked.sync) for name in asked.functions),
        *(_queue(name, region, account) for name in asked.queues),
        *(_address(url, number) for number, url in enumerate(asked.urls, 1)),
    ]
    for one in targets:
        if asked.retry is not None:
            one["PushRetryStrategy"] = asked.retry.value
    return targets


def parsed(text: str) -> dict[str, Any]:
    """Read `--target`: one target as JSON. Raises: Failure (USAGE)."""
    try:
        found = jsontext.decode(text)
    except jsontext.Malformed as fault:
        raise failure.usage(f"--target is not JSON: {fault}") from fault
    if not isinstance(found, dict):
        raise failure.usage("--target must be a JSON object with Id, Type and Endpoint.")
    return cast("dict[str, Any]", found)


def _function(name: str, region: str, account: str, *, sync: bool) -> dict[str, Any]:
    return {
        "Id": f"fn-{name}",
        "Type": "acs.fc.function",
        "Endpoint": names.function_arn(region, account, name),
        "ParamList": [
            _body(),
            {
                "ResourceKey": "InvocationType",
                "Form": "CONSTANT",
                "Value": "Sync" if sync else "Async",
            },
        ],
    }


def _queue(name: str, region: str, account: str) -> dict[str, Any]:
    return {
        "Id": f"queue-{name}",
        "Type": "acs.mns.queue",
        "Endpoint": names.endpoint_of_queue(region, account, name),
        "ParamList": [{"ResourceKey": "queue", "Form": "CONSTANT", "Value": name}, _body()],
    }


def _address(url: str, number: int) -> dict[str, Any]:
    scheme = url.partition("://")[0].lower()
    if scheme not in ("http", "https"):
        raise failure.usage(f"--url must begin with http:// or https://, got {url!r}.")
    return {
        "Id": f"url-{number}",
        "Type": scheme,
        "Endpoint": url,
        "ParamList": [{"ResourceKey": "url", "Form": "CONSTANT", "Value": url}, _body()],
    }


def _body() -> dict[str, str]:
    return {"ResourceKey": "Body", "Form": "ORIGINAL"}
