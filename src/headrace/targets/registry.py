"""From a stored target to the sender that serves it.

The one place that knows which module serves which type. What a target may say was checked before it
was stored (`resources.targets`); never checks it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from headrace.core import calling, delivery
from headrace.core import clock as clocks
from headrace.resources import model
from headrace.resources import targets as readings
from headrace.targets import function, plugged, push, queue

#: Builds the sender of one target.
Factory = Callable[["Registry", model.Target], delivery.Sender]


class Registry:
    """Makes senders; its methods fit the bus's wiring."""

    def __init__(
        self,
        *,
        pushers: push.Pushers,
        clock: clocks.Clock,
        begin: calling.Begin,
        openers: Mapping[str, plugged.Opener] | None = None,
    ) -> None:
        """openers: type of target → what opens it, of plug-ins."""
        self.pushers = pushers
        self.clock = clock
        self.begin = begin
        self._openers = dict(openers or {})

    def open(self, target: model.Target) -> delivery.Sender:
        """Return the sender of a stored target; it does no I/O before its first message."""
        factory = FACTORIES.get(target.type)
        if factory is None:  # of a plug-in, which may be gone since the target was stored
            opener = self._openers.get(target.type)
            return plugged.PluggedSender(target.type, target.endpoint, opener)
        return factory(self, target)

    async def close(self) -> None:
        """Close what senders share."""
        await self.pushers.close()


def _push(registry: Registry, target: model.Target) -> delivery.Sender:
    return registry.pushers.sender(readings.url_of(target) or "")


def _call(registry: Registry, target: model.Target) -> delivery.Sender:
    return function.FunctionSender(
        readings.function_of(target) or "",
        readings.qualifier_of(target),
        registry.clock,
        asynchronous=readings.is_async(target),
        begin=registry.begin,
    )


def _put(registry: Registry, target: model.Target) -> delivery.Sender:
    encoded = (readings.constant(target, "IsBase64Encode") or "").lower() == "true"
    return queue.QueueSender(readings.queue_of(target) or "", encoded=encoded)


#: Type of target -> its factory.
FACTORIES: Final[dict[str, Factory]] = {
    "acs.fc.function": _call,
    "http": _push,
    "https": _push,
    "acs.mns.queue": _put,
}
