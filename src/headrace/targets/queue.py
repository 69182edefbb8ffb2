"""Targets of type `acs.mns.queue`: the built-in queues.

Does no I/O: a queue's messages are deliveries of the same store, so the append rides in the frame
that settles this delivery and cannot be lost or doubled between the two. Never looks the queue up;
the bus does.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from headrace.core import delivery


class QueueSender:
    """Turns each message into an ask to the bus."""

    def __init__(self, queue: str, *, encoded: bool) -> None:
        """encoded: put base64 of the body on the queue (the parameter IsBase64Encode)."""
        self._queue = queue
        self._encoded = encoded

    async def send(
        self, batch: Sequence[delivery.Message], deadline_us: int
    ) -> Sequence[delivery.Outcome]:
        return [self._forward(message) for message in batch]

    async def close(self) -> None:
        """Nothing is held open."""

    def _forward(self, message: delivery.Message) -> delivery.Outcome:
        body = message.payload()
        if self._encoded:
            body = base64.b64encode(body)
        asked = delivery.Forward("queue", self._queue, body)
        return delivery.Outcome(True, "ok", 201, "Ok", forward=asked)
