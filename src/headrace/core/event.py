"""The event: one CloudEvent as bytes and as an envelope, from the wire to the log.

Owns parsing, validation, stamping and the canonical body. This is the hot path: the envelope is
decoded, `data` stays the text it came as until somebody asks for it. It must never change a
number's spelling, and never know which bus or rule will see the event. `data` may repeat a member
(the last one wins); the envelope may not.
"""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from headrace.core import attributes, errors, jsontext, limits, untrusted

#: Content type of an event that names none. Source: EventBridge "Event overview".
CONTENT_TYPE = "application/json; charset=utf-8"
#: Bounds for an event that was accepted once: stamping made it longer.
STORED = limits.Limits(
    event_bytes_max=16 * limits.MIB, members_max=100_000, values_max=16 * limits.MIB,
    extensions_max=1_024,
)  # fmt: skip

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_decode_envelope = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_batch = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[Any]).decode
_check_value = msgspec.json.Decoder(msgspec.Raw).decode


class Event:
    """One CloudEvent. Only `stamp` may change one, before anyone else has seen it."""

    __slots__ = (
        "_body",
        "_fields",
        "_head",
        "data_base64",
        "data_raw",
        "datacontenttype",
        "dataschema",
        "extensions",
        "id",
        "source",
        "specversion",
        "subject",
        "time",
        "type",
    )

    id: str
    source: str
    type: str
    specversion: str
    subject: str | None
    time: str | None
    datacontenttype: str | None
    dataschema: str | None
    #: Every other attribute, e.g. aliyuneventbusname.
    extensions: dict[str, str | int | bool]
    #: JSON text of `data` as it came in; None: no data, or data_base64.
    data_raw: bytes | None
    data_base64: str | None
    _body: bytes | None
    _fields: dict[str, Any] | None
    _head: dict[str, Any] | None

    def __repr__(self) -> str:
        return f"Event(source={self.source!r}, id={self.id!r}, type={self.type!r})"

    def attributes(self) -> dict[str, Any]:
        """Return the event without `data`, in canonical order; cached, not to be changed."""
        if self._head is not None:
            return self._head
        head: dict[str, Any] = {
            "id": self.id,
            "source": self.source,
            "specversion": self.specversion,
            "type": self.type,
        }
        if self.datacontenttype is not None:
            head["datacontenttype"] = self.datacontenttype
        if self.dataschema is not None:
            head["dataschema"] = self.dataschema
        if self.subject is not None:
            head["subject"] = self.subject
        if self.time is not None:
            head["time"] = self.time
        head.update(self.extensions)
        if self.data_base64 is not None:
            head["data_base64"] = self.data_base64
        self._head = head
        return head

    def fields(self) -> dict[str, Any]:
        """Return the whole event decoded, for matching and transforms; cached, not to be changed.

        Numbers with a fraction or an exponent are jsontext.Float.
        """
        if self._fields is None:
            fields = self.attributes()
            if self.data_raw is not None:
                fields = fields.copy()
                fields["data"] = jsontext.decode(self.data_raw)
            self._fields = fields
        return self._fields

    def body(self) -> bytes:
        """Return the canonical JSON: attributes, extensions, then `data` verbatim; cached."""
        if self._body is None:
            head = _encode(self.attributes())
            if self.data_raw is None:
                self._body = head
            else:
                self._body = b'%b,"data":%b}' % (head[:-1], self.data_raw)
        return self._body

    def data_bytes(self) -> bytes | None:
        """Return `data` as a payload: bytes of data_base64, text of a string, else JSON text."""
        if self.data_base64 is not None:
            return binascii.a2b_base64(self.data_base64)
        if self.data_raw is None or not self.data_raw.startswith(b'"'):
            return self.data_raw
        if attributes.media(self.datacontenttype or "") == "json":
            return self.data_raw
        return cast("str", _decode(self.data_raw)).encode()


def parse(raw: bytes, bounds: limits.Limits) -> Event:
    """Return the event of one structured-mode JSON text.

    Raises: EventRefused with a per-entry code of PutEvents and the field.
    """
    if len(raw) > bounds.event_bytes_max:
        message = f"The event is larger than {bounds.event_bytes_max} bytes."
        attributes.refuse("EventSizeExceed", message, "event", len(raw))
    envelope = _envelope(raw, bounds)
    data = envelope.pop("data", None)
    data_raw = None if data is None else bytes(data)
    values = _attributes(envelope)
    _check_unique(raw, values, data_raw, bounds)
    return assemble(values, data_raw, bounds)


def parse_batch(raw: bytes, bounds: limits.Limits) -> list[Event | errors.EventRefused]:
    """Return one event or refusal for each member of a JSON array, in order.

    A bad member spoils only itself, as long as brackets and quotes say where it ends.
    Raises: PayloadTooLarge, InvalidInput when the request as a whole cannot be taken.
    """
    if len(raw) > bounds.request_bytes_max:
        raise errors.PayloadTooLarge(
            f"The request is larger than {bounds.request_bytes_max} bytes.", got=len(raw)
        )
    check_values(raw, bounds)
    members = _members(raw)
    if len(members) > bounds.request_events_max:
        raise errors.InvalidInput(
            f"A request may hold {bounds.request_events_max} events.",
            field="events",
            expected=bounds.request_events_max,
            got=len(members),
        )
    return [_parsed(bytes(member), bounds) for member in members]


def check_values(raw: bytes, bounds: limits.Limits) -> None:
    """Refuse a request of too many values before anything is made of them.

    raw: JSON text, valid or not.  Raises: InvalidInput.
    """
    most = bounds.request_values_max
    if len(raw) > most and untrusted.has_values(raw, most):
        raise errors.InvalidInput(
            f"The events of a request may hold {most} values.", field="events", expected=most
        )


def build(fields: Mapping[str, Any], bounds: limits.Limits) -> Event:
    """Return an event of attributes that are decoded already (names in CloudEvents' lower case).

    `data`: any decoded JSON value, or msgspec.Raw to keep its text; a string that is the JSON text
    of an object or array counts as that object or array when the content type is JSON, as the
    official SDK sends bytes. None is absent for every attribute, `data` included.  Raises:
    EventRefused.
    """
    values = {name: value for name, value in fields.items() if name != "data"}
    data_raw = _data_text(fields.get("data"), values.get("datacontenttype"), bounds)
    event = assemble(values, data_raw, bounds)
    if len(event.body()) > bounds.event_bytes_max:
        message = f"The event is larger than {bounds.event_bytes_max} bytes."
        attributes.refuse("EventSizeExceed", message, "event", len(event.body()))
    return event


def restore(body: bytes) -> Event:
    """Return the event of a body that `Event.body` made, e.g. one read back from the log."""
    event = parse(body, STORED)
    event._body = body  # pyright: ignore[reportPrivateUsage]
    return event


def stamp(
    event: Event, *, account: str, region: str, bus: str, publish_addr: str, publish_time: str
) -> Event:
    """Write what the bus knows into `event` itself and return it; fill time and content type.

    publish_time: RFC 3339 in UTC with milliseconds.
    Source: EventBridge "Event overview": attributes EventBridge adds; a publisher's own values are
    overwritten.
    """
    extensions = event.extensions
    extensions["aliyunaccountid"] = account
    extensions["aliyunpublishtime"] = publish_time
    extensions["aliyunoriginalaccountid"] = account
    extensions["aliyuneventbusname"] = bus
    extensions["aliyunregionid"] = region
    extensions["aliyunpublishaddr"] = publish_addr
    if event.time is None:
        event.time = publish_time
    if not event.datacontenttype:
        event.datacontenttype = CONTENT_TYPE
    event._body = event._fields = event._head = None  # pyright: ignore[reportPrivateUsage]
    return event


def key_of(source: str, id: str) -> int:
    """Return the signed 64-bit hash an event is looked up by; the pair is checked on the body."""
    # Neither may hold a control character, so the pair reads one way only.
    digest = hashlib.blake2b(f"{source}\n{id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _parsed(raw: bytes, bounds: limits.Limits) -> Event | errors.EventRefused:
    try:
        return parse(raw, bounds)
    except errors.EventRefused as refusal:
        return refusal.with_traceback(None)


def _members(raw: bytes) -> list[msgspec.Raw] | list[bytes]:
    try:
        return _decode_batch(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as fault:
        members = untrusted.members(raw)
        if members is None or b"" in members:
            raise errors.InvalidInput(
                f"The body is no JSON array of events: {fault}", field="body"
            ) from fault
        return members


def _envelope(raw: bytes, bounds: limits.Limits) -> dict[str, msgspec.Raw]:
    if not untrusted.is_utf8(raw):
        attributes.refuse("JsonAttributeInvalid", "The event is not UTF-8.", "event")
    try:
        envelope = _decode_envelope(raw)
        untrusted.check(raw, bounds)
    except msgspec.ValidationError:
        attributes.refuse("EventInvalid", "The event must be a JSON object.", "event")
    except (msgspec.DecodeError, UnicodeError, untrusted.Excess) as fault:
        attributes.refuse("JsonAttributeInvalid", f"The event cannot be read: {fault}.", "event")
    except RecursionError:
        message = f"The event is more than {bounds.depth_max} levels deep."
        attributes.refuse("JsonAttributeInvalid", message, "event")
    return envelope


def _attributes(envelope: dict[str, msgspec.Raw]) -> dict[str, Any]:
    try:
        # One array of all: a call of the decoder costs more than an attribute.
        values = _decode_list(b"[%b]" % b",".join(envelope.values()))
    except msgspec.MsgspecError:
        return {name: _attribute(name, value) for name, value in envelope.items()}
    return dict(zip(envelope, values, strict=True))


def _attribute(name: str, value: msgspec.Raw) -> Any:
    try:
        return _decode(value)
    except msgspec.MsgspecError as fault:
        attributes.refuse("JsonAttributeInvalid", f"The attribute [{name}]: {fault}.", name)


def _check_unique(
    raw: bytes, values: dict[str, Any], data_raw: bytes | None, bounds: limits.Limits
) -> None:
    """Refuse a repeated attribute, which the decoder forgot: what it kept must be all there is."""
    head = len(_encode(values)) + (0 if data_raw is None else len(b',"data":'))
    if head + len(data_raw or b"") == len(raw):
        return
    # Blanks between the members, as most clients write them: only the head is looked at. What is
    # cut off is the last value or the end of it, so the sum counts every member.
    if data_raw and raw.endswith(data_raw + b"}"):
        rest = raw[: -len(data_raw) - 1] + b"0}"
        if head + 1 == len(_bare(rest)):
            return
    if head + len(_bare(data_raw or b"")) == len(_bare(raw)):
        return
    # Not the blanks: escapes make the text longer as well. Count.
    if untrusted.top_members(raw, bounds.depth_max) == len(values) + (data_raw is not None):
        return
    message = f"An attribute stands twice; each of {', '.join(values)[:256]} may stand once."
    attributes.refuse("JsonAttributeInvalid", message, "event")


def _bare(text: bytes) -> bytes:
    """Return JSON without its blanks; b"" for what is none."""
    try:
        return msgspec.json.format(text, indent=-1)
    except msgspec.MsgspecError:
        return b""


def assemble(values: dict[str, Any], data_raw: bytes | None, bounds: limits.Limits) -> Event:
    """Check every attribute and make the event.

    values: all attributes but `data`, decoded; taken over.  data_raw: JSON text whose shape was
    checked.
    Raises: EventRefused.
    """
    if None in values.values():
        values = {name: value for name, value in values.items() if value is not None}
    take = values.pop
    event = Event()
    event._body = event._fields = event._head = None  # pyright: ignore[reportPrivateUsage]
    event.id = value = take("id", None)
    attributes.check_id(value, bounds)
    event.source = value = take("source", None)
    attributes.check_source(value, bounds)
    event.type = value = take("type", None)
    attributes.check_type(value, bounds)
    event.specversion = value = take("specversion", "1.0")
    attributes.check_spec_version(value)
    event.subject = value = take("subject", None)
    if value is not None:
        attributes.check_subject(value, bounds)
    event.time = value = take("time", None)
    if value is not None:
        attributes.check_time(value)
    event.dataschema = value = take("dataschema", None)
    if value is not None:
        attributes.check_data_schema(value, bounds)
    event.datacontenttype = value = take("datacontenttype", None)
    kind = "json" if value is None else attributes.check_content_type(value, bounds)
    event.data_raw = data_raw
    event.data_base64 = take("data_base64", None)
    if event.data_base64 is not None:
        _settle_base64(event, kind, bounds)
    elif kind != "json" and data_raw is not None and data_raw[:1] not in (b'"', b"n"):
        message = "Data that is not JSON by its content type must be a string or data_base64."
        attributes.refuse("EventContentTypeInvalid", message, "data")
    if values.get("extensions") == {}:
        # The data-plane SDK flattens its map of extensions, but leaves an empty one as it is.
        del values["extensions"]
    event.extensions = values
    attributes.check_extensions(values, bounds)
    return event


def _settle_base64(event: Event, kind: attributes.Media, bounds: limits.Limits) -> None:
    """Check data_base64; JSON in it becomes `data`: so the SDK packs it if a charset is named."""
    if event.data_raw is not None:
        attributes.refuse("EventInvalid", "The event has both data and data_base64.", "data")
    content = attributes.unbase64(event.data_base64)
    if kind == "json" and is_json(content, bounds):
        event.data_raw, event.data_base64 = content.strip(b" \t\r\n"), None


def is_json(text: bytes, bounds: limits.Limits) -> bool:
    """True if `text` is JSON. Raises: EventRefused if it is, but breaks a bound on its shape."""
    if not untrusted.is_utf8(text):
        return False
    try:
        _check_value(text)
        untrusted.check(text, bounds)
    except msgspec.MsgspecError:
        return False
    except untrusted.Excess as fault:
        attributes.refuse("JsonAttributeInvalid", f"The data cannot be read: {fault}.", "data")
    except RecursionError:
        message = f"The data is more than {bounds.depth_max} levels deep."
        attributes.refuse("JsonAttributeInvalid", message, "data")
    return True


def _data_text(data: Any, content_type: Any, bounds: limits.Limits) -> bytes | None:
    if data is None:
        return None
    if isinstance(data, str) and data.lstrip(" \t\r\n")[:1] in ("{", "["):
        named = content_type if isinstance(content_type, str) else ""
        text = data.encode("utf-8", "surrogatepass")
        if attributes.media(named) == "json" and is_json(text, bounds):
            return text.strip(b" \t\r\n")
    try:
        text = bytes(data) if isinstance(data, msgspec.Raw) else jsontext.compact(data).encode()
    except (TypeError, ValueError, RecursionError) as fault:
        attributes.refuse("JsonAttributeInvalid", f"The data is no JSON value: {fault}.", "data")
    if not is_json(text, bounds):
        attributes.refuse("JsonAttributeInvalid", "The data is no JSON value.", "data")
    return text
