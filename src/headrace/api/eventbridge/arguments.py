"""Shapes and parsing that several EventBridge operations share: targets on the wire and in the
catalog's words.

Both planes read and write targets through here. Must never check a rule of the domain: the catalog
does.
"""

from __future__ import annotations

from typing import Any

from headrace.api import shapes
from headrace.resources import inputs, model

PARAM_LIST = "ParamList:[{Form, ResourceKey, Template:printed, Value:printed}]"
DEAD_LETTER_QUEUE = "DeadLetterQueue:{Arn, Network, SecurityGroupId, VSwitchIds, VpcId}"

#: A target in a request of the control API.
TARGET = (
    "{ConcurrentConfig:{Concurrency:i}, "
    + DEAD_LETTER_QUEUE
    + ", Endpoint, ErrorsTolerance, Id*, "
    + PARAM_LIST
    + ", PushRetryStrategy, Type*}"
)
#: A target on the data plane, in requests and answers.
TARGET_ENTRY = (
    "{Id*, Type*, Endpoint*, PushRetryStrategy, "
    + PARAM_LIST
    + ", ConcurrentConfig:{Concurrency:i}}"
)
ERROR_ENTRIES = "ErrorEntries:[{EntryId, ErrorCode, ErrorMessage}], ErrorEntriesCount:i"

_NETWORK = "kept and shown again; queues here need no network of their own"


def target_notes(prefix: str) -> dict[str, shapes.Note]:
    """Notes for the fields of TARGET below `prefix`."""
    queue = f"{prefix}.DeadLetterQueue"
    return shapes.echoed(
        _NETWORK,
        f"{queue}.Network", f"{queue}.SecurityGroupId", f"{queue}.VSwitchIds", f"{queue}.VpcId",
    )  # fmt: skip


def targets_from(entries: list[dict[str, Any]]) -> list[inputs.TargetInput]:
    return [_target_from(entry) for entry in entries]


def _target_from(entry: dict[str, Any]) -> inputs.TargetInput:
    concurrency: int | None = entry.get("ConcurrentConfig", {}).get("Concurrency")
    return inputs.TargetInput(
        id=entry["Id"],
        type=entry["Type"],
        endpoint=entry.get("Endpoint", ""),
        params=tuple(
            inputs.ParamInput(
                key=param.get("ResourceKey", ""),
                form=param.get("Form", ""),
                value=param.get("Value"),
                template=param.get("Template"),
            )
            for param in entry.get("ParamList", ())
        ),
        retry=entry.get("PushRetryStrategy"),
        errors=entry.get("ErrorsTolerance"),
        dead_letter=entry.get("DeadLetterQueue"),
        concurrency=concurrency,
    )


def target_entry(target: model.Target) -> dict[str, Any]:
    """A target as the data plane shows it."""
    out: dict[str, Any] = {
        "Id": target.id,
        "Type": target.type,
        "Endpoint": target.endpoint,
        "PushRetryStrategy": target.retry or "BACKOFF_RETRY",
        "ParamList": params_of(target),
    }
    if target.concurrency is not None:
        out["ConcurrentConfig"] = {"Concurrency": target.concurrency}
    return out


def target_of(target: model.Target) -> dict[str, Any]:
    """A target as GetRule shows it; what was not sent shows its effective value."""
    out = target_entry(target)
    out["ErrorsTolerance"] = target.errors or "ALL"
    out["PushSelector"] = selector_of(target)
    out["DetailMap"] = {}
    if target.dead_letter is not None:
        out["DeadLetterQueue"] = {"Arn": target.dead_letter.arn, **target.dead_letter.echoed}
    return out


def params_of(target: model.Target) -> list[dict[str, str]]:
    out: list[dict[str, str]] = []
    for param in target.params:
        entry = {"ResourceKey": param.key, "Form": param.form}
        if param.value is not None:
            entry["Value"] = param.value
        if param.template is not None:
            entry["Template"] = param.template
        out.append(entry)
    return out


def selector_of(target: model.Target) -> str:
    # CHOICE (eventbridge.md 1.11): the documentation and the API's examples use one word each.
    return "PARAM_TRANSFORMER" if target.params else "MATCHED_EVENT"


def errors_of(entries: list[inputs.EntryError]) -> dict[str, Any]:
    return {
        "ErrorEntriesCount": len(entries),
        "ErrorEntries": [
            {"EntryId": e.entry_id, "ErrorCode": e.code, "ErrorMessage": e.message} for e in entries
        ],
    }
