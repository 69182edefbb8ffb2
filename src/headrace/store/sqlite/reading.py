"""The reading side of one segment file: rows back into records, frames checked against their sums.

Plain functions on a connection, run in a reader thread. Must never write.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from headrace.store import frames, ports
from headrace.store.sqlite import disk as disks

_msets_decoder = msgspec.json.Decoder(tuple[int, ...])

_COLUMNS = "pos, mset, bus, kind, ms, key, generation, origin, body"
_COLUMNS_BODILESS = "pos, mset, bus, kind, ms, key, generation, origin, x''"


class Reader:
    """One connection to one file, with the match sets it has met."""

    def __init__(self, connection: disks.Connection) -> None:
        self.connection = connection
        self._msets: dict[int, tuple[int, ...]] = {}

    def record(self, row: Sequence[Any]) -> ports.Record:
        """Return the record of one row in the order of the columns above."""
        _, mset, bus, kind, ms, key, generation, origin, body = row
        matches = self._msets.get(mset)
        if matches is None:
            matches = self._mset(mset)
        return ports.Record(bus, ms, kind, key, generation, matches, body, origin)

    def fetch(self, positions: Sequence[int]) -> dict[int, ports.Record]:
        """Return the records that are there. `positions` ascending."""
        if positions[-1] - positions[0] < 4 * len(positions):
            # Nearly in a row, as deliveries are: one walk along the table.
            wanted = set(positions)
            rows = self.connection.execute(
                f"SELECT {_COLUMNS} FROM event WHERE pos BETWEEN ? AND ?",
                (positions[0], positions[-1]),
            )
            return {row[0]: self.record(row) for row in rows if row[0] in wanted}
        rows = self.connection.execute(
            f"SELECT {_COLUMNS} FROM event WHERE pos IN (SELECT value FROM json_each(?))",
            (msgspec.json.encode(positions).decode(),),
        )
        return {row[0]: self.record(row) for row in rows}

    def scan(
        self, start: int, stop: int, bus: int | None, limit: int
    ) -> list[tuple[ports.Position, ports.Record]]:
        of_bus = "" if bus is None else "AND bus = ?4"
        bindings = (start, stop, limit) if bus is None else (start, stop, limit, bus)
        rows = self.connection.execute(
            f"SELECT {_COLUMNS} FROM event WHERE pos >= ?1 AND pos < ?2 {of_bus}"
            " ORDER BY pos LIMIT ?3",
            bindings,
        )
        return [(ports.Position(row[0]), self.record(row)) for row in rows]

    def find(self, query: ports.EventQuery, before: int | None, limit: int) -> list[ports.Found]:
        """Return what fits, newest first; on a sealed file through its indexes."""
        where, bindings = self._conditions(query, before)
        rows = self.connection.execute(
            f"SELECT {_COLUMNS} FROM event WHERE {where} ORDER BY pos DESC LIMIT {limit:d}",
            bindings,
        )
        return [ports.Found(ports.Position(row[0]), self.record(row)) for row in rows]

    def settled(self, position: int) -> list[ports.Attempted]:
        rows = self.connection.execute(
            "SELECT frame.at_ms, settle.facts FROM settle JOIN frame ON frame.pos = settle.frame"
            " WHERE settle.pos = ? ORDER BY settle.frame",
            (position,),
        )
        return [
            ports.Attempted(at_ms, settlement)
            for at_ms, facts in rows
            for settlement in frames.unpack_facts(position, facts)
        ]

    def locate(self, time_ms: int) -> int | None:
        row = self.connection.execute(
            "SELECT min(pos) FROM event WHERE ms >= ?", (time_ms,)
        ).fetchone()
        return row[0] if row is not None else None

    def _mset(self, number: int) -> tuple[int, ...]:
        row = self.connection.execute("SELECT subs FROM mset WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise ports.Corrupt(f"{self.connection.filename}: no match set {number}")
        matches = self._msets[number] = matches_of(self.connection, number, row[0])
        return matches

    def _conditions(
        self, query: ports.EventQuery, before: int | None
    ) -> tuple[str, dict[str, int | str]]:
        parts = ["bus = :bus", "ms >= :start", "ms < :stop"]
        bindings: dict[str, int | str] = {
            "bus": query.bus,
            "start": query.start_ms,
            "stop": query.stop_ms,
        }
        if before is not None:
            parts.append("pos < :before")
            bindings["before"] = before
        if query.key is not None:
            parts.append("key = :key")
            bindings["key"] = query.key
        if query.kinds is not None:
            parts.append("kind IN (SELECT value FROM json_each(:kinds))")
            bindings["kinds"] = msgspec.json.encode(query.kinds).decode()
        if query.subscriptions is not None:
            parts.append("mset IN (SELECT value FROM json_each(:msets))")
            bindings["msets"] = msgspec.json.encode(self._msets_with(query.subscriptions)).decode()
        return " AND ".join(parts), bindings

    def _msets_with(self, subscriptions: Sequence[int]) -> list[int]:
        rows = self.connection.execute(
            "SELECT DISTINCT mset.id FROM mset, json_each(mset.subs)"
            " WHERE json_each.value IN (SELECT value FROM json_each(?))",
            (msgspec.json.encode(subscriptions).decode(),),
        )
        return [row[0] for row in rows]


def matches_of(connection: disks.Connection, number: int, subs: Any) -> tuple[int, ...]:
    """Return the subscriptions of a match set as its row has them."""
    try:
        return _msets_decoder.decode(subs)
    except (msgspec.MsgspecError, TypeError) as error:
        raise ports.Corrupt(
            f"{connection.filename}: match set {number} cannot be read: {error}"
        ) from error


class Walk:
    """A replay of one file, in steps, over one read transaction of a connection of its own."""

    def __init__(self, connection: disks.Connection, after: int, *, bodies: bool) -> None:
        self._reader = Reader(connection)
        self._connection = connection
        self._bodies = bodies
        connection.execute("BEGIN")
        start = self._first_header(after)
        self._frames = connection.execute(
            "SELECT pos, at_ms, events, facts, marks, turns, body_crc, crc FROM frame"
            " WHERE pos >= ? ORDER BY pos",
            (start,),
        )
        columns = _COLUMNS if bodies else _COLUMNS_BODILESS
        self._events: Iterator[Any] = iter(
            connection.execute(f"SELECT {columns} FROM event WHERE pos >= ? ORDER BY pos", (start,))
        )
        self._facts: Iterator[Any] = iter(
            connection.execute(
                "SELECT frame, pos, facts FROM settle WHERE frame >= ? ORDER BY frame, pos",
                (start,),
            )
        )
        self._next_facts: Any = next(self._facts, None)

    def step(self, events: int) -> list[ports.Replayed]:
        """Return the next frames, about `events` of them and their events; empty at the end."""
        found: list[ports.Replayed] = []
        weight = 0
        for row in self._frames:
            found.append(self._whole(row))
            weight += 1 + row[2]
            if weight >= events:
                break
        return found

    def close(self) -> None:
        self._connection.close(True)

    def _first_header(self, after: int) -> int:
        for header, events in self._connection.execute(
            "SELECT pos, events FROM frame WHERE pos <= ? ORDER BY pos DESC LIMIT 1", (after,)
        ):
            return header if header + events > after else header + events + 1
        return 0

    def _whole(self, row: Sequence[Any]) -> ports.Replayed:
        try:
            return self._frame(row)
        except (msgspec.MsgspecError, TypeError, ValueError, LookupError, OverflowError) as error:
            # Rot can also change what a column is: a number or a text where bytes should be.
            raise ports.Corrupt(
                f"{self._connection.filename}: the frame at {row[0]} cannot be read: {error}"
            ) from error

    def _frame(self, row: Sequence[Any]) -> ports.Replayed:
        header, at_ms, events, facts, marks, turns, body_crc, crc = row
        record = self._reader.record
        rows = list(itertools.islice(self._events, events))
        frame = ports.Frame(
            at_ms,
            tuple([record(one) for one in rows]),
            frames.in_turn(self._settlements(header), turns),
            frames.unpack_marks(marks),
        )
        last = header + events
        whole = (
            [one[0] for one in rows] == list(range(header + 1, last + 1))
            and len(frame.settlements) == facts
            and frames.checksum(last, frame, body_crc) == crc
            and (not self._bodies or frames.body_checksum(frame.events) == body_crc)
        )
        if not whole:
            raise ports.Corrupt(
                f"{self._connection.filename}: the frame at {header} is not what was written"
            )
        return ports.Replayed(ports.Position(last), frame)

    def _settlements(self, header: int) -> list[ports.Settlement]:
        found: list[ports.Settlement] = []
        while self._next_facts is not None and self._next_facts[0] == header:
            found += frames.unpack_facts(self._next_facts[1], self._next_facts[2])
            self._next_facts = next(self._facts, None)
        return found
