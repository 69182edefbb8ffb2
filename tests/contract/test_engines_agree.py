"""Random frames, every reading call: the embedded engine says what the one in memory says."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.store import ports
from headrace.store.settings import JournalSettings
from tests.contract import engines
from tests.contract.making import replayed, scanned

FRAMES_MAX = 25
#: Syncs are counted elsewhere; here they only cost time.
MEMORY = Path("/dev/shm")

ints = st.integers
records = st.builds(
    ports.Record,
    bus=ints(1, 2),
    received_ms=ints(1, 60),
    kind=ints(0, 3),
    key=st.one_of(ints(-3, 3), ints(-(2**63), 2**63 - 1)),
    generation=ints(0, 5),
    matches=st.lists(ints(1, 6), max_size=3, unique=True).map(lambda ids: tuple(sorted(ids))),
    body=st.binary(max_size=30),
    origin=st.none() | ints(1, 50).map(ports.Position),
)
settlements = st.builds(
    ports.Settlement,
    position=ints(1, 60).map(ports.Position),
    subscription=ints(1, 6),
    verdict=st.sampled_from(ports.Verdict),
    attempt=ints(1, 200),
    latency_us=ints(0, 10**8),
    code=ints(0, 599),
    wait_ms=ints(0, 10**6),
    detail=st.binary(max_size=20),
)
frames = st.builds(
    ports.Frame,
    at_ms=ints(1, 60),
    events=st.lists(records, max_size=4).map(tuple),
    settlements=st.lists(settlements, max_size=5).map(tuple),
    marks=st.dictionaries(st.text("ab", max_size=2), st.none() | st.binary(max_size=5)),
)
queries = st.builds(
    ports.EventQuery,
    bus=ints(1, 2),
    start_ms=ints(0, 40),
    stop_ms=ints(20, 70),
    key=st.none() | ints(-3, 3),
    kinds=st.none() | st.lists(ints(0, 4), max_size=2).map(tuple),
    subscriptions=st.none() | st.lists(ints(1, 7), max_size=2).map(tuple),
)
#: (what, argument): append, come to rest, reopen, save, trim
steps = st.one_of(
    st.tuples(st.just("append"), frames),
    st.tuples(st.just("append"), frames),
    st.tuples(st.just("append"), frames),
    st.tuples(st.sampled_from(["rest", "reopen"]), st.none()),
    st.tuples(st.just("save"), st.binary(max_size=5)),
    st.tuples(st.just("trim"), ints(0, 120)),
)


@settings(max_examples=60)
@given(
    st.lists(steps, max_size=FRAMES_MAX),
    st.lists(queries, min_size=1, max_size=3),
    st.lists(ints(0, 130), min_size=2, max_size=6),
    st.booleans(),
)
def test_engines_agree(
    script: list[tuple[str, Any]], asked: list[ports.EventQuery], places: list[int], rest: bool
) -> None:
    """Trim comes only after sealing: before, the embedded engine keeps more than memory does."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        kits = (engines.MemoryKit(), engines.SqliteKit(Path(folder) / "d"))
        said = [asyncio.run(_run(kit, script, asked, places, rest)) for kit in kits]
        for kit in kits:
            kit.close()
    assert said[0] == said[1]


async def _run(
    kit: engines.Kit,
    script: list[tuple[str, Any]],
    asked: list[ports.EventQuery],
    places: list[int],
    rest: bool,
) -> list[Any]:
    said: list[Any] = []
    bounds = JournalSettings(
        roll_events=6, roll_bytes=1_500, roll_ms=40, low_disk_bytes=0, reserve_bytes=0
    )
    last = ports.Position(0)

    def opener() -> ports.Journal:
        return kit.journal(bounds, lambda: (last, b"state at %d" % last))

    journal = opener()
    said.append(await journal.open())
    for what, argument in script:
        if what == "append":
            last = await journal.append(_about_the_past(argument, last))
            said.append(last)
        elif what == "rest":
            await kit.settled_down(journal)
        elif what == "save":
            await journal.save(last, argument)
        elif what == "trim":
            await kit.settled_down(journal)
            await journal.trim(ports.Position(argument))
        else:
            await journal.close()
            journal = opener()
            said.append(await journal.open())
    if rest:
        await kit.settled_down(journal)
    said += await _readings(journal, asked, places)
    await journal.close()
    return said


def _about_the_past(frame: ports.Frame, last: int) -> ports.Frame:
    settlements = tuple(
        msgspec.structs.replace(one, position=ports.Position((one.position - 1) % last + 1))
        for one in frame.settlements
        if last
    )
    return msgspec.structs.replace(frame, settlements=settlements)


async def _readings(
    journal: ports.Journal, asked: list[ports.EventQuery], places: list[int]
) -> list[Any]:
    said: list[Any] = [await journal.baseline()]
    said += [
        (one.first, one.last, one.events, one.oldest_ms, one.newest_ms)
        for one in await journal.segments()
    ]
    positions = [ports.Position(place) for place in places]
    said.append(await journal.fetch(positions))
    said.append(await journal.fetch([ports.Position(place) for place in range(places[0], 140)]))
    for place in positions:
        said.append(await replayed(journal, place))
        said.append(await replayed(journal, place, bodies=False))
        said.append(await journal.settled(place))
        said.append(await journal.locate(place % 70))
    said.append(await scanned(journal, min(places), max(places), bus=1, limit=7))
    said.append(await scanned(journal))
    for query in asked:
        page: str | None = None
        while True:
            answer = await journal.find(query, page, 3)
            said.append(answer)
            page = answer.next
            if page is None:
                break
    return said
