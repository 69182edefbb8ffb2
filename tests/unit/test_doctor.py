"""The recount from the rows finds what the counters cannot: one settlement, one delivery gone."""

from __future__ import annotations

from pathlib import Path

import apsw
import msgspec
import pytest

from headrace import doctor, outside
from headrace.bus import commit
from headrace.bus import ledger as ledgers
from headrace.store import ports, sqlite
from headrace.store.settings import JournalSettings

pytestmark = pytest.mark.anyio

BUS, RULE, TARGET = 1, 101, 5


def record(*matches: int, generation: int = 1, origin: int | None = None) -> ports.Record:
    came_from = None if origin is None else ports.Position(origin)
    return ports.Record(BUS, 0, 0, 0, generation, tuple(sorted(matches)), b"{}", came_from)


def settled(position: int, verdict: ports.Verdict = ports.Verdict.DELIVERED) -> ports.Settlement:
    return ports.Settlement(ports.Position(position), TARGET, verdict)


class Shard:
    """A journal with its ledger and committer, as the engine wires them."""

    def __init__(self, path: Path, settings: JournalSettings | None = None) -> None:
        self.directory = sqlite.Directory.open(path)
        self.writer = outside.writer_executor("test")
        self.ledger = ledgers.Ledger()
        self.journal = sqlite.SqliteJournal(
            self.directory,
            0,
            writer=self.writer,
            settings=settings,
            snapshot=lambda: (self.ledger.last, self.ledger.dump()),
        )
        self.committer = commit.Committer(
            self.journal, self.ledger, outside.SystemClock(), broken=lambda fault: None
        )

    async def __aenter__(self) -> Shard:
        await self.journal.open()
        self.committer.start()
        rules = msgspec.msgpack.encode(ledgers.RuleSnapshot((RULE,), (RULE,)))
        self.committer.mark(f"{ledgers.RULES_MARK}{BUS}/1", rules)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.committer.close()
        await self.journal.save(self.ledger.last, self.ledger.dump())
        await self.journal.close()
        self.writer.shutdown()
        self.directory.close()

    async def traffic(self, events: int) -> list[int]:
        """Accept events of which every second matches, settle all but the last three."""
        positions: list[int] = []
        for number in range(events):
            matches = (-RULE, TARGET) if number % 2 else ()
            positions.append(await self.committer.append((record(*matches),)))
        matched = positions[1::2]
        for position in matched[:-3]:
            await self.committer.append((), (settled(position),))
        return matched


def rows(path: Path, statement: str) -> None:
    """Change rows of the newest file behind everyone's back."""
    newest = max((path / "shard-0000").glob("*.seg"))
    apsw.Connection(str(newest)).execute(statement)


def unmatched(position: int) -> str:
    """The event at `position` loses its match set."""
    empty = "SELECT id FROM mset WHERE subs = '[]'"
    return f"UPDATE event SET mset = ({empty}) WHERE pos = {position}"


async def make(path: Path, settings: JournalSettings | None = None) -> list[int]:
    async with Shard(path, settings) as shard:
        return await shard.traffic(40)


def examine(path: Path) -> doctor.Report:
    return doctor.check(path)


async def checked(path: Path) -> doctor.Report:
    import asyncio

    return await asyncio.to_thread(examine, path)


async def test_a_sound_directory_has_nothing_to_report(tmp_path: Path) -> None:
    await make(tmp_path)
    report = await checked(tmp_path)
    assert report.problems == []
    assert (report.events, report.open) == (40, 3)


async def test_the_recount_holds_across_segments_with_the_oldest_as_baseline(
    tmp_path: Path,
) -> None:
    small = JournalSettings(roll_events=8)
    async with Shard(tmp_path, small) as shard:
        await shard.traffic(40)
        assert len(await shard.journal.segments()) > 3
        await shard.journal.quiesce()
        kept = (await shard.journal.segments())[1].first
        for position in list(shard.ledger.open_after(TARGET, 0)):
            await shard.committer.append((), (settled(position),))
        await shard.journal.trim(kept)
    report = await checked(tmp_path)
    assert report.problems == []


async def test_a_removed_settlement_is_found(tmp_path: Path) -> None:
    matched = await make(tmp_path)
    rows(tmp_path, f"DELETE FROM settle WHERE pos = {matched[2]}")
    report = await checked(tmp_path)
    assert not report.healthy
    assert any(f"delivery {matched[2]}" in text for text in report.problems)
    assert any("delivered" in text for text in report.problems)


async def test_a_removed_delivery_is_found(tmp_path: Path) -> None:
    """One event loses its match: the delivery is gone from the rows, the ledger still knows it."""
    matched = await make(tmp_path)
    rows(tmp_path, unmatched(matched[-1]))
    report = await checked(tmp_path)
    assert any(f"delivery {matched[-1]}" in text for text in report.problems)
    assert any("enqueued" in text for text in report.problems)
    assert any("matched" in text for text in report.problems)


async def test_one_settlement_and_one_delivery_removed_at_once_are_both_found(
    tmp_path: Path,
) -> None:
    matched = await make(tmp_path)
    rows(tmp_path, f"DELETE FROM settle WHERE pos = {matched[0]}")
    rows(tmp_path, unmatched(matched[-1]))
    report = await checked(tmp_path)
    told = "\n".join(report.problems)
    assert f"delivery {matched[0]}" in told
    assert f"delivery {matched[-1]}" in told


async def test_the_doctor_refuses_a_directory_a_server_holds(tmp_path: Path) -> None:
    async with Shard(tmp_path):
        with pytest.raises(ports.StoreError, match="in use"):
            await checked(tmp_path)


async def test_a_replay_of_an_event_that_is_then_carried_forward_is_no_second_carry(
    tmp_path: Path,
) -> None:
    """Both copies name the event as their origin; only one stands in the frame that moved it."""
    async with Shard(tmp_path) as shard:
        first = await shard.committer.append((record(-RULE, TARGET),))
        again = record(TARGET, generation=ledgers.COPIED, origin=first)
        await shard.committer.append((again,))
        await shard.committer.append((again,), (settled(first, ports.Verdict.MOVED),))
        await shard.committer.append((again,))
    report = await checked(tmp_path)
    assert report.problems == []
    assert report.open == 3


async def test_a_copy_of_a_delivery_that_had_closed_before_is_no_carry_for_both(
    tmp_path: Path,
) -> None:
    async with Shard(tmp_path) as shard:
        first = await shard.committer.append((record(-RULE, TARGET),))
        again = record(TARGET, generation=ledgers.COPIED, origin=first)
        await shard.committer.append((), (settled(first),))
        await shard.committer.append((again,), (settled(first, ports.Verdict.MOVED),))
    report = await checked(tmp_path)
    assert report.problems == []


async def test_deliveries_the_ledger_never_heard_of_are_found(tmp_path: Path) -> None:
    async with Shard(tmp_path) as shard:
        position = await shard.committer.append((record(-RULE, TARGET),))
        await shard.committer.append((), (settled(position),))
        del shard.ledger.subscriptions[TARGET]
    report = await checked(tmp_path)
    assert any("enqueued 0 by the ledger, 1 by the rows" in text for text in report.problems)
