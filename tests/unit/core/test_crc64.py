"""CRC-64/XZ: the known answer, a bit-by-bit model, and agreement of the two ways to compute it."""

from __future__ import annotations

import random

import pytest

from headrace.core import crc64


def by_bits(data: bytes) -> int:
    """The definition, one bit at a time, sharing nothing with the tables."""
    register = 2**64 - 1
    for byte in data:
        register ^= byte
        for _ in range(8):
            carry = register & 1
            register >>= 1
            if carry:
                register ^= 0xC96C5795D7870F42
    return register ^ (2**64 - 1)


def test_the_check_value_of_the_standard() -> None:
    assert crc64.checksum(b"123456789") == 11051210869376104954 == 0x995DC9BBDF1939FA
    assert crc64.printed(b"123456789") == "11051210869376104954"


def test_nothing_has_checksum_zero() -> None:
    assert crc64.checksum(b"") == 0


@pytest.mark.parametrize("size", [1, 7, 8, 9, 300, 58_860, 58_900, 60_000, 88_311, 150_001])
def test_every_size_agrees_with_the_definition(size: int) -> None:
    """Sizes on both sides of where large inputs begin to be folded."""
    data = random.Random(size).randbytes(size)
    assert crc64.checksum(data) == by_bits(data)


def test_runs_of_equal_bytes_are_folded_right() -> None:
    for byte in (b"\x00", b"\xff"):
        assert crc64.checksum(byte * 70_000) == by_bits(byte * 70_000)


def test_pieces_give_the_checksum_of_the_whole() -> None:
    data = random.Random(1).randbytes(200_000)
    at = 0
    value = 0
    for size in (1, 70_000, 29_430, 100_000, 10_000):
        value = crc64.checksum(memoryview(data)[at : at + size], value)
        at += size
    assert crc64.checksum(data[at:], value) == crc64.checksum(data)


def test_one_changed_bit_anywhere_changes_the_checksum() -> None:
    data = bytearray(random.Random(2).randbytes(100_000))
    before = crc64.checksum(data)
    for at in (0, 29_429, 50_000, 99_999):
        data[at] ^= 1
        assert crc64.checksum(data) != before
        data[at] ^= 1
