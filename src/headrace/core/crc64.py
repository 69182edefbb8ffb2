"""CRC-64/XZ, the checksum of a code package as the Function Compute API prints it.

Owns the polynomial and nothing else; it must never read files. Large inputs are folded as one big
number, which the interpreter shifts and adds at memory speed, so that a 50 MB package does not
hold the process for seconds.
"""

from __future__ import annotations

_ONES = 0xFFFF_FFFF_FFFF_FFFF
#: ECMA-182, reflected.
_POLYNOMIAL = 0xC96C_5795_D787_0F42

#: x^_FOLD_BITS mod the polynomial has only 13 terms: found by counting the terms of every power up
#: to 2^22.
_FOLD_BITS = 235_500
_FOLD_POWER = 0x8380_0302_5000_2A20
_FOLD_SHIFTS = tuple(i for i in range(64) if _FOLD_POWER >> i & 1)
#: Whole bytes that one fold removes; a term may reach 63 bits back.
_BLOCK_BYTES = (_FOLD_BITS - 63) // 8
_BLOCK_BITS = _BLOCK_BYTES * 8
_BLOCK_MASK = (1 << _BLOCK_BITS) - 1
_SLACK_BITS = _FOLD_BITS - 63 - _BLOCK_BITS
#: What a fold leaves behind reaches this far; the last bytes are taken by the table.
_REACH_BYTES = _BLOCK_BYTES + 16


def _entry(index: int) -> int:
    for _ in range(8):
        index = index >> 1 ^ (_POLYNOMIAL if index & 1 else 0)
    return index


_TABLE = tuple(_entry(i) for i in range(256))


def _by_table(data: bytes | memoryview, register: int) -> int:
    table = _TABLE
    for byte in data:
        register = register >> 8 ^ table[(register ^ byte) & 0xFF]
    return register


def _fold(data: memoryview, register: int) -> bytes:
    """Return a short text that, from zero, ends in the register `data` ends in from `register`."""
    rest = register
    start = 0
    while len(data) - start > _BLOCK_BYTES + _REACH_BYTES:
        rest ^= int.from_bytes(data[start : start + _BLOCK_BYTES], "little")
        head = (rest & _BLOCK_MASK) << _SLACK_BITS
        rest >>= _BLOCK_BITS
        for shift in _FOLD_SHIFTS:
            rest ^= head << shift
        start += _BLOCK_BYTES
    tail = data[start:]
    return (int.from_bytes(tail, "little") ^ rest).to_bytes(len(tail), "little")


def checksum(data: bytes | bytearray | memoryview, start: int = 0) -> int:
    """Return the CRC-64/XZ of `data`.

    start: the checksum of what came before `data`, to go on in pieces.
    Source: Function Compute codeChecksum; "123456789" gives 11051210869376104954.
    """
    view = memoryview(data).cast("B")
    register = start ^ _ONES
    if len(view) > _BLOCK_BYTES + _REACH_BYTES:
        return _by_table(_fold(view, register), 0) ^ _ONES
    return _by_table(view, register) ^ _ONES


def printed(data: bytes | bytearray | memoryview) -> str:
    """Return the checksum as the API prints it: unsigned decimal."""
    return str(checksum(data))
