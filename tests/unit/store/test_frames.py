"""The form of a frame: size, checksum, packed settlements."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.store import frames, ports

RECORD = ports.Record(1, 1_000, 2, -3, 4, (5, 6), b"body", ports.Position(7))
FRAME = ports.Frame(
    9,
    (RECORD,),
    (ports.Settlement(ports.Position(2), 3, ports.Verdict.RETRY, wait_ms=5, detail=b"d"),),
    {"a": b"1", "b": None},
)

settlements = st.lists(
    st.builds(
        ports.Settlement,
        position=st.integers(1, 5).map(ports.Position),
        subscription=st.integers(0, 9),
        verdict=st.sampled_from(ports.Verdict),
        attempt=st.integers(1, 200),
        detail=st.binary(max_size=4),
    ),
    max_size=12,
).map(tuple)


@given(settlements)
def test_packed_settlements_come_back_in_their_order(
    given_settlements: tuple[ports.Settlement, ...],
) -> None:
    packed, turns = frames.pack_settlements(given_settlements)
    assert [position for position, _ in packed] == sorted({s.position for s in given_settlements})
    unpacked = [one for position, facts in packed for one in frames.unpack_facts(position, facts)]
    assert frames.in_turn(unpacked, turns) == given_settlements
    assert all(isinstance(one.verdict, ports.Verdict) for one in unpacked)


def test_settlements_in_order_of_position_need_no_turns() -> None:
    in_order = tuple(
        ports.Settlement(ports.Position(position), 1, ports.Verdict.DEAD) for position in (1, 1, 4)
    )
    assert frames.pack_settlements(in_order)[1] is None


def test_turns_of_another_frame_are_corrupt() -> None:
    with pytest.raises(ports.Corrupt):
        frames.in_turn([], msgspec.msgpack.encode([0]))


@pytest.mark.parametrize(
    "changed",
    [
        msgspec.structs.replace(FRAME, at_ms=10),
        msgspec.structs.replace(FRAME, events=()),
        msgspec.structs.replace(FRAME, events=(msgspec.structs.replace(RECORD, bus=9),)),
        msgspec.structs.replace(FRAME, events=(msgspec.structs.replace(RECORD, matches=(5,)),)),
        msgspec.structs.replace(FRAME, events=(msgspec.structs.replace(RECORD, origin=None),)),
        msgspec.structs.replace(FRAME, settlements=()),
        msgspec.structs.replace(FRAME, marks={"a": b"1"}),
        msgspec.structs.replace(FRAME, marks={"a": b"1", "b": b""}),
    ],
)
def test_the_checksum_covers_everything_but_the_bodies(changed: ports.Frame) -> None:
    assert frames.checksum(7, changed, 1) != frames.checksum(7, FRAME, 1)


def test_the_checksum_covers_place_and_bodies_and_not_the_order_of_marks() -> None:
    assert frames.checksum(8, FRAME, 1) != frames.checksum(7, FRAME, 1)
    assert frames.checksum(7, FRAME, 2) != frames.checksum(7, FRAME, 1)
    turned = msgspec.structs.replace(FRAME, marks={"b": None, "a": b"1"})
    assert frames.checksum(7, turned, 1) == frames.checksum(7, FRAME, 1)
    other = msgspec.structs.replace(RECORD, body=b"bodz")
    assert frames.body_checksum([other]) != frames.body_checksum([RECORD])


def test_a_frame_weighs_what_its_parts_weigh() -> None:
    parts = (
        frames.event_bytes(RECORD)
        + frames.settlement_bytes(FRAME.settlements[0])
        + frames.mark_bytes("a", b"1")
        + frames.mark_bytes("b", None)
    )
    assert frames.frame_bytes(FRAME) == parts > len(RECORD.body)


def test_closings_are_those_that_close() -> None:
    verdicts = [ports.Settlement(ports.Position(1), 1, verdict) for verdict in ports.Verdict]
    assert frames.closings(verdicts) == 4
