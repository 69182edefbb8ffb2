"""Dead letters: always kept, readable, and re-sendable.

A dead letter is an open delivery of the account's `~dead` subscription; re-sending closes it and
appends the event again for the subscription it failed on, in one frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headrace.bus import commit, letters, routing
from headrace.bus import ledger as ledgers
from headrace.bus import subscription as subscriptions
from headrace.core import errors
from headrace.store import ports

#: Letters one call lists at most.
LIST_MAX = 1000
#: Bytes of letters one call lists; the letter that goes beyond is still among them.
LIST_BYTES_MAX = 32 * 1024 * 1024
#: Letters read at a time.
FETCH_MAX = 64


class DeadLetter(msgspec.Struct, frozen=True):
    """One dead letter; `id` is its position, as text."""

    id: str
    died_ms: int
    event_id: str
    source: str
    type: str
    rule: str
    target: str
    error: str
    attempts: int
    #: The event as it was.
    event: msgspec.Raw
    #: Position of the event that could not be delivered.
    origin: int


class _Letter(msgspec.Struct):
    id: str
    source: str
    type: str
    ebdlqrule: str
    ebdlqtarget: str
    ebdlqerror: str
    ebdlqattempts: str


class DeadLetters:
    """The store of dead letters of every account of this shard."""

    def __init__(
        self,
        journal: ports.Journal,
        ledger: ledgers.Ledger,
        committer: commit.Committer,
        postbox: letters.Postbox,
        router: routing.Routing,
    ) -> None:
        self._journal = journal
        self._ledger = ledger
        self._committer = committer
        self._postbox = postbox
        self._router = router

    def count(self, account: str) -> int:
        return len(self._ledger.deliveries(self._number(account)).open)

    async def list(
        self, account: str, *, rule: str | None = None, limit: int = 100
    ) -> list[DeadLetter]:
        """The newest letters first, at most `limit` (1..LIST_MAX)."""
        limit = min(limit, LIST_MAX)
        found: list[DeadLetter] = []
        size = 0
        before: int | None = None
        while chunk := self._newest(account, before, limit if rule is None else FETCH_MAX):
            before = int(chunk[-1])
            for position, record in zip(chunk, await self._journal.fetch(chunk), strict=True):
                if record is None:
                    continue
                letter = _read(int(position), record)
                if rule is None or letter.rule.rsplit("/", 1)[-1] == rule:
                    found.append(letter)
                    size += len(record.body)
                if len(found) >= limit or size >= LIST_BYTES_MAX:
                    return found
        return found

    def _newest(self, account: str, before: int | None, most: int) -> list[ports.Position]:
        """The newest open letters below `before`, newest first; never all of them at once."""
        kept = self._ledger.deliveries(self._number(account)).open
        stop = len(kept) if before is None else kept.rank(before - 1)
        start = max(0, stop - min(most, FETCH_MAX))
        return [ports.Position(position) for position in reversed(list(kept[start:stop]))]

    async def get(self, account: str, letter_id: str) -> DeadLetter:
        """Raises: errors.DeadLetterNotFound."""
        position, record = await self._open(account, letter_id)
        return _read(position, record)

    async def resend(self, account: str, letter_ids: Sequence[str]) -> list[str]:
        """Deliver these events again to the targets they failed on; return the new trace ids.

        Raises: errors.DeadLetterNotFound, errors.TargetNotFound (the target is gone); nothing is
        sent then.
        """
        plans: list[tuple[ports.Record, ports.Settlement]] = []
        for letter_id in dict.fromkeys(letter_ids):
            position, record = await self._open(account, letter_id)
            failed_on = self._failed_on(account, position, record)
            bus = await self._bus_of(account, failed_on)
            fact = ports.Settlement(
                ports.Position(position), self._number(account), ports.Verdict.DROPPED,
                code=int(ports.DropReason.RESENT),
            )  # fmt: skip
            again = self._postbox.copy(record, (failed_on.id,), position)
            body = letters.without_letter(record.body)
            plans.append((msgspec.structs.replace(again, bus=bus, body=body), fact))
        for _, fact in plans:  # no await from here to the last `submit`: nobody comes between
            self._check_open(account, int(fact.position))
        queued = [self._committer.submit((record,), (fact,)) for record, fact in plans]
        return [f"{await written:016X}" for written in queued]

    def _check_open(self, account: str, position: int) -> None:
        """A letter that another call has sent again is gone before its frame is durable."""
        number = self._number(account)
        is_open = position in self._ledger.deliveries(number).open
        if not is_open or self._committer.is_settling(position, number):
            raise errors.DeadLetterNotFound(
                f"no dead letter [{position}]", field="Id", got=str(position)
            )

    async def _bus_of(self, account: str, failed_on: subscriptions.Subscription) -> int:
        if failed_on.bus:
            return await self._router.number(account, failed_on.bus)
        return self._postbox.addresses[account].async_bus

    def _failed_on(
        self, account: str, position: int, record: ports.Record
    ) -> subscriptions.Subscription:
        """The subscription whose delivery died here: by the rule and target the letter names."""
        letter = _read(position, record)
        for known in self._router.subscriptions.values():
            name = f"{known.bus}/{known.rule}" if known.bus else known.rule
            is_same = name == letter.rule and known.target == letter.target
            if is_same and known.account == account:
                return known
        raise errors.TargetNotFound(
            f"the target [{letter.target}] of rule [{letter.rule}] is gone",
            remedy="Make the rule and its target again, or publish the event anew.",
        )

    async def _open(self, account: str, letter_id: str) -> tuple[int, ports.Record]:
        state = self._ledger.deliveries(self._number(account))
        is_position = letter_id.isascii() and letter_id.isdigit() and len(letter_id) < 20
        position = int(letter_id) if is_position else -1
        if position >= 0 and position in state.open:
            record = (await self._journal.fetch([ports.Position(position)]))[0]
            if record is not None:
                return position, record
        raise errors.DeadLetterNotFound(f"no dead letter [{letter_id}]", field="Id", got=letter_id)

    def _number(self, account: str) -> int:
        return self._postbox.addresses[account].dead_subscription


def _read(position: int, record: ports.Record) -> DeadLetter:
    letter = msgspec.json.decode(record.body, type=_Letter)
    return DeadLetter(
        str(position), record.received_ms, letter.id, letter.source, letter.type,
        letter.ebdlqrule, letter.ebdlqtarget, letter.ebdlqerror, int(letter.ebdlqattempts),
        msgspec.Raw(letters.without_letter(record.body)), int(record.origin or 0),
    )  # fmt: skip
