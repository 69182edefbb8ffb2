"""The records that deliveries bring forth, and the message a target is handed.

Dead letters, queue messages and asynchronous calls are ordinary records on internal buses (`~dead`,
`~queues`, `~async`): one store, one trace, one retry mechanism. Pure but for the ids and times
passed in.
"""

from __future__ import annotations

import base64
import datetime
import functools
from collections.abc import Mapping
from typing import Any

import msgspec

from headrace.bus import ledger as ledgers
from headrace.bus import subscription as subscriptions
from headrace.core import clock as clocks
from headrace.core import delivery, errors, event, jsontext
from headrace.store import ports

#: Type of the event that carries an asynchronous invocation.
CALL_TYPE = "fc:Function:AsyncInvoke"
#: Type of a message on a built-in queue (fc.md §7.3).
QUEUE_TYPE = "mns:Queue:SendMessage"
#: Extensions of a dead letter. CHOICE (eventbridge.md 2.5): the cloud documents no format.
LETTER_RULE, LETTER_TARGET = "ebdlqrule", "ebdlqtarget"
LETTER_ERROR, LETTER_ATTEMPTS, LETTER_TIME = "ebdlqerror", "ebdlqattempts", "ebdlqtime"
LETTER_FIELDS = (LETTER_RULE, LETTER_TARGET, LETTER_ERROR, LETTER_ATTEMPTS, LETTER_TIME)

#: Characters kept of what a target said of a failure.
TEXT_CHARS_MAX = 512


class Head(msgspec.Struct):
    """The attributes a delivery needs of an event, read without decoding its data."""

    id: str
    source: str
    type: str


_read_head = msgspec.json.Decoder(Head).decode
_read_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def head(body: bytes) -> Head:
    return _read_head(body)


def message(
    subscription: subscriptions.Subscription,
    position: int,
    body: bytes,
    attempt: int,
    request_id: str,
) -> delivery.Message:
    """Render one delivery. Raises: transform.Failed."""
    about = _read_head(body)
    return delivery.Message(
        position, about.id, about.source, about.type, attempt,
        subscription.account, subscription.bus, subscription.rule, subscription.target,
        request_id, _params(subscription, body), body,
    )  # fmt: skip


def _params(subscription: subscriptions.Subscription, body: bytes) -> dict[str, str | None]:
    """Render the ParamList; the event is decoded only when a form reads its fields."""
    params: dict[str, str | None] = {}
    fields: Mapping[str, Any] | None = None
    for key, made in subscription.params:
        if fields is None and made.reads_fields:
            fields = jsontext.decode(body)
        params[key] = made.apply(fields, body)
    return params


class Detail(msgspec.Struct, frozen=True):
    """What is kept of a failed attempt beside its code."""

    kind: str
    text: str
    head: str = ""


def detail(outcome: delivery.Outcome) -> bytes:
    """Pack class, text and response head of a failure; at most 4 KiB."""
    text = _said(outcome.text)
    shown = outcome.detail[: delivery.DETAIL_BYTES_MAX // 2].decode("utf-8", "replace")
    packed = msgspec.json.encode(Detail(outcome.kind, text, shown))
    while len(packed) > delivery.DETAIL_BYTES_MAX:  # an escape takes up to six bytes
        shown = shown[: len(shown) // 2]
        packed = msgspec.json.encode(Detail(outcome.kind, text, shown))
    return packed


def _said(text: str) -> str:
    """What a target said of a failure, bounded, and encodable whatever it is."""
    return text[:TEXT_CHARS_MAX].encode("utf-8", "replace").decode()


def read_detail(packed: bytes) -> Detail:
    return msgspec.json.decode(packed, type=Detail) if packed else Detail("", "")


class Addresses(msgspec.Struct, frozen=True):
    """Interned numbers of one account's internal buses and of its store of dead letters."""

    dead_bus: int
    dead_subscription: int
    queue_bus: int
    async_bus: int


class Postbox:
    """Builds internal records. Knows the numbers, writes nothing."""

    def __init__(self, clock: clocks.Clock, random: clocks.Random) -> None:
        self._clock = clock
        self._random = random
        self.addresses: dict[str, Addresses] = {}
        #: (account, queue name) → subscription of the queue.
        self.queues: dict[tuple[str, str], int] = {}
        #: (account, function name) → subscription of its asynchronous queue.
        self.calls: dict[tuple[str, str], int] = {}

    async def open(self, account: str, registry: ports.Registry) -> None:
        """Learn (or allot) the numbers of `account`."""
        self.addresses[account] = Addresses(
            dead_bus=await registry.intern(f"{account}/bus/~dead"),
            dead_subscription=await registry.intern(f"{account}/subscription/~dead"),
            queue_bus=await registry.intern(f"{account}/bus/~queues"),
            async_bus=await registry.intern(f"{account}/bus/~async"),
        )

    def dead_letter(
        self,
        subscription: subscriptions.Subscription,
        position: int,
        record: ports.Record,
        outcome: delivery.Outcome,
        attempts: int,
    ) -> ports.Record:
        """The event as it was, plus why it could not be delivered; on the queue the target names,
        too."""
        members = _read_members(record.body)
        rule = f"{subscription.bus}/{subscription.rule}" if subscription.bus else subscription.rule
        members[LETTER_RULE] = _text(rule)
        members[LETTER_TARGET] = _text(subscription.target)
        members[LETTER_ERROR] = _text(f"[{outcome.code}]{_said(outcome.text)}")
        members[LETTER_ATTEMPTS] = _text(str(attempts))
        members[LETTER_TIME] = _text(iso(self._clock.wall_ms()))
        known = self.addresses[subscription.account]
        matches = [known.dead_subscription]
        queue = subscription.dead_letter_queue
        if queue is not None and (number := self.queues.get((subscription.account, queue))):
            matches.append(number)
        return self._record(
            known.dead_bus,
            tuple(sorted(matches)),
            msgspec.json.encode(members),
            record.key,
            position,
        )

    def forwarded(
        self, account: str, forward: delivery.Forward, origin: int
    ) -> ports.Record | None:
        """The record a sender asked for; None when the queue or function is gone."""
        if forward.to == "queue":
            return self.queue_message(account, forward.name, forward.body, origin)
        if (account, forward.name) not in self.calls:
            return None
        return self.call(account, forward.name, forward.body, forward.request_id, origin)

    def queue_message(
        self, account: str, queue: str, body: bytes, origin: int | None
    ) -> ports.Record | None:
        """A message on a built-in queue, shaped as the queue's own event source would say it."""
        number = self.queues.get((account, queue))
        if number is None:
            return None
        message_id = self.unique()
        envelope = msgspec.json.encode(
            {
                "specversion": "1.0",
                "id": message_id,
                "source": "acs.mns",
                "type": QUEUE_TYPE,
                "subject": f"queues/{queue}",
                "time": iso(self._clock.wall_ms()),
                "datacontenttype": "application/json; charset=utf-8",
                "data": {
                    "messageId": message_id,
                    "messageBody": body.decode("utf-8", "replace"),
                },
            }
        )
        bus, key = self.addresses[account].queue_bus, event.key_of("", message_id)
        return self._record(bus, (number,), envelope, key, origin)

    def call(
        self, account: str, function: str, payload: bytes, request_id: str, origin: int | None
    ) -> ports.Record:
        """An asynchronous invocation: the payload as it came, waiting for its function.

        Raises: errors.FunctionNotFound.
        """
        body = msgspec.json.encode(
            {
                "specversion": "1.0",
                "id": request_id,
                "source": "acs.fc",
                "type": CALL_TYPE,
                "subject": f"functions/{function}",
                "time": iso(self._clock.wall_ms()),
                "data_base64": base64.b64encode(payload).decode(),
            }
        )
        number = self.calls.get((account, function))
        if number is None:  # deleted since it was looked up
            missing = f"The function [{function}] does not exist."
            raise errors.FunctionNotFound(missing, field="functionName", got=function)
        bus, key = self.addresses[account].async_bus, event.key_of("", request_id)
        return self._record(bus, (number,), body, key, origin)

    def copy(self, record: ports.Record, matches: tuple[int, ...], origin: int) -> ports.Record:
        """The same event again, for these subscriptions only (re-send, replay, carry-forward)."""
        return msgspec.structs.replace(
            record, generation=ledgers.COPIED, matches=matches, origin=ports.Position(origin)
        )

    def unique(self) -> str:
        """A random id, 32 upper-case hex digits."""
        return f"{self._random.getrandbits(128):032X}"

    def _record(
        self, bus: int, matches: tuple[int, ...], body: bytes, key: int, origin: int | None
    ) -> ports.Record:
        came_from = None if origin is None else ports.Position(origin)
        now = self._clock.wall_ms()
        return ports.Record(bus, now, 0, key, ledgers.COPIED, matches, body, came_from)


def without_letter(body: bytes) -> bytes:
    """The event as it was before it became a dead letter."""
    members = _read_members(body)
    for name in LETTER_FIELDS:
        members.pop(name, None)
    return msgspec.json.encode(members)


def payload_of(body: bytes) -> bytes:
    """The bytes an asynchronous call carries."""
    return base64.b64decode(msgspec.json.decode(body)["data_base64"])


def iso(ms: int) -> str:
    """RFC 3339 UTC with milliseconds, as aliyunpublishtime has it."""
    seconds, rest = divmod(ms, 1000)
    return f"{_second(seconds)}.{rest:03d}Z"


@functools.lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _text(value: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
