"""The loop of a driver: one JSON object a line in, one out, until the input ends.

Runs in an SDK's own environment: the standard library only, and must never import ours.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import metadata
from typing import Any


def serve(packages: list[str], call: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Say which SDKs these are, then answer each request with what `call` returns or raises."""
    answers = sys.stdout
    # An SDK that prints must not break the protocol.
    sys.stdout = sys.stderr
    about = [f"{package} {metadata.version(package)}" for package in packages]
    print(json.dumps({"packages": about}), file=answers, flush=True)
    for line in sys.stdin:
        try:
            answer = call(json.loads(line))
        except Exception as fault:
            # What an SDK raises differs with its core; the demo shows code and message of each.
            answer = {"error": _error(fault)}
        print(json.dumps(answer), file=answers, flush=True)


def class_name(operation: str) -> str:
    """Return `CreateRule` for `create_rule`, as the SDKs name their models."""
    return "".join(word.capitalize() for word in operation.split("_"))


def _error(fault: Exception) -> dict[str, str]:
    return {
        "code": str(getattr(fault, "code", None) or type(fault).__name__),
        "message": str(getattr(fault, "message", None) or fault),
    }
