"""The examination of a data directory that no server holds: every sum, every count, both laws.

Recounts the deliveries from the rows (`store/sqlite/recount`) and holds them against what the bus's
ledger says (its last snapshot and the replay after it). The two share no code, so one missing
settlement or delivery shows. Changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec

from headrace import outside
from headrace.bus import conservation
from headrace.bus import ledger as ledgers
from headrace.store import sqlite
from headrace.store.sqlite import disk as disks
from headrace.store.sqlite import recount, verify

#: Sentences a report holds of one kind.
SHOWN_MAX = 20


class Report(msgspec.Struct):
    """What was looked at, and what is wrong."""

    directory: str
    segments: int = 0
    events: int = 0
    open: int = 0
    balanced: bool = True
    #: The rows could be counted at all.
    recounted: bool = False
    problems: list[str] = []

    @property
    def healthy(self) -> bool:
        return not self.problems


class Evidence(msgspec.Struct):
    """Both sides of the comparison."""

    baseline: ledgers.Ledger
    ledger: ledgers.Ledger
    rows: recount.Rows
    names: dict[int, str]


def check(path: Path, *, files: bool = True) -> Report:
    """Examine a data directory.

    files: False when every segment was read and found whole already.
    Raises: store.ports.StoreError (a server runs on it, it is not ours, its log cannot be opened).
    """
    return asyncio.run(_check(path, files=files))


async def _check(path: Path, *, files: bool) -> Report:
    directory = sqlite.Directory.open(path)
    try:
        folder = directory.shard(0)
        report = Report(str(path), problems=[])
        found = sorted(folder.glob("*.seg"))
        report.segments = len(found)
        for file in found if files else ():
            report.problems.extend(verify.problems(disks.Disk(), file))
        evidence = await _evidence(directory, folder)
        report.recounted = True
        report.events = sum(evidence.rows.seen.values())
        report.open = evidence.ledger.pending()
        found = [*law_one(evidence), *law_two(evidence), *open_sets(evidence)]
        books = conservation.books(evidence.ledger, evidence.names.get)
        found.extend(unbalanced(books))
        report.balanced = not found
        report.problems.extend(found[:SHOWN_MAX])
        return report
    finally:
        directory.close()


async def _evidence(directory: sqlite.Directory, folder: Path) -> Evidence:
    registry = sqlite.SqliteRegistry(directory, outside.SystemClock())
    await registry.open()
    writer = outside.writer_executor("headrace-doctor")
    journal = sqlite.SqliteJournal(directory, 0, writer=writer)
    try:
        opened = await journal.open()
        _, state = await journal.baseline()
        ledger = ledgers.Ledger.load(opened.state)
        async for replayed in journal.replay(opened.at):
            ledger.apply(replayed.frame, replayed.last)
        rows = await asyncio.to_thread(recount.recount, folder)
        numbers = {
            *ledger.subscriptions,
            *(rule for bus in ledger.buses.values() for rule in bus.rules),
        }
        names = {number: registry.name_of(number) or str(number) for number in numbers}
        return Evidence(ledgers.Ledger.load(state), ledger, rows, names)
    finally:
        await journal.close()
        await registry.close()
        writer.shutdown()


def law_one(evidence: Evidence) -> Iterator[str]:
    """Per subscription: the counters since the baseline equal the rows."""
    for number in sorted({*evidence.ledger.subscriptions, *evidence.rows.subscriptions}):
        state = evidence.ledger.deliveries(number)
        before = evidence.baseline.deliveries(number)
        tally = evidence.rows.subscriptions.get(number, recount.Tally())
        for field in ("enqueued", "carried_in", "delivered", "dead", "moved_out"):
            counted = getattr(state, field) - getattr(before, field)
            yield from _differs(evidence, number, field, counted, getattr(tally, field))
        dropped = sum(state.dropped.values()) - sum(before.dropped.values())
        yield from _differs(evidence, number, "dropped", dropped, tally.dropped)


def open_sets(evidence: Evidence) -> Iterator[str]:
    """Position by position: what the rows leave open is what the ledger holds open."""
    rows, ledger = evidence.rows, evidence.ledger
    expected = {
        (position, number)
        for number, state in evidence.baseline.subscriptions.items()
        for position in state.open
    }
    expected = (expected | rows.open) - rows.closed_before
    held = {
        (position, number)
        for number, state in ledger.subscriptions.items()
        for position in state.open
    }
    for position, number in sorted(expected - held)[:SHOWN_MAX]:
        name = _name(evidence, number)
        yield f"delivery {position} of {name}: closed by the ledger, by no settlement row"
    for position, number in sorted(held - expected)[:SHOWN_MAX]:
        name = _name(evidence, number)
        yield f"delivery {position} of {name}: open by the ledger, by no event row"


def law_two(evidence: Evidence) -> Iterator[str]:
    """Per rule: accepted while enabled and matched, since the baseline, equal the rows."""
    enabled = {
        tuple(map(int, name.removeprefix(ledgers.RULES_MARK).split("/"))): set(
            msgspec.msgpack.decode(value, type=ledgers.RuleSnapshot).enabled
        )
        for name, value in evidence.rows.marks.items()
    }
    for bus, account in evidence.ledger.buses.items():
        past = evidence.baseline.buses.get(bus, ledgers.BusAccount())
        unknown = [key for key in evidence.rows.seen if key[0] == bus and key not in enabled]
        for rule, books in account.rules.items():
            before = past.rules.get(rule, ledgers.RuleAccount())
            matched = books.matched - before.matched
            yield from _differs(
                evidence, rule, "matched", matched, evidence.rows.matched.get(rule, 0)
            )
            if unknown:  # the rules of an old snapshot are not kept any more
                continue
            counted = books.accepted(account.accepted) - before.accepted(past.accepted)
            rows = sum(
                events
                for key, events in evidence.rows.seen.items()
                if key[0] == bus and rule in enabled[key]
            )
            yield from _differs(evidence, rule, "accepted", counted, rows)


def unbalanced(books: conservation.Books) -> Iterator[str]:
    for row in (*books.subscriptions, *books.rules):
        if row.balance:
            yield f"{row.name}: the books are off by {row.balance}"


def _differs(evidence: Evidence, number: int, what: str, counted: int, rows: int) -> Iterator[str]:
    if counted != rows:
        yield f"{_name(evidence, number)}: {what} {counted} by the ledger, {rows} by the rows"


def _name(evidence: Evidence, number: int) -> str:
    return evidence.names.get(number, str(number))
