"""Checking one file: SQLite's own check, then every frame against its sums; and how much of a
broken segment is still what was written. Must never write to the file.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import apsw
import msgspec

from headrace.store import ports
from headrace.store.sqlite import disk as disks
from headrace.store.sqlite import reading

#: Broken frames of one file that are named.
SHOWN_MAX = 5
#: Broken frames after which a file is not looked at any further.
BROKEN_FRAMES_MAX = 1_000

_STEP = 2_048


class Examined(msgspec.Struct):
    """What a segment file holds, and what is wrong with it: a sentence each."""

    problems: list[str] = []
    #: Events the frames say.
    events: int = 0
    #: Of them those whose frame is what was written.
    whole: int = 0


def problems(disk: disks.Disk, path: Path) -> list[str]:
    """Return what is wrong with a segment file, a sentence each; empty when it is whole."""
    return examine(disk, path).problems


def examine(disk: disks.Disk, path: Path) -> Examined:
    """Read a segment file whole."""
    examined = Examined(problems=[])
    try:
        with recovered(disk, path) as connection:
            examined.problems += [f"{path.name}: {text}" for text in _rows(connection)]
            broken = [f"{path.name}: {text}" for text in _frames(connection, examined)]
            examined.problems += broken[:SHOWN_MAX]
            if len(broken) > SHOWN_MAX:
                more = len(broken) - SHOWN_MAX
                examined.problems.append(
                    f"{path.name}: {more} more frames are not what was written"
                )
    except (apsw.Error, OSError) as error:
        examined.problems.append(f"{path.name}: cannot be read: {error}")
    return examined


def database(disk: disks.Disk, path: Path) -> list[str]:
    """Return what SQLite says is wrong with a database file; empty when it is whole."""
    try:
        with recovered(disk, path) as connection:
            return [f"{path.name}: {text}" for text in _integrity(connection)]
    except (apsw.Error, OSError) as error:
        return [f"{path.name}: cannot be read: {error}"]


@contextlib.contextmanager
def recovered(disk: disks.Disk, path: Path) -> Generator[disks.Connection]:
    """Open a file to read it as the next start would.

    What a crash left in the middle of a commit is rolled back in a copy.
    """
    with contextlib.ExitStack() as closing:
        connection = disk.read(path)
        closing.callback(connection.close, True)
        try:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except apsw.ReadOnlyError:
            folder = Path(closing.enter_context(tempfile.TemporaryDirectory()))
            for source in (path, Path(f"{path}-journal"), Path(f"{path}-wal")):
                if source.exists():
                    shutil.copyfile(source, folder / source.name)
            connection = disk.write(folder / path.name)
            closing.callback(connection.close, True)
        yield connection


def _integrity(connection: disks.Connection) -> list[str]:
    found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(10)")]
    return [] if found == ["ok"] else found


def _rows(connection: disks.Connection) -> list[str]:
    found = _integrity(connection)
    orphans = connection.execute(
        "SELECT count(*) FROM settle WHERE frame NOT IN (SELECT pos FROM frame)"
    ).fetchone()
    strays = connection.execute(
        "SELECT (SELECT count(*) FROM event) - (SELECT total(events) FROM frame)"
    ).fetchone()
    if orphans is not None and orphans[0]:
        found.append(f"{orphans[0]} settlement rows belong to no frame")
    if strays is not None and strays[0]:
        found.append(f"{int(strays[0])} event rows more than the frames say")
    return found


def _frames(connection: disks.Connection, examined: Examined) -> Iterator[str]:
    """Yield a sentence for each frame that is not what was written; count the others."""
    row = connection.execute("SELECT total(events) FROM frame").fetchone()
    examined.events = int(row[0]) if row is not None else 0
    after, step = 0, _STEP
    for _ in range(BROKEN_FRAMES_MAX):
        walk = reading.Walk(connection, after, bodies=True)
        try:
            while replayed := walk.step(step):
                examined.whole += sum(len(one.frame.events) for one in replayed)
                after = replayed[-1].last
            return
        except ports.Corrupt as error:
            if step > 1:
                step = 1  # the broken one is among many: once more from there, one by one
                continue
            yield str(error)
        finally:
            connection.execute("ROLLBACK")
        passed = _past_the_next(connection, after)
        if passed is None:
            return
        after = passed


def _past_the_next(connection: disks.Connection, after: int) -> int | None:
    """Return the position before the frame that follows the first one after `after`."""
    headers = [
        int(row[0])
        for row in connection.execute(
            "SELECT pos FROM frame WHERE pos > ? ORDER BY pos LIMIT 2", (after,)
        )
    ]
    return headers[1] - 1 if len(headers) == 2 else None
