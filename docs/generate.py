"""The reference of the APIs, from the tables that the server itself runs on.

    ./dev docs [--check]

Writes compatibility, native API, targets, deleting, errors and limits. Must never say of an
operation or a field what its table does not say.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator

import pages

from headrace.api import operations
from headrace.api.cloudevents import face as cloudevents
from headrace.api.eventbridge import control, dataplane
from headrace.api.fc import table as fc_table
from headrace.api.native import face as native
from headrace.core import codes, errors, limits
from headrace.resources import deletes, fields
from headrace.targets import kinds

CLOUD = (control.TABLE, dataplane.TABLE, fc_table.TABLE, cloudevents.TABLE)
#: Not imported for the list of bounds: code that runs elsewhere, or on import.
ELSEWHERE = ("headrace.__main__", "headrace.demo", "headrace.functions.runtimes")
#: A constant that bounds something: public, and not what an integer or a position can hold.
_BOUND = re.compile(r"(?!INTEGER_|SEQUENCE_|SHARD_)[A-Z][A-Z0-9_]*_MAX")
#: Letters of the transform forms in `kinds.Key.forms`.
FORMS = {"O": "ORIGINAL", "C": "CONSTANT", "J": "JSONPATH", "T": "TEMPLATE"}


def main() -> int:
    reference = pages.DOCS / "reference"
    return pages.settle(
        {
            reference / "compatibility.md": compatibility(),
            reference / "api.md": native_api(),
            reference / "targets.md": targets(),
            reference / "deleting.md": deleting(),
            reference / "errors.md": error_page(),
            reference / "limits.md": limit_page(),
        }
    )


# -- compatibility


def compatibility() -> str:
    """Return the page: what each operation and each field of the cloud's APIs does here."""
    counts = [
        (_anchor(table.api), table.version, len(_built(table)), len(list(table))) for table in CLOUD
    ]
    return "\n".join(
        [
            pages.NOTE + "# Compatibility\n",
            "Every operation of the cloud's APIs, and what happens here to every field of a",
            "request. *Honoured*: it does what the cloud's page says. *Echoed*: kept and shown",
            "again, changes nothing here. *Refused*: an error that gives the reason. Nothing is",
            "dropped silently; `ClientToken`, `RegionId`, `Format`, `Version` and the parameters",
            "of the signature are taken by name on every EventBridge operation.\n",
            "An operation that is not built answers its API's own unsupported error.\n",
            pages.table(("API", "version", "built", "in the cloud"), counts),
            *(_api(table) for table in CLOUD),
            _function_fields(),
            _trigger_fields(),
        ]
    )


def _anchor(name: str) -> str:
    return f"[{name}](#{name.lower().replace(' ', '-')})"


def _built(table: operations.Table) -> list[operations.Operation]:
    return [row for row in table if row.handler is not None]


def _api(table: operations.Table) -> str:
    rows = list(operations.compatibility(table))
    built = [
        (
            pages.code(row.operation),
            pages.codes(r.field for r in rows if _is(r, row.operation, "honoured")),
        )
        for row in rows
        if row.role == "built"
    ]
    unbuilt = [row.operation for row in rows if row.role == "unsupported"]
    parts = [f"## {table.api}\n", pages.table(("operation", "fields honoured"), built)]
    if held := list(_held_back(rows)):
        head = ("field", "what happens", "why", "operations")
        parts += ["\n### Fields that are echoed or refused\n", pages.table(head, held)]
    if unbuilt:
        parts.append(f"\n### Not built ({len(unbuilt)})\n\n{pages.codes(unbuilt)}\n")
    return "\n".join(parts)


def _is(row: operations.CompatibilityRow, operation: str, role: str) -> bool:
    return row.operation == operation and row.role == role


def _held_back(rows: list[operations.CompatibilityRow]) -> Iterator[tuple[str, str, str, str]]:
    """Yield the fields that are not honoured, operations with the same answer in one row."""
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        if row.field and row.role in ("echoed", "refused"):
            grouped.setdefault((row.field, row.role, row.reason), []).append(row.operation)
    for (field, role, reason), names in grouped.items():
        yield pages.code(field), role, reason, pages.codes(names)


def _function_fields() -> str:
    rows = [
        (pages.code(name), rule.fate, rule.reason) for name, rule in fields.FUNCTION_FIELDS.items()
    ]
    return "\n".join(
        [
            "## Fields of a function\n",
            "Of `CreateFunction` and `UpdateFunction`. A refused field may still say what is so",
            "anyway, or be empty: that is how tools clear it.\n",
            pages.table(("field", "what happens", "bounds or reason"), rows),
        ]
    )


def _trigger_fields() -> str:
    rows = [
        (pages.code(path), rule.fate, rule.reason)
        for path, rule in fields.TRIGGER_CONFIG_FIELDS.items()
    ]
    return "\n".join(
        [
            "## Fields of `triggerConfig`\n",
            "Of a trigger of type `eventbridge`. Other types of trigger are refused.\n",
            pages.table(("field", "what happens", "bounds or reason"), rows),
        ]
    )


# -- our own API, targets, deleting


def native_api() -> str:
    """Return the page of the API for what the two clouds lack."""
    rows = [
        (
            pages.code(row.name),
            pages.code(f"{row.methods[0]} {row.path}"),
            _members(row, "params"),
            _members(row, "answer"),
            pages.code(row.action),
        )
        for row in native.TABLE
    ]
    return "\n".join(
        [
            pages.NOTE + "# Headrace's own API\n",
            "For what the two clouds lack: the reasons of rules, live tail, replay, dead letters,",
            "built-in queues, logs, the books. JSON in and out, the same signatures as the cloud's",
            "APIs; the command line uses this one beside those. `*` marks what is required.\n",
            "An error is one object: `code`, `message`, `request_id` and, where known, `field`,",
            "`expected`, `got`, `remedy`.\n",
            pages.table(("operation", "request", "parameters", "answer", "action"), rows),
            "Three addresses need no signature: `GET /healthz` (200 while the process answers),",
            "`GET /readyz` (200 while the server works, else 503 with the reason: starting,",
            "stopping, drained) and",
            "`GET /metrics` (Prometheus).\n",
        ]
    )


def _members(row: operations.Operation, side: str) -> str:
    shape = row.params if side == "params" else row.answer
    return pages.codes(
        path + ("*" if field.required else "") for path, field in shape.walk() if "." not in path
    )


def targets() -> str:
    """Return the page of target types."""
    built = [kind for kind in kinds.KINDS.values() if kind.built]
    unbuilt = [kind.type for kind in kinds.KINDS.values() if not kind.built]
    parts = [
        pages.NOTE + "# Targets\n",
        "Types of target that events are delivered to, with the resource keys of their ParamList.",
        "Keys compare without regard to case; `*` marks what the cloud's page calls required.\n",
    ]
    for kind in built:
        rows = [
            (
                pages.code(key.name) + (" *" if key.required else ""),
                ", ".join(FORMS[letter] for letter in key.forms),
                key.effect,
            )
            for key in kind.keys
        ]
        parts += [f"## `{kind.type}`\n", pages.table(("key", "forms", "what happens"), rows)]
    parts += [
        f"## Not built ({len(unbuilt)})\n",
        "A rule that names one of these is refused, with the types that work.\n",
        pages.codes(unbuilt) + "\n",
    ]
    return "\n".join(parts)


def deleting() -> str:
    """Return the page of what deleting does, seen from both doors."""
    cells = [
        (pages.code(c.operation), c.actor, c.origin, c.situation, c.effect.value, c.remark)
        for c in deletes.DELETE_TABLE
    ]
    kinds_of_edit = [
        (k.door, pages.code(k.operation), k.subject, k.seen) for k in deletes.EDIT_KINDS
    ]
    return "\n".join(
        [
            pages.NOTE + "# Deleting and editing through two doors\n",
            "A trigger is how a rule looks from its function. What becomes of the one record when",
            "either side deletes something; each row has a test.\n",
            pages.table(
                ("operation", "who", "made as", "situation", "what happens", "remark"), cells
            ),
            "## Edits, and how the other side sees them\n",
            pages.table(("door", "operation", "what is changed", "seen as"), kinds_of_edit),
        ]
    )


# -- errors and limits


def error_page() -> str:
    """Return the page of every code that an answer may carry."""
    rows = [
        (kind.__name__, pages.code(kind.code), kind.status, *_fc(kind), _sentence(kind))
        for kind in _error_classes()
    ]
    more = [(pages.code(code), ", ".join(sorted(names))) for code, names in sorted(_own_codes())]
    return "\n".join(
        [
            pages.NOTE + "# Errors\n",
            "Each error is one cause. The two APIs of the cloud say it with their own words; our",
            "own API uses EventBridge's.\n",
            pages.table(
                ("error", "EventBridge code", "HTTP", "Function Compute code", "HTTP", "meaning"),
                rows,
            ),
            "## More precise codes\n",
            "An error may carry a code that says more than its kind.\n",
            pages.table(("code", "kind of error"), more),
            "## Codes of one event in a request\n",
            "The request succeeds, the entry carries the code, the other events are stored.\n",
            pages.codes(codes.ENTRY) + "\n",
        ]
    )


def _error_classes() -> list[type[errors.HeadraceError]]:
    """Return every error in the order of its module."""
    return [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.HeadraceError)
    ]


def _fc(kind: type[errors.HeadraceError]) -> tuple[str, int]:
    word = codes.word_of(kind(), "fc")
    return pages.code(word.code), word.status


def _sentence(kind: type[errors.HeadraceError]) -> str:
    first = (kind.__doc__ or "").strip().split("\n\n")[0]
    return f"{' '.join(first.split())} {kind.remedy}".strip()


def _own_codes() -> Iterator[tuple[str, set[str]]]:
    """Yield codes that the source gives to single errors, with the kinds that carry them."""
    kinds_of = {kind.__name__ for kind in _error_classes()}
    found: dict[str, set[str]] = {}
    for path in sorted((pages.ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and (name := _called(node)) in kinds_of:
                for keyword in node.keywords:
                    if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                        found.setdefault(str(keyword.value.value), set()).add(name)
    yield from found.items()


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def limit_page() -> str:
    """Return the page of every bound: those that users meet, and those inside."""
    said = pages.comments(limits)
    rows = [
        (pages.code(bound.name), _shown(bound.wide), _shown(bound.strict), _meaning(said, bound))
        for bound in limits.listed()
    ]
    return "\n".join(
        [
            pages.NOTE + "# Limits\n",
            "What one event, request, name or table may hold: here, and with",
            "`headrace up --strict-limits`, which takes the cloud's limits so that what works here",
            "works there. The same list: `headrace limits`.\n",
            pages.table(("name", "here", "strict", "meaning"), rows),
            "## Bounds inside the server\n",
            "Every queue, loop and cache has one. They cannot be set.\n",
            pages.table(("name", "value", "module", "meaning"), _inner_bounds()),
        ]
    )


def _meaning(said: dict[str, str], bound: limits.Bound) -> str:
    return said.get(bound.name) or said.get(bound.name.upper(), "")


def _shown(value: object) -> str:
    if value is None:
        return "not bounded"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _inner_bounds() -> Iterator[tuple[str, str, str, str]]:
    for module in pages.product_modules(without=(*ELSEWHERE, "headrace.core.limits")):
        said = pages.comments(module)
        own = pages.assigned(module)
        for name, value in vars(module).items():
            if name in own and _BOUND.fullmatch(name) and isinstance(value, (int, float)):
                module_name = module.__name__.removeprefix("headrace.")
                yield pages.code(name), _shown(value), module_name, said.get(name, "")


if __name__ == "__main__":
    sys.exit(main())
