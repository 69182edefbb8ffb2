"""A write that the kernel cuts short: some of the bytes are written, the rest is not.

A tracer can only pretend that; here the call that SQLite makes is replaced by one that really
writes half. What follows is SQLite's: it must write the rest, not believe that all was written.
"""

from __future__ import annotations

import ctypes
import itertools

import apsw

_Write = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_longlong,
    use_errno=True,
)  # fmt: skip
_NAMES = ("pwrite64", "pwrite")
#: SQLite keeps bare pointers: none of these may go.
_alive: list[object] = []


def install(number: int) -> None:
    """Cut the Nth write short, and every 50th after it."""
    vfs = apsw.VFS("headrace-shortened", "")
    calls = itertools.count(1)
    for name in _NAMES:
        pointer = vfs.xGetSystemCall(name)
        if pointer:
            cut = _cutting(_Write(pointer), calls, number)
            _alive.append(cut)
            vfs.xSetSystemCall(name, ctypes.cast(cut, ctypes.c_void_p).value)
    assert _alive, "SQLite writes through neither name"
    _alive.append(vfs)


def _cutting(real: object, calls: itertools.count[int], number: int) -> object:
    def write(file: int, data: int, size: int, offset: int) -> int:
        turn = next(calls)
        short = size > 1 and turn >= number and (turn - number) % 50 == 0
        return real(file, data, size // 2 if short else size, offset)  # type: ignore[operator]

    return _Write(write)
