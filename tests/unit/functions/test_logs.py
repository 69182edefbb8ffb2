"""Cutting, bounding and dressing the output of a process."""

from __future__ import annotations

import hypothesis
from hypothesis import strategies as some

from headrace.functions import logs

TOKEN = "0123456789abcdef" * 2


def mark(number: int, token: str = TOKEN) -> bytes:
    return b"\0FC" + token.encode() + b"%08x\0" % number


def test_output_within_the_cap_is_kept_whole() -> None:
    output = logs.Output()
    for line in (b"one\n", b"two\n", b"half"):
        output.add(line)
    assert output.text() == b"one\ntwo\nhalf\n"
    assert output.total_bytes == 12
    assert not output.flooded
    assert logs.Output().text() == b""


@hypothesis.given(some.lists(some.integers(1, 200_000), min_size=1, max_size=40))
def test_flood_keeps_its_start_and_its_last_4_kib_and_counts_the_rest(sizes: list[int]) -> None:
    output = logs.Output()
    whole = b""
    for number, size in enumerate(sizes):
        piece = bytes([97 + number % 26]) * size
        whole += piece
        output.add(piece)
    text = output.text()
    assert output.total_bytes == len(whole)
    assert len(text) <= logs.LOG_BYTES_MAX + 100
    if len(whole) <= logs.LOG_BYTES_MAX:
        assert text == whole + b"\n"
        return
    start = logs.LOG_BYTES_MAX - logs.TAIL_BYTES
    missing = len(whole) - logs.LOG_BYTES_MAX
    assert text.startswith(whole[:start] + b"\n... %d bytes of log left out ...\n" % missing)
    assert text.endswith(whole[-logs.TAIL_BYTES :] + b"\n")


pieces = some.lists(
    some.one_of(
        some.binary(max_size=60),
        some.sampled_from([b"\0", b"\0FC", b"\0FC0123", mark(7, "f" * 32), mark(7, "0" * 32)[:-1]]),
        some.integers(0, 0xFFFFFFFF),
    ),
    max_size=12,
)


@hypothesis.given(pieces=pieces, cuts=some.lists(some.integers(1, 50), min_size=1, max_size=30))
def test_marks_are_found_however_the_stream_is_cut(
    pieces: list[bytes | int], cuts: list[int]
) -> None:
    """Nothing is lost, nothing is added, and what only looks like a mark is output."""
    foreign = b"".join(p for p in pieces if isinstance(p, bytes))
    hypothesis.assume(TOKEN.encode() not in foreign)  # it is secret: nobody else can write it
    stream = b"".join(mark(p) if isinstance(p, int) else p for p in pieces)
    whole = join(logs.Splitter(TOKEN), [stream])
    chunks: list[bytes] = []
    at = 0
    while at < len(stream):
        size = cuts[len(chunks) % len(cuts)]
        chunks.append(stream[at : at + size])
        at += size
    assert join(logs.Splitter(TOKEN), chunks) == whole
    for wanted in (p for p in pieces if isinstance(p, int)):
        assert any(number == wanted for number, _ in whole)
    rebuilt = b"".join((b"" if n is None else mark(n)) + text for n, text in whole)
    assert rebuilt == stream


def join(splitter: logs.Splitter, chunks: list[bytes]) -> list[tuple[int | None, bytes]]:
    """The output per mark, in order."""
    found: list[tuple[int | None, bytes]] = [(None, b"")]
    for chunk in chunks:
        for piece in splitter.feed(chunk):
            if isinstance(piece, int):
                found.append((piece, b""))
            else:
                found[-1] = (found[-1][0], found[-1][1] + piece)
    found[-1] = (found[-1][0], found[-1][1] + splitter.flush())
    return found


def test_log_has_the_marks_of_the_cloud() -> None:
    assert logs.frame_log("1-a", b"hello\n", None) == (
        b"FC Invoke Start RequestId: 1-a\nhello\nFC Invoke End RequestId: 1-a\n"
    )
    assert logs.frame_log("1-a", b"", "Unhandled function error").endswith(
        b"\nFC Invoke End RequestId: 1-a, Error: Unhandled function error\n"
    )


def test_summary_has_the_words_of_the_cloud() -> None:
    """Source: the example of the fc3 documentation (spec/fc.md 4a)."""
    assert logs.summary(1160, 2, 128, 25.9) == (
        b"\nDuration: 1.16 ms, Billed Duration: 2 ms, Memory Size: 128 MB, "
        b"Max Memory Used: 25.90 MB"
    )


def test_tail_is_cut_at_a_whole_character() -> None:
    assert logs.tail(b"short\n", b"end") == b"short\nend"
    text = logs.tail("中".encode() * 2000, b"end")
    assert len(text) == 4095
    assert text.decode() == "中" * 1364 + "end"
