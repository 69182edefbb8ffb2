"""Counting a shard again from its rows, by SQL: what the counters of the bus are checked against.

Shares nothing with the ledger: it never applies a frame, it joins the deliveries that the event
rows say with the closings that the settlement rows say. Reads only; run it on a directory no server
holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from headrace.store import ports
from headrace.store.sqlite import disk as disks

#: Positions shown of a set that does not agree.
SHOWN_MAX = 5

_TABLES = """
CREATE TABLE delivery (
    pos INTEGER, sub INTEGER, origin INTEGER, frame INTEGER, PRIMARY KEY (pos, sub)
) WITHOUT ROWID;
CREATE TABLE closing (
    pos INTEGER, sub INTEGER, verdict INTEGER, code INTEGER, frame INTEGER, PRIMARY KEY (pos, sub)
) WITHOUT ROWID;
CREATE TABLE accepted (bus INTEGER, generation INTEGER, rule INTEGER, events INTEGER);
CREATE TABLE seen (bus INTEGER, generation INTEGER, events INTEGER);
"""

_Fact = tuple[int, int, int, int, int, int, bytes]
_facts = msgspec.msgpack.Decoder(list[_Fact])


class Tally(msgspec.Struct):
    """What the rows say of one subscription since the oldest kept segment began."""

    enqueued: int = 0
    carried_in: int = 0
    delivered: int = 0
    dead: int = 0
    dropped: int = 0
    moved_out: int = 0


class Rows(msgspec.Struct):
    """The recount of one shard."""

    subscriptions: dict[int, Tally]
    #: (bus, generation) → events accepted; copies (generation < 0) are not among them.
    seen: dict[tuple[int, int], int]
    #: rule → events it matched.
    matched: dict[int, int]
    #: Rules marks as the newest file has them.
    marks: dict[str, bytes]
    #: (position, subscription) that the rows leave open.
    open: set[tuple[int, int]]
    #: (position, subscription) that are closed although no kept row opened them.
    closed_before: set[tuple[int, int]]


def recount(folder: Path) -> Rows:
    """Count every segment file of a shard's folder. Raises: StoreError for a file that cannot be
    read."""
    count = disks.Disk().create(Path(":memory:"))
    count.execute(_TABLES)
    marks: dict[str, bytes] = {}
    for path in sorted(folder.glob("*.seg"), key=lambda path: int(path.stem)):
        source = disks.Disk().read(path)
        try:
            count.execute("BEGIN")
            _deliveries(source, count)
            _closings(source, count)
            count.execute("COMMIT")
            rules = source.execute("SELECT name, value FROM mark WHERE name LIKE 'rules/%'")
            marks = dict(list(rules))
        finally:
            source.close(True)
    return Rows(
        _tallies(count),
        _seen(count),
        _matched(count),
        marks,
        set(_open(count)),
        set(_before(count)),
    )


def _deliveries(source: disks.Connection, count: disks.Connection) -> None:
    sets = {
        number: [int(sub) for sub in msgspec.json.decode(_as_list(subs))]
        for number, subs in source.execute("SELECT id, subs FROM mset")
    }
    events = (
        "SELECT pos, mset, origin, (SELECT max(frame.pos) FROM frame WHERE frame.pos < event.pos)"
        " FROM event"
    )
    for pos, mset, origin, frame in source.execute(events):
        count.executemany(
            "INSERT INTO delivery VALUES (?, ?, ?, ?)",
            [(pos, sub, origin, frame) for sub in sets[mset] if sub > 0],
        )
    grouped = (
        "SELECT bus, generation, mset, count(*) FROM event WHERE generation >= 0 GROUP BY 1, 2, 3"
    )
    for bus, generation, mset, events in source.execute(grouped):
        count.execute("INSERT INTO seen VALUES (?, ?, ?)", (bus, generation, events))
        count.executemany(
            "INSERT INTO accepted VALUES (?, ?, ?, ?)",
            [(bus, generation, -sub, events) for sub in sets[mset] if sub < 0],
        )


def _as_list(subs: str) -> str:
    return subs if subs.startswith("[") else f"[{subs}]"


def _closings(source: disks.Connection, count: disks.Connection) -> None:
    settles = "SELECT pos, frame, facts FROM settle ORDER BY frame"
    for pos, frame, packed in source.execute(settles):
        for sub, verdict, _attempt, _latency, code, _wait, _detail in _facts.decode(packed):
            if verdict <= ports.Verdict.MOVED:  # the first closing counts, a later one is stray
                count.execute(
                    "INSERT OR IGNORE INTO closing VALUES (?, ?, ?, ?, ?)",
                    (pos, sub, verdict, code, frame),
                )


def _tallies(count: disks.Connection) -> dict[int, Tally]:
    tallies: dict[int, Tally] = {}
    # Carried: the copy stands in the frame that moved its original. Another copy of the same event
    # (a replay) has the same origin and is no carry.
    moved = """
        SELECT delivery.sub, count(*), count(source.pos) FROM delivery
        LEFT JOIN closing AS source ON source.pos = delivery.origin AND source.sub = delivery.sub
            AND source.verdict = 4 AND source.frame = delivery.frame
        GROUP BY delivery.sub
    """
    for sub, deliveries, carried in count.execute(moved):
        tallies[sub] = Tally(enqueued=deliveries - carried, carried_in=carried)
    names = {1: "delivered", 2: "dead", 3: "dropped", 4: "moved_out"}
    for sub, verdict, closings in count.execute(
        "SELECT sub, verdict, count(*) FROM closing GROUP BY sub, verdict"
    ):
        setattr(tallies.setdefault(sub, Tally()), names[verdict], closings)
    return tallies


def _seen(count: disks.Connection) -> dict[tuple[int, int], int]:
    rows = count.execute("SELECT bus, generation, sum(events) FROM seen GROUP BY bus, generation")
    return {(bus, generation): events for bus, generation, events in rows}


def _matched(count: disks.Connection) -> dict[int, int]:
    rows = count.execute("SELECT rule, sum(events) FROM accepted GROUP BY rule")
    return dict(list(rows))


def _open(count: disks.Connection) -> Iterator[tuple[int, int]]:
    yield from count.execute("SELECT pos, sub FROM delivery EXCEPT SELECT pos, sub FROM closing")


def _before(count: disks.Connection) -> Iterator[tuple[int, int]]:
    yield from count.execute("SELECT pos, sub FROM closing EXCEPT SELECT pos, sub FROM delivery")
