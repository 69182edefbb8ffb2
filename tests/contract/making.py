"""Small frames for tests, and reading a journal back."""

from __future__ import annotations

from headrace.store import ports


def event(
    number: int, *, bus: int = 1, matches: tuple[int, ...] = (1, 2), body: bytes | None = None
) -> ports.Record:
    """Return an event that can be told apart by its number."""
    return ports.Record(
        bus=bus,
        received_ms=1_000 + number,
        kind=number % 3,
        key=number * 7 - 20,
        generation=1,
        matches=matches,
        body=b"body %d" % number if body is None else body,
    )


def frame(*numbers: int, at_ms: int = 5_000, **fields: object) -> ports.Frame:
    """Return a frame with one event per number."""
    return ports.Frame(at_ms, tuple(event(number) for number in numbers), **fields)  # type: ignore[arg-type]


def delivered(position: int, subscription: int = 1) -> ports.Settlement:
    return ports.Settlement(
        ports.Position(position), subscription, ports.Verdict.DELIVERED, code=200
    )


async def replayed(
    journal: ports.Journal, after: int = 0, *, bodies: bool = True
) -> list[ports.Replayed]:
    return [one async for one in journal.replay(ports.Position(after), bodies=bodies)]


async def scanned(
    journal: ports.Journal,
    start: int = 0,
    stop: int = 1 << 60,
    *,
    bus: int | None = None,
    limit: int = 10_000,
) -> list[tuple[ports.Position, ports.Record]]:
    walk = journal.scan(ports.Position(start), ports.Position(stop), bus=bus, limit=limit)
    return [one async for one in walk]
