"""What a CloudEvents attribute may look like, and the code that says which rule it broke.

Owns the rules for names and values of attributes, ours and the cloud's. It must never look at
`data`.
Source: CloudEvents 1.0 §3; the per-entry codes of PutEvents.
"""

from __future__ import annotations

import binascii
import re
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, NoReturn

import msgspec

from headrace.core import errors, limits

Media = Literal["json", "text", "binary", "bad"]

#: Attributes with a rule of their own; every other name is an extension.
NAMED = (
    "id",
    "source",
    "specversion",
    "type",
    "datacontenttype",
    "dataschema",
    "subject",
    "time",
)
#: CloudEvents 1.0, and 0.3 as the open-source engine takes it.
SPEC_VERSIONS = ("1.0", "0.3")

#: CloudEvents forbids control characters in strings (surrogates cannot come in by JSON or UTF-8).
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]")
#: What no URI-reference holds unescaped; other non-ASCII letters pass, as in Java's URI.
_NOT_URI = re.compile('[\\s\x00-\x20\x7f-\x9f<>"{}|\\\\^`]')
_PLAIN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_EXTENSION_NAME = re.compile(r"[a-z0-9]+")
#: Names that need no look at their letters.
_EXTENSIONS_KNOWN = frozenset(
    (
        "aliyuneventbusname",
        "aliyunaccountid",
        "aliyunpublishtime",
        "aliyunoriginalaccountid",
        "aliyunregionid",
        "aliyunpublishaddr",
        "traceparent",
        "tracestate",
    )
)
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = re.compile(rf"({_TOKEN})/({_TOKEN})\s*(;.*)?", re.DOTALL)
_PARAMETERS = re.compile(rf'(?:\s*;\s*(?:{_TOKEN}=(?:{_TOKEN}|"(?:[^"\\]|\\.)*+"))?)*+\s*')
#: The official SDK's own example names the zone: 2020-08-24T13:54:05.965Asia/Shanghai.
_ZONE_NAMED = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?)[A-Za-z]+(?:/[A-Za-z0-9_+-]+)*"
)
_LEAP_SECOND = re.compile(r"(.{17})60(.*)", re.DOTALL)
_INTEGER_MIN, _INTEGER_MAX = -(2**63), 2**63 - 1

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


def refuse(code: str, message: str, field: str, got: object = None) -> NoReturn:
    raise errors.EventRefused(message, code=code, field=field, got=got)


def _string(name: str, value: Any, code: str, chars_max: int) -> str:
    if not isinstance(value, str):
        refuse("JsonAttributeInvalid", f"The attribute [{name}] must be a string.", name, value)
    if len(value) > chars_max:
        refuse(code, f"The attribute [{name}] is longer than {chars_max} characters.", name)
    if not value.isprintable() and _CONTROL.search(value):
        refuse(code, f"The attribute [{name}] holds a control character.", name, value)
    return value


def _is_plain(value: Any, chars_max: int) -> bool:
    """The quick look: True only for values that need no closer one."""
    return type(value) is str and 0 < len(value) <= chars_max and value.isprintable()


def check_id(value: Any, bounds: limits.Limits) -> None:
    if _is_plain(value, bounds.id_chars_max) and not bounds.id_plain:
        return
    if value is None or value == "":
        refuse("EventIdEmpty", "The attribute [id] is required and must not be empty.", "id")
    text = _string("id", value, "EventInvalid", bounds.id_chars_max)
    if bounds.id_plain and not _PLAIN_ID.fullmatch(text):
        refuse("EventInvalid", "The id must be letters, digits and hyphens.", "id", value)


def check_source(value: Any, bounds: limits.Limits) -> None:
    if _is_plain(value, bounds.source_chars_max) and is_uri(value):
        return
    code = "EventSourceInvalid"
    if value is None or value == "":
        refuse(code, "The attribute [source] is required and must not be empty.", "source")
    if not is_uri(_string("source", value, code, bounds.source_chars_max)):
        refuse(code, "The attribute [source] must be a URI reference.", "source", value)


def check_type(value: Any, bounds: limits.Limits) -> None:
    if _is_plain(value, bounds.type_chars_max):
        return
    code = "EventTypeInvalid"
    if value is None or value == "":
        refuse(code, "The attribute [type] is required and must not be empty.", "type")
    _string("type", value, code, bounds.type_chars_max)


def check_spec_version(value: Any) -> None:
    if value not in SPEC_VERSIONS:
        message = f"The attribute [specversion] must be one of {', '.join(SPEC_VERSIONS)}."
        refuse("EventSpecversionInvalid", message, "specversion", value)


def check_subject(value: Any, bounds: limits.Limits) -> None:
    if not _is_plain(value, bounds.subject_chars_max):
        _string("subject", value, "EventSubjectInvalid", bounds.subject_chars_max)


def check_data_schema(value: Any, bounds: limits.Limits) -> None:
    # The open-source engine uses the source's code for a bad schema as well.
    code = "EventSourceInvalid"
    text = _string("dataschema", value, code, bounds.data_schema_chars_max)
    if not text or not is_uri(text):
        refuse(code, "The attribute [dataschema] must be a URI.", "dataschema", value)


def check_content_type(value: Any, bounds: limits.Limits) -> Media:
    """Return what kind of data is announced; "" counts as JSON, as in the official SDK."""
    code = "EventContentTypeInvalid"
    text = _string("datacontenttype", value, code, bounds.content_type_chars_max)
    kind = media(text)
    if kind == "bad":
        refuse(code, "The attribute [datacontenttype] is no media type.", "datacontenttype", value)
    return kind


def check_time(value: Any) -> None:
    if not is_time(_string("time", value, "EventInvalid", limits.TIME_CHARS_MAX)):
        refuse("EventInvalid", "The attribute [time] must be an RFC 3339 time.", "time", value)


def is_time(text: str) -> bool:
    """True for RFC 3339 with an offset, and with a zone's name, as official examples send it."""
    if _is_moment(text):
        return True
    if named := _ZONE_NAMED.fullmatch(text):
        text = named[1] + "Z"
    if leap := _LEAP_SECOND.fullmatch(text):
        text = f"{leap[1]}59{leap[2]}"
    return _is_moment(text)


def _is_moment(text: str) -> bool:
    try:
        msgspec.convert(text, _Moment)
    except msgspec.ValidationError:
        return False
    return True


@lru_cache(maxsize=1024)
def is_uri(text: str) -> bool:
    """True unless it holds a character that no URI reference may; cached, sources repeat."""
    return not _NOT_URI.search(text)


@lru_cache(maxsize=256)
def media(content_type: str) -> Media:
    """Return what a body of this media type is; cached, there are few of them."""
    if not content_type:
        return "json"
    found = _MEDIA_TYPE.fullmatch(content_type)
    if not found or not _PARAMETERS.fullmatch(found[3] or ""):
        return "bad"
    main, sub = found[1].lower(), found[2].lower()
    if sub == "json" or sub.endswith("+json"):
        return "json"
    is_text = main == "text" or sub in ("xml", "javascript") or sub.endswith("+xml")
    return "text" if is_text else "binary"


def check_extensions(values: dict[str, Any], bounds: limits.Limits) -> None:
    if len(values) > bounds.extensions_max:
        message = f"More than {bounds.extensions_max} extension attributes."
        refuse("EventExtensionsAttributeExceedLimit", message, "extensions", len(values))
    for name, value in values.items():
        _check_extension(name, value, bounds)


def _check_extension(name: str, value: Any, bounds: limits.Limits) -> None:
    if _is_plain(value, bounds.extension_chars_max) and name in _EXTENSIONS_KNOWN:
        return
    code = "EventExtensionsAttributeInvalid"
    if len(name) > bounds.extension_name_chars_max or not _EXTENSION_NAME.fullmatch(name):
        refuse(code, f"[{name[:64]}] is no attribute name: lower-case letters and digits.", name)
    if isinstance(value, str):
        _string(name, value, code, bounds.extension_chars_max)
    elif not isinstance(value, int):
        refuse(code, f"The attribute [{name}] must be a string, whole number or boolean.", name)
    elif not _INTEGER_MIN <= value <= _INTEGER_MAX:
        refuse(code, f"The attribute [{name}] does not fit into 64 bits.", name)


def unbase64(value: Any) -> bytes:
    """Return the bytes of `data_base64`; refuse anything that is not strictly base64."""
    if not isinstance(value, str):
        refuse("JsonAttributeInvalid", "data_base64 must be a string.", "data_base64", value)
    try:
        return binascii.a2b_base64(value.encode("ascii"), strict_mode=True)
    except ValueError:
        refuse("EventInvalid", "data_base64 is not base64.", "data_base64")
