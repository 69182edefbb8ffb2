"""More bytes than one frame may hold: cut into several where it can be, refused where it cannot."""

from __future__ import annotations

import asyncio

import pytest

from headrace.bus import commit
from headrace.core import errors
from headrace.store import frames, ports
from headrace.store.settings import JournalSettings
from tests import virtual_time
from tests.unit.bus.test_commit import Bench, record
from tests.unit.bus.world import ACCOUNT, DOWN, Target, world

pytestmark = pytest.mark.anyio

LARGE = "x" * 900_000


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": virtual_time.VirtualLoop}


async def test_entry_larger_than_a_frame_is_refused_and_the_writer_lives_on() -> None:
    async with Bench() as bench:
        with pytest.raises(errors.PayloadTooLarge):
            await bench.committer.append((record(bytes(commit.FRAME_BYTES_MAX)),))
        assert await bench.committer.append((record(),)) > 0
        assert bench.broken == []


async def test_matches_and_details_count_as_the_store_counts_them() -> None:
    async with Bench() as bench:
        many = tuple(range(1, 101))
        detail = bytes(frames.DETAIL_BYTES_MAX)
        first = await bench.committer.append((record(b"{}", *many),))
        waiting = [bench.committer.submit((record(b"{}", *many),)) for _ in range(4000)]
        for number in range(2000):
            bench.committer.settle(
                ports.Settlement(
                    ports.Position(first), number % 100 + 1, ports.Verdict.RETRY, detail=detail
                )
            )
        await asyncio.gather(*waiting)
        await bench.committer.append((), ())
        assert bench.broken == []
        assert max(frames.frame_bytes(one) for one in bench.frames) <= frames.FRAME_BYTES_MAX


def test_parts_keep_order_and_fit() -> None:
    records = [record(bytes(size)) for size in (10, 2_000_000, 1_200_000, 5, 3_100_000, 99_999)]
    cut = list(commit.parts(records))
    assert [one for part, _ in cut for one in part] == records
    assert [size for _, size in cut] == [commit.entry_bytes(part) for part, _ in cut]
    assert all(size <= commit.FRAME_BYTES_MAX for _, size in cut)
    assert len(cut) == 4
    assert list(commit.parts([])) == []


async def test_request_of_more_bytes_than_a_frame_is_stored_whole_and_in_order() -> None:
    async with world() as it:
        it.targets["t"] = Target()
        await it.rule("r", "t")
        ids = [f"e{number}" for number in range(8)]
        positions = await it.publish(*ids, data=LARGE)
        assert it.broken == []
        assert positions == sorted(set(positions))
        for event_id, position in zip(ids, positions, strict=True):
            kept = await it.engine.find_event(ACCOUNT, "default", event_id)
            assert kept is not None
            assert kept.position == position
        await virtual_time.passes(1)
        assert sorted(it.targets["t"].ids) == ids


async def test_large_open_deliveries_are_carried_forward() -> None:
    async with world(JournalSettings(roll_events=4)) as it:
        it.targets["t"] = Target(DOWN)
        await it.rule("r", "t", retry="EXPONENTIAL_DECAY_RETRY", pattern='{"source":["shop"]}')
        for number in range(8):
            await it.publish(f"kept-{number}", data=LARGE)
        for number in range(20):
            await it.publish(f"other-{number}", source="else")
        await virtual_time.passes(25 * 3600)  # simulated: the sweeps find the old segments
        assert it.broken == []
        assert (await it.engine.usage()).first > 1
        assert it.engine.ledger.pending() + it.engine.dead_letters.count(ACCOUNT) >= 8
