"""What the doors hand to the catalog: wire-neutral inputs of every create and update, and its small
answers.

Faces parse their API's JSON into these structs and render the answers; they add no rule of their
own. None in an input means *not sent*. Nothing here is stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar

import msgspec

from headrace.resources import model

T = TypeVar("T")

#: Which side of the one record an edit came from; named in EditConflict.
Door = Literal["bus side", "function side"]


class ParamInput(msgspec.Struct, frozen=True):
    """One entry of a ParamList. `value` and `template` may be any JSON; what is not text is
    stringified.
    """

    key: str
    form: str
    value: Any = None
    template: Any = None


class TargetInput(msgspec.Struct, frozen=True):
    """A target as the bus side sends it. An empty `dead_letter` counts as absent."""

    id: str
    type: str
    endpoint: str = ""
    params: Sequence[ParamInput] = ()
    retry: str | None = None
    errors: str | None = None
    #: Keys as on the wire: Arn, Network, VpcId, VSwitchIds, SecurityGroupId.
    dead_letter: Mapping[str, Any] | None = None
    concurrency: int | None = None


class RuleInput(msgspec.Struct, frozen=True):
    """A new rule."""

    name: str
    pattern: str
    description: str = ""
    status: str | None = None
    targets: Sequence[TargetInput] = ()
    tags: Mapping[str, str] = {}


class RulePatch(msgspec.Struct, frozen=True):
    """What UpdateRule, EnableRule and DisableRule change; None keeps."""

    pattern: str | None = None
    description: str | None = None
    status: str | None = None
    tags: Mapping[str, str] | None = None


class Code(msgspec.Struct, frozen=True):
    """A code package that the caller has already checked and put into the blobs."""

    sha256: str
    #: CRC-64/XZ of the zip as uploaded, unsigned decimal.
    checksum: str
    size: int


class HookInput(msgspec.Struct, frozen=True):
    """An instance lifecycle hook as sent. A hook without handler and command is unset."""

    handler: str = ""
    timeout_s: int | None = None
    command: Sequence[str] = ()


class FunctionInput(msgspec.Struct, frozen=True):
    """A new function. `other` holds every further top-level wire field as sent (see
    `fields.FUNCTION_FIELDS`).
    """

    name: str
    runtime: str
    handler: str
    code: Code | None
    description: str = ""
    memory_mb: int | None = None
    disk_mb: int | None = None
    timeout_s: int | None = None
    instance_concurrency: int | None = None
    idle_timeout_s: int | None = None
    environment: Mapping[str, str] | None = None
    initializer: HookInput | None = None
    pre_stop: HookInput | None = None
    tags: Mapping[str, str] | None = None
    other: Mapping[str, Any] = {}


class FunctionPatch(msgspec.Struct, frozen=True):
    """A partial update of a function: None keeps; an empty form (`{}`, a hook without handler)
    unsets.
    """

    runtime: str | None = None
    handler: str | None = None
    code: Code | None = None
    description: str | None = None
    memory_mb: int | None = None
    disk_mb: int | None = None
    timeout_s: int | None = None
    instance_concurrency: int | None = None
    #: -1 clears.
    idle_timeout_s: int | None = None
    environment: Mapping[str, str] | None = None
    initializer: HookInput | None = None
    pre_stop: HookInput | None = None
    tags: Mapping[str, str] | None = None
    #: Further top-level wire fields as sent; an empty form unsets the stored one.
    other: Mapping[str, Any] = {}


class TriggerInput(msgspec.Struct, frozen=True):
    """A new trigger of a function. `config` is the triggerConfig text, echoed as sent."""

    name: str
    type: str
    config: str
    description: str = ""
    qualifier: str = ""
    invocation_role: str = ""
    source_arn: str = ""


class TriggerPatch(msgspec.Struct, frozen=True):
    """What UpdateTrigger may change; None keeps."""

    description: str | None = None
    invocation_role: str | None = None
    qualifier: str | None = None
    config: str | None = None


class SourceInput(msgspec.Struct, frozen=True):
    """A user-defined event source (kept and echoed; nothing runs from it yet)."""

    name: str
    type: str
    description: str = ""
    parameters: Mapping[str, Any] = {}


class EntryError(msgspec.Struct, frozen=True):
    """One refused entry of PutTargets or DeleteTargets."""

    entry_id: str
    code: str
    message: str


class PlacedTarget(msgspec.Struct, frozen=True):
    """A target and the rule it stands in."""

    bus: str
    rule: str
    target: model.Target


class Listing(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list. `next` is an opaque token, None on the last page; `total` counts all
    pages.
    """

    items: list[T]
    next: str | None
    total: int


class Trigger(msgspec.Struct, frozen=True):
    """How a rule's function target looks from the function's side. A view: never stored."""

    name: str
    id: str
    type: str
    #: triggerConfig, a JSON text.
    config: str
    description: str
    source_arn: str
    invocation_role: str
    qualifier: str
    #: Function ARN with the qualifier.
    target_arn: str
    #: ENABLE, DISABLE or ModifiedByEventBridge.
    status: str
    created_ms: int
    modified_ms: int
    #: "trigger": made on the function side; "rule": a bus-made rule that targets the function.
    origin: Literal["trigger", "rule"]
    bus: str
    rule: str
    target_id: str
    #: Revision of the rule record the view was made from; give it back to update or delete.
    revision: int
