"""What goes into an invocation and what comes out of it. Data only."""

from __future__ import annotations

import msgspec

from headrace.core import calling

#: x-fc-error-type values (spec/fc.md 3.4).
UNHANDLED = "UnhandledInvocationError"
TIMED_OUT = "FunctionTimeoutError"
INITIALIZATION = "InitializationError"
NOT_STARTED = "FunctionNotStarted"


Call = calling.Call


class Invocation(msgspec.Struct, frozen=True):
    """One run of a function. A function's own failure is an answer too: `error_type` is set,
    `payload` is the error.
    """

    request_id: str
    payload: bytes
    error_type: str | None
    #: Time inside the handler; 0 when it never began.
    duration_us: int
    billed_ms: int
    #: Largest resident memory of the process so far.
    memory_mb: float
    instance_id: str
    #: True when this invocation waited for the instance to start.
    cold: bool
    #: Empty unless the call asked for it.
    log_tail: bytes
    code_checksum: str
    version: str = "LATEST"


class Stats(msgspec.Struct, frozen=True):
    """Counters since start, and what there is now."""

    instances: int
    starting: int
    queued: int
    invocations: int
    errors: int
    cold_starts: int
    throttled: int
    start_failures: int
    #: Invocations that were taken and have not ended.
    under_way: int


class InstanceInfo(msgspec.Struct, frozen=True):
    """One instance as ListInstances shows it."""

    instance_id: str
    state: str
    running: int
    served: int
    memory_mb: float
    created_ms: int
