"""The wire to an instance: whole frames however they arrive, and no trust."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as some

from headrace.functions import frames

Frame = tuple[int, int, int, int, int, bytes, bytes]


def raw(
    kind: int = frames.RESULT,
    flags: int = 0,
    number: int = 1,
    took_us: int = 0,
    memory: int = 0,
    head: bytes = b"",
    body: bytes = b"",
) -> bytes:
    size = len(head) + len(body)
    return frames.HEADER.pack(size, kind, flags, len(head), number, took_us, memory) + head + body


def read(data: bytes, cuts: list[int]) -> list[Frame]:
    """Feed `data` in pieces of these sizes, never more than there is room for."""
    reader = frames.Reader()
    found: list[Frame] = []
    turn = 0
    while data:
        room = reader.room()
        assert len(room) > 0
        count = min(len(room), len(data), cuts[turn % len(cuts)])
        room[:count] = data[:count]
        data = data[count:]
        found.extend(reader.filled(count))
        turn += 1
    return found


bodies = some.one_of(
    some.binary(max_size=200),
    some.builds(lambda n: b"x" * n, some.sampled_from([65_515, 65_516, 65_517, 131_072, 200_000])),
)
sent = some.tuples(
    some.sampled_from([frames.READY, frames.RESULT, frames.FAILED]),
    some.integers(0, 255),
    some.integers(0, 0xFFFFFFFF),
    some.integers(0, 0xFFFFFFFF),
    some.integers(0, 0xFFFFFFFF),
    some.binary(max_size=50),
    bodies,
)


@hypothesis.given(
    some.lists(sent, max_size=8), some.lists(some.integers(1, 70_000), min_size=1, max_size=9)
)
def test_frames_come_out_as_they_went_in(wanted: list[Frame], cuts: list[int]) -> None:
    assert read(b"".join(raw(*frame) for frame in wanted), cuts) == wanted


@pytest.mark.parametrize(
    "data",
    [
        raw(kind=frames.INVOKE),
        raw(kind=0),
        frames.HEADER.pack(1, frames.RESULT, 0, 2, 1, 0, 0),
        frames.HEADER.pack(frames.PAYLOAD_BYTES_MAX + 1, frames.RESULT, 0, 0, 1, 0, 0),
        frames.HEADER.pack(0xFFFFFFFF, frames.RESULT, 0, 0xFFFF, 1, 0, 0),
        b"Traceback (most recent call last):",
    ],
    ids=["ours", "unknown", "head", "over-32-mib", "4-gib", "text"],
)
def test_what_makes_no_sense_is_refused_at_its_header(data: bytes) -> None:
    with pytest.raises(frames.Broken):
        read(data[: frames.HEADER.size], [100])


def test_largest_answer_is_taken() -> None:
    body = bytes(frames.PAYLOAD_BYTES_MAX)
    (frame,) = read(raw(head=b"E", body=body), [1 << 20])
    assert len(frame[6]) == frames.PAYLOAD_BYTES_MAX


def test_packed_frame_has_words_and_body() -> None:
    data = frames.pack(frames.INVOKE, frames.MARKED, 7, ["1-a", "中"], b"body")
    size, kind, flags, head, number, _, _ = frames.HEADER.unpack_from(data)
    text = data[frames.HEADER.size : frames.HEADER.size + head]
    assert (kind, flags, number) == (frames.INVOKE, frames.MARKED, 7)
    assert text.decode() == "1-a\0中"
    assert data[frames.HEADER.size + head :] == b"body"
    assert size == head + 4


def test_both_sides_mean_the_same_by_their_numbers() -> None:
    """The bootstrap cannot import ours: it has its own copy of the constants."""
    from headrace.functions.runtimes.python import bootstrap

    names = ["START", "INVOKE", "CANCEL", "STOP", "READY", "RESULT", "FAILED", "MARKED"]
    names += ["OK", "ERROR", "CANCELLED", "READ_BYTES"]
    ours = {name: getattr(frames, name) for name in names}
    assert {name: getattr(bootstrap, name) for name in names} == ours
    assert bootstrap.HEADER.format == frames.HEADER.format
