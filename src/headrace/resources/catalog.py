"""The one catalog: every resource that exists here, read from memory and changed only by
compare-and-set.

Owns the wiring of its parts, the change feed and the walk over everything. Rules of a kind live
beside their kind: `buses`, `sources`, `rules`, `rule_targets`, `functions`, `queues`, `triggers`,
`switches`. It must never run, deliver or store an event.

Reads are synchronous. Writes are async: when one returns, the change is durable, in the view, and
every listener has heard of it. A write that is given a stale `revision` raises EditConflict naming
what changed since; without one it is made on whatever is there.
"""

from __future__ import annotations

from collections.abc import Iterator

from headrace.core import clock, limits
from headrace.resources import editing, settings, sources, switches, triggers
from headrace.store import ports


class Catalog(triggers.Triggers, sources.Sources, switches.Switches):
    """All operations on resources, of every account."""

    def __init__(
        self,
        registry: ports.Registry,
        time: clock.Clock,
        random: clock.Random,
        *,
        region: str,
        deliverable: frozenset[str] = settings.TARGET_TYPES,
        bounds: limits.Limits = limits.WIDE,
    ) -> None:
        """Take an open registry.

        deliverable: the types of target that something delivers to; others are refused.
        bounds: limits.STRICT for the cloud's counts and sizes.
        """
        given = settings.Settings(region=region, deliverable=deliverable, limits=bounds)
        super().__init__(editing.Editor(registry, time), random, given)

    def on_change(self, listener: editing.Listener) -> None:
        """Call `listener(changes)` after each durable change set, before the writer's await
        returns.

        Called synchronously, in commit order; it must not raise.
        """
        self._editor.on_change(listener)

    def walk(self, kind: editing.Kind[editing.R]) -> Iterator[editing.Stored[editing.R]]:
        """Yield every record of `kind` (`editing.RULE`, …) in every account. Do not await in
        between.
        """
        return self._editor.walk(kind)
