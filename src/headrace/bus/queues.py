"""Built-in queues: messages are open deliveries of a passive subscription.

Sending is an append, purging closes, peeking reads; no message is ever held in memory.
"""

from __future__ import annotations

import msgspec

from headrace.bus import commit, deliver, letters
from headrace.bus import ledger as ledgers
from headrace.core import errors
from headrace.store import ports

#: Messages one peek returns at most.
PEEK_MAX = 1000
#: Bytes of messages one peek returns; the message that goes beyond is still among them.
PEEK_BYTES_MAX = 32 * 1024 * 1024
#: Messages read at a time.
FETCH_MAX = 64


class QueueMessage(msgspec.Struct, frozen=True):
    position: int
    message_id: str
    sent_ms: int
    body: str
    #: Position of the event it came from, when a rule or a dead letter brought it here.
    origin: int | None


class _Data(msgspec.Struct):
    messageBody: str  # noqa: N815 (the queue's own spelling)


class _Envelope(msgspec.Struct):
    id: str
    type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class Queues:
    """The messages of the built-in queues."""

    def __init__(
        self,
        journal: ports.Journal,
        ledger: ledgers.Ledger,
        committer: commit.Committer,
        postbox: letters.Postbox,
    ) -> None:
        self._journal = journal
        self._ledger = ledger
        self._committer = committer
        self._postbox = postbox

    def depth(self, account: str, queue: str) -> int:
        """How many messages wait. Raises: errors.QueueNotFound."""
        return len(self._ledger.deliveries(self._number(account, queue)).open)

    async def send(self, account: str, queue: str, body: str) -> str:
        """Append one message; return its id once it is durable. Raises: errors.QueueNotFound."""
        self._number(account, queue)
        record = self._postbox.queue_message(account, queue, body.encode(), None)
        assert record is not None, "the queue was there a line ago"
        await self._committer.append((record,))
        return letters.head(record.body).id

    async def peek(self, account: str, queue: str, limit: int = 10) -> list[QueueMessage]:
        """The oldest messages, left where they are. Raises: errors.QueueNotFound."""
        wanted: list[ports.Position] = []
        for position in self._ledger.deliveries(self._number(account, queue)).open:
            if len(wanted) >= min(limit, PEEK_MAX):
                break
            wanted.append(ports.Position(position))
        found: list[QueueMessage] = []
        size = 0
        for start in range(0, len(wanted), FETCH_MAX):
            chunk = wanted[start : start + FETCH_MAX]
            for position, record in zip(chunk, await self._journal.fetch(chunk), strict=True):
                if record is not None:
                    found.append(_read(int(position), record))
                    size += len(record.body)
                if size >= PEEK_BYTES_MAX:
                    return found
        return found

    async def purge(self, account: str, queue: str) -> int:
        """Close every message; return how many there were, once that is durable. Raises:
        errors.QueueNotFound."""
        number = self._number(account, queue)
        positions = list(self._ledger.deliveries(number).open)
        for start in range(0, len(positions), deliver.DROP_CHUNK):
            facts = [
                ports.Settlement(
                    ports.Position(position),
                    number,
                    ports.Verdict.DROPPED,
                    code=int(ports.DropReason.PURGED),
                )
                for position in positions[start : start + deliver.DROP_CHUNK]
            ]
            await self._committer.append((), facts)
        return len(positions)

    def _number(self, account: str, queue: str) -> int:
        number = self._postbox.queues.get((account, queue))
        if number is None:
            raise errors.QueueNotFound(
                f"the queue [{queue}] does not exist", field="queue", got=queue
            )
        return number


def _read(position: int, record: ports.Record) -> QueueMessage:
    """A queue's own message says its body; a dead letter on a queue is the whole event."""
    envelope = msgspec.json.decode(record.body, type=_Envelope)
    origin = None if record.origin is None else int(record.origin)
    if envelope.type == letters.QUEUE_TYPE:
        body = msgspec.json.decode(envelope.data, type=_Data).messageBody
    else:
        body = record.body.decode()
    return QueueMessage(position, envelope.id, record.received_ms, body, origin)
