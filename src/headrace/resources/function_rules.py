"""The range of every field of a function: pure checks from a patch to the values of a record."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from headrace.core import errors
from headrace.resources import inputs, model, settings

#: Run on the Python of the host.
RUNTIMES: Final = ("python3", "python3.9", "python3.10", "python3.12")
#: Known to the API and not built here.
RUNTIMES_ELSEWHERE: Final = frozenset(
    {
        "nodejs8", "nodejs10", "nodejs12", "nodejs14", "nodejs16", "nodejs18", "nodejs20", "go1",
        "python2.7", "java8", "java11", "php7.2", "dotnetcore2.1", "dotnetcore3.1", "custom",
        "custom.debian10", "custom.debian11", "custom.debian12", "custom-container",
        "micro-sandbox",
    }
)  # fmt: skip

MEMORY_STEP_MB: Final = 64
#: Characters of `handler`; a function with a longer one is refused.
HANDLER_CHARS_MAX: Final = 256
#: Environment names that FC keeps for itself. Source: "Environment variables" of FC 3.0.
RESERVED: Final = frozenset({"accessKeyID", "accessKeySecret", "securityToken", "topic"})
_VARIABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_HANDLER: Final = re.compile(
    r"[^\s.\x00-\x1f\x7f]+(?:[./][^\s./\x00-\x1f\x7f]+)*\.[^\s./\x00-\x1f\x7f]+"
)

#: Field of the record -> (wire name, least, most).
_RANGES: Final[Mapping[str, tuple[str, int, int]]] = {
    "memory_mb": ("memorySize", 64, 32_768),
    "timeout_s": ("timeout", 1, 86_400),
    "instance_concurrency": ("instanceConcurrency", 1, 200),
    "idle_timeout_s": ("idleTimeout", 1, 86_400),
}
_DISKS_MB: Final = (512, 10_240)
_INITIALIZER: Final = "instanceLifecycleConfig.initializer"
_PRE_STOP: Final = "instanceLifecycleConfig.preStop"
_HOOK_TIMEOUT_S_MAX: Final = {_INITIALIZER: 300, _PRE_STOP: 90}


def check_required(patch: inputs.FunctionPatch, *, creating: bool) -> None:
    """Raise MissingParameter for what a new function must say."""
    if not creating:
        return
    for field, value in (
        ("runtime", patch.runtime),
        ("handler", patch.handler),
        ("code", patch.code),
    ):
        if not value:
            raise errors.MissingParameter(f"{field} is required.", field=field)


def settled(patch: inputs.FunctionPatch) -> dict[str, Any]:
    """Return the record fields that `patch` sets, checked; what it leaves out is not in it."""
    changes: dict[str, Any] = {}
    if patch.runtime is not None:
        changes["runtime"] = _runtime(patch.runtime)
    if patch.handler is not None:
        changes["handler"] = _handler(patch.handler)
    if patch.description is not None:
        changes["description"] = patch.description
    if patch.code is not None:
        changes.update(
            code_sha256=patch.code.sha256,
            code_checksum=patch.code.checksum,
            code_bytes=patch.code.size,
        )
    changes.update(_numbers(patch))
    if patch.environment is not None:
        changes["environment"] = _environment(patch.environment)
    if patch.initializer is not None:
        changes["initializer"] = _hook(patch.initializer, _INITIALIZER)
    if patch.pre_stop is not None:
        changes["pre_stop"] = _hook(patch.pre_stop, _PRE_STOP)
    return changes


def _numbers(patch: inputs.FunctionPatch) -> dict[str, int | None]:
    changes: dict[str, int | None] = {}
    for field, (wire, least, most) in _RANGES.items():
        value: int | None = getattr(patch, field)
        if value is None:
            continue
        if field == "idle_timeout_s" and value in (-1, 0):
            changes[field] = None
        elif field == "instance_concurrency" and value == 0:
            changes[field] = 1  # Terraform sends 0 for "not set"
        else:
            changes[field] = _in_range(value, wire, least, most)
    memory = changes.get("memory_mb")
    if memory is not None and memory % MEMORY_STEP_MB:
        raise _wrong("memorySize", f"a multiple of {MEMORY_STEP_MB}", memory)
    if patch.disk_mb is not None:
        if patch.disk_mb not in _DISKS_MB:
            raise _wrong("diskSize", "512 or 10240", patch.disk_mb)
        changes["disk_mb"] = patch.disk_mb
    return changes


def _in_range(value: int, field: str, least: int, most: int) -> int:
    if not least <= value <= most:
        raise _wrong(field, f"{least}-{most}", value)
    return value


def _runtime(given: str) -> str:
    if given in RUNTIMES:
        return given
    known = ", ".join(RUNTIMES)
    if given in RUNTIMES_ELSEWHERE:
        raise errors.Unsupported(
            f"The runtime [{given}] is not supported yet; those that are: {known}.",
            field="runtime",
            expected=known,
            got=given,
        )
    raise _wrong("runtime", f"one of {known}", given)


def _handler(given: str) -> str:
    if len(given) > HANDLER_CHARS_MAX or not _HANDLER.fullmatch(given):
        raise _wrong("handler", "file.function, such as index.handler", given)
    return given


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    for key, value in given.items():
        at = f"environmentVariables.{key}"
        if not _VARIABLE.fullmatch(key):
            raise _wrong(at, "a name of letters, digits and _ that starts with a letter", key)
        if key in RESERVED or key.startswith("FC_"):
            raise _wrong(at, "a name that is not reserved (FC_*, accessKeyID, …)", key)
        if "\0" in value:
            raise _wrong(at, "text without NUL", "a text with NUL")
    size = sum(len(key.encode()) + len(value.encode()) for key, value in given.items())
    if size > settings.ENVIRONMENT_BYTES_MAX:
        raise _wrong(
            "environmentVariables", f"at most {settings.ENVIRONMENT_BYTES_MAX} bytes", size
        )
    return dict(given)


def _hook(given: inputs.HookInput, field: str) -> model.LifecycleHook | None:
    if given.command:
        raise errors.Unsupported(
            f"{field}.command is not supported yet; handler is.", field=f"{field}.command"
        )
    if not given.handler:
        return None
    timeout_s = given.timeout_s or 3
    _in_range(timeout_s, f"{field}.timeout", 1, _HOOK_TIMEOUT_S_MAX[field])
    if not _HANDLER.fullmatch(given.handler):
        raise _wrong(f"{field}.handler", "file.function, such as index.initialize", given.handler)
    return model.LifecycleHook(given.handler, timeout_s)


def _wrong(field: str, expected: str, got: object) -> errors.InvalidInput:
    return errors.InvalidInput(
        f"{field} must be {expected}, got [{got}].", field=field, expected=expected, got=got
    )
