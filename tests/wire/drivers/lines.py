"""The loop of a driver: one JSON object a line in, one out, until the input ends.

Runs in an SDK's environment, so it uses the standard library only and must never import ours.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

Call = Callable[[dict[str, Any]], dict[str, Any]]


def serve(call: Call) -> None:
    """Answer each request with what `call` returns; a fault of the driver itself is a "crash"."""
    answers = sys.stdout
    # An SDK that prints must not break the protocol.
    sys.stdout = sys.stderr
    for line in sys.stdin:
        try:
            answer = call(json.loads(line))
        except Exception:
            answer = {"crash": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


def error_of(fault: Any) -> dict[str, Any]:
    """Return what a program that uses the SDK can read off its exception."""
    data = getattr(fault, "data", None)
    status = getattr(fault, "status_code", None) or getattr(fault, "statusCode", None)
    if status is None and isinstance(data, dict):
        status = data.get("statusCode")
    return {
        "error": {
            "code": getattr(fault, "code", None),
            "message": getattr(fault, "message", None) or str(fault),
            "status": status,
            "data": data if isinstance(data, dict) else {},
        }
    }


def class_name(operation: str) -> str:
    """Return `CreateEventBus` for `create_event_bus`, as the SDKs name their models."""
    return "".join(word.capitalize() for word in operation.split("_"))
