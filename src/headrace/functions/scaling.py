"""Scaling: what the pool knows of a group, when a request may be sent ahead, and when to start.

Pure, like `pool`, which it serves: no clock, no I/O. Times are microseconds of any monotonic clock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

import msgspec

SECOND_US = 1_000_000
#: What a request costs beside its handler: two wake-ups and a frame each way.
HOP_US = 50
#: Instances of all functions; past it invocations wait for a free one. Half as many more start when
#: a function has none, and up to twice as many when an account is below its share.
INSTANCES_MAX = 100
#: Instances of one function; past it its invocations wait.
INSTANCES_PER_FUNCTION_MAX = 50
#: Invocations of one function that wait for an instance; one more: 429.
QUEUE_PER_FUNCTION_MAX = 10_000
#: How long each may wait, microseconds; then 429.
QUEUE_WAIT_US_MAX = 10 * SECOND_US
#: Invocations of all functions that wait or run; then 429.
INVOCATIONS_MAX = 20_000
#: Their payloads; then 429.
PAYLOADS_BYTES_MAX = 256 * 1024 * 1024


class Limits(msgspec.Struct, frozen=True):
    """Bounds of the whole pool. All groups together where nothing else is said."""

    instances_max: int = INSTANCES_MAX
    instances_per_group_max: int = INSTANCES_PER_FUNCTION_MAX
    #: Starts going on at one time; about the number of cores.
    starts_max: int = 2
    queue_per_group_max: int = QUEUE_PER_FUNCTION_MAX
    queue_wait_us_max: int = QUEUE_WAIT_US_MAX
    invocations_max: int = INVOCATIONS_MAX
    payload_bytes_max: int = PAYLOADS_BYTES_MAX
    #: Requests sent to one instance that runs them one by one.
    pipeline_max: int = 16
    #: A request that was sent ahead cannot be taken back: only when its wait is sure to be short.
    pipeline_wait_us_max: int = 5_000
    start_us_guess: int = 50_000
    #: Starts that may fail in a row before the next one has to wait.
    failures_free: int = 3
    backoff_us: int = 100_000
    backoff_us_max: int = 2 * SECOND_US
    idle_us: int = 300 * SECOND_US
    #: While there are more than `instances_max`.
    idle_when_full_us: int = SECOND_US


class Settings(msgspec.Struct, frozen=True):
    """What the pool has to know of one group (one function with one code and configuration)."""

    concurrency: int = 1
    idle_us: int | None = None
    #: Whose share of the instances it uses.
    account: str = ""


class Instance:
    """What the pool knows of one instance."""

    __slots__ = ("began_us", "busy_us", "group", "idle_us", "number", "proven", "ready", "running")

    def __init__(self, number: int, group: Group, now_us: int) -> None:
        self.number = number
        self.group = group
        self.ready = False
        #: True once it has answered anything.
        self.proven = False
        #: Requests sent and not answered.
        self.running = 0
        self.began_us = now_us
        #: When it last had nothing to do, and when it last answered or got its first request.
        self.idle_us = now_us
        self.busy_us = now_us


class Group:
    """The requests and instances of one function with one code and configuration."""

    __slots__ = (
        "backoff_until_us",
        "failures",
        "free",
        "instances",
        "key",
        "known_from_first",
        "queue",
        "retired",
        "service_dev_us",
        "service_us",
        "settings",
        "start_us",
        "starting",
    )

    def __init__(self, key: Hashable, settings: Settings, start_us: int) -> None:
        self.key = key
        self.settings = settings
        self.retired = False
        #: request -> when it came, oldest first.
        self.queue: OrderedDict[int, int] = OrderedDict()
        self.instances: dict[int, Instance] = {}
        #: Ready instances with a free slot; the last one is used first, so that the others may fall
        #: idle.
        self.free: list[Instance] = []
        self.starting = 0
        self.start_us = start_us
        #: Mean and deviation of what one request takes; negative: not known yet.
        self.service_us = -1
        self.service_dev_us = 0
        #: All that is known is of a first request, which imports and connects and is slower.
        self.known_from_first = False
        self.failures = 0
        self.backoff_until_us = 0

    def learn(self, took_us: int, *, first: bool) -> None:
        """Take in what a request took; `first`: it was the first one of its instance."""
        if self.service_us < 0 or (self.known_from_first and not first):
            self.service_us, self.service_dev_us = took_us, took_us // 2
            self.known_from_first = first
        elif not first:
            error = took_us - self.service_us
            self.service_us += error // 8
            self.service_dev_us += (abs(error) - self.service_dev_us) // 4

    @property
    def expected_us(self) -> int:
        """What one request takes on average; a start's time while nothing is known."""
        return self.start_us if self.service_us < 0 else self.service_us + HOP_US

    @property
    def cautious_us(self) -> int:
        """What one request takes when it is a slow one; a start's time while nothing is known."""
        return self.expected_us + 4 * self.service_dev_us


def may_send_ahead(known: Instance, limits: Limits, now_us: int) -> bool:
    """True when a busy instance will surely get to one more request soon."""
    group = known.group
    if group.settings.concurrency > 1 or group.service_us < 0 or group.retired:
        return False
    if known.running >= limits.pipeline_max:
        return False
    wait_us = known.running * group.cautious_us
    if wait_us > limits.pipeline_wait_us_max or wait_us > group.start_us:
        return False
    return not late(known, now_us)


def late(known: Instance, now_us: int) -> bool:
    """True when its current request takes so long that nothing can be said of its end."""
    group = known.group
    return known.running > 0 and now_us - known.busy_us > max(4 * group.cautious_us, group.start_us)


def wants_instance(group: Group, limits: Limits, now_us: int) -> bool:
    """True when requests wait and would wait longer than a start takes."""
    concurrency = group.settings.concurrency
    queued = len(group.queue)
    if queued <= group.starting * concurrency or group.retired:
        return False
    if now_us < group.backoff_until_us:
        return False
    if len(group.instances) >= limits.instances_per_group_max:
        return False
    slots = busy = 0
    for known in group.instances.values():
        if not known.ready:
            slots += concurrency
        elif not late(known, now_us):
            slots += concurrency
            busy += known.running
    if not slots:
        return True
    return (queued + busy) * group.expected_us // slots > group.start_us
