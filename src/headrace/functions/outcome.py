"""How an invocation ended: error bodies, log text, record and answer in the cloud's words. Pure.

Source of words and shapes: spec/fc.md 3.4, 4a, 4b.
"""

from __future__ import annotations

import msgspec

from headrace.core import errors
from headrace.functions import instance, invocation, logs
from headrace.resources import model

KIB_PER_MB = 1024
#: The head of a frame has room for 64 KiB.
ATTRIBUTES_BYTES_MAX = 60_000
#: Characters of an error's type; a longer or odd one is told as the general type.
ERROR_TYPE_CHARS_MAX = 128


class Outcome(msgspec.Struct, frozen=True):
    """What became of one request, before it is told to anyone."""

    payload: bytes
    error_type: str | None
    duration_us: int = 0
    #: What the end line of the log says of the error.
    log_error: str | None = None
    exit_status: int | None = None


class Record(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The invocation record (kind "invocation" in `Records`); names follow the cloud's request
    metrics.
    """

    request_id: str
    function_name: str
    qualifier: str
    duration_ms: float
    billed_ms: int
    memory_mb: int = msgspec.field(name="memoryMB")
    memory_usage_mb: float = msgspec.field(name="memoryUsageMB")
    is_cold_start: bool
    has_function_error: bool
    instance_id: str = msgspec.field(name="instanceID")
    error_type: str | None = None
    exit_status: int | None = None
    retry_count: int = 0
    log_bytes: int = 0
    attributes: dict[str, str] = {}


class Conclusion(msgspec.Struct, frozen=True):
    """Everything the end of one invocation gives rise to."""

    invocation: invocation.Invocation
    #: None: nothing was written and nothing went wrong.
    log: bytes | None
    record: bytes


_encoder = msgspec.json.Encoder()


def error_body(message: str, kind: str) -> bytes:
    return _encoder.encode({"errorMessage": message, "errorType": kind, "stackTrace": []})


def failed(kind: bytes, body: bytes, took_us: int) -> Outcome:
    """The function failed and said how: `kind` is what its instance calls the error."""
    return Outcome(body, error_type(kind), took_us, "Unhandled function error")


def error_type(said: bytes) -> str:
    """The error type an instance named, or ours when that could not stand in an HTTP header."""
    text = said.decode("ascii", "replace")
    plain = len(text) <= ERROR_TYPE_CHARS_MAX and text.isascii() and text.isprintable()
    return text if text and plain else invocation.UNHANDLED


def timed_out(timeout_s: int) -> Outcome:
    text = f"Function time out after {timeout_s} seconds"
    body = _encoder.encode({"errorMessage": text, "errorType": invocation.TIMED_OUT})
    return Outcome(body, invocation.TIMED_OUT, timeout_s * 1_000_000, text)


def canceled() -> Outcome:
    text = "Invocation canceled by client"
    return Outcome(error_body(text, "Canceled"), invocation.UNHANDLED, 0, text)


def died(process: instance.Instance, ticket: instance.Ticket, timeout_s: int) -> Outcome:
    """The process ended while it ran the request."""
    if process.killed == "overdue":
        return timed_out(timeout_s)
    if process.killed == "broken":
        text, kind = "Function instance sent a response that cannot be understood", "BadResponse"
    else:
        text, kind = "Process exited unexpectedly before completing request", "ProcessExited"
    return Outcome(
        error_body(text, kind),
        invocation.UNHANDLED,
        process.elapsed_us(ticket),
        text,
        process.exit_status,
    )


def failed_start(process: instance.Instance, load_timeout_s: float) -> Outcome:
    """The code could not be loaded, its initializer failed, or the process ended before it was
    ready.
    """
    if process.failure is not None:
        kind, body = process.failure
        return Outcome(body, error_type(kind), 0, "Unhandled initialization error")
    if process.killed == "load":
        text = f"Function instance did not become ready within {load_timeout_s:g} seconds"
        kind = invocation.INITIALIZATION
    elif process.killed == "broken":
        text, kind = "Function instance sent a response that cannot be understood", "BadResponse"
    else:
        text, kind = "Process exited unexpectedly while it was starting", "ProcessExited"
    body = error_body(text, kind)
    return Outcome(body, invocation.INITIALIZATION, 0, text, process.exit_status)


def not_started(error: Exception) -> Outcome:
    """The sandbox itself could not be made."""
    reason = error.message if isinstance(error, errors.HeadraceError) else repr(error)
    text = f"Function instance could not be started: {reason}"
    return Outcome(error_body(text, invocation.NOT_STARTED), invocation.NOT_STARTED, 0, text)


def pre_stop_s(function: model.Function) -> float | None:
    """How long the pre-stop hook may take; None when there is none."""
    return function.pre_stop.timeout_s if function.pre_stop else None


def words(call: invocation.Call) -> bytes:
    """The words of an INVOKE frame after its deadline. NUL separates them, so it cannot be part of
    one.

    Raises: errors.InvalidInput for what could be written neither into a frame nor into a record.
    """
    parts = [call.request_id, str(call.retry_count)]
    for pair in call.attributes.items():
        parts += pair
    text = "\0".join(parts)
    if text.count("\0") >= len(parts):
        text = "\0".join([part.replace("\0", "\ufffd") for part in parts])
    try:
        said = text.encode()
    except UnicodeEncodeError as error:
        raise errors.InvalidInput("An attribute of the invocation is not text.") from error
    if len(said) > ATTRIBUTES_BYTES_MAX:
        raise errors.InvalidInput(
            f"The attributes of the invocation are longer than {ATTRIBUTES_BYTES_MAX} bytes."
        )
    return said


def conclude(
    ticket: instance.Ticket,
    process: instance.Instance | None,
    function: model.Function,
    result: Outcome,
) -> Conclusion:
    """Say it in the cloud's words: answer, log and record of one invocation."""
    call = ticket.call
    output = ticket.output
    billed_ms = -(-result.duration_us // 1000)
    used_mb = round(process.memory_kib / KIB_PER_MB, 2) if process is not None else 0.0
    log, tail = None, b""
    quiet = output is None and result.log_error is None
    if call.log_tail or not quiet:
        log = logs.frame_log(call.request_id, output.text() if output else b"", result.log_error)
    if call.log_tail:
        assert log is not None, "a tail is cut from the log"
        closing = logs.summary(result.duration_us, billed_ms, function.memory_mb, used_mb)
        tail = logs.tail(log, closing)
    answer = invocation.Invocation(
        request_id=call.request_id,
        payload=result.payload,
        error_type=result.error_type,
        duration_us=result.duration_us,
        billed_ms=billed_ms,
        memory_mb=used_mb,
        instance_id=process.id if process is not None else "",
        cold=ticket.cold,
        log_tail=tail,
        code_checksum=function.code_checksum,
    )
    return Conclusion(
        answer, None if quiet else log, _record(call, function, result, answer, output)
    )


def _record(
    call: invocation.Call,
    function: model.Function,
    result: Outcome,
    answer: invocation.Invocation,
    output: logs.Output | None,
) -> bytes:
    return _encoder.encode(
        Record(
            request_id=call.request_id,
            function_name=function.name,
            qualifier=answer.version,
            duration_ms=result.duration_us / 1000,
            billed_ms=answer.billed_ms,
            memory_mb=function.memory_mb,
            memory_usage_mb=answer.memory_mb,
            is_cold_start=answer.cold,
            has_function_error=result.error_type is not None,
            instance_id=answer.instance_id,
            error_type=result.error_type,
            exit_status=result.exit_status,
            retry_count=call.retry_count,
            log_bytes=output.total_bytes if output else 0,
            attributes=call.attributes,
        )
    )
