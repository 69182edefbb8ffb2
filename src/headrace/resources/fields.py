"""The honesty tables: what becomes of every field that a client may send. Data only.

A field is *honoured*, or *echoed* (kept and returned, changes nothing here), or *refused* with a
reason unless it says what is so anyway (`neutral`, or an empty form). Nothing is dropped silently.
The compatibility tables of the documentation are generated from here.
"""

from __future__ import annotations

from typing import Any, Final, Literal, cast

import msgspec

Fate = Literal["honoured", "echoed", "refused"]


class FieldRule(msgspec.Struct, frozen=True):
    """The fate of one wire field."""

    fate: Fate
    #: Why it is echoed or refused; for honoured fields what bounds it.
    reason: str = ""
    #: Values that a refused field may still have, because they ask for what is so anyway.
    neutral: tuple[Any, ...] = ()


def _honoured(reason: str = "") -> FieldRule:
    return FieldRule("honoured", reason)


def _echoed(reason: str) -> FieldRule:
    return FieldRule("echoed", reason)


def _refused(reason: str, *neutral: Any) -> FieldRule:
    return FieldRule("refused", reason, neutral)


_NO_MOUNT: Final = "remote file systems cannot be mounted into the sandbox yet"
_NO_PROVISION: Final = "provisioned instances are not built yet"

#: Every field of CreateFunctionInput and UpdateFunctionInput (SDK alibabacloud_fc20230330 4.8).
FUNCTION_FIELDS: Final[dict[str, FieldRule]] = {
    "functionName": _honoured(),
    "runtime": _honoured("python3, python3.9, python3.10, python3.12 run on the host's Python"),
    "handler": _honoured(),
    "code": _honoured("zipFile with checksum; ossBucketName and ossObjectName are refused"),
    "description": _honoured(),
    "memorySize": _honoured("64-32768 MB, a multiple of 64; told to the function, not a limit yet"),
    "diskSize": _honoured("512 or 10240 MB"),
    "timeout": _honoured("1-86400 s"),
    "instanceConcurrency": _honoured("1-200"),
    "idleTimeout": _honoured("seconds; -1 clears"),
    "environmentVariables": _honoured("4 KB; reserved names are refused"),
    "instanceLifecycleConfig": _honoured("handler and timeout; command is refused"),
    "tags": _honoured(),
    "cpu": _echoed("CPU is not shared out by it"),
    "internetAccess": _echoed("sandboxed functions have no network yet, whatever it says"),
    "role": _echoed("there is no RAM here; no credentials are injected"),
    "disableInjectCredentials": _echoed("no credentials are injected anyway"),
    "resourceGroupId": _echoed("there are no resource groups here"),
    "logConfig": _echoed("logs of every invocation are kept here, not in a log store"),
    "tracingConfig": _echoed("spans are not sent to Jaeger"),
    "vpcConfig": _echoed("sandboxed functions have no network yet, whatever it says"),
    "customContainerConfig": _refused("the runtime custom-container is not built yet"),
    "customRuntimeConfig": _refused("the custom runtimes are not built yet"),
    "customDNS": _refused("sandboxed functions have no network yet"),
    "disableOndemand": _refused(_NO_PROVISION, False),
    "enableLongLiving": _refused(_NO_PROVISION, False),
    "gpuConfig": _refused("there are no GPUs here"),
    "instanceIsolationMode": _refused("sessions are not built yet", "SHARE"),
    "sessionAffinity": _refused("sessions are not built yet", "NONE"),
    "sessionAffinityConfig": _refused("sessions are not built yet"),
    "layers": _refused("layers are not built yet"),
    "microSandboxConfig": _refused("the runtime micro-sandbox is not built"),
    "juiceFsConfig": _refused(_NO_MOUNT),
    "nasConfig": _refused(_NO_MOUNT),
    "ossMountConfig": _refused(_NO_MOUNT),
    "polarFsConfig": _refused(_NO_MOUNT),
}

#: Fields of CreateFunctionInput that `FunctionInput` carries in fields of its own.
TYPED: Final = frozenset(
    {
        "functionName", "runtime", "handler", "code", "description", "memorySize", "diskSize",
        "timeout", "instanceConcurrency", "idleTimeout", "environmentVariables",
        "instanceLifecycleConfig", "tags",
    }
)  # fmt: skip

_STREAMS_ONLY: Final = "it belongs to event-streaming; event-driven triggers do not batch"

#: Every key of the triggerConfig of an `eventbridge` trigger, by path; `*` = whatever lies below.
TRIGGER_CONFIG_FIELDS: Final[dict[str, FieldRule]] = {
    "triggerEnable": _honoured("absent = true"),
    "asyncInvocationType": _honoured("true = asynchronous; absent = false"),
    "eventRuleFilterPattern": _honoured("a JSON text"),
    "eventSourceConfig": _honoured(),
    "eventSourceConfig.eventSourceType": _honoured("Default; other types are refused"),
    "eventSourceConfig.eventSourceParameters": _honoured("empty for Default"),
    "eventSinkConfig": _honoured(),
    "eventSinkConfig.deliveryOption": _honoured(),
    "eventSinkConfig.deliveryOption.mode": _honoured("event-driven"),
    "eventSinkConfig.deliveryOption.eventSchema": _honoured("CloudEvents, RawData"),
    "eventSinkConfig.deliveryOption.concurrency": _honoured("parallel deliveries"),
    "runOptions": _honoured(),
    "runOptions.mode": _honoured("event-driven"),
    "runOptions.errorsTolerance": _honoured("ALL, NONE; absent = that of a rule target, ALL"),
    "runOptions.retryStrategy": _honoured(),
    "runOptions.retryStrategy.PushRetryStrategy": _honoured(),
    "runOptions.retryStrategy.MaximumEventAgeInSeconds": _echoed("the strategy decides"),
    "runOptions.retryStrategy.MaximumRetryAttempts": _echoed("the strategy decides"),
    "runOptions.deadLetterQueue": _honoured(),
    "runOptions.deadLetterQueue.Arn": _honoured("a built-in queue"),
    "runOptions.deadLetterQueue.Network": _echoed("built-in queues need no network"),
    "runOptions.deadLetterQueue.VpcId": _echoed("built-in queues need no network"),
    "runOptions.deadLetterQueue.VSwitchIds": _echoed("built-in queues need no network"),
    "runOptions.deadLetterQueue.SecurityGroupId": _echoed("built-in queues need no network"),
    "runOptions.batchWindow": _echoed(_STREAMS_ONLY),
    "runOptions.batchWindow.CountBasedWindow": _echoed(_STREAMS_ONLY),
    "runOptions.batchWindow.TimeBasedWindow": _echoed(_STREAMS_ONLY),
    "runOptions.maximumTasks": _echoed(_STREAMS_ONLY),
    "x-headrace-pattern": _echoed("ours, for reading only; left out of what is kept"),
}


def is_unset(value: object) -> bool:
    """Return whether `value` is one of the empty forms by which clients clear a block.

    Source: FC3 `FC_RESOURCES_EMPTY_CONFIG`, e.g. {"groupId": 0, "userId": 0, "mountPoints": []}.
    """
    if value is None or value == "" or value == [] or value == {}:
        return True
    if isinstance(value, dict):
        return all(_blank(part) for part in cast("dict[str, object]", value).values())
    return False


def _blank(part: object) -> bool:
    return part in (0, False, "None") or is_unset(part)
