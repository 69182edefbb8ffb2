"""What a supervisor and its worker say to each other, over a socket pair they inherit.

One word a message, with a body and with descriptors where the word has some. Must never wait
unless told to: the worker listens from its event loop.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

#: Worker: it answers requests. Body: the `serve.Ready`, as JSON.
READY: Final = b"ready"
#: Supervisor: end what runs, and give back the connections. Body: seconds for what runs.
LEAVE: Final = b"leave"
#: Worker: from now on it takes no requests.
PAUSED: Final = b"paused"
#: Worker: connections that nobody waits on, as descriptors. The supervisor says TAKEN to each.
KEPT: Final = b"kept"
TAKEN: Final = b"taken"

#: A message carries at most so many descriptors (Linux: SCM_MAX_FD is 253).
DESCRIPTORS_MAX: Final = 250
_ROOM_BYTES: Final = socket.CMSG_SPACE(DESCRIPTORS_MAX * array.array("i").itemsize)
#: The longest body: what a ready server says of itself, plug-ins included.
MESSAGE_BYTES_MAX: Final = 128 * 1024


class Heard(NamedTuple):
    """One message."""

    word: bytes
    body: bytes
    descriptors: list[int]


class Channel:
    """One end."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(here), cls(there)

    @classmethod
    def adopt(cls, descriptor: int) -> Channel:
        """Take over an end that was inherited."""
        return cls(socket.socket(fileno=descriptor))

    def fileno(self) -> int:
        return self._end.fileno()

    def tell(self, word: bytes, body: bytes = b"", descriptors: Sequence[int] = ()) -> None:
        """Send a message; the descriptors stay open here.

        Raises: OSError when the other end is gone.
        """
        carried = array.array("i", descriptors)
        more = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, carried)] if descriptors else []
        self._end.sendmsg([word + b"\n" + body], more, socket.MSG_NOSIGNAL)

    def hear(self, timeout_s: float | None = None) -> Heard | None:
        """Wait for a message; None when the other end is gone.

        Raises: TimeoutError.
        """
        self._end.settimeout(timeout_s)
        try:
            # socket.recv_fds loses its flags.
            raw, carried, _, _ = self._end.recvmsg(
                MESSAGE_BYTES_MAX, _ROOM_BYTES, socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError:
            return None
        if not raw:
            return None
        word, _, body = raw.partition(b"\n")
        descriptors = array.array("i", b"".join(numbers for _, _, numbers in carried))
        return Heard(word, body, descriptors.tolist())

    def give(self, descriptors: Sequence[int]) -> None:
        """Pass on descriptors, any number, and close them here as they are taken.

        Raises: OSError when the other end is gone; then the rest is closed, too.
        """
        with contextlib.ExitStack() as stack:
            for one in descriptors:
                stack.callback(os.close, one)
            for some in _portions(descriptors):
                self.tell(KEPT, descriptors=some)
                if self.hear() is None:
                    raise BrokenPipeError("the supervisor is gone")

    def close(self) -> None:
        self._end.close()


def _portions(descriptors: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(descriptors), DESCRIPTORS_MAX):
        yield descriptors[start : start + DESCRIPTORS_MAX]
