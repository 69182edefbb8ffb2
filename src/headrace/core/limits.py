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

    #: One event as it was received, bytes of its JSON (or of headers and body in binary mode).
    event_bytes_max: int = MIB
    #: Body of one publishing request.
    request_bytes_max: int = 8 * MIB
    #: Events in one publishing request.
    request_events_max: int = 1_000
    #: Objects and arrays inside each other, the event itself being 1.
    depth_max: int = 64
    #: Object members in one event, all levels together.
    members_max: int = 10_000
    #: Digits of one number.
    number_digits_max: int = 4_000
    id_chars_max: int = 1_024
    source_chars_max: int = 1_024
    type_chars_max: int = 1_024
    subject_chars_max: int = 2_048
    #: `datacontenttype` and `dataschema`.
    content_type_chars_max: int = 1_024
    data_schema_chars_max: int = 2_048
    #: Attributes beyond the ones CloudEvents names.
    extensions_max: int = 128
    extension_name_chars_max: int = 128
    extension_chars_max: int = 8 * KIB
    #: The cloud takes only letters, digits and hyphens in an event id.
    id_plain: bool = False
    buses_max: int | None = None
    rules_per_bus_max: int | None = None
    targets_per_rule_max: int | None = None
    #: Expressions on one field of a pattern.
    expressions_per_field_max: int | None = None
    #: `Template` and `Value` of a transform.
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
#: `time` as text; longer than any RFC 3339 time with a zone name.
TIME_CHARS_MAX = 64
#: Tokens read while looking for the members of a batch that is not valid JSON as a whole.
BATCH_TOKENS_MAX = 100_000

# Names and pages.
NAME_CHARS_MAX = 127
FUNCTION_NAME_CHARS_MAX = 128
QUEUE_NAME_CHARS_MAX = 120
DESCRIPTION_CHARS_MAX = 255
PAGE_ITEMS_MAX = 100

# Who may ask.
#: Accepted distance of a request's date from the clock, either way.
SIGNATURE_WINDOW_MS = 15 * 60 * 1000
#: Nonces remembered at once, 8 bytes each; a full table refuses. 4,600 signed requests a second
#: fill half of it.
NONCE_ENTRIES_MAX = 8 * 1024 * 1024
NONCE_CHARS_MAX = 256
AUTHORIZATION_CHARS_MAX = 4 * KIB
SIGNED_HEADERS_MAX = 128
PARAMETERS_MAX = 4_096
#: Form body of an RPC v1 request, which is decoded and encoded again to be verified.
RPC_V1_BYTES_MAX = MIB
CREDENTIALS_BYTES_MAX = 64 * KIB

# Functions. Source: Function Compute "Limits".
INVOKE_SYNC_BYTES_MAX = 32 * MIB
INVOKE_ASYNC_BYTES_MAX = 128 * KIB
CODE_REQUEST_BYTES_MAX = 100 * MIB
TRIGGERS_PER_FUNCTION_MAX = 50
INSTANCE_CONCURRENCY_MAX = 200
FUNCTION_TIMEOUT_S_MAX = 86_400
FUNCTION_MEMORY_MB_MAX = 32 * KIB

# Retries. Source: EventBridge "Retry policies"; Function Compute "Asynchronous invocation".
ASYNC_RETRIES_MAX = 8
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
