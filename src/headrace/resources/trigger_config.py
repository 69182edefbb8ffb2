"""The triggerConfig of an `eventbridge` trigger: read it, and say a rule in its words.

Pure text and data. Never injects a default: an absent key stays absent, so that a client that
compares what it sent with what it reads sees no difference. Source: eventbridge trigger structs of
FC SDK 20230330; Serverless Devs fc3 trigger documentation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, cast

import msgspec

from headrace.core import errors
from headrace.resources import fields, model, settings, target_rules

FIELD: Final = "triggerConfig"
READING_KEY: Final = "x-headrace-pattern"

Schema = Literal["CloudEvents", "RawData"]
_SOURCE_TYPES: Final = ("Default", "MNS", "RocketMQ", "RabbitMQ", "Kafka", "MQTT", "DTS")

ENABLE: Final = ("triggerEnable",)
ASYNC: Final = ("asyncInvocationType",)
PATTERN: Final = ("eventRuleFilterPattern",)
SCHEMA: Final = ("eventSinkConfig", "deliveryOption", "eventSchema")
CONCURRENCY: Final = ("eventSinkConfig", "deliveryOption", "concurrency")
RETRY: Final = ("runOptions", "retryStrategy", "PushRetryStrategy")
ERRORS: Final = ("runOptions", "errorsTolerance")
DEAD_LETTER: Final = ("runOptions", "deadLetterQueue")

Object = dict[str, Any]


class Said(msgspec.Struct, frozen=True):
    """What a triggerConfig says of a rule and its function target."""

    pattern: str
    enabled: bool = True
    asynchronous: bool = False
    schema: Schema = "CloudEvents"
    retry: model.RetryStrategy | None = None
    errors: model.ErrorsTolerance | None = None
    dead_letter: model.DeadLetterQueue | None = None
    concurrency: int | None = None


class Parsed(msgspec.Struct, frozen=True):
    """A triggerConfig as it was sent, and what it says."""

    said: Said
    #: Paths present in the text, e.g. `runOptions.errorsTolerance`.
    given: frozenset[str]
    #: The text to keep: as sent, unless it held our own reading key.
    text: str

    def has(self, path: tuple[str, ...]) -> bool:
        return ".".join(path) in self.given


# -- reading


def parse(text: str) -> Parsed:
    """Read a triggerConfig of source type Default.

    Raises: InvalidInput with the path of the key; Unsupported for source types that are not built
    yet.
    """
    config = decode(text)
    given = frozenset(_paths(config, ""))
    _check_source(config)
    _check_mode(config)
    if READING_KEY in config:
        config = {key: value for key, value in config.items() if key != READING_KEY}
        text = encode(config)
    try:
        said = _said(config)
    except errors.TargetInvalid as invalid:  # the function side has no targets
        raise errors.InvalidInput(
            invalid.message, field=invalid.field, expected=invalid.expected, got=invalid.got
        ) from invalid
    return Parsed(said, given, text)


def encode(config: Object) -> str:
    return msgspec.json.encode(config).decode()


def decode(text: str) -> Object:
    if len(text) > settings.PATTERN_CHARS_MAX:
        raise errors.InvalidInput(
            f"{FIELD} is longer than {settings.PATTERN_CHARS_MAX} characters.", field=FIELD
        )
    try:
        config: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError) as broken:
        raise errors.InvalidInput(f"{FIELD} is not a JSON text: {broken}.", field=FIELD) from broken
    if not isinstance(config, dict):
        raise errors.InvalidInput(f"{FIELD} must be a JSON object.", field=FIELD, got=text[:100])
    return cast("Object", config)


def _paths(value: Mapping[str, Any], above: str) -> Iterator[str]:
    """Yield the path of every key that is set; raise for a key that no trigger has."""
    for key, part in value.items():
        path = f"{above}{key}"
        if path not in fields.TRIGGER_CONFIG_FIELDS:
            raise errors.InvalidInput(
                f"{FIELD}.{path} is not a known key.", field=f"{FIELD}.{path}", got=key
            )
        if part is None:
            continue
        yield path
        if isinstance(part, dict) and path != "eventSourceConfig.eventSourceParameters":
            yield from _paths(cast("Object", part), f"{path}.")


def _check_source(config: Object) -> None:
    type_ = _get(config, "eventSourceConfig", "eventSourceType", default="Default")
    field = f"{FIELD}.eventSourceConfig.eventSourceType"
    if type_ not in _SOURCE_TYPES:
        raise errors.InvalidInput(
            f"{field} must be one of {', '.join(_SOURCE_TYPES)}, got [{type_}].",
            field=field,
            expected=_SOURCE_TYPES,
            got=type_,
        )
    if type_ != "Default":
        raise errors.Unsupported(
            f"{field} [{type_}] is not supported yet; Default is.",
            field=field,
            expected="Default",
            got=type_,
        )
    parameters = _get(config, "eventSourceConfig", "eventSourceParameters", default={})
    at = f"{FIELD}.eventSourceConfig.eventSourceParameters"
    if not isinstance(parameters, dict):
        raise _not("an object", at, parameters)
    said = [key for key, value in cast("Object", parameters).items() if value is not None]
    if said:
        raise errors.InvalidInput(
            f"{at}.{said[0]} does not belong to the source type Default.", field=f"{at}.{said[0]}"
        )


def _check_mode(config: Object) -> None:
    for path in (("runOptions", "mode"), ("eventSinkConfig", "deliveryOption", "mode")):
        mode = _get(config, *path, default="event-driven") or "event-driven"
        field = f"{FIELD}.{'.'.join(path)}"
        if mode == "event-streaming":
            raise errors.InvalidInput(
                f"{field} [event-streaming] is not possible with the source type Default.",
                field=field,
                expected="event-driven",
                got=mode,
            )
        if mode != "event-driven":
            raise _not("event-driven", field, mode)


def _said(config: Object) -> Said:
    return Said(
        pattern=_pattern(config),
        enabled=_bool(config, ENABLE, default=True),
        asynchronous=_bool(config, ASYNC, default=False),
        schema=_schema(config),
        retry=target_rules.retry(_str(config, RETRY), _at(RETRY)),
        errors=target_rules.tolerance(_str(config, ERRORS), _at(ERRORS)),
        dead_letter=target_rules.dead_letter(_get(config, *DEAD_LETTER), _at(DEAD_LETTER)),
        concurrency=target_rules.concurrency(_int(config, CONCURRENCY), _at(CONCURRENCY)),
    )


def _pattern(config: Object) -> str:
    pattern = _get(config, *PATTERN)
    if pattern is None:
        raise errors.MissingParameter(f"{_at(PATTERN)} is required.", field=_at(PATTERN))
    if not isinstance(pattern, str):
        raise _not("a JSON text in a string", _at(PATTERN), pattern)
    return pattern


def _schema(config: Object) -> Schema:
    schema = _str(config, SCHEMA) or "CloudEvents"
    if schema not in ("CloudEvents", "RawData"):
        raise _not("CloudEvents or RawData", _at(SCHEMA), schema)
    return schema


def _get(config: Object, *path: str, default: Any = None) -> Any:
    """Return the value at `path`; a missing or null step gives `default`."""
    value: Any = config
    for depth, key in enumerate(path):
        if not isinstance(value, dict):
            raise _not("an object", f"{FIELD}.{'.'.join(path[:depth])}", value)
        value = cast("Object", value).get(key)
        if value is None:
            return default
    return value


def _str(config: Object, path: tuple[str, ...]) -> str | None:
    value = _get(config, *path)
    if value is not None and not isinstance(value, str):
        raise _not("text", _at(path), value)
    return value


def _bool(config: Object, path: tuple[str, ...], *, default: bool) -> bool:
    value = _get(config, *path, default=default)
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise _not("true or false", _at(path), value)
    return value


def _int(config: Object, path: tuple[str, ...]) -> int | None:
    """Return a whole number; clients send numbers as strings here at times."""
    value = _get(config, *path)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise _not("a whole number", _at(path), value)


def _at(path: tuple[str, ...]) -> str:
    return f"{FIELD}.{'.'.join(path)}"


def _not(expected: str, field: str, got: object) -> errors.InvalidInput:
    return errors.InvalidInput(
        f"{field} must be {expected}, got [{got}].", field=field, expected=expected, got=got
    )
