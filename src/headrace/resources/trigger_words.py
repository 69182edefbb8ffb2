"""A rule in the words of a triggerConfig, and a triggerConfig as a rule target. Pure.

Never injects a default: an absent key stays absent, so that a client that compares what it sent
with what it reads sees no difference; only keys that differ are written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

import msgspec

from headrace.resources import model, settings, targets
from headrace.resources import trigger_config as config

_RAW_PATH: Final = "$.data"


def schema_of(target: model.Target) -> config.Schema | None:
    """Return the schema that the target's Body asks for, None if a trigger has no word for it."""
    body = targets.param(target, "Body")
    if body is None or body.form == "ORIGINAL":
        return "CloudEvents"
    if body.form == "JSONPATH" and body.value == _RAW_PATH:
        return "RawData"
    return None


def say(rule: model.Rule, target: model.Target) -> config.Said | None:
    """Return what a triggerConfig has to say of `target`, or None if it has no words for it."""
    schema = schema_of(target)
    if schema is None:
        return None
    return config.Said(
        pattern=rule.pattern,
        enabled=rule.status == "ENABLE",
        asynchronous=targets.is_async(target),
        schema=schema,
        retry=target.retry,
        errors=target.errors,
        dead_letter=target.dead_letter,
        concurrency=target.concurrency,
    )


def patched(text: str, was: config.Said, now: config.Said) -> str:
    """Return `text`, which says `was`, changed in the keys that differ so that it says `now`."""
    if was == now:
        return text
    tree = config.decode(text)
    for path, before, after in _values(was, now):
        if before != after:
            _set(tree, path, after)
    return config.encode(tree)


def rendered(rule: model.Rule, target: model.Target) -> str:
    """Return a triggerConfig for a bus-made rule: what can be said, nothing that is not set."""
    tree: config.Object = {
        "triggerEnable": rule.status == "ENABLE",
        "asyncInvocationType": targets.is_async(target),
        "eventRuleFilterPattern": rule.pattern,
        "eventSourceConfig": {"eventSourceType": "Default"},
    }
    _set(tree, config.SCHEMA, schema_of(target))
    _set(tree, config.CONCURRENCY, target.concurrency)
    _set(tree, config.RETRY, target.retry)
    _set(tree, config.ERRORS, target.errors)
    _set(tree, config.DEAD_LETTER, _dead_letter(target.dead_letter))
    return config.encode(tree)


def with_pattern_key(text: str, pattern: str) -> str:
    """Return the last text that could be said, plus the pattern that holds now."""
    return config.encode({**config.decode(text), config.READING_KEY: pattern})


def _values(was: config.Said, now: config.Said) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    yield config.ENABLE, was.enabled, now.enabled
    yield config.ASYNC, was.asynchronous, now.asynchronous
    yield config.PATTERN, was.pattern, now.pattern
    yield config.SCHEMA, was.schema, now.schema
    yield config.CONCURRENCY, was.concurrency, now.concurrency
    yield config.RETRY, was.retry, now.retry
    yield config.ERRORS, was.errors, now.errors
    yield config.DEAD_LETTER, _dead_letter(was.dead_letter), _dead_letter(now.dead_letter)


def _dead_letter(queue: model.DeadLetterQueue | None) -> config.Object | None:
    return {"Arn": queue.arn, **queue.echoed} if queue else None


def _set(tree: config.Object, path: tuple[str, ...], value: Any) -> None:
    """Set `path`, making the objects on the way; None removes it and what it leaves empty."""
    *above, last = path
    if value is None:
        _remove(tree, path)
        return
    here = tree
    for key in above:
        inner = here.get(key)
        if not isinstance(inner, dict):
            inner = here[key] = {}
        here = cast("config.Object", inner)
    here[last] = value


def _remove(tree: config.Object, path: tuple[str, ...]) -> None:
    key, *rest = path
    if not rest:
        tree.pop(key, None)
        return
    inner = tree.get(key)
    if not isinstance(inner, dict):
        return
    _remove(cast("config.Object", inner), tuple(rest))
    if not inner:
        del tree[key]


def target_for(
    said: config.Said, *, id_: str, function: str, arn: str, qualifier: str, subscription: int
) -> model.Target:
    """Return the rule target that a trigger stands for."""
    return model.Target(
        id=id_,
        type=settings.FUNCTION_TARGET,
        endpoint=arn,
        params=(
            model.Param("functionName", "CONSTANT", function),
            model.Param("Qualifier", "CONSTANT", qualifier),
            body_param(said.schema),
            invocation_param(said.asynchronous),
        ),
        retry=said.retry,
        errors=said.errors,
        dead_letter=said.dead_letter,
        concurrency=said.concurrency,
        subscription=subscription,
    )


def body_param(schema: config.Schema) -> model.Param:
    if schema == "RawData":
        return model.Param("Body", "JSONPATH", _RAW_PATH)
    return model.Param("Body", "ORIGINAL")


def invocation_param(asynchronous: bool) -> model.Param:
    return model.Param("InvocationType", "CONSTANT", "Async" if asynchronous else "Sync")


def with_param(target: model.Target, entry: model.Param) -> model.Target:
    """Return `target` with the entry of that key replaced in place, or added."""
    key = entry.key.lower()
    if targets.param(target, key) is None:
        params = (*target.params, entry)
    else:
        params = tuple(entry if old.key.lower() == key else old for old in target.params)
    return msgspec.structs.replace(target, params=params)


def patched_target(target: model.Target, parsed: config.Parsed) -> model.Target:
    """Return a bus-made target with what `parsed` says; a key that it does not hold leaves the
    target as it is.
    """
    said = parsed.said
    if parsed.has(config.SCHEMA):
        target = with_param(target, body_param(said.schema))
    if parsed.has(config.ASYNC):
        target = with_param(target, invocation_param(said.asynchronous))
    return msgspec.structs.replace(
        target,
        retry=said.retry if parsed.has(config.RETRY) else target.retry,
        errors=said.errors if parsed.has(config.ERRORS) else target.errors,
        dead_letter=said.dead_letter if parsed.has(config.DEAD_LETTER) else target.dead_letter,
        concurrency=said.concurrency if parsed.has(config.CONCURRENCY) else target.concurrency,
    )


def patched_status(rule: model.Rule, parsed: config.Parsed) -> model.RuleStatus:
    if not parsed.has(config.ENABLE):
        return rule.status
    return "ENABLE" if parsed.said.enabled else "DISABLE"
