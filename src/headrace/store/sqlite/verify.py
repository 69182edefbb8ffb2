"""Checking one segment file: SQLite's own check, then every frame against its sums."""

from __future__ import annotations

from pathlib import Path

import apsw

from headrace.store import ports
from headrace.store.sqlite import disk as disks
from headrace.store.sqlite import reading

_STEP = 2_048


def problems(disk: disks.Disk, path: Path) -> list[str]:
    """Return what is wrong with a segment file, a sentence each; empty when it is whole."""
    try:
        connection = disk.read(path)
    except apsw.Error as error:
        return [f"{path.name}: cannot be opened: {error}"]
    try:
        return [f"{path.name}: {text}" for text in (*_rows(connection), *_frames(connection))]
    except apsw.Error as error:
        return [f"{path.name}: cannot be read: {error}"]
    finally:
        connection.close(True)


def _rows(connection: disks.Connection) -> list[str]:
    found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(10)")]
    if found == ["ok"]:
        found = []
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


def _frames(connection: disks.Connection) -> list[str]:
    walk = reading.Walk(connection, 0, bodies=True)
    try:
        while walk.step(_STEP):
            continue
    except ports.Corrupt as error:
        return [str(error)]
    finally:
        connection.execute("ROLLBACK")
    return []
