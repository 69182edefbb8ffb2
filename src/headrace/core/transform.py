"""What a target is sent instead of the whole event: ORIGINAL, CONSTANT, JSONPATH, TEMPLATE.

Owns compiling one entry of a ParamList and applying it to an event (spec patterns.md section 6). It
must never evaluate anything an event holds; how values get into text is `template`'s business.
"""

from __future__ import annotations

from typing import Any, NoReturn, Protocol

from headrace.core import errors, jsonpath, jsontext, template

#: Most characters of `Value` and of `Template`.
CHARS_MAX = 10_240

Failed = template.Failed


class Transform(Protocol):
    """A compiled transform. Immutable."""

    @property
    def reads_fields(self) -> bool:
        """False: `fields` plays no part and the event need not be decoded."""
        ...

    def apply(self, fields: Any, body: bytes) -> str | None:
        """Return the text for the target, or None for no output.

        fields: the decoded event, or None to have `body` decoded.  body: the event as JSON text.
        Raises: Failed if the event cannot be handled.
        """
        ...


def compile(form: str, value: str | None, template: str | None = None) -> Transform:
    """Compile a transform; `template` is for the form TEMPLATE only, `value` for all but ORIGINAL.

    Raises: errors.TransformInvalid.
    """
    if form == "ORIGINAL":
        return Original()
    _check_length("Value", value)
    if form == "CONSTANT":
        return Constant(value)
    if form == "JSONPATH":
        return _extract(value)
    if form == "TEMPLATE":
        _check_length("Template", template)
        return _template(value, template)
    _refuse("Form", "ORIGINAL, CONSTANT, JSONPATH or TEMPLATE", form)


class Original:
    """The event itself, byte for byte."""

    reads_fields = False

    def apply(self, fields: Any, body: bytes) -> str | None:
        try:
            return body.decode()
        except UnicodeDecodeError as fault:
            raise Failed(f"the event is not UTF-8: {fault}") from fault


class Constant:
    """A fixed text, whatever the event."""

    reads_fields = False

    def __init__(self, text: str | None) -> None:
        self._text = text

    def apply(self, fields: Any, body: bytes) -> str | None:
        return self._text


class Extract:
    """One value of the event."""

    reads_fields = True

    def __init__(self, path: jsonpath.Path) -> None:
        self._path = path

    def apply(self, fields: Any, body: bytes) -> str | None:
        value = template.read(self._path, _decoded(fields, body))
        return None if value is jsonpath.MISSING else template.value_text(value)


class Rendered:
    """A template filled with values of the event."""

    reads_fields = True

    def __init__(self, compiled: template.Template) -> None:
        self._template = compiled

    def apply(self, fields: Any, body: bytes) -> str | None:
        return self._template.render(_decoded(fields, body))


def _extract(value: str | None) -> Transform:
    if value is None:
        _refuse("Value", "a JSONPath", "nothing")
    path = jsonpath.parse(value)
    return Constant(value) if path is None else Extract(path)


def _template(value: str | None, text: str | None) -> Transform:
    if value is None:
        _refuse("Value", "a JSON object of names and JSONPaths or constants", "nothing")
    if text is None:
        _refuse("Template", "a text with ${name} in it", "nothing")
    return Rendered(template.compile(value, text))


def _decoded(fields: Any, body: bytes) -> Any:
    if fields is not None:
        return fields
    try:
        return jsontext.decode(body)
    except jsontext.Malformed as fault:
        raise Failed(f"the event is not JSON: {fault}") from fault


def _check_length(field: str, text: str | None) -> None:
    if text is not None and len(text) > CHARS_MAX:
        _refuse(field, f"at most {CHARS_MAX} characters", f"{len(text)}")


def _refuse(field: str, expected: str, got: str) -> NoReturn:
    raise errors.TransformInvalid(
        f"{field} of a transform: expected {expected}, got {got}.",
        field=field,
        expected=expected,
        got=got,
    )
