"""The subscription: who gets what, compiled. The meeting point of the bus with functions and
targets.

A rule target, a function's asynchronous queue and a built-in queue each compile to one. The bus
knows of a target only the `delivery.Sender` it is handed; `app.py` does the wiring.
"""

from __future__ import annotations

import msgspec

from headrace.core import delivery, retry, transform

#: Deliveries of one target that may be under way at once when ConcurrentConfig is absent.
#: CHOICE (eventbridge.md 2.5): the cloud documents no default.
CONCURRENCY_DEFAULT = 10
#: How long one attempt may take before it counts as failed, microseconds.
ATTEMPT_US_DEFAULT = 60_000_000
#: The same for functions: their own timeout (at most a day, fc.md §2.1) ends them, after queueing.
CALL_US = (86_400 + 60) * 1_000_000


class Subscription(msgspec.Struct, frozen=True, eq=False):
    """Selector and policy of one stream of deliveries; immutable, replaced on change."""

    id: int
    account: str
    #: Bus name; "" for internal ones.
    bus: str
    rule: str
    target: str
    endpoint: str
    #: None: passive, its deliveries wait until someone takes them (queues).
    sender: delivery.Sender | None
    policy: retry.RetryPolicy
    params: tuple[tuple[str, transform.Transform], ...] = ()
    #: ErrorsTolerance NONE: stand at the event that cannot be delivered instead of dead-lettering
    #: it.
    block_on_error: bool = False
    concurrency: int = CONCURRENCY_DEFAULT
    attempt_us: int = ATTEMPT_US_DEFAULT
    #: Queue named by DeadLetterQueue, beside the store of dead letters that is always on.
    dead_letter_queue: str | None = None

    @property
    def name(self) -> str:
        """What operators call it: BUS/RULE/TARGET, or async/FUNCTION."""
        return f"{self.bus}/{self.rule}/{self.target}" if self.bus else self.rule
