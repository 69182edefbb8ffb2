"""One attempt at a delivery, as the bus hands it out and a target answers it.

Types only: the bus and the targets never import each other, they meet here. A sender never raises
for a failed delivery (that is an `Outcome`), never retries by itself (the subscription's policy
does) and never works past the deadline it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, runtime_checkable

import msgspec

#: The most of a response that is kept with an attempt (store.ports.Settlement.detail).
DETAIL_BYTES_MAX = 4 * 1024
#: Longest wait taken from a receiver's Retry-After; a larger one is cut to this.
AFTER_MS_MAX = 60 * 60 * 1000

#: ok: delivered. down: try again by the retry policy. throttled: the same, the receiver asked for
#: less.
#: poisoned: no retry can help; straight to the dead letter.
Kind = Literal["ok", "poisoned", "down", "throttled"]


class Message(msgspec.Struct, frozen=True):
    """One delivery attempt as a target sees it."""

    position: int
    event_id: str
    source: str
    type: str
    #: 1 is the first attempt.
    attempt: int
    account: str
    bus: str
    rule: str
    #: Id of the target inside the rule.
    target: str
    #: New for each attempt; a function runs under it.
    request_id: str
    #: Rendered ParamList, keys in lower case; None = the transform found nothing.
    params: dict[str, str | None]
    #: The event, structured JSON; what is sent when the ParamList has no Body.
    body: bytes

    def payload(self) -> bytes:
        """Return the bytes to send: the rendered Body, or the event. A Body that found nothing is
        empty."""
        if "body" not in self.params:
            return self.body
        return (self.params["body"] or "").encode()


class Forward(msgspec.Struct, frozen=True):
    """Ask of the bus: append this in the frame that settles the delivery, so neither stands
    alone."""

    #: A message on a built-in queue, or a call on a function's asynchronous queue.
    to: Literal["queue", "function"]
    name: str
    body: bytes
    #: Calls: the request id they run under.
    request_id: str = ""


class Outcome(msgspec.Struct, frozen=True):
    """What became of one message."""

    ok: bool
    kind: Kind
    #: Status the receiver answered, 0 when it did not answer.
    code: int
    #: Short text shown in the trace beside the code.
    text: str = ""
    #: Head of the response, at most DETAIL_BYTES_MAX.
    detail: bytes = b""
    #: The receiver's own wish for the next attempt (Retry-After), in milliseconds.
    after_ms: int | None = None
    forward: Forward | None = None


def delivered(code: int, text: str = "Ok", *, detail: bytes = b"") -> Outcome:
    return Outcome(True, "ok", code, text, detail[:DETAIL_BYTES_MAX])


def failed(
    kind: Literal["poisoned", "down", "throttled"],
    code: int,
    text: str,
    *,
    detail: bytes = b"",
    after_ms: int | None = None,
) -> Outcome:
    """Return a failure; `after_ms` is cut to AFTER_MS_MAX."""
    if after_ms is not None:
        after_ms = max(0, min(after_ms, AFTER_MS_MAX))
    return Outcome(False, kind, code, text, detail[:DETAIL_BYTES_MAX], after_ms)


class Sender(Protocol):
    """One target of one rule, ready to take messages; built by `targets.registry`, owned by its
    subscription."""

    async def send(self, batch: Sequence[Message], deadline_us: int) -> Sequence[Outcome]:
        """Try each message once and return one outcome each, in order.

        deadline_us: on the clock's monotonic scale; what has no answer by then is `down`.
        """
        ...

    async def close(self) -> None: ...


#: Told once what became of a message. Does little and never raises: it may be called while the
#: sender works on others.
Answered = Callable[[Outcome], None]


class Attempt(Protocol):
    """One message on its way."""

    def cancel(self) -> object:
        """Give it up: nothing is told afterwards."""
        ...


@runtime_checkable
class Starter(Protocol):
    """A sender that can do without a task of its caller for each message; else like `Sender`."""

    def start(self, message: Message, deadline_us: int, answered: Answered) -> Attempt | None:
        """Try a message once. `answered` may be called before this returns, which then is None."""
        ...
