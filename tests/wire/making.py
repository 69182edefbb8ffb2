"""What the tests make again and again: names, targets, events, code packages."""

from __future__ import annotations

import base64
import io
import itertools
import json
import zipfile
from typing import Any

ECHO = """
def handler(event, context):
    return event
"""

_counter = itertools.count(1)


def name(prefix: str = "it") -> str:
    """Return a name that no other test of this run has."""
    return f"{prefix}-{next(_counter)}"


def param(key: str, form: str, value: Any = None, template: str | None = None) -> dict[str, Any]:
    made = {"ResourceKey": key, "Form": form}
    if value is not None:
        made["Value"] = value
    if template is not None:
        made["Template"] = template
    return made


def http_target(
    url: str, *, id: str = "t1", body: dict[str, Any] | None = None, **more: Any
) -> Any:
    """Return a target of type http; `body` is its Body parameter, absent = the whole event."""
    params = [param("url", "CONSTANT", url), body or param("Body", "ORIGINAL")]
    return {"Id": id, "Type": "http", "Endpoint": url, "ParamList": params, **more}


def function_target(
    server: Any, function: str, *, id: str = "t1", mode: str = "Sync", **more: Any
) -> Any:
    params = [param("Body", "ORIGINAL"), param("InvocationType", "CONSTANT", mode)]
    return {
        "Id": id,
        "Type": "acs.fc.function",
        "Endpoint": f"acs:fc:{server.region}:{server.account}:functions/{function}",
        "ParamList": params,
        **more,
    }


def queue_target(server: Any, queue: str, *, id: str = "t1", **more: Any) -> Any:
    params = [param("queue", "CONSTANT", queue), param("Body", "ORIGINAL")]
    return {
        "Id": id,
        "Type": "acs.mns.queue",
        "Endpoint": f"acs:mns:{server.region}:{server.account}:queues/{queue}",
        "ParamList": params,
        **more,
    }


def entry(id: str, *, source: str = "my.shop", type: str = "order", **more: Any) -> dict[str, Any]:
    """Return one member of EventList (control API)."""
    return {"Id": id, "Source": source, "Type": type, "SpecVersion": "1.0", **more}


def event(
    id: str,
    bus: str | None,
    *,
    source: str = "my.shop",
    type: str = "order",
    data: bytes | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return one CloudEvent as the data plane's driver takes it."""
    made = {"id": id, "source": source, "type": type, "extensions": {}, **more}
    if bus is not None:
        made["extensions"] = {"aliyuneventbusname": bus, **made["extensions"]}
    if data is not None:
        made["data"] = base64.b64encode(data).decode()
    return made


def pattern(**fields: Any) -> str:
    return json.dumps(fields)


def package(source: str = ECHO, *, file: str = "index.py") -> bytes:
    """Return a code package with one file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo(file, (2026, 1, 1, 0, 0, 0)), source)
    return packed.getvalue()


def function_input(function: str, source: str = ECHO, **more: Any) -> dict[str, Any]:
    """Return the body of CreateFunction."""
    return {
        "functionName": function,
        "runtime": "python3.10",
        "handler": "index.handler",
        "timeout": 10,
        "code": {"zipFile": base64.b64encode(package(source)).decode()},
        **more,
    }


def trigger_config(pattern: str = "{}", **more: Any) -> str:
    """Return the triggerConfig of an eventbridge trigger of the Default source."""
    return json.dumps(
        {
            "triggerEnable": True,
            "asyncInvocationType": False,
            "eventRuleFilterPattern": pattern,
            "eventSourceConfig": {"eventSourceType": "Default"},
            **more,
        }
    )
