"""The socket in the data directory through which an operator asks the supervisor.

Whoever may write the directory may ask; nobody over the network may, for the answer starts a
program. Each line is a JSON object: an `Ask`, then an `Answer` for each step, the last one with
`done`. Must never decide anything.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Annotated, Final

import msgspec

NAME: Final = "control"
#: A question is a path and a few numbers.
ASK_BYTES_MAX: Final = 16 * 1024
#: Whoever connects must ask within this time.
ASK_S_MAX: Final = 2.0
#: Longest time for what runs, seconds.
DRAIN_S_MAX: Final = 3600


class Ask(msgspec.Struct, omit_defaults=True):
    """Upgrade, please."""

    #: Program to go to; [] for the one that runs, as it lies on disk now.
    program: list[str] = []
    #: Bring the data directory to the newest format, for good.
    finalize: bool = False
    #: Time for requests and attempts that run, seconds.
    drain_s: Annotated[float, msgspec.Meta(ge=0, le=DRAIN_S_MAX)] = 15.0


class Answer(msgspec.Struct, omit_defaults=True):
    """One step, for people (`text`); with `done` it is the last."""

    text: str
    done: bool = False
    ok: bool = True
    remedy: str = ""
    version: str = ""
    #: How long no worker took requests, seconds.
    gap_s: float | None = None


class Asker:
    """The connection of one operator."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.ask: Ask | None = None

    @classmethod
    def adopt(cls, descriptor: int) -> Asker:
        return cls(socket.socket(fileno=descriptor))

    def fileno(self) -> int:
        return self.connection.fileno()

    def hear(self) -> Ask:
        """Read the question. Raises: OSError, ValueError, msgspec.MsgspecError."""
        ends_s = time.monotonic() + ASK_S_MAX
        said = b""
        while b"\n" not in said and len(said) < ASK_BYTES_MAX:
            self.connection.settimeout(max(ends_s - time.monotonic(), 0.001))
            more = self.connection.recv(ASK_BYTES_MAX)
            if not more:
                break
            said += more
        return msgspec.json.decode(said, type=Ask)

    def tell(self, answer: Answer) -> None:
        """Say a step; an operator who has gone away misses it."""
        with contextlib.suppress(OSError):
            self.connection.sendall(msgspec.json.encode(answer) + b"\n", socket.MSG_NOSIGNAL)

    def close(self) -> None:
        self.connection.close()


def listen(folder: Path) -> socket.socket:
    """Make the socket in a data directory whose lock is held."""
    (folder / NAME).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _near(folder) as near:
        before = os.umask(0o177)
        try:
            listener.bind(f"{near}/{NAME}")
        finally:
            os.umask(before)
    listener.listen(8)
    return listener


def ask(folder: Path, asked: Ask) -> Iterator[Answer]:
    """Ask the supervisor of a data directory; yield its answers until the last.

    Raises: OSError when there is none.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        with _near(folder) as near:
            connection.connect(f"{near}/{NAME}")
        connection.sendall(msgspec.json.encode(asked) + b"\n")
        with connection.makefile("rb") as file:
            for line in file:
                answer = msgspec.json.decode(line, type=Answer)
                yield answer
                if answer.done:
                    return


@contextlib.contextmanager
def _near(folder: Path) -> Generator[str]:
    """Yield a short name of a directory: the address of a Unix socket has 107 bytes at most."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
