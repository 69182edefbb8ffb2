"""Records of the catalog: what a bus, a rule, a function, a queue *is*. Data only.

The rules of change live in `catalog`.

Every record is a frozen msgspec struct, stored as JSON under a key that begins with the account id.
A trigger is not here: it is a view of a `Rule` (see `triggers`).
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

RuleStatus = Literal["ENABLE", "DISABLE"]
RetryStrategy = Literal["BACKOFF_RETRY", "EXPONENTIAL_DECAY_RETRY"]
ErrorsTolerance = Literal["ALL", "NONE"]
SwitchKind = Literal["pause-all", "pause-account", "pause-target", "read-only", "drain"]
ParamForm = Literal["ORIGINAL", "CONSTANT", "JSONPATH", "TEMPLATE"]

#: The bus that every account has without creating it.
DEFAULT_BUS: Final = "default"
#: How many of its newest edits a record remembers.
EDITS_KEPT: Final = 4
#: How often a switch was turned, as far back as it remembers.
FLIPS_KEPT: Final = 8


class Edit(msgspec.Struct, frozen=True, array_like=True):
    """One change of a record, kept inside it so that a stale write can be told what it would
    overwrite.
    """

    #: Revision the edit was made on; 0 = it created the record.
    base: int
    #: "bus side" or "function side".
    door: str
    fields: tuple[str, ...]
    at_ms: int


class EventBus(msgspec.Struct, frozen=True):
    name: str
    description: str = ""
    created_ms: int = 0
    modified_ms: int = 0
    #: True for `default`, which exists without being created and cannot be deleted.
    system: bool = False
    tags: dict[str, str] = {}
    edits: tuple[Edit, ...] = ()


class Param(msgspec.Struct, frozen=True):
    """One entry of a target's ParamList, echoed as sent; `key` is compared case-insensitively."""

    key: str
    form: ParamForm
    value: str | None = None
    template: str | None = None


class DeadLetterQueue(msgspec.Struct, frozen=True):
    arn: str
    #: Network, VpcId, VSwitchIds, SecurityGroupId: echoed only.
    echoed: dict[str, str] = {}


class Target(msgspec.Struct, frozen=True):
    """One destination of a rule."""

    id: str
    type: str
    endpoint: str = ""
    params: tuple[Param, ...] = ()
    #: As stored; None = not sent (the effective one is BACKOFF_RETRY).
    retry: RetryStrategy | None = None
    #: None = not sent (the effective one is ALL).
    errors: ErrorsTolerance | None = None
    dead_letter: DeadLetterQueue | None = None
    concurrency: int | None = None
    #: Number of the subscription this target compiles to; never reused, new for each new target.
    subscription: int = 0


class TriggerOrigin(msgspec.Struct, frozen=True):
    """What only the function side knows of a rule that was made as a trigger.

    Everything both sides can see (pattern, status, qualifier, description, times) is in the rule
    itself.
    """

    function: str
    trigger: str
    trigger_id: str
    #: The target inside the rule that is the trigger.
    target_id: str
    type: str = "eventbridge"
    #: triggerConfig as it was sent, echoed while it still says what the rule does.
    config: str = "{}"
    #: Last text that could say the rule after an edit on the bus side; empty = `config` says it.
    rendered: str = ""
    invocation_role: str = ""
    #: True while the bus side holds something the trigger's own type cannot say.
    modified_by_bus: bool = False


class Rule(msgspec.Struct, frozen=True):
    name: str
    bus: str
    #: Pattern text, verbatim.
    pattern: str = "{}"
    description: str = ""
    status: RuleStatus = "ENABLE"
    targets: tuple[Target, ...] = ()
    created_ms: int = 0
    modified_ms: int = 0
    #: Number of this rule's life; a rule deleted and made again gets a new one.
    number: int = 0
    origin: TriggerOrigin | None = None
    tags: dict[str, str] = {}
    #: The newest edits, oldest first (at most EDITS_KEPT).
    edits: tuple[Edit, ...] = ()


class LifecycleHook(msgspec.Struct, frozen=True):
    handler: str
    timeout_s: int = 3


class Function(msgspec.Struct, frozen=True):
    name: str
    function_id: str
    runtime: str
    handler: str
    code_sha256: str
    #: CRC-64/XZ of the zip as uploaded, unsigned decimal.
    code_checksum: str
    code_bytes: int
    description: str = ""
    memory_mb: int = 512
    disk_mb: int = 512
    timeout_s: int = 3
    instance_concurrency: int = 1
    idle_timeout_s: int | None = None
    environment: dict[str, str] = {}
    initializer: LifecycleHook | None = None
    pre_stop: LifecycleHook | None = None
    #: Fields that are kept and echoed, and change nothing here (the compatibility table lists
    #: them).
    echoed: dict[str, Any] = {}
    tags: dict[str, str] = {}
    created_ms: int = 0
    modified_ms: int = 0
    #: Subscription of the asynchronous queue of this function's life.
    async_subscription: int = 0
    edits: tuple[Edit, ...] = ()


class Queue(msgspec.Struct, frozen=True):
    """A built-in queue (`acs.mns.queue`): deliveries of one passive subscription."""

    name: str
    created_ms: int = 0
    modified_ms: int = 0
    subscription: int = 0
    edits: tuple[Edit, ...] = ()


class EventSource(msgspec.Struct, frozen=True):
    name: str
    bus: str
    type: str
    description: str = ""
    parameters: dict[str, Any] = {}
    created_ms: int = 0
    modified_ms: int = 0
    edits: tuple[Edit, ...] = ()


class Flip(msgspec.Struct, frozen=True, array_like=True):
    """One turn of a switch."""

    on: bool
    at_ms: int
    #: Access key id of who turned it.
    by: str
    reason: str


class Switch(msgspec.Struct, frozen=True):
    """A red switch: something an operator has stopped. Kept when it is off, for its history."""

    kind: SwitchKind
    #: The account or the target it is about; "" for the whole server.
    of: str
    #: Whose target it is; else who turned it on first.
    account: str
    on: bool
    #: Since when it is on, or off.
    since_ms: int
    #: The newest last.
    flips: tuple[Flip, ...]
