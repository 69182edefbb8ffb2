"""What must hold after any failed call: of the order of things, and of the files that are left.

Nothing here knows which call failed to find what is wrong: lost is lost. Only two rules ask: a
failed sync ends the writing, and room that is missing once is waited out.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import apsw
import msgspec

from headrace import doctor, outside
from headrace.resources import editing, model
from headrace.store import ports
from headrace.store.sqlite import Directory, SqliteJournal, SqliteRegistry
from tests.faults import scaffold
from tests.faults.calls import scripted, tracing

#: Faults that a store goes on after, when they come once.
PASSING = ("error=ENOSPC", "error=EINTR", "retval=0")


class Ledger(msgspec.Struct):
    """What the process told, read once it is gone."""

    sent: dict[int, list[str]] = {}
    acked: set[int] = set()
    refused: set[int] = set()
    #: The description that the rule was created with, then every later one.
    edits_sent: list[int] = msgspec.field(default_factory=lambda: [0])
    edits_acked: list[int] = msgspec.field(default_factory=lambda: [0])
    blobs_acked: list[str] = []
    writer: int = 0
    ready: bool = False
    ended: bool = False
    #: Rather than ends and refusals: what a server would have logged as a bug.
    unexpected: list[str] = []

    @property
    def sent_ids(self) -> set[str]:
        return {id for ids in self.sent.values() for id in ids}

    @property
    def acked_ids(self) -> set[str]:
        return {id for number in self.acked for id in self.sent[number]}


def ledger_of(messages: Sequence[str]) -> Ledger:
    """Return the books of one life."""
    books = Ledger()
    for message in messages:
        _take(books, message.split(" "), message)
    return books


def _take(books: Ledger, words: list[str], message: str) -> None:
    match words:
        case ["s", number, ids]:
            books.sent[int(number)] = ids.split(",")
        case ["a", number]:
            books.acked.add(int(number))
        case ["r", number, *_]:
            books.refused.add(int(number))
        case ["S", "edit", number]:
            books.edits_sent.append(int(number))
        case ["A", "edit", number]:
            books.edits_acked.append(int(number))
        case ["A", "blob", digest]:
            books.blobs_acked.append(digest)
        case ["w", thread]:
            books.writer = int(thread)
        case ["ready"]:
            books.ready = True
        case ["end"]:
            books.ended = True
        case ["unexpected", *_]:
            books.unexpected.append(message)
        case _:
            pass  # for people


# ---------------------------------------------------------------- order


def order(seen: Sequence[tracing.Seen], writer: int) -> Iterator[str]:
    """Yield each acknowledgement that came without, or after a failed, sync of its own."""
    syncs: dict[int, list[bool]] = {}
    open_numbers: set[int] = set()
    failed = False
    for event in seen:
        if event.thread == writer and is_of_the_log(event):
            failed = failed or not event.ok
            for number in open_numbers:
                syncs[number].append(event.ok)
        elif event.kind == "told":
            words = event.text.split(" ")
            if words[0] == "s":
                open_numbers.add(int(words[1]))
                # Begun after the failure: no sync can make it good.
                syncs[int(words[1])] = [False] if failed else []
            elif words[0] in ("a", "r") and len(words) >= 2:
                number = int(words[1])
                open_numbers.discard(number)
                if words[0] == "a" and syncs[number][:1] != [True]:
                    how = "after a failed sync" if syncs[number] else "without a sync"
                    yield f"publish {number} was acknowledged {how}"


def is_of_the_log(event: tracing.Seen) -> bool:
    """A sync that an acknowledgement rests on, and whose failure the store is told.

    SQLite syncs the directory of a new file by itself (fdatasync) and ignores a failure; ours of
    the same directory (fsync) follows.
    """
    own = event.call == "fsync" or not event.path.rpartition("/")[2].startswith("shard-")
    return event.kind == "sync" and "/shard-" in event.path and own


def endings(
    seen: Sequence[tracing.Seen], books: Ledger, fault: tracing.Fault, code: int
) -> Iterator[str]:
    """Yield where the process did not stop as it should, or stopped though it should go on."""
    yield from books.unexpected
    working = _while_working(seen)
    stopped = [e for e in working if is_of_the_log(e) and not e.ok and e.thread == books.writer]
    if stopped and code not in (scripted.EXIT_BROKEN, scripted.EXIT_REFUSED):
        yield f"the process went on after a failed sync of {stopped[0].path} (exit {code})"
    struck = [event for event in working if event.kind == "failed"]
    passing = fault.what in PASSING and not fault.on and fault.call == "pwrite64"
    everywhere = [event for event in seen if event.kind == "failed"]
    # Of each that failed one publish may be refused, no more.
    ended = code != 0 or len(books.refused) > len(struck)
    if passing and struck and len(struck) == len(everywhere) and ended:
        yield f"{fault.what} on {struck[0].path} ended the writing (exit {code})"
    if fault.what == "error=EINTR" and fault.call == "pwrite64" and books.refused:
        yield "an interrupted write was not tried again"


def _while_working(seen: Sequence[tracing.Seen]) -> list[tracing.Seen]:
    """The part of the log between `ready` and `end` (or the end of the process)."""
    texts = [event.text if event.kind == "told" else "" for event in seen]
    if "ready" not in texts:
        return []
    stop = texts.index("end") if "end" in texts else len(seen)
    return list(seen[texts.index("ready") : stop])


# ---------------------------------------------------------------- files


def files(folder: Path, books: Ledger, account: str = scripted.ACCOUNT) -> list[str]:
    """Open the directory again, as the next start would, and compare it with the books."""
    found: list[str] = []
    try:
        number = asyncio.run(_opened(folder, account))
        found += doctor.check(folder).problems[:3]
    except (ports.StoreError, apsw.Error, OSError, ValueError) as fault:
        return [*found, f"does not open again: {type(fault).__name__}: {fault}"]
    if number is not None and not books.edits_acked[-1] <= number <= books.edits_sent[-1]:
        found.append(
            f"edit {books.edits_acked[-1]} was acknowledged,"
            f" {books.edits_sent[-1]} sent, {number} found"
        )
    if number is None and books.ready:
        found.append("the acknowledged rule is gone")
    stored = scaffold.stored_ids(folder)
    if lost := sorted(books.acked_ids - set(stored)):
        found.append(f"acknowledged and lost: {lost}")
    if phantom := sorted(set(stored) - books.sent_ids):
        found.append(f"stored and never sent: {phantom}")
    if len(stored) != len(set(stored)):
        found.append("an event is stored twice")
    return found + list(_bad_blobs(folder, books))


def _bad_blobs(folder: Path, books: Ledger) -> Iterator[str]:
    for digest in books.blobs_acked:
        path = folder / "blobs" / digest[:2] / digest
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            yield f"blob {digest} was acknowledged and is not there whole"


async def _opened(folder: Path, account: str) -> int | None:
    """Recover as a start does; return the number in the rule's description, None without one."""
    directory = Directory.open(folder)
    registry = SqliteRegistry(directory, outside.SystemClock())
    writer = outside.writer_executor("judging")
    journal = SqliteJournal(directory, writer=writer)
    try:
        await journal.open()
        await registry.open()
        kept = registry.get(editing.RULE.key(account, "default", "push"))
        if kept is None:
            return None
        return int(msgspec.json.decode(kept.value, type=model.Rule).description)
    finally:
        await journal.close()
        await registry.close()
        writer.shutdown()
        directory.close()
