"""Shapes of requests and answers: the notation the operation tables are written in, and reading
input by it.

A shape is text in the notation of the API reference: `EventBusName*; Limit:i; Targets*:[{Id*,
Type*, Endpoint}]`.
`*` = required, `~` = left as its JSON text for the handler to read; after ":" comes `i` integer,
`f` float, `b` boolean, `s` text (also when nothing stands there),
`map` text to text, `any` any JSON, `printed` any JSON kept as its text, `bytes` raw, `{…}` a group,
`[…]` a list.
Every field is honoured, echoed or refused (a `Note`): nothing is dropped silently. Must never know
an operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypeAlias, cast

import msgspec

from headrace.core import errors, jsontext

Kind: TypeAlias = Literal[
    "text", "integer", "float", "boolean", "map", "any", "printed", "bytes", "group", "list"
]
Role: TypeAlias = Literal["honoured", "echoed", "refused"]

_KINDS: dict[str, Kind] = {
    "s": "text", "i": "integer", "f": "float", "b": "boolean", "map": "map", "obj": "any",
    "any": "any", "printed": "printed", "bytes": "bytes",
}  # fmt: skip

#: Highest index of a flattened list (`Tags.7.Key`): bounds the work one parameter name can cause.
FLATTENED_INDEX_MAX = 1000
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1


class Note(msgspec.Struct, frozen=True):
    """What this server does with a field, where that is not simply "honour it"."""

    role: Role
    #: One sentence for the reader of the compatibility table; for `refused` also for the caller.
    reason: str


class Field(msgspec.Struct, frozen=True):
    name: str
    kind: Kind = "text"
    required: bool = False
    note: Note | None = None
    #: Of a group, or of each group of a list.
    fields: Shape | None = None
    #: Of a list: the kind of its items.
    item: Kind = "text"
    #: A text parameter that `nested` and `read` leave as JSON text: the handler reads it (hot
    #: path).
    verbatim: bool = False


class Shape(msgspec.Struct, frozen=True):
    """The fields of a group, in the order they were declared."""

    fields: dict[str, Field]
    required: tuple[str, ...]

    def walk(self, prefix: str = "") -> Iterator[tuple[str, Field]]:
        """Yield every field with its dotted path, groups before their members."""
        for field in self.fields.values():
            path = prefix + field.name
            yield path, field
            if field.fields is not None:
                yield from field.fields.walk(path + ".")


EMPTY = Shape({}, ())


def shape(text: str, notes: Mapping[str, Note] | None = None) -> Shape:
    """Read a shape from its notation; `notes` maps dotted paths to what happens to the field.

    Raises: ValueError on a slip in the notation or a note for a field that is not there.
    """
    reader = _Notation(text, notes or {})
    fields = reader.members("", closing="")
    missing = set(notes or {}) - reader.seen
    if missing:
        raise ValueError(f"notes for fields that do not exist: {sorted(missing)}")
    return fields


def echoed(reason: str, *paths: str) -> dict[str, Note]:
    return dict.fromkeys(paths, Note("echoed", reason))


def refused(reason: str, *paths: str) -> dict[str, Note]:
    return dict.fromkeys(paths, Note("refused", reason))


class _Notation:
    """Recursive descent over the notation; runs at import time only."""

    def __init__(self, text: str, notes: Mapping[str, Note]) -> None:
        self.text = text
        self.at = 0
        self.notes = notes
        self.seen: set[str] = set()

    def members(self, prefix: str, closing: str) -> Shape:
        fields: dict[str, Field] = {}
        while self._peek() != closing:
            field = self._field(prefix)
            if field.name in fields:
                raise ValueError(f"{prefix}{field.name} is declared twice")
            fields[field.name] = field
            if self._peek() in (",", ";"):
                self.at += 1
            elif self._peek() != closing:
                raise ValueError(f"expected a separator at {self.text[self.at :]!r}")
        self.at += len(closing)
        return Shape(fields, tuple(f.name for f in fields.values() if f.required))

    def _peek(self) -> str:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.text[self.at : self.at + 1]

    def _word(self) -> str:
        self._peek()
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in ",;:*~{}[] \n":
            self.at += 1
        if start == self.at:
            raise ValueError(f"expected a name at {self.text[start:]!r}")
        return self.text[start : self.at]

    def _field(self, prefix: str) -> Field:
        name = self._word()
        path = prefix + name
        self.seen.add(path)
        required = self._peek() == "*"
        self.at += required
        verbatim = self._peek() == "~"
        self.at += verbatim
        note = self.notes.get(path)
        if self._peek() != ":":
            return Field(name, required=required, note=note)
        self.at += 1
        kind, inner, item = self._kind(path)
        return Field(name, kind, required, note, inner, item, verbatim)

    def _kind(self, path: str) -> tuple[Kind, Shape | None, Kind]:
        if self._peek() == "{":
            self.at += 1
            return "group", self.members(path + ".", "}"), "text"
        if self._peek() == "[":
            self.at += 1
            item, inner, _ = self._kind(path)
            if self._peek() != "]":
                raise ValueError(f"{path}: the list is not closed")
            self.at += 1
            return "list", inner, item
        word = self._word()
        if word not in _KINDS:
            raise ValueError(f"{path}: no kind {word!r}")
        return _KINDS[word], None, "text"


# Reading ----------------------------------------------------------


def read(wanted: Shape, given: Mapping[str, Any], *, path: str = "") -> dict[str, Any]:
    """Return the fields of `given` as `wanted` types them, absent ones left out.

    None and, for groups, lists and maps, `{}` count as absent (Terraform sends `{}` for what is not
    set).
    A name is also found with a small first letter inside groups (`resourceKey`), as the console's
    wire has it.
    Raises: InvalidInput and its children, naming the field by its dotted path.
    """
    fields = wanted.fields
    out: dict[str, Any] = {}
    for name, value in given.items():
        field = fields.get(name)
        if field is None and path:
            field = fields.get(name[:1].upper() + name[1:])
        if field is None:
            raise unknown(path + name)
        if _absent(field, value):
            continue
        note = field.note
        if note is not None and note.role == "refused":
            raise errors.InvalidInput(
                f"The parameter {path}{name} is not supported here: {note.reason}",
                code="InvalidParameter",
                field=path + name,
            )
        out[field.name] = value if field.verbatim else _value(field, field.kind, value, path + name)
    for name in wanted.required:
        if out.get(name) in (None, ""):
            raise missing(path + name)
    return out


def unknown(name: str) -> errors.UnknownParameter:
    return errors.UnknownParameter(f"The parameter {name} is not known.", field=name)


def missing(name: str) -> errors.MissingParameter:
    return errors.MissingParameter(f"The parameter {name} is required.", field=name)


def _absent(field: Field, value: object) -> bool:
    return value is None or (value == {} and field.kind in ("group", "list", "map"))


def _value(field: Field, kind: Kind, value: Any, path: str) -> Any:
    if kind == "text":
        return _text(value, path)
    if kind == "any":
        return value
    if kind == "group":
        assert field.fields is not None, f"{path}: a group without fields"
        return read(field.fields, _mapping(value, path), path=path + ".")
    if kind == "list":
        return [
            _value(field, field.item, item, f"{path}.{number}")
            for number, item in enumerate(_items(value, path), 1)
        ]
    return _scalar(kind, value, path)


def _scalar(kind: Kind, value: Any, path: str) -> Any:
    if kind == "integer":
        return _integer(value, path)
    if kind == "boolean":
        return _boolean(value, path)
    if kind == "map":
        return {str(k): _text(v, f"{path}.{k}") for k, v in _mapping(value, path).items()}
    if kind == "printed":
        return value if isinstance(value, str) else jsontext.compact(value)
    if kind == "float":
        return _float(value, path)
    assert kind == "bytes", f"{path}: kind {kind} cannot be read"
    return value


def _text(value: object, path: str) -> str:
    if isinstance(value, str):
        return value
    raise _wrong(path, "text", value)


def _integer(value: object, path: str) -> int:
    if isinstance(value, str) and len(value) <= 20 and value.isascii():
        try:
            value = int(value)
        except ValueError as error:
            raise _wrong(path, "an integer", value) from error
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(path, "an integer", value)
    if not INTEGER_MIN <= value <= INTEGER_MAX:
        raise _wrong(path, "an integer of 64 bits", value)
    return value


def _float(value: object, path: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    raise _wrong(path, "a number", value)


def _boolean(value: object, path: str) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "True"):
        return True
    if value in ("false", "False"):
        return False
    raise _wrong(path, "true or false", value)


def _mapping(value: object, path: str) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    raise _wrong(path, "an object", value)


def _items(value: object, path: str) -> Iterable[Any]:
    if isinstance(value, list):
        return cast("list[Any]", value)
    raise _wrong(path, "a list", value)


def _wrong(path: str, expected: str, value: object) -> errors.InvalidInput:
    got = type(value).__name__ if not isinstance(value, str) else repr(value[:40])
    return errors.InvalidInput(
        f"The parameter {path} must be {expected}, it is {got}.",
        field=path,
        expected=expected,
        got=got,
    )


# Text parameters (query and form) ----------------------------------------------------------


def nested(wanted: Shape, given: Mapping[str, str]) -> dict[str, Any]:
    """Return text parameters as a tree that `read` understands.

    A group, list, map or `any` may come as JSON text (`Targets=[{…}]`) or flattened
    (`Targets.1.Id=a`).
    Raises: UnknownParameter, InvalidInput.
    """
    out: dict[str, Any] = {}
    for name, value in given.items():
        head, dot, rest = name.partition(".")
        field = wanted.fields.get(head)
        if field is None:
            raise unknown(name)
        if dot:
            _plant(out, head, rest, value, name)
        elif field.kind in ("group", "list", "map", "any") and not field.verbatim:
            out[head] = _json(value, name)
        else:
            out[head] = value
    for head, value in out.items():
        field = wanted.fields[head]
        if isinstance(value, _Branch):
            tree = _grown(field, field.kind, value, head)
            out[head] = msgspec.json.encode(tree).decode() if field.verbatim else tree
    return out


class _Branch(dict[str, Any]):
    """A node of a flattened parameter, not yet told whether it is a list or a group."""


def _plant(out: dict[str, Any], head: str, rest: str, value: str, name: str) -> None:
    node: dict[str, Any] = out
    parts = [head, *rest.split(".", 8)]
    for part in parts[:-1]:
        below = node.setdefault(part, _Branch())
        if not isinstance(below, _Branch):
            raise errors.InvalidInput(f"The parameter {name} is given twice.", field=name)
        node = below
    if parts[-1] in node:
        raise errors.InvalidInput(f"The parameter {name} is given twice.", field=name)
    node[parts[-1]] = value


def _grown(field: Field, kind: Kind, value: Any, path: str) -> Any:
    if not isinstance(value, _Branch):
        return value
    if kind == "list":
        return [_grown(field, field.item, item, path) for item in _ordered(value, path)]
    if kind == "group" and field.fields is not None:
        return {
            name: _grown(inner, inner.kind, below, f"{path}.{name}")
            if (inner := field.fields.fields.get(name)) is not None
            else below
            for name, below in value.items()
        }
    if kind in ("map", "any"):
        return dict(value)
    raise unknown(f"{path}.{next(iter(value))}")


def _ordered(branch: _Branch, path: str) -> list[Any]:
    numbers = [int(k) if k.isascii() and k.isdigit() and len(k) <= 4 else 0 for k in branch]
    if min(numbers) < 1 or max(numbers) > FLATTENED_INDEX_MAX:
        raise unknown(f"{path}.{next(iter(branch))}")
    return [branch[k] for _, k in sorted(zip(numbers, branch, strict=True))]


def _json(value: str, name: str) -> Any:
    if value == "":
        return None
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise errors.InvalidInput(
            f"The parameter {name} is not valid JSON: {error}", field=name, expected="JSON text"
        ) from error
