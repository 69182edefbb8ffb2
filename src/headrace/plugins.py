"""Plug-ins: targets that come in a package of their own, found by entry point.

A package registers under `headrace.targets` an object (a module or a class instance) with

    api_version = 1
    type = "acme.pager"                     # what a rule's target says as Type
    def open(endpoint: str) -> Sender       # `headrace.core.delivery.Sender`; no I/O yet

What cannot be imported, declares another version or takes a type that is ours is refused by name:
the server starts without it and says so. Sources have the group `headrace.sources`; this version
runs none, so each of them is refused by name too. Must never let a plug-in stop the server.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from importlib import metadata
from typing import Any, cast

import msgspec

from headrace.core import delivery
from headrace.targets import kinds

#: What a plug-in declares; it changes when a plug-in would have to.
API_VERSION = 1
TARGETS = "headrace.targets"
SOURCES = "headrace.sources"

_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)+")

Opener = Callable[[str], delivery.Sender]


class Plugin(msgspec.Struct):
    """One entry point, and what became of it."""

    group: str
    name: str
    #: Package and version that brought it.
    package: str
    #: Of a target that is loaded.
    type: str = ""
    #: Why it is refused; "" when it is not.
    problem: str = ""


class Loaded(msgspec.Struct):
    """All plug-ins of this environment."""

    plugins: list[Plugin]
    #: Type of target → what opens its sender.
    openers: dict[str, Opener]

    @property
    def refused(self) -> list[Plugin]:
        return [one for one in self.plugins if one.problem]


def load() -> Loaded:
    """Import every plug-in that is installed; each failure is kept with its plug-in."""
    loaded = Loaded([], {})
    for group in (TARGETS, SOURCES):
        for point in _sorted(metadata.entry_points(group=group)):
            package = point.dist
            said = "" if package is None else f"{package.name} {package.version}"
            plugin = Plugin(group, point.name, said)
            loaded.plugins.append(plugin)
            plugin.problem = _take(point, plugin, loaded)
    return loaded


def _sorted(points: Iterable[metadata.EntryPoint]) -> list[metadata.EntryPoint]:
    return sorted(points, key=lambda point: (point.name, point.value))


def _take(point: metadata.EntryPoint, plugin: Plugin, loaded: Loaded) -> str:
    """Import one plug-in and take what it offers; return why it is refused, "" if it is not."""
    if plugin.group == SOURCES:
        return "sources are not run by this version of Headrace"
    try:
        made: Any = point.load()
    except (Exception, SystemExit) as fault:  # whatever the code of others does on import
        return f"it does not load: {type(fault).__name__}: {fault}"
    declared = getattr(made, "api_version", None)
    if declared != API_VERSION:
        return f"it declares API version {declared}, this version of Headrace has {API_VERSION}"
    kind: object = getattr(made, "type", None)
    opener: Any = getattr(made, "open", None)
    if not isinstance(kind, str) or not _TYPE.fullmatch(kind):
        return f"its type must be words joined by dots, like acme.pager; it is {kind!r}"
    if kind in kinds.KINDS or kind.startswith("acs."):
        return f"the type {kind} belongs to the cloud"
    if kind in loaded.openers:
        return f"another plug-in has the type {kind}"
    if not callable(opener):
        return "it has no open(endpoint)"
    plugin.type = kind
    loaded.openers[kind] = cast("Opener", opener)
    return ""
