"""What one version leaves to the next, which program that is, and whether the two get on.

The new program takes the place of the old one in the same process (exec), with the descriptors kept
open; a sealed file in memory tells it their numbers. Must never start or stop anything.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

import headrace
from headrace.core import errors
from headrace.store.sqlite import directory

#: Names the descriptor of the file.
VARIABLE: Final = "HEADRACE_HANDOVER"
#: The shape of `Kept` and of what the two processes say. A later version still reads this one.
PROTOCOL: Final = 1
#: A program that says nothing of itself for so long does not start.
DESCRIBE_S_MAX: Final = 60.0


class Kept(msgspec.Struct, omit_defaults=True):
    """What goes from one supervisor to the next: numbers of descriptors, and words."""

    protocol: int
    listener: int
    lock: int
    #: Connections without a worker.
    connections: list[int] = []
    #: The worker that still serves, and the channel to it.
    worker: int | None = None
    channel: int | None = None
    #: What that worker is given for what runs, seconds.
    drain_s: float = 0.0
    #: The socket that operators ask through; a version without this field makes another.
    control: int | None = None
    #: Whoever asked for the upgrade and waits for its end.
    asker: int | None = None
    #: The program before, while there is a way back to it.
    came_from: list[str] = []
    #: Why the version that was tried has given up.
    failed: str = ""

    def descriptors(self) -> list[int]:
        single = (self.listener, self.lock, self.channel, self.control, self.asker)
        return [*self.connections, *(one for one in single if one is not None)]


class Version(msgspec.Struct, frozen=True):
    """What a program says of itself before it is trusted with anything."""

    version: str
    protocol: int
    #: Formats of a data directory that it works with.
    oldest: int
    newest: int


class Refused(errors.HeadraceError):
    """The program cannot take over; the one that runs goes on."""

    code = "UpgradeRefused"
    status = 409


def leave(kept: Kept) -> int:
    """Write `kept` where the next program finds it; return the file's descriptor."""
    descriptor = os.memfd_create("headrace-handover")
    os.write(descriptor, msgspec.json.encode(kept))
    for one in (descriptor, *kept.descriptors()):
        os.set_inheritable(one, True)
    return descriptor


def found(environ: MutableMapping[str, str]) -> Kept | None:
    """Return what the program before has left, once; None for a start from nothing.

    Raises: errors.Unavailable when it cannot be read.
    """
    number = environ.pop(VARIABLE, None)  # no worker and no program that it starts needs it
    if number is None:
        return None
    try:
        descriptor = int(number)
        raw = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        os.close(descriptor)
        kept = msgspec.json.decode(raw, type=Kept)
        for one in kept.descriptors():
            os.set_inheritable(one, False)
    except (OSError, ValueError, msgspec.MsgspecError) as fault:
        raise errors.Unavailable(
            f"{VARIABLE} is set, and nothing was handed over: {fault}",
            remedy=f"It is for `headrace upgrade` alone: unset {VARIABLE}.",
        ) from fault
    return kept


def this_program() -> list[str]:
    """Return the command line that runs this program, without its arguments."""
    own = len(sys.argv) - 1
    words = sys.orig_argv[:-own] if own else sys.orig_argv
    # The first word is as it was typed, and not looked for in PATH again.
    return [sys.executable, *words[1:]]


def program_at(path: Path) -> list[str]:
    """Return the command line of the program that an operator names: a virtual environment, its
    `headrace` or its `python`.

    Raises: Refused.
    """
    named = path / "bin" / "headrace" if path.is_dir() else path
    if not named.is_file() or not os.access(named, os.X_OK):
        raise Refused(
            f"{named} is no program",
            remedy="Name a virtual environment, or the headrace in its bin directory.",
        )
    absolute = str(named.absolute())
    return [absolute, "-m", "headrace"] if named.name.startswith("python") else [absolute]


def this_version() -> Version:
    return Version(headrace.__version__, PROTOCOL, directory.OLDEST, directory.FORMAT)


def describe(program: Sequence[str], arguments: Sequence[str]) -> Version:
    """Ask a program what it is; it reads all `arguments` of the server and imports all of itself.

    Raises: Refused with what it said.
    """
    command = [*program, *arguments, "--describe"]
    environ = {name: value for name, value in os.environ.items() if name != VARIABLE}
    try:
        done = subprocess.run(
            command, env=environ, capture_output=True, timeout=DESCRIBE_S_MAX, check=False
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise Refused(f"{program[0]} does not start: {said[-1] if said else done.returncode}")
        return msgspec.json.decode(done.stdout, type=Version)
    except msgspec.MsgspecError as fault:
        raise Refused(f"{program[0]} is no Headrace that can take over: {fault}") from fault
    except (OSError, ValueError, subprocess.TimeoutExpired) as fault:  # of a word with a zero byte
        raise Refused(f"{program[0]} does not start: {fault}") from fault


def check(next: Version, format: int) -> None:
    """Can that program go on with what this one holds? format: of the data directory.

    Raises: Refused.
    """
    if next.protocol != PROTOCOL:
        raise Refused(
            f"version {next.version} hands over by protocol {next.protocol}, not {PROTOCOL}",
            remedy="Stop the server and start the other version.",
        )
    if not next.oldest <= format <= next.newest:
        raise Refused(
            f"version {next.version} works with formats {next.oldest} to {next.newest}, the data"
            f" directory has {format}",
            remedy="Go by a version between the two, and finalize there."
            if format < next.oldest
            else "After --finalize there is no way back but a backup.",
        )
