"""What the catalog is told at start: region, what can be delivered to, its limits; and the bounds
that always hold.
"""

from __future__ import annotations

from typing import Final

import msgspec

from headrace.core import limits

FUNCTION_TARGET: Final = "acs.fc.function"
QUEUE_TARGET: Final = "acs.mns.queue"
HTTP_TARGETS: Final = frozenset({"http", "https"})

#: The kinds of target that this build delivers to.
TARGET_TYPES: Final = HTTP_TARGETS | {FUNCTION_TARGET, QUEUE_TARGET}

#: Characters of a pattern text, and of a triggerConfig.
PATTERN_CHARS_MAX: Final = 262_144
#: Characters of one Value or Template of a ParamList where the limits set none.
PARAM_CHARS_MAX: Final = 262_144
#: Entries of one target's ParamList; a target with more is refused.
PARAMS_PER_TARGET_MAX: Final = 100
#: Targets in one request.
TARGETS_PER_REQUEST_MAX: Final = 1_000
#: Characters of a description; a longer one is refused.
DESCRIPTION_CHARS_MAX: Final = 4_096
#: Characters of a target's `Endpoint`; a longer one is refused.
ENDPOINT_CHARS_MAX: Final = 4_096
#: Deliveries to one target at a time that a rule may ask for; more is refused.
CONCURRENCY_MAX: Final = 1_000
#: Keys and values of a function's environment together. Source: FC "Environment variables".
ENVIRONMENT_BYTES_MAX: Final = 4_096
#: Tags of one resource; more are refused.
TAGS_MAX: Final = 64
#: Characters of a tag's key, and of its value; longer ones are refused.
TAG_CHARS_MAX: Final = 256
#: Function Compute tells users: 10 EventBridge rules for the triggers of a function.
TRIGGERS_PER_FUNCTION_STRICT: Final = 10


class Settings(msgspec.Struct, frozen=True):
    """Handed to every part of the catalog."""

    region: str
    deliverable: frozenset[str] = TARGET_TYPES
    limits: limits.Limits = limits.WIDE

    @property
    def triggers_per_function_max(self) -> int | None:
        return TRIGGERS_PER_FUNCTION_STRICT if self.limits is limits.STRICT else None
