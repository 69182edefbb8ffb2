"""The form of a frame on its way to disk: its size, its checksum, its settlements packed by event.

Shared by every engine, so that two engines agree on what is too large, when a segment is full and
what a checksum covers. Pure; must never open a file.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

import msgspec

from headrace.store import ports

#: One frame is one message on NATS, so every engine keeps to the same bound.
FRAME_BYTES_MAX = 4 * 1024 * 1024
#: What a settlement may say about a failure.
DETAIL_BYTES_MAX = 4 * 1024

_EVENT_BYTES = 96
_MATCH_BYTES = 8
_SETTLEMENT_BYTES = 48
_MARK_BYTES = 16

#: A settlement without its position: subscription, verdict, attempt, latency, code, wait, detail.
Fact = tuple[int, ports.Verdict, int, int, int, int, bytes]

_encoder = msgspec.msgpack.Encoder()
_facts_decoder = msgspec.msgpack.Decoder(list[Fact])
_turns_decoder = msgspec.msgpack.Decoder(list[int])
_marks_decoder = msgspec.msgpack.Decoder(dict[str, bytes | None])


def event_bytes(record: ports.Record) -> int:
    """Return what one event adds to the size of a frame."""
    return _EVENT_BYTES + _MATCH_BYTES * len(record.matches) + len(record.body)


def settlement_bytes(settlement: ports.Settlement) -> int:
    """Return what one settlement adds to the size of a frame."""
    return _SETTLEMENT_BYTES + len(settlement.detail)


def mark_bytes(name: str, value: bytes | None) -> int:
    """Return what one mark adds to the size of a frame."""
    return _MARK_BYTES + len(name.encode()) + len(value or b"")


class Figures(msgspec.Struct, frozen=True):
    """What is counted of one frame, once."""

    bytes_used: int
    deliveries: int
    closings: int
    #: Of the events' receive times; None without events.
    oldest_ms: int | None
    newest_ms: int | None


def frame_bytes(frame: ports.Frame) -> int:
    """Return the size of a frame as the bounds count it.

    A committer fills frames by the same measure.
    """
    # Lists, not generators: this runs for every event of every frame.
    events = frame.events
    size = _EVENT_BYTES * len(events) + sum([len(record.body) for record in events])
    size += _MATCH_BYTES * sum([len(record.matches) for record in events])
    if frame.settlements:
        size += sum([settlement_bytes(one) for one in frame.settlements])
    if frame.marks:
        size += sum([mark_bytes(name, value) for name, value in frame.marks.items()])
    return size


def counted(frame: ports.Frame) -> Figures:
    """Return the figures of a frame that may be written. Raises: TooLarge."""
    size = frame_bytes(frame)
    if size > FRAME_BYTES_MAX:
        raise ports.TooLarge(f"frame of {size} bytes, {FRAME_BYTES_MAX} are allowed")
    for settlement in frame.settlements:
        if len(settlement.detail) > DETAIL_BYTES_MAX:
            raise ports.TooLarge(
                f"detail of {len(settlement.detail)} bytes, {DETAIL_BYTES_MAX} are allowed"
            )
    times = [record.received_ms for record in frame.events]
    return Figures(
        size,
        sum([len(record.matches) for record in frame.events]),
        closings(frame.settlements),
        min(times, default=None),
        max(times, default=None),
    )


def body_checksum(events: Iterable[ports.Record]) -> int:
    """Return the crc32 of all bodies, one after the other."""
    crc = 0
    for record in events:
        crc = zlib.crc32(record.body, crc)
    return crc


def checksum(last: int, frame: ports.Frame, body_crc: int) -> int:
    """Return the crc32 of everything but the bodies, which `body_crc` stands for.

    Two sums, so that a replay without bodies is still checked. The position is covered: a frame
    that turns up in another place does not pass.
    """
    heads = [
        (r.bus, r.received_ms, r.kind, r.key, r.generation, r.matches, r.origin)
        for r in frame.events
    ]
    marks = sorted(frame.marks.items())
    return zlib.crc32(
        _encoder.encode((last, frame.at_ms, body_crc, heads, frame.settlements, marks))
    )


def pack_settlements(
    settlements: Sequence[ports.Settlement],
) -> tuple[list[tuple[int, bytes]], bytes | None]:
    """Return (position, packed facts) ascending by position, and the turns.

    turns: for each fact in packed order its place in `settlements`; None when they already were in
    order.
    """
    order = sorted(range(len(settlements)), key=lambda index: settlements[index].position)
    groups: dict[int, list[Fact]] = {}
    for index in order:
        s = settlements[index]
        groups.setdefault(s.position, []).append(
            (s.subscription, s.verdict, s.attempt, s.latency_us, s.code, s.wait_ms, s.detail)
        )
    packed = [(position, _encoder.encode(facts)) for position, facts in groups.items()]
    in_order = all(index == place for place, index in enumerate(order))
    return packed, None if in_order else _encoder.encode(order)


def unpack_facts(position: int, facts: bytes) -> list[ports.Settlement]:
    """Return the settlements of one event in one frame, in the order they were given."""
    where = ports.Position(position)
    make = ports.Settlement
    return [make(where, *fact) for fact in _facts_decoder.decode(facts)]


def in_turn(
    settlements: list[ports.Settlement], turns: bytes | None
) -> tuple[ports.Settlement, ...]:
    """Return settlements, unpacked in packed order, in the order they were appended."""
    if turns is None:
        return tuple(settlements)
    order = _turns_decoder.decode(turns)
    if len(order) != len(settlements):
        raise ports.Corrupt(f"{len(settlements)} settlements for {len(order)} turns")
    return tuple(
        s for _, s in sorted(zip(order, settlements, strict=True), key=lambda pair: pair[0])
    )


def pack_marks(marks: dict[str, bytes | None]) -> bytes | None:
    """Return the marks of a frame as one value, None when there are none."""
    return _encoder.encode(marks) if marks else None


def unpack_marks(packed: bytes | None) -> dict[str, bytes | None]:
    return _marks_decoder.decode(packed) if packed is not None else {}


def closings(settlements: Iterable[ports.Settlement]) -> int:
    """Return how many of the settlements close their delivery."""
    return len([one for one in settlements if one.verdict <= ports.Verdict.MOVED])
