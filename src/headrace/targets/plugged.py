"""Targets of plug-ins: the sender that a plug-in opens, kept within the rules of a sender.

A plug-in that is gone, or that breaks the rules, makes a failed attempt, which is retried and ends
as a dead letter; it must never break the lane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headrace.core import delivery

Opener = Callable[[str], delivery.Sender]


class PluggedSender:
    """The sender of one target whose type a plug-in serves, or served."""

    def __init__(self, kind: str, endpoint: str, opener: Opener | None) -> None:
        self._kind = kind
        self._endpoint = endpoint
        self._opener = opener
        self._sender: delivery.Sender | None = None

    async def send(
        self, batch: Sequence[delivery.Message], deadline_us: int
    ) -> Sequence[delivery.Outcome]:
        if self._opener is None:
            return self._failed(batch, f"no plug-in for targets of type {self._kind} is loaded")
        try:
            if self._sender is None:
                self._sender = self._opener(self._endpoint)
            outcomes = await self._sender.send(batch, deadline_us)
        except Exception as fault:  # the code of others
            return self._failed(batch, f"the plug-in failed: {type(fault).__name__}: {fault}")
        if len(outcomes) != len(batch):
            return self._failed(
                batch, f"the plug-in answered {len(outcomes)} of {len(batch)} messages"
            )
        return outcomes

    async def close(self) -> None:
        if self._sender is not None:
            await self._sender.close()

    def _failed(self, batch: Sequence[delivery.Message], text: str) -> list[delivery.Outcome]:
        failed = delivery.failed("down", 0, "PluginFailed", detail=text.encode())
        return [failed for _ in batch]
