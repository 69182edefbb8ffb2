"""Functions: create, read, change, delete, as FC 3.0 has them on the wire.

Owns the translation between the wire's fields and the catalog's. What a field may be, and whether
it is honoured, echoed or refused, is `resources.fields`; must never decide it here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from headrace.api import http, shapes
from headrace.api.fc import calls, code
from headrace.core import errors, names
from headrace.resources import fields, inputs, model

_HOOK: Final = shapes.shape("handler; timeout:i; command:[s]")
_HOOKS: Final = shapes.shape("initializer:any; preStop:any")
_ENVIRONMENT: Final = shapes.shape("environmentVariables:map")


# -- on the wire


def function_of(call: calls.FcCall, function: model.Function) -> dict[str, Any]:
    """Return the Function model. Echoed fields stand as they were sent, and only if they were."""
    out: dict[str, Any] = {
        **function.echoed,
        "functionName": function.name,
        "functionId": function.function_id,
        "functionArn": names.function_arn(call.services.region, call.account, function.name),
        "runtime": function.runtime,
        "handler": function.handler,
        "description": function.description,
        "memorySize": function.memory_mb,
        "diskSize": function.disk_mb,
        "timeout": function.timeout_s,
        "instanceConcurrency": function.instance_concurrency,
        "environmentVariables": function.environment,
        "codeSize": function.code_bytes,
        "codeChecksum": function.code_checksum,
        "tags": [{"Key": key, "Value": value} for key, value in function.tags.items()],
        "createdTime": calls.time_text(function.created_ms),
        "lastModifiedTime": calls.time_text(function.modified_ms),
        # A zip is checked and kept before the answer, so a function is never seen half made.
        "state": "Active",
        "lastUpdateStatus": "Successful",
    }
    if function.idle_timeout_s is not None:
        out["idleTimeout"] = function.idle_timeout_s
    hooks = _hooks_of(function)
    if hooks:
        out["instanceLifecycleConfig"] = hooks
    return out


def _hooks_of(function: model.Function) -> dict[str, Any]:
    given = {"initializer": function.initializer, "preStop": function.pre_stop}
    return {
        name: {"handler": hook.handler, "timeout": hook.timeout_s}
        for name, hook in given.items()
        if hook is not None
    }


def _shown(call: calls.FcCall, function: model.Function) -> http.Response:
    revision = call.services.catalog.function_revision(call.account, function.name)
    return calls.revised(function_of(call, function), revision)


# -- from the wire


def _environment(args: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the variables, None when not sent;

    `{}` clears them, so it is not the same as absent.
    """
    given = args.get("environmentVariables")
    if given is None or given == {}:
        return given
    return shapes.read(_ENVIRONMENT, {"environmentVariables": given})["environmentVariables"]


def _hooks(args: Mapping[str, Any]) -> tuple[inputs.HookInput | None, inputs.HookInput | None]:
    """Return both hooks, None when the block was not sent.

    A block replaces both: a hook that is missing in it is unset.
    """
    name = "instanceLifecycleConfig"
    if name not in args:
        return None, None
    block = _group(_HOOKS, args[name], name)
    return _hook(block, "initializer"), _hook(block, "preStop")


def _hook(block: Mapping[str, Any], name: str) -> inputs.HookInput:
    read = _group(_HOOK, block.get(name, {}), f"instanceLifecycleConfig.{name}")
    return inputs.HookInput(
        handler=read.get("handler", ""),
        timeout_s=read.get("timeout"),
        command=read.get("command", ()),
    )


def _group(wanted: shapes.Shape, given: object, path: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise errors.InvalidInput(f"{path} must be an object.", field=path)
    return shapes.read(wanted, cast("dict[str, Any]", given), path=f"{path}.")


def _tags(args: Mapping[str, Any]) -> dict[str, str] | None:
    if "tags" not in args:
        return None
    tags: dict[str, str] = {}
    for number, tag in enumerate(args["tags"]):
        key: str = tag.get("Key", "")
        if not key or key in tags:
            why = "is given twice" if key else "is empty"
            raise errors.InvalidInput(
                f"tags[{number}].Key {why}.", field=f"tags[{number}].Key", got=key
            )
        tags[key] = tag.get("Value", "")
    return tags


def _common(args: Mapping[str, Any]) -> dict[str, Any]:
    """What create and update read alike; keys are fields of both inputs."""
    initializer, pre_stop = _hooks(args)
    return {
        "memory_mb": args.get("memorySize"),
        "disk_mb": args.get("diskSize"),
        "timeout_s": args.get("timeout"),
        "instance_concurrency": args.get("instanceConcurrency"),
        "idle_timeout_s": args.get("idleTimeout"),
        "environment": _environment(args),
        "initializer": initializer,
        "pre_stop": pre_stop,
        "tags": _tags(args),
        "other": {name: value for name, value in args.items() if name not in fields.TYPED},
    }


# -- operations


async def create(call: calls.FcCall) -> http.Response:
    args = call.args
    common = _common(args)
    made = inputs.FunctionInput(
        name=args["functionName"],
        runtime=args["runtime"],
        handler=args.get("handler", ""),
        code=await code.stored(call, args.get("code", {})),
        description=args.get("description", ""),
        **common,
    )
    return _shown(call, await call.services.catalog.create_function(call.account, made))


async def get(call: calls.FcCall) -> http.Response:
    calls.check_latest(call.args.get("qualifier", ""))
    function = call.services.catalog.get_function(call.account, call.args["functionName"])
    return _shown(call, function)


async def list_all(call: calls.FcCall) -> dict[str, Any]:
    limit, token = calls.page_of(call)
    version: str = call.args.get("fcVersion", "v3")
    if version not in ("v3", "v2"):
        raise errors.InvalidInput("fcVersion must be v3 or v2.", field="fcVersion", got=version)
    if version == "v2":
        return calls.listed("functions", [], None)  # there are no FC 2.0 functions here
    page = call.services.catalog.list_functions(
        call.account,
        prefix=call.args.get("prefix", ""),
        runtime=call.args.get("runtime"),
        limit=limit,
        token=token,
    )
    items = [function_of(call, function) for function in page.items]
    return calls.listed("functions", items, page.next)


async def update(call: calls.FcCall) -> http.Response:
    """Partial: what is not sent keeps its value."""
    args = call.args
    name: str = args["functionName"]
    call.services.catalog.get_function(call.account, name)  # before a package is kept for nothing
    common = _common({key: value for key, value in args.items() if key != "functionName"})
    patch = inputs.FunctionPatch(
        runtime=args.get("runtime"),
        handler=args.get("handler"),
        code=await code.stored(call, args.get("code", {})),
        description=args.get("description"),
        **common,
    )
    function = await call.services.catalog.update_function(
        call.account, name, patch, revision=calls.revision_of(call)
    )
    return _shown(call, function)


async def delete(call: calls.FcCall) -> None:
    await call.services.catalog.delete_function(
        call.account, call.args["functionName"], revision=calls.revision_of(call)
    )


async def list_versions(call: calls.FcCall) -> dict[str, Any]:
    """Published versions: none can be made yet, and LATEST is not one of them."""
    calls.page_of(call)
    direction: str = call.args.get("direction") or "BACKWARD"
    if direction not in ("FORWARD", "BACKWARD"):
        raise errors.InvalidInput(
            "direction must be FORWARD or BACKWARD.", field="direction", got=direction
        )
    call.services.catalog.get_function(call.account, call.args["functionName"])
    return {"direction": direction, "versions": []}


async def describe_regions(call: calls.FcCall) -> dict[str, Any]:
    language: str = call.args.get("AcceptLanguage", "en-US")
    if language not in ("zh-CN", "en-US", "ja"):
        raise errors.InvalidInput(
            "AcceptLanguage must be zh-CN, en-US or ja.", field="AcceptLanguage", got=language
        )
    region = {"RegionId": call.services.region, "LocalName": call.services.region}
    return {"Regions": {"Region": [region]}}


HANDLERS: Final = {
    "CreateFunction": create,
    "GetFunction": get,
    "ListFunctions": list_all,
    "UpdateFunction": update,
    "DeleteFunction": delete,
    "ListFunctionVersions": list_versions,
    "DescribeRegions": describe_regions,
}
