"""Patterns and events with what they mean, and the payload a target is due: an own, small reading.

Restated from the specification (patterns.md §5 and §6, eventbridge.md §2 and §5.2). Must never
import the product: a pattern is judged by the function beside it, not by a pattern engine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from tests.properties.doors import words

Event = dict[str, Any]


def _data(event: Event) -> dict[str, Any]:
    data = event.get("data")
    return data if isinstance(data, dict) else {}


#: Every good pattern that is used, and which events it takes.
PATTERNS: dict[str, Callable[[Event], bool]] = {
    "{}": lambda _: True,
    '{"source":["shop"]}': lambda e: e["source"] == "shop",
    '{"source":["shop", "depot"]}': lambda e: e["source"] in ("shop", "depot"),
    '{"source": [{"prefix": "de"}]}': lambda e: e["source"].startswith("de"),
    '{"type":["order"]}': lambda e: e["type"] == "order",
    '{"type":[{"anything-but":"order"}]}': lambda e: e["type"] != "order",
    '{"source":["shop"],"type":["order","refund"]}': (
        lambda e: e["source"] == "shop" and e["type"] in ("order", "refund")
    ),
    '{"data":{"amount":[{"numeric":[">",50]}]}}': lambda e: _data(e).get("amount", 0) > 50,
    '{"source":["nobody"]}': lambda _: False,
}
#: Texts that break a rule of the dialect.
BAD_PATTERNS = ('{"source":"shop"}', "{", '{"colour":["red"]}', '{"source":[{"prefix":""}]}')

SOURCES = ("shop", "depot", "desk", "lab")
TYPES = ("order", "refund", "return")

_DYNAMIC = ("time", "aliyunpublishtime", "aliyunpublishaddr")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def stamped(event: Event, *, bus: str, account: str, region: str) -> Event:
    """The event as the bus hands it on, without what only the server knows (times, address)."""
    return event | {
        "specversion": "1.0",
        "datacontenttype": "application/json; charset=utf-8",
        "aliyunaccountid": account,
        "aliyunoriginalaccountid": account,
        "aliyuneventbusname": bus,
        "aliyunregionid": region,
    }


def payload(target: words.Tree, event: Event) -> str:
    """What `target` is due of a stamped event, in canonical form."""
    body = words.param(target, "Body")
    if body is None or body["Form"] == "ORIGINAL":
        return _canonical(event)
    if body["Form"] == "CONSTANT":
        return _text(body["Value"])
    if body["Form"] == "JSONPATH":
        return _value(event, body["Value"])
    filled = body["Template"]
    for name, path in json.loads(body["Value"]).items():
        value = _found(event, path)
        if value is not None:  # a variable without a value stays as it is written
            filled = filled.replace("${" + name + "}", _text_of(value))
    return _text(filled)


def seen(raw: bytes) -> str:
    """A payload that arrived, in the same form. Raises AssertionError if a stamp is missing."""
    text = raw.decode()
    try:
        value = json.loads(text)
    except ValueError:
        return "text " + text
    if isinstance(value, dict) and "specversion" in value:
        assert _TIME.fullmatch(value.get("time", "")), f"no time in {text}"
        assert _TIME.fullmatch(value.get("aliyunpublishtime", "")), f"no publish time in {text}"
        assert value.get("aliyunpublishaddr"), f"no publish address in {text}"
        value = {name: part for name, part in value.items() if name not in _DYNAMIC}
    return _canonical(value)


def _found(event: Event, path: str) -> Any:
    """The value at a plain path such as $.data.amount; None where there is nothing."""
    value: Any = event
    for step in path.split(".")[1:]:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _value(event: Event, path: str) -> str:
    value = _found(event, path)
    if isinstance(value, dict | list):
        return _canonical(value)
    return _text("" if value is None else _text_of(value))


def _text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _canonical(value: Any) -> str:
    return "json " + json.dumps(value, sort_keys=True)


def _text(text: str) -> str:
    """Text that happens to be JSON reads as JSON, on both sides of the comparison."""
    return seen(text.encode())
