"""Every file of a data directory looked at: what is broken, and what of it can still be saved.

Sums of every frame, code by its digest, the registry record by record, and, when all of that is
whole and no server runs, both conservation laws recounted (`doctor`). Reads files only until then,
so it may run beside a server. Must never mend anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import apsw
import msgspec

from headrace import doctor
from headrace.resources import editing
from headrace.store import ports
from headrace.store.sqlite import capture, directory, verify
from headrace.store.sqlite import disk as disks
from headrace.store.sqlite import segment as segments

_KINDS: dict[str, editing.Kind[Any]] = {
    kind.name: kind
    for kind in (
        editing.BUS,
        editing.RULE,
        editing.FUNCTION,
        editing.QUEUE,
        editing.SOURCE,
        editing.SWITCH,
    )
}

Kind = Literal["version", "registry", "segment", "code", "log"]


class File(msgspec.Struct):
    """One file, or one that should be there."""

    #: Path below the data directory.
    name: str
    kind: Kind
    bytes: int = 0
    #: A sentence each; none when it is whole.
    problems: list[str] = []
    #: What of a broken file can be saved, and how.
    saved: str = ""


class Report(msgspec.Struct):
    """What was looked at, and what is wrong."""

    directory: str
    files: list[File] = []
    #: Both laws; empty when they hold, or why they could not be recounted in `skipped`.
    books: list[str] = []
    skipped: str = ""
    events: int = 0
    open: int = 0

    @property
    def broken(self) -> list[File]:
        return [file for file in self.files if file.problems]

    @property
    def whole(self) -> bool:
        return not self.broken and not self.books


def verify_directory(path: Path) -> Report:
    """Look at every file of a data directory. Raises: StoreError when it is none of ours."""
    path = path.absolute()
    report = Report(str(path), files=[], books=[])
    found = directory.format_of(path)
    report.files.append(File("VERSION", "version", (path / "VERSION").stat().st_size, []))
    directory.refuse_format(path, found)
    disk = disks.Disk()
    report.files.append(_registry(disk, path))
    for folder in capture.shards(path).values():
        report.files.extend(_chain(disk, path, folder))
    report.files.extend(_code(path, _users(disk, path)))
    report.files.extend(_logs(disk, path))
    _books(path, report)
    return report


# -- registry -------------------------------------------------------------------------------------


def _registry(disk: disks.Disk, path: Path) -> File:
    file = path / "registry.db"
    found = File("registry.db", "registry", disks.size_of(file), [])
    if not file.is_file():
        found.problems.append("registry.db is missing")
    else:
        found.problems += verify.database(disk, file)
    if not found.problems:
        found.problems += _records_of(disk, file)
        if found.problems:
            found.saved = "every other resource; make the named ones again"
    else:
        found.saved = "nothing of it by itself; restore it from a backup"
    return found


def _records_of(disk: disks.Disk, file: Path) -> list[str]:
    """Return a sentence for each record that cannot be decoded."""
    found: list[str] = []
    for key, value in _rows(disk, file, "SELECT key, value FROM record ORDER BY key"):
        kind = _KINDS.get(key.split("/")[1])
        if kind is None:
            continue
        try:
            kind.decode(value)
        except msgspec.MsgspecError as error:
            found.append(f"registry.db: the record {key} cannot be read: {error}")
    return found


def _users(disk: disks.Disk, path: Path) -> dict[str, list[str]]:
    """Return digest → functions that run that code; empty when the registry does not say."""
    found: dict[str, list[str]] = {}
    try:
        for key, value in _rows(disk, path / "registry.db", "SELECT key, value FROM record"):
            if key.split("/")[1] == editing.FUNCTION.name:
                function = editing.FUNCTION.decode(value)
                found.setdefault(function.code_sha256, []).append(function.name)
    except (apsw.Error, msgspec.MsgspecError):
        return found  # said already, of the registry
    return found


def _rows(disk: disks.Disk, file: Path, statement: str) -> list[tuple[Any, ...]]:
    with verify.recovered(disk, file) as connection:
        return list(connection.execute(statement))


# -- log ------------------------------------------------------------------------------------------


def _chain(disk: disks.Disk, path: Path, folder: Path) -> Iterator[File]:
    """Yield the segments of a shard, and a missing one where the chain has a gap."""
    expected: Path | None = None
    for file in segments.listed(folder):
        if expected is not None and file != expected and not expected.exists():
            yield _gap(path, expected)
        examined = verify.examine(disk, file)
        if not file.exists():
            continue  # trimmed meanwhile
        found = File(str(file.relative_to(path)), "segment", disks.size_of(file), examined.problems)
        if found.problems:
            found.saved = f"{examined.whole} of {examined.events} events are whole"
        yield found
        expected = _following(disk, file)
    if expected is not None and not expected.exists():
        yield _gap(path, expected)


def _gap(path: Path, missing: Path) -> File:
    return File(
        str(missing.relative_to(path)), "segment", 0, [f"{missing.name} is missing"],
        "the files before and after it; restore this one from a backup",
    )  # fmt: skip


def _following(disk: disks.Disk, file: Path) -> Path | None:
    """Return the file that must follow; None after the head, and after one that cannot say."""
    try:
        rows = _rows(disk, file, "SELECT next FROM meta")
    except apsw.Error:
        return None
    following = rows[0][0] if rows else None
    return None if following is None else segments.path_of(file.parent, following)


# -- code and logs --------------------------------------------------------------------------------


def _code(path: Path, users: dict[str, list[str]]) -> Iterator[File]:
    seen: set[str] = set()
    for file in capture.blobs(path):
        seen.add(file.name)
        found = File(str(file.relative_to(path)), "code", 0, [])
        try:
            with file.open("rb") as read:
                digest = hashlib.file_digest(read, "sha256").hexdigest()
                found.bytes = read.tell()
        except FileNotFoundError:
            continue
        if digest != file.name:
            found.problems.append(f"{file.name[:12]}…: the code is not what was uploaded")
            found.saved = _deploy_again(users.get(file.name, []))
        yield found
    for digest in sorted(users.keys() - seen):
        name = f"blobs/{digest[:2]}/{digest}"
        text = f"{digest[:12]}…: the code is missing"
        yield File(name, "code", 0, [text], _deploy_again(users[digest]))


def _deploy_again(functions: list[str]) -> str:
    if not functions:
        return "nothing is lost: no function uses it"
    return f"deploy the code of {', '.join(sorted(functions))} again"


def _logs(disk: disks.Disk, path: Path) -> Iterator[File]:
    for file in capture.records(path):
        found = File(str(file.relative_to(path)), "log", disks.size_of(file), [])
        found.problems += verify.database(disk, file)
        if not file.exists():
            continue
        if found.problems:
            found.saved = "functions' logs of one hour only; the file can be removed"
        yield found


# -- books ----------------------------------------------------------------------------------------


def _books(path: Path, report: Report) -> None:
    """Recount both laws where that can be done."""
    if report.broken:
        report.skipped = "the books are recounted when every file is whole"
        return
    try:
        counted = doctor.check(path, files=False)
    except directory.DirectoryHeld as held:
        report.skipped = f"{held}: `headrace doctor` asks it for its books"
        return
    except ports.StoreError as fault:
        report.books.append(f"the log cannot be opened: {fault}")
        return
    report.events, report.open = counted.events, counted.open
    report.books.extend(counted.problems)
