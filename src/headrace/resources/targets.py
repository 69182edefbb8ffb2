"""What a stored target says: pure readings of its type, endpoint and params.

Parameter keys are compared case-insensitively. Whether what a target names exists is asked
elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable

from headrace.core import errors, names
from headrace.resources import model, settings

#: A reading of a target: the name of something it uses, or None.
Naming = Callable[[model.Target], str | None]


def arn_of(text: str, kind: names.Kind) -> names.Arn | None:
    """Return the parsed ARN if `text` is one of that kind."""
    if not text:
        return None
    try:
        parsed = names.parse_arn(text)
    except errors.InvalidInput:
        return None
    return parsed if parsed.kind == kind else None


def _name_in(text: str, kind: names.Kind) -> str | None:
    parsed = arn_of(text, kind)
    return parsed.name if parsed else None


def param(target: model.Target, key: str) -> model.Param | None:
    """Return the entry whose key is `key` in any case."""
    return next((entry for entry in target.params if entry.key.lower() == key.lower()), None)


def constant(target: model.Target, key: str) -> str | None:
    found = param(target, key)
    return found.value if found is not None and found.form == "CONSTANT" else None


def function_of(target: model.Target) -> str | None:
    """Return the name of the function that `target` invokes, or None for other targets."""
    if target.type != settings.FUNCTION_TARGET:
        return None
    named = constant(target, "functionName")
    if named:
        return named
    address = arn_of(target.endpoint, "function")
    return address.name if address else None


def qualifier_of(target: model.Target) -> str:
    """Return the version or alias that a function target invokes."""
    named = constant(target, "Qualifier")
    if named:
        return named
    address = arn_of(target.endpoint, "function")
    return (address.qualifier if address else None) or names.LATEST


def is_async(target: model.Target) -> bool:
    """Return whether a function target invokes asynchronously. CHOICE: absent = Async."""
    return (constant(target, "InvocationType") or "Async") == "Async"


def queue_of(target: model.Target) -> str | None:
    """Return the built-in queue that `target` feeds, or None for other targets."""
    if target.type != settings.QUEUE_TARGET:
        return None
    return constant(target, "queue") or _name_in(target.endpoint, "queue")


def url_of(target: model.Target) -> str | None:
    """Return the address of an HTTP target, or None for other targets."""
    if target.type not in settings.HTTP_TARGETS:
        return None
    return constant(target, "url") or target.endpoint or None


def dead_letter_queue_of(target: model.Target) -> str | None:
    """Return the built-in queue that keeps what `target` could not take."""
    return _name_in(target.dead_letter.arn, "queue") if target.dead_letter else None
