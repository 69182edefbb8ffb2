"""The operation table of FC 3.0: 73 rows, built from `wire` and the handlers.

Owns what each row is about for authorisation and which fields are honoured, echoed or refused. Must
never do an operation's work.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, cast

from headrace.api import operations, shapes
from headrace.api.fc import code, functions, invoke, models, triggers, wire
from headrace.resources import fields

VERSION: Final = "2023-03-30"
PREFIX: Final = f"/{VERSION}"

#: Field of the body that completes the resource of a POST to a collection.
_NAME_IN_BODY: Final = {
    "CreateFunction": "functionName",
    "CreateTrigger": "triggerName",
    "CreateAlias": "aliasName",
    "CreateCustomDomain": "domainName",
}
_REQUIRED: Final = {
    "CreateFunction": ("functionName", "runtime"),
    "CreateTrigger": ("triggerName", "triggerType"),
}
_HANDLERS: Final[dict[str, Any]] = {
    **functions.HANDLERS,
    **code.HANDLERS,
    **triggers.HANDLERS,
    **invoke.HANDLERS,
}
_NO_FILTER: Final = "functions are filtered by prefix and runtime only"
_NOTES: Final[dict[str, dict[str, shapes.Note]]] = {
    "ListFunctions": shapes.refused(
        _NO_FILTER, "description", "functionName", "gpuType", "resourceGroupId", "tags"
    ),
    "CreateTrigger": shapes.echoed("there is no RAM here", "invocationRole"),
    "UpdateTrigger": shapes.echoed("there is no RAM here", "invocationRole"),
}

_MODEL = re.compile(r"\b[A-Z]\w+\b")


def expanded(text: str) -> str:
    """Return the notation with every model's name replaced by its fields."""

    def inline(found: re.Match[str]) -> str:
        before = text[: found.start()].rstrip()
        name = found.group()
        if before.endswith((":", "[")) and name in models.MODELS:
            return "{" + expanded(models.MODELS[name]) + "}"
        return name

    return _MODEL.sub(inline, text)


class _Entry:
    """One operation of `wire`, read."""

    def __init__(self, text: str) -> None:
        head, *rest = text.strip().split("\n")
        self.name, self.method, self.path = head.split(" ")
        parts = {"?": "", ">": "", "<": ""}
        mark = ""
        for line in rest:
            words = line.strip()
            if words[0] in parts:
                mark, words = words[0], words[1:]
            parts[mark] += " " + words.strip()
        self.query = parts["?"].strip()
        self.body = parts[">"].strip()
        self.answer = parts["<"].strip()
        self.slots = tuple(re.findall(r"{(\w+)}", self.path))


def _entries() -> Iterator[_Entry]:
    for block in re.split(r"\n(?=\w)", wire.OPERATIONS.strip()):
        yield _Entry(block)


def _params(entry: _Entry) -> shapes.Shape:
    """Path, query and body in one shape: no operation has a name twice."""
    body = expanded(models.MODELS[entry.body]) if entry.body else ""
    path = ", ".join(f"{slot}*" for slot in entry.slots)
    text = ", ".join(part for part in (path, entry.query, body) if part)
    made = shapes.shape(text, _NOTES.get(entry.name))
    required = {*made.required, *_REQUIRED.get(entry.name, ())}
    if entry.body in ("CreateFunctionInput", "UpdateFunctionInput"):
        made = shapes.Shape({name: _function_field(f) for name, f in made.fields.items()}, ())
    return shapes.Shape(made.fields, tuple(name for name in made.fields if name in required))


def _function_field(field: shapes.Field) -> shapes.Field:
    """A field of a function with its fate; what the catalog reads whole is passed on whole."""
    rule = fields.FUNCTION_FIELDS[field.name]
    if field.name == "code":
        refused = shapes.refused("there is no OSS here", "ossBucketName", "ossObjectName")
        return shapes.Field(
            "code",
            "group",
            fields=shapes.shape("checksum, ossBucketName, ossObjectName, zipFile", refused),
        )
    # `{}` clears these two on update; a group or map would take it for "not sent".
    whole = field.name in ("environmentVariables", "instanceLifecycleConfig")
    if field.name in fields.TYPED and not whole:
        return field
    note = None if rule.fate == "honoured" else shapes.Note(rule.fate, rule.reason)
    return shapes.Field(field.name, "any", note=note)


def resource(entry_path: str, name_field: str | None) -> operations.Resource:
    """Return what names the ARN of a row:

    `acs:fc:{region}:{account}:functions/{f}/triggers/{t}`.
    """

    def named(call: operations.Call) -> str:
        path = re.sub(
            r"{(\w+)}", lambda slot: str(call.args.get(slot[1], "*")), entry_path.strip("/")
        )
        if name_field is not None:
            path += f"/{call.args.get(name_field, '*')}"
        return f"acs:fc:{call.services.region}:{call.account}:{path}"

    return named


def _about(entry: _Entry) -> operations.Resource:
    """Return what a row is about: itself, or for the parts of a function the function."""
    parts = entry.path.strip("/").split("/")
    if entry.name in _NAME_IN_BODY:
        return resource(entry.path, _NAME_IN_BODY[entry.name])
    if parts[-1].startswith("{"):
        return resource(entry.path, None)
    if len(parts) > 2 and parts[0] == "functions" and parts[2] not in ("triggers", "aliases"):
        return resource("/".join(parts[:2]), None)
    return resource(entry.path + "/*", None)


def _row(entry: _Entry) -> operations.Operation:
    return operations.Operation(
        entry.name,
        # Handlers of this API take a FcCall, and only `face` calls them, with one.
        cast("operations.Handler | None", _HANDLERS.get(entry.name)),
        f"fc:{entry.name}",
        _about(entry),
        _params(entry),
        shapes.shape(expanded(models.MODELS[entry.answer])) if entry.answer else shapes.EMPTY,
        methods=(entry.method,),
        path=PREFIX + entry.path,
        mutates=entry.method != "GET",
        raw_body=entry.name == "InvokeFunction",
        # Its handler tells synchronous calls, which change nothing here, from the others.
        in_read_only=True if entry.name == "InvokeFunction" else None,
    )


TABLE: Final = operations.Table("Function Compute", VERSION, tuple(map(_row, _entries())))
