"""Every named bound: what one event, request, name or table may hold, in one place, to be listed.

`Limits` are the bounds that `strict_limits` switches between ours (WIDE) and the cloud's own
(STRICT); the module constants hold in both. It must never read a setting: what applies is passed
in.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

KIB = 1024
MIB = 1024 * KIB


class Limits(msgspec.Struct, frozen=True):
    """Bounds on events, requests and resources; None = not bounded.

    Source of the STRICT values: EventBridge "Limits" (2026-03 edition).
    """

    #: One event as it was received, bytes of its JSON (or of headers and body in binary mode). A
    #: larger one: the entry gets `EventSizeExceed`, the others are stored.
    event_bytes_max: int = MIB
    #: Body of one publishing request. A larger one gets 413 `EntityTooLarge` (400 on some
    #: operations), nothing of it is stored: send smaller batches.
    request_bytes_max: int = 8 * MIB
    #: Events in one publishing request; more are refused together, nothing is stored.
    request_events_max: int = 1_000
    #: Objects and arrays inside each other, the event itself being 1. A deeper event: the entry
    #: gets `JsonAttributeInvalid`.
    depth_max: int = 64
    #: Object members in one event, all levels together. More: the entry gets
    #: `JsonAttributeInvalid`.
    members_max: int = 10_000
    #: Commas between members and elements in one event, all levels together. More: the entry gets
    #: `JsonAttributeInvalid`. What reads an event takes time for each.
    values_max: int = 30_000
    #: The same for all events of one request; more are refused together, nothing is stored.
    request_values_max: int = 100_000
    #: Digits of one number. More: the entry gets `JsonAttributeInvalid`.
    number_digits_max: int = 4_000
    #: Characters of an event's id. A longer one: the entry gets `EventInvalid`, the others are
    #: stored.
    id_chars_max: int = 1_024
    #: Characters of an event's source. A longer one: the entry gets `EventSourceInvalid`.
    source_chars_max: int = 1_024
    #: Characters of an event's type. A longer one: the entry gets `EventTypeInvalid`.
    type_chars_max: int = 1_024
    #: Characters of an event's subject. A longer one: the entry gets `EventSubjectInvalid`.
    subject_chars_max: int = 2_048
    #: Characters of `datacontenttype`; an event with a longer one is refused.
    content_type_chars_max: int = 1_024
    #: Characters of `dataschema`. A longer one: the entry gets `EventSourceInvalid`.
    data_schema_chars_max: int = 2_048
    #: Attributes beyond the ones CloudEvents names; an event with more is refused.
    extensions_max: int = 128
    #: Characters of an extension's name; an event with a longer one is refused.
    extension_name_chars_max: int = 128
    #: Characters of an extension's value; an event with a longer one is refused.
    extension_chars_max: int = 8 * KIB
    #: The cloud takes only letters, digits and hyphens in an event id; others get `EventInvalid`.
    id_plain: bool = False
    #: Buses of an account. One more: 409 `EventBusCountExceedLimit`; delete one first.
    buses_max: int | None = None
    #: Rules of a bus. One more: 409 `EventRuleCountExceedLimit`; delete one first.
    rules_per_bus_max: int | None = None
    #: Targets of a rule; a rule with more is refused. Without a bound of its own that of one
    #: request holds.
    targets_per_rule_max: int | None = None
    #: Expressions on one field of a pattern; a pattern with more is refused with the field's name.
    expressions_per_field_max: int | None = None
    #: Characters of `Template` and `Value` of a transform; a target with more is refused.
    template_chars_max: int | None = None


#: Ours. Names and shapes are as strict as the cloud's, counts and sizes are not.
WIDE = Limits()

#: The cloud's, so that code tested here runs there.
STRICT = Limits(
    event_bytes_max=256 * KIB,
    request_bytes_max=MIB,
    request_events_max=16,
    id_chars_max=128,
    source_chars_max=128,
    type_chars_max=64,
    subject_chars_max=512,
    id_plain=True,
    buses_max=50,
    rules_per_bus_max=50,
    targets_per_rule_max=5,
    expressions_per_field_max=5,
    template_chars_max=10_240,
)

# Events, in both.
#: `time` as text; longer than any RFC 3339 time with a zone name. A longer one: `EventInvalid`.
TIME_CHARS_MAX = 64
#: Tokens read while looking for the members of a batch that is not valid JSON as a whole; past it
#: the whole request is refused.
BATCH_TOKENS_MAX = 100_000

# Names and pages.
#: Characters of the name of a bus, rule or target; a longer one is refused at creation.
NAME_CHARS_MAX = 127
#: Characters of the name of a function or trigger; a longer one is refused at creation.
FUNCTION_NAME_CHARS_MAX = 128
#: Characters of the name of a queue; a longer one is refused at creation.
QUEUE_NAME_CHARS_MAX = 120
#: Characters of a description where the cloud bounds it; a longer one is refused.
DESCRIPTION_CHARS_MAX = 255
#: Rows that one page of a listing has at most; a larger `Limit` is refused, a token leads on.
PAGE_ITEMS_MAX = 100

# Who may ask.
#: Accepted distance of a request's date from the clock, either way; else 400
#: `InvalidTimeStamp.Expired`: set the clock.
SIGNATURE_WINDOW_MS = 15 * 60 * 1000
#: Nonces remembered at once, 8 bytes each; a full table refuses. 4,600 signed requests a second
#: fill half of it.
NONCE_ENTRIES_MAX = 8 * 1024 * 1024
#: Characters of a signature's nonce; a longer one: 403 `SignatureDoesNotMatch`.
NONCE_CHARS_MAX = 256
#: Characters of an Authorization header; a longer one is refused as malformed.
AUTHORIZATION_CHARS_MAX = 4 * KIB
#: Headers that one signature covers; more are refused as malformed.
SIGNED_HEADERS_MAX = 128
#: Parameters of one query or form; a request with more is refused with 400.
PARAMETERS_MAX = 4_096
#: Form body of an RPC v1 request, which is decoded and encoded again to be verified; a larger one
#: is refused.
RPC_V1_BYTES_MAX = MIB
#: Bytes of a credentials file; the server does not start on a larger one.
CREDENTIALS_BYTES_MAX = 64 * KIB

# Functions. Source: Function Compute "Limits".
#: Payload of a synchronous invocation; a larger one is refused before the function sees it.
INVOKE_SYNC_BYTES_MAX = 32 * MIB
#: Payload of an asynchronous invocation; a larger one is refused and not queued.
INVOKE_ASYNC_BYTES_MAX = 128 * KIB
#: Body of a request that carries code; a larger package is refused.
CODE_REQUEST_BYTES_MAX = 100 * MIB
#: Triggers of a function; one more is refused.
TRIGGERS_PER_FUNCTION_MAX = 50
#: Largest `instanceConcurrency`; a function that asks for more is refused.
INSTANCE_CONCURRENCY_MAX = 200
#: Largest `timeout` of a function, seconds; a function that asks for more is refused.
FUNCTION_TIMEOUT_S_MAX = 86_400
#: Largest `memorySize` of a function, MB; a function that asks for more is refused.
FUNCTION_MEMORY_MB_MAX = 32 * KIB

# Retries. Source: EventBridge "Retry policies"; Function Compute "Asynchronous invocation".
#: Retries of a failed asynchronous invocation at most; then it is a dead letter.
ASYNC_RETRIES_MAX = 8
#: Longest wait between two of them.
ASYNC_WAIT_MS_MAX = 60_000


class Bound(msgspec.Struct, frozen=True):
    """One row of `headrace limits`."""

    name: str
    #: None = not bounded.
    wide: float | bool | None
    strict: float | bool | None


def listed() -> list[Bound]:
    """Return every bound with its value here and under strict_limits, in the order of this file."""
    switched = [
        Bound(name, getattr(WIDE, name), getattr(STRICT, name)) for name in Limits.__struct_fields__
    ]
    return switched + constants(globals())


def constants(module: Mapping[str, object]) -> list[Bound]:
    """Return the bounds among a module's names: its numbers in upper case, units excepted."""
    return [
        Bound(name.lower(), value, value)
        for name, value in module.items()
        if isinstance(value, (int, float)) and name.isupper() and name not in ("KIB", "MIB")
    ]
