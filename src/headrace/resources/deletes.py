"""What deleting, detaching and editing does to the one record, seen from both doors. Data, and the
choice of a row.

`rules`, `triggers`, `functions`, `buses` and `queues` ask `effect` and do what it says; there is no
second place where this is decided. Tests count the rows they have driven, by `id`.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal

import msgspec

Operation = Literal[
    "delete_trigger", "delete_rule", "delete_targets", "put_targets", "disable_rule",
    "delete_function", "delete_bus", "delete_queue",
]  # fmt: skip
#: Where the record was made: as a trigger (function side) or as a rule (bus side); "-" = neither
#: matters.
Origin = Literal["trigger", "rule", "-"]


class Effect(Enum):
    """What happens to the record."""

    RECORD_GONE = "the record goes, and every view of it"
    TARGET_GONE = "that target goes; the rule and its origin stay"
    TARGET_GONE_RULE_ORDINARY = "that target and the trigger go; the rule stays as an ordinary one"
    TRIGGER_GONE_RULE_ORDINARY = "the trigger goes; the rule stays as an ordinary one"
    EDITED = "an edit: every view shows it"
    REFUSED = "refused; nothing changes"


class Cell(msgspec.Struct, frozen=True):
    """One row: who does what to which record in which situation, and what comes of it."""

    operation: Operation
    origin: Origin
    situation: str
    effect: Effect
    #: Why, or what the other side sees.
    remark: str

    @property
    def id(self) -> str:
        return f"{self.operation}/{self.origin}/{self.situation}"

    @property
    def actor(self) -> str:
        if self.operation in ("delete_trigger", "delete_function"):
            return "function side"
        return "bus side"


ALONE: Final = "its target is the only one"
SHARED: Final = "the rule has other targets"
ADDED: Final = "the bus side added it to a trigger's rule"
OWN: Final = "the trigger's own target"
OTHER: Final = "another target"
FUNCTION: Final = "a function target"
ELSEWHERE: Final = "the trigger's own target, now pointing elsewhere"
STILL: Final = "the trigger's own target, still pointing at the function"
LISTED_ELSEWHERE: Final = "a function target, now pointing elsewhere"
ANY: Final = "any"
USED_BY_TRIGGERS: Final = "triggers point at it"
USED_BY_RULES: Final = "only bus-made targets point at it"
UNUSED: Final = "nothing points at it"
IS_DEFAULT: Final = "the default bus"
HAS_RULES: Final = "it has rules"
HAS_SOURCES: Final = "it has sources"
EMPTY: Final = "it is empty"
IS_TARGET: Final = "a target feeds it"
IS_DEAD_LETTER: Final = "it keeps dead letters of a target"

DELETE_TABLE: Final[tuple[Cell, ...]] = (
    Cell("delete_trigger", "trigger", ALONE, Effect.RECORD_GONE, "FC made the rule"),
    Cell(
        "delete_trigger", "trigger", SHARED, Effect.TARGET_GONE_RULE_ORDINARY,
        "the bus side added targets: they go on",
    ),
    Cell(
        "delete_trigger", "rule", ALONE, Effect.TARGET_GONE, "the bus side's rule stays, empty",
    ),
    Cell("delete_trigger", "rule", SHARED, Effect.TARGET_GONE, "the bus side's rule stays"),
    Cell("delete_trigger", "rule", ADDED, Effect.TARGET_GONE, "the trigger of that rule stays"),
    Cell("delete_rule", "trigger", ALONE, Effect.RECORD_GONE, "the trigger disappears"),
    Cell("delete_rule", "trigger", SHARED, Effect.RECORD_GONE, "the trigger disappears"),
    Cell("delete_rule", "rule", ANY, Effect.RECORD_GONE, "listed triggers disappear"),
    Cell(
        "delete_targets", "trigger", OWN, Effect.TARGET_GONE_RULE_ORDINARY,
        "the trigger disappears",
    ),
    Cell("delete_targets", "trigger", OTHER, Effect.TARGET_GONE, "the trigger stays"),
    Cell("delete_targets", "rule", FUNCTION, Effect.TARGET_GONE, "the listed trigger disappears"),
    Cell(
        "put_targets", "trigger", ELSEWHERE, Effect.TRIGGER_GONE_RULE_ORDINARY,
        "the trigger disappears; the new target stands",
    ),
    Cell("put_targets", "trigger", STILL, Effect.EDITED, "the trigger shows the new settings"),
    Cell("put_targets", "rule", LISTED_ELSEWHERE, Effect.EDITED, "the listed trigger disappears"),
    Cell("disable_rule", "trigger", ANY, Effect.EDITED, "triggerEnable reads false"),
    Cell("disable_rule", "rule", ANY, Effect.EDITED, "triggerEnable reads false"),
    Cell(
        "delete_function", "trigger", USED_BY_TRIGGERS, Effect.REFUSED,
        "FunctionInUse names them",
    ),
    Cell(
        "delete_function", "rule", USED_BY_RULES, Effect.RECORD_GONE,
        "the bus side owns those rules: they keep their target, whose deliveries fail, are retried "
        "and dead-lettered until the function is made again",
    ),
    Cell("delete_function", "-", UNUSED, Effect.RECORD_GONE, ""),
    Cell("delete_bus", "-", IS_DEFAULT, Effect.REFUSED, "it always exists"),
    Cell("delete_bus", "-", HAS_RULES, Effect.REFUSED, "EventBusRuleNotEmptyForDelete"),
    Cell("delete_bus", "-", HAS_SOURCES, Effect.REFUSED, "EventBusSourceNotEmptyForDelete"),
    Cell("delete_bus", "-", EMPTY, Effect.RECORD_GONE, ""),
    Cell("delete_queue", "-", IS_TARGET, Effect.REFUSED, "QueueInUse names the rule"),
    Cell("delete_queue", "-", IS_DEAD_LETTER, Effect.REFUSED, "QueueInUse names the rule"),
    Cell("delete_queue", "-", UNUSED, Effect.RECORD_GONE, "its messages are dropped, counted"),
)  # fmt: skip

_BY_CELL: Final = {(cell.operation, cell.origin, cell.situation): cell for cell in DELETE_TABLE}
assert len(_BY_CELL) == len(DELETE_TABLE), "a cell is decided twice"


def effect(operation: Operation, origin: Origin, situation: str) -> Effect:
    """Return the effect of one row; a missing row is a programming error."""
    return _BY_CELL[operation, origin, situation].effect


class EditKind(msgspec.Struct, frozen=True):
    """One kind of edit that both doors must agree on."""

    door: Literal["bus side", "function side"]
    operation: str
    #: What is changed.
    subject: str
    #: How the other side sees it.
    seen: str

    @property
    def id(self) -> str:
        return f"{self.operation}/{self.subject}"


_BUS: Final = "bus side"
_FUNCTION: Final = "function side"

#: Every kind of edit through either door, for tests that count their coverage.
EDIT_KINDS: Final[tuple[EditKind, ...]] = (
    EditKind(_FUNCTION, "create_trigger", "new", "rule {function}-{trigger} on bus default"),
    EditKind(_FUNCTION, "update_trigger", "description", "description of the rule"),
    EditKind(_FUNCTION, "update_trigger", "invocationRole", "not seen: it is only kept"),
    EditKind(_FUNCTION, "update_trigger", "qualifier", "parameter Qualifier"),
    EditKind(_FUNCTION, "update_trigger", "pattern", "FilterPattern"),
    EditKind(_FUNCTION, "update_trigger", "enable", "Status"),
    EditKind(_FUNCTION, "update_trigger", "invocation type", "parameter InvocationType"),
    EditKind(_FUNCTION, "update_trigger", "schema", "parameter Body"),
    EditKind(_FUNCTION, "update_trigger", "retry", "PushRetryStrategy"),
    EditKind(_FUNCTION, "update_trigger", "errors", "ErrorsTolerance"),
    EditKind(_FUNCTION, "update_trigger", "dead letter", "DeadLetterQueue"),
    EditKind(_FUNCTION, "update_trigger", "concurrency", "ConcurrentConfig"),
    EditKind(_FUNCTION, "update_trigger", "a bus-made rule", "the same fields of that rule"),
    EditKind(_BUS, "create_rule", "function target", "trigger {bus}|{rule}|{target}"),
    EditKind(_BUS, "update_rule", "pattern", "eventRuleFilterPattern"),
    EditKind(_BUS, "update_rule", "description", "description"),
    EditKind(_BUS, "disable_rule", "status", "triggerEnable false"),
    EditKind(_BUS, "enable_rule", "status", "triggerEnable true"),
    EditKind(_BUS, "put_targets", "invocation type", "asyncInvocationType"),
    EditKind(_BUS, "put_targets", "schema", "eventSchema"),
    EditKind(_BUS, "put_targets", "body without a word", "ModifiedByEventBridge"),
    EditKind(_BUS, "put_targets", "retry", "retryStrategy"),
    EditKind(_BUS, "put_targets", "errors", "errorsTolerance"),
    EditKind(_BUS, "put_targets", "dead letter", "deadLetterQueue"),
    EditKind(_BUS, "put_targets", "concurrency", "deliveryOption.concurrency"),
    EditKind(_BUS, "put_targets", "another target", "the trigger is as before"),
    EditKind(_BUS, "put_targets", "another function", "a trigger {bus}|{rule}|{target} more"),
)
