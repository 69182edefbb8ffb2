"""What blobs and records promise, on every engine."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest

from headrace.core import errors
from headrace.store import ports
from tests.contract import engines

pytestmark = pytest.mark.anyio


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_a_blob_is_found_by_its_digest(kit: engines.Kit) -> None:
    blobs = kit.blobs()
    digest = await blobs.put(chunks(b"zip ", b"bytes"), 100)
    assert digest == hashlib.sha256(b"zip bytes").hexdigest()
    assert (await blobs.path(digest)).read_bytes() == b"zip bytes"
    assert await blobs.put(chunks(b"zip bytes"), 100) == digest
    assert [one async for one in blobs.digests()] == [(digest, 9)]


async def test_a_removed_blob_is_gone_and_may_be_removed_twice(kit: engines.Kit) -> None:
    blobs = kit.blobs()
    digest = await blobs.put(chunks(b"x"), 100)
    await blobs.remove(digest)
    await blobs.remove(digest)
    with pytest.raises(KeyError):
        await blobs.path(digest)
    assert [one async for one in blobs.digests()] == []


@pytest.mark.parametrize("name", ["", "..", "../../etc/passwd", "A" * 64, "0" * 63])
async def test_only_a_digest_names_a_blob(kit: engines.Kit, name: str) -> None:
    with pytest.raises(KeyError):
        await kit.blobs().path(ports.Digest(name))


async def test_a_blob_past_its_limit_leaves_nothing(kit: engines.Kit) -> None:
    blobs = kit.blobs()
    with pytest.raises(errors.PayloadTooLarge):
        await blobs.put(chunks(b"12345", b"67890", b"!"), 10)
    assert [one async for one in blobs.digests()] == []
    await blobs.put(chunks(b"12345", b"67890"), 10)


async def test_an_upload_that_breaks_off_leaves_nothing(kit: engines.Kit) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"begin"
        raise ConnectionResetError

    blobs = kit.blobs()
    with pytest.raises(ConnectionResetError):
        await blobs.put(broken(), 100)
    assert [one async for one in blobs.digests()] == []


async def test_uploads_at_the_same_time_do_not_meet(kit: engines.Kit) -> None:
    blobs = kit.blobs()
    contents = [b"%d" % (number // 2) * 1000 for number in range(10)]
    digests = await asyncio.gather(*(blobs.put(chunks(one), 9_999) for one in contents))
    for content, digest in zip(contents, digests, strict=True):
        assert (await blobs.path(digest)).read_bytes() == content
    assert len([one async for one in blobs.digests()]) == 5


HOUR = 3_600_000


def line(
    number: int, *, at_ms: int | None = None, stream: str = "a/f", kind: str = "log"
) -> ports.LogLine:
    body = b"line %04d" % number
    return ports.LogLine(number if at_ms is None else at_ms, stream, f"r{number % 3}", kind, body)


async def test_lines_are_read_back_by_stream_time_request_and_kind(kit: engines.Kit) -> None:
    records = kit.records(1 << 30)
    await records.open()
    lines = [line(number, at_ms=number * HOUR // 4) for number in range(20)]
    for one in lines:
        records.write(one)
    records.write(line(1, stream="a/g"))
    records.write(line(2, kind="invocation"))
    assert await records.read(ports.LineQuery("a/f", kind="log")) == lines
    assert await records.read(ports.LineQuery("a/f", kind="invocation")) == [
        line(2, kind="invocation")
    ]
    assert await records.read(ports.LineQuery("a/g")) == [line(1, stream="a/g")]
    assert await records.read(ports.LineQuery("a/f", kind="log", limit=3)) == lines[-3:]
    chosen = await records.read(ports.LineQuery("a/f", start_ms=HOUR, stop_ms=2 * HOUR, kind="log"))
    assert chosen == lines[4:8]
    assert await records.read(ports.LineQuery("a/f", request_id="r1", kind="log")) == lines[1::3]
    assert records.dropped() == 0
    await records.close()


async def test_lines_of_one_millisecond_keep_their_order(kit: engines.Kit) -> None:
    records = kit.records(1 << 30)
    await records.open()
    lines = [line(number, at_ms=77) for number in range(50)]
    for one in lines:
        records.write(one)
    assert await records.read(ports.LineQuery("a/f")) == lines
    assert await records.read(ports.LineQuery("a/f", limit=5)) == lines[-5:]
    await records.close()


async def test_the_oldest_lines_go_when_there_are_too_many_and_are_counted(
    kit: engines.Kit,
) -> None:
    records = kit.records(400_000)
    await records.open()
    for number in range(1_000):
        body = bytes(1_000)
        records.write(ports.LogLine(number * HOUR // 50, "a/f", "r", "log", body))
        if number % 50 == 0:
            await records.read(ports.LineQuery("a/f", limit=1))
    kept = await records.read(ports.LineQuery("a/f", limit=10_000))
    assert kept, "the newest stay"
    assert kept[-1].at_ms == 999 * HOUR // 50
    assert records.dropped() > 0
    assert len(kept) + records.dropped() == 1_000
    assert len(kept) * 1_000 <= 400_000
    await records.close()
