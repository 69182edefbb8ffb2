"""Names and identifiers: what may be called how, ARNs in all forms, request and instance ids.

Owns spelling only; it must never look up whether a name exists. Request ids take the clock and
chance they are made from.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from headrace.core import clock, errors, limits

DEFAULT_BUS = "default"
LATEST = "LATEST"
RESERVED_PREFIX = "eventbridge-reserved-"

Kind = Literal["bus", "rule", "target", "source", "stream", "function", "queue"]

# Source: EventBridge "Limits". "_" and "." are allowed beyond the page: function names hold the
# one, event source names in official examples the other.
_RESOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
# A rule made as a trigger is called {function}-{trigger}, and functions may begin with "_".
_RULE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_TARGET_ID = re.compile(r"[^\s/|\x00-\x1f\x7f]+")
# Source: Function Compute API metadata and Terraform's validators.
_FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
# Source: Message Service "Queue names".
_QUEUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")

_ARN = re.compile(r"acs:([a-z-]+):([^:]*):([^:]*):(.+)", re.DOTALL)
_PART = r"([^/:\s]+)"
#: service -> (kind, resource), tried in order.
_RESOURCES: dict[str, tuple[tuple[Kind, re.Pattern[str]], ...]] = {
    "eventbridge": (
        ("bus", re.compile(rf"eventbus/{_PART}")),
        ("rule", re.compile(rf"eventbus/{_PART}/rule/{_PART}")),
        ("target", re.compile(rf"eventbus/{_PART}/rule/{_PART}/target/{_PART}")),
        ("source", re.compile(rf"(?:eventbus/{_PART}/)?eventsource/{_PART}")),
        ("stream", re.compile(rf"eventstreaming/{_PART}")),
    ),
    "fc": (
        # FC 3.0, then FC 2.0 as all EventBridge examples write it.
        ("function", re.compile(r"functions/(?P<name>[^/:\s]+)(?:/(?P<qualifier>[^/:\s]+))?")),
        (
            "function",
            re.compile(
                r"services/(?P<service>[^/:.\s]*)(?:\.(?P<qualifier>[^/:\s]+))?"
                r"/functions/(?P<name>[^/:\s]+)"
            ),
        ),
    ),
    "mns": (("queue", re.compile(rf"/?queues/{_PART}(?:/messages)?")),),
}


class Arn(msgspec.Struct, frozen=True):
    """A parsed ARN of something that lives here."""

    kind: Kind
    region: str
    account: str
    #: From the outside in, e.g. (bus, rule, target id); a source without a bus has only its own
    #: name.
    names: tuple[str, ...]
    #: Functions only; None when the ARN has none.
    qualifier: str | None = None
    #: FC 2.0 form only; services do not exist here, kept to be echoed.
    service: str | None = None

    @property
    def name(self) -> str:
        return self.names[-1]


def parse_arn(text: str, *, field: str = "Arn") -> Arn:
    """Read an ARN of any kind and form listed above.

    Raises: InvalidInput.
    """
    outer = _ARN.fullmatch(text)
    for kind, pattern in _RESOURCES.get(outer[1], ()) if outer else ():
        assert outer is not None, "no pattern without a match"
        if found := pattern.fullmatch(outer[4]):
            named = found.groupdict()
            return Arn(
                kind=kind,
                region=outer[2],
                account=outer[3],
                names=(named["name"],) if named else tuple(g for g in found.groups() if g),
                qualifier=named.get("qualifier"),
                service=named.get("service"),
            )
    raise errors.InvalidInput(f"[{text[:256]}] is no ARN known here.", field=field, got=text[:256])


def bus_arn(region: str, account: str, bus: str) -> str:
    return f"acs:eventbridge:{region}:{account}:eventbus/{bus}"


def rule_arn(region: str, account: str, bus: str, rule: str) -> str:
    return f"{bus_arn(region, account, bus)}/rule/{rule}"


def target_arn(region: str, account: str, bus: str, rule: str, *, target: str) -> str:
    return f"{rule_arn(region, account, bus, rule)}/target/{target}"


def source_arn(region: str, account: str, bus: str, source: str) -> str:
    return f"{bus_arn(region, account, bus)}/eventsource/{source}"


def official_source_arn(region: str, source: str) -> str:
    return f"acs:eventbridge:{region}:SYSTEM:eventsource/{source}"


def stream_arn(region: str, account: str, stream: str) -> str:
    return f"acs:eventbridge:{region}:{account}:eventstreaming/{stream}"


def function_arn(region: str, account: str, function: str, qualifier: str | None = None) -> str:
    """The FC 3.0 form."""
    suffix = f"/{qualifier}" if qualifier else ""
    return f"acs:fc:{region}:{account}:functions/{function}{suffix}"


def service_function_arn(
    region: str, account: str, service: str, function: str, *, qualifier: str = LATEST
) -> str:
    """The FC 2.0 form, in which EventBridge names a function as a target."""
    return f"acs:fc:{region}:{account}:services/{service}.{qualifier}/functions/{function}"


def queue_arn(region: str, account: str, queue: str) -> str:
    """The form of a dead-letter queue; `endpoint_of_queue` is that of a target."""
    return f"acs:mns:{region}:{account}:/queues/{queue}"


def endpoint_of_queue(region: str, account: str, queue: str) -> str:
    return f"acs:mns:{region}:{account}:queues/{queue}"


def check_bus_name(name: str) -> str:
    """Return `name`. Raises: BusNameInvalid."""
    if not _fits(_RESOURCE, name, limits.NAME_CHARS_MAX) or name.startswith(RESERVED_PREFIX):
        raise errors.BusNameInvalid(
            f"The event bus name [{name[:128]}] is invalid: 1 to {limits.NAME_CHARS_MAX} letters, "
            f"digits, hyphens, first a letter or digit, not {RESERVED_PREFIX}….",
            field="EventBusName",
            got=name[:128],
        )
    return name


def check_rule_name(name: str) -> str:
    """Return `name`. Raises: RuleNameInvalid."""
    if not _fits(_RULE, name, limits.NAME_CHARS_MAX):
        raise errors.RuleNameInvalid(
            f"The event rule name [{name[:128]}] is invalid: 1 to {limits.NAME_CHARS_MAX} letters, "
            "digits, hyphens.",
            field="RuleName",
            got=name[:128],
        )
    return name


def check_source_name(name: str) -> str:
    """Return `name`. Raises: InvalidInput (EventSourceNameInvalid)."""
    if not _fits(_RESOURCE, name, limits.NAME_CHARS_MAX):
        raise _invalid(name, "event source name", "EventSourceName", code="EventSourceNameInvalid")
    return name


def check_target_id(name: str) -> str:
    """Return `name`. Raises: InvalidInput."""
    if not _fits(_TARGET_ID, name, 255):
        raise _invalid(name, "target id", "Id")
    return name


def check_function_name(name: str) -> str:
    """Return `name`. Raises: InvalidInput."""
    if not _fits(_FUNCTION, name, limits.FUNCTION_NAME_CHARS_MAX):
        raise _invalid(name, "function name", "functionName")
    return name


def check_trigger_name(name: str) -> str:
    """Return `name`. Raises: InvalidInput."""
    if not _fits(_FUNCTION, name, limits.FUNCTION_NAME_CHARS_MAX):
        raise _invalid(name, "trigger name", "triggerName")
    return name


def check_task_id(name: str) -> str:
    """Return `name`, the id of an asynchronous task. Raises: InvalidInput."""
    if not _fits(_FUNCTION, name, limits.FUNCTION_NAME_CHARS_MAX):
        raise _invalid(name, "task id", "x-fc-async-task-id")
    return name


def check_queue_name(name: str) -> str:
    """Return `name`. Raises: InvalidInput."""
    if not _fits(_QUEUE, name, limits.QUEUE_NAME_CHARS_MAX):
        raise _invalid(name, "queue name", "QueueName")
    return name


def bus_request_id(random: clock.Random) -> str:
    """Return a request id as EventBridge writes them: a version 4 UUID in capitals."""
    bits = random.getrandbits(128)
    bits = bits & ~(0xF << 76) | 4 << 76
    bits = bits & ~(0x3 << 62) | 2 << 62
    text = f"{bits:032X}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def function_request_id(clock: clock.Clock, random: clock.Random) -> str:
    """Return a request id as Function Compute writes them: 1-<seconds>-<hex>-<hex>."""
    chance = random.getrandbits(80)
    seconds = clock.wall_ms() // 1000
    return f"1-{seconds:08x}-{chance >> 48:08x}-{chance & 0xFFFFFFFFFFFF:012x}"


def instance_id(clock: clock.Clock, random: clock.Random) -> str:
    """Return an instance id as Function Compute writes them: c-<seconds>-<hex>."""
    return f"c-{clock.wall_ms() // 1000:08x}-{random.getrandbits(80):020x}"


def _fits(pattern: re.Pattern[str], name: str, chars_max: int) -> bool:
    return len(name) <= chars_max and pattern.fullmatch(name) is not None


def _invalid(name: str, what: str, field: str, *, code: str | None = None) -> errors.InvalidInput:
    fault = errors.InvalidInput(
        f"The {what} [{name[:128]}] is invalid.", code=code, field=field, got=name[:128]
    )
    if code is not None:
        fault.status = 409  # EventBridge answers a bad name of a resource as a business error
    return fault
