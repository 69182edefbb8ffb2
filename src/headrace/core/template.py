"""Text with `${name}` in it, rendered with values of an event: the TEMPLATE form of a transform.

Owns where a value may go. A template that is JSON (an object or array once its variables are
replaced by neutral values) takes values by position: escaped inside a string literal, as JSON in
value position, as a JSON string where a member name stands. Any other template takes raw text. It
must never read a `${` that came in with an event, so what an event holds can neither pull in
another variable nor change the structure of a JSON template (security.md S13).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NoReturn, cast

import msgspec

from headrace.core import errors, jsonpath, jsontext

#: Longest result of a template in UTF-8 (security.md S13).
TEMPLATE_OUTPUT_BYTES_MAX = 256 * 1024
#: Most pieces a template may have once constants that name variables are put in their places.
PIECES_MAX = 10_000
#: How deep constants may name constants.
NAMING_DEPTH_MAX = 16
#: A member of a JSON template by this name gives way to the members of the object it holds.
EMBED = "EB_SYS_EMBED_OBJECT"

_VARIABLE = re.compile(r"(?P<escaped>\$)?\$\{(?P<inside>[^}]*)\}")
_BLANKS = " \t\r\n"
_IN_STRING = re.compile(r'(?:[^"\\]|\\.)*', re.DOTALL)
_QUOTED_EMBED = re.compile(rf'(?<!\\)("{EMBED}"\s*:\s*)"(\$\{{[^}}"]*\}})"')

#: Where a variable stands. `item` is a value alone between square brackets: `[${a}]` may just as
#: well be a text in brackets, and the engine leaves the brackets empty for an empty string; so do
#: we, as `[]` is JSON.
Position = Literal["raw", "string", "value", "item", "name"]


class Failed(Exception):
    """A transform cannot handle this event; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Slot(msgspec.Struct, frozen=True):
    """A place an event's value goes to."""

    path: jsonpath.Path
    position: Position
    #: What stands there when the event has no such value.
    absent: str


Piece = str | Slot
#: What a name of the value map stands for: a path, or the author's own text.
Variables = Mapping[str, jsonpath.Path | str]


def compile(value: str, template: str) -> Template:
    """Compile a template and its map of names. Raises: errors.TransformInvalid."""
    variables = _variables(value)
    source = _QUOTED_EMBED.sub(r"\1\2", template)
    tokens = _tokens(source)
    neutral = _neutral(tokens)
    builder = _Builder(variables)
    if neutral is None:
        for token in _tokens(template):
            builder.add(token, "raw", ())
        return Template(builder.pieces, [])
    for token, position in zip(tokens, _positions(tokens), strict=True):
        builder.add(token, position, ())
    return Template(builder.pieces, list(_embeds(neutral, ())))


class Template:
    """A compiled template. Immutable."""

    __slots__ = ("_embeds", "_pieces")

    def __init__(self, pieces: Sequence[Piece], embeds: Sequence[tuple[int, ...]]) -> None:
        self._pieces = tuple(pieces)
        self._embeds = tuple(embeds)

    def render(self, fields: Any) -> str:
        """Render with the values of a decoded event. Raises: Failed."""
        seen: dict[tuple[jsonpath.Path, Position], str | None] = {}
        rendered: list[str] = []
        chars = 0
        for piece in self._pieces:
            text = piece if type(piece) is str else _filled(cast("Slot", piece), fields, seen)
            chars += len(text)
            _bound(chars)
            rendered.append(text)
        result = "".join(rendered)
        if self._embeds:
            result = _merge_embedded(result, self._embeds)
        _bound(len(result.encode()))
        return result


def value_text(value: Any) -> str:
    """The text of a value: scalars without quotes, objects and arrays as compact JSON."""
    if type(value) is dict or type(value) is list:
        return jsontext.compact(value, drop_nulls=True)
    return jsontext.printed(value)


def read(path: jsonpath.Path, fields: Any) -> Any:
    """Read a path from a decoded event; jsonpath.MISSING if it leads nowhere. Raises: Failed."""
    if path.function is not None:
        raise Failed(f"{path.text} calls {path.function}(), and functions are not supported")
    return jsonpath.find(path.steps, fields)


def _bound(size: int) -> None:
    if size > TEMPLATE_OUTPUT_BYTES_MAX:
        raise Failed(f"the result is larger than {TEMPLATE_OUTPUT_BYTES_MAX} bytes")


def _filled(slot: Slot, fields: Any, seen: dict[tuple[jsonpath.Path, Position], str | None]) -> str:
    key = (slot.path, slot.position)
    if key not in seen:
        value = read(slot.path, fields)
        seen[key] = None if value is jsonpath.MISSING else _placed(value, slot.position)
    text = seen[key]
    return slot.absent if text is None else text


def _placed(value: Any, position: Position) -> str:
    text = value_text(value)
    if position == "string":
        return _escaped(text)
    if position == "item" and value == "":
        return ""
    return text if position == "raw" or _is_bare(value, position) else jsontext.compact(text)


def _is_bare(value: Any, position: Position) -> bool:
    return position != "name" and type(value) is not str


def _escaped(text: str) -> str:
    return jsontext.compact(text)[1:-1]


def _refuse(expected: str, got: str, field: str = "Value") -> NoReturn:
    raise errors.TransformInvalid(
        f"{field} of a TEMPLATE: expected {expected}, got {got}.",
        field=field,
        expected=expected,
        got=got,
    )


def _variables(value: str) -> Variables:
    expected = "a JSON object of names and JSONPaths or constants"
    try:
        members = jsontext.decode(value)
    except (jsontext.Malformed, UnicodeError):
        _refuse(expected, ascii(value[:80]))
    if type(members) is not dict:
        _refuse(expected, value[:80])
    variables: dict[str, jsonpath.Path | str] = {}
    for name, content in cast("dict[str, Any]", members).items():
        if content is None or type(content) is dict or type(content) is list:
            _refuse("a string, number or boolean", jsontext.compact(content)[:80], f"Value.{name}")
        text = jsontext.spelt(content)
        variables[name] = jsonpath.parse(text) or text
    return variables


class _Token(msgspec.Struct, frozen=True):
    """Static text, or a variable as the author wrote it."""

    text: str
    name: str | None = None
    default: str | None = None


def _tokens(source: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    for found in _VARIABLE.finditer(source):
        if found.start() > at:
            tokens.append(_Token(source[at : found.start()]))
        at = found.end()
        if found["escaped"]:
            tokens.append(_Token(found[0][1:]))
            continue
        name, default_mark, default = found["inside"].partition(":-")
        tokens.append(_Token(found[0], name, default if default_mark else None))
    if at < len(source):
        tokens.append(_Token(source[at:]))
    return tokens


def _neutral(tokens: Sequence[_Token]) -> Any:
    """The template with neutral values for its variables, decoded; None if that is not JSON."""
    parts = (
        token.text if token.name is None else "x" if position == "string" else '"x"'
        for token, position in zip(tokens, _positions(tokens), strict=True)
    )
    try:
        tree = jsontext.decode("".join(parts))
    except (jsontext.Malformed, UnicodeError):
        return None
    return cast("Any", tree) if type(tree) is dict or type(tree) is list else None


def _positions(tokens: Sequence[_Token]) -> list[Position]:
    """Where each token begins: inside a string literal, at a member name, or in value position."""
    positions: list[Position] = []
    inside = False
    for at, token in enumerate(tokens):
        if inside:
            positions.append("string")
        else:
            positions.append(_outside(tokens, at))
        if token.name is None:
            inside = _ends_inside(token.text, inside=inside)
    return positions


def _outside(tokens: Sequence[_Token], at: int) -> Position:
    before = _static(tokens, at - 1).rstrip(_BLANKS)
    after = _static(tokens, at + 1).lstrip(_BLANKS)
    if tokens[at].name is not None and after.startswith(":"):
        return "name"
    return "item" if before.endswith("[") and after.startswith("]") else "value"


def _static(tokens: Sequence[_Token], at: int) -> str:
    return tokens[at].text if 0 <= at < len(tokens) and tokens[at].name is None else ""


def _ends_inside(text: str, *, inside: bool) -> bool:
    at = 0
    while at < len(text):
        if inside:
            run = _IN_STRING.match(text, at)
            assert run is not None, "the pattern matches the empty text"
            at = run.end()
            inside = at >= len(text) or text[at] != '"'
            at += 1
        else:
            quote = text.find('"', at)
            inside = quote >= 0
            at = quote + 1 if inside else len(text)
    return inside


class _Builder:
    """Collects pieces, putting constants in their places."""

    def __init__(self, variables: Variables) -> None:
        self.pieces: list[Piece] = []
        self._variables = variables
        self._chars = 0

    def add(self, token: _Token, position: Position, within: tuple[str, ...]) -> None:
        """Add one token; `within` are the constants being expanded, outermost first."""
        if token.name is None:
            self._text(_constant(token.text, position) if within else token.text)
            return
        known = self._variables.get(token.name)
        if isinstance(known, jsonpath.Path):
            self._piece(Slot(known, position, _absent(token, position, within)))
        elif known is None:
            self._text(_absent(token, position, within))
        elif token.name in within:
            _refuse("constants that do not name themselves", " > ".join((*within, token.name)))
        elif len(within) >= NAMING_DEPTH_MAX:
            _refuse(f"constants that name each other {NAMING_DEPTH_MAX} deep at most", "deeper")
        else:
            self._constant(known, position, (*within, token.name))

    def _constant(self, text: str, position: Position, within: tuple[str, ...]) -> None:
        tokens = _tokens(text)
        if len(tokens) == 1 and tokens[0].name is not None:
            self.add(tokens[0], position, within)
        elif position in ("raw", "string") or len(tokens) < 2:
            for token in tokens or [_Token("")]:
                self.add(token, position, within)
        else:
            self._text('"')
            for token in tokens:
                self.add(token, "string", within)
            self._text('"')

    def _text(self, text: str) -> None:
        self._chars += len(text)
        if self._chars > TEMPLATE_OUTPUT_BYTES_MAX:
            _refuse(f"constants that make at most {TEMPLATE_OUTPUT_BYTES_MAX} bytes", "more")
        self._piece(text)

    def _piece(self, piece: Piece) -> None:
        if len(self.pieces) >= PIECES_MAX:
            _refuse(f"at most {PIECES_MAX} pieces with constants in their places", "more")
        self.pieces.append(piece)


def _absent(token: _Token, position: Position, within: tuple[str, ...]) -> str:
    """What stands for a variable without a value: its default, or itself as the author wrote it."""
    if token.default is None:
        return _escaped(token.text) if within and position == "string" else token.text
    if position == "string" and not within and _is_json(f'"{token.default}"'):
        return token.default
    return _constant(token.default, position)


def _constant(text: str, position: Position) -> str:
    """The author's own text at a position; where a value stands, text that is JSON stays JSON."""
    if position == "raw" or (position == "item" and not text):
        return text
    if position in ("value", "item") and _is_json(text):
        return text
    return _escaped(text) if position == "string" else jsontext.compact(text)


def _is_json(text: str) -> bool:
    try:
        jsontext.decode(text)
    except jsontext.Malformed:
        return False
    return True


def _embeds(tree: Any, place: tuple[int, ...]) -> Iterable[tuple[int, ...]]:
    """The objects that hold an EMBED member, innermost first, as positions from the root."""
    for position, child in enumerate(_children(tree)):
        yield from _embeds(child, (*place, position))
    if type(tree) is dict and EMBED in tree:
        yield place


def _merge_embedded(text: str, embeds: Sequence[tuple[int, ...]]) -> str:
    try:
        tree = jsontext.decode(text)
    except jsontext.Malformed:
        return text  # A variable without a value stands in value position, as itself.
    for place in embeds:
        node = tree
        for position in place:
            children = _children(node)
            node = children[position] if position < len(children) else None
        if type(node) is dict:
            _embed(cast("dict[str, Any]", node))
    return jsontext.compact(tree)


def _children(node: Any) -> list[Any]:
    if type(node) is dict:
        return list(cast("dict[str, Any]", node).values())
    return cast("list[Any]", node) if type(node) is list else []


def _embed(node: dict[str, Any]) -> None:
    """Put the embedded members in the place of the EMBED member; the template's own ones win."""
    embedded = node.get(EMBED)
    if type(embedded) is not dict:
        return
    before = dict(node)
    node.clear()
    for name, value in before.items():
        if name != EMBED:
            node[name] = value
            continue
        for inner, content in cast("dict[str, Any]", embedded).items():
            if inner not in before:
                node[inner] = content
