"""The pages for operators that hold figures: promises with their proofs, sizes from the benches.

    ./dev docs [--check]

`operations/promises.md` is written whole; in `operations/sizing.md` each block between
`<!-- NAME -->` and `<!-- /NAME -->`. Must never say a number that no result holds: what was not
measured is named with the command that does it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import generate_readme
import pages
import promises

sys.path.insert(0, str(pages.ROOT))

from headrace.bus import retention
from headrace.store import settings
from tests.faults import _rows

OPERATIONS = pages.DOCS / "operations"
BENCHES = pages.ROOT / "bench" / "results"
FAULTS = pages.ROOT / "tests" / "faults" / "results"
MIB = 1024 * 1024

PROMISES = """\
# Promises

Word for word what the [README](../../README.md) says, what it means for who relies on it, and what
shows that it holds. Nothing more is promised. Each proof runs at a small size at every change
(`./dev test`); the figures are of the large runs and stand in full in
[reliability, as measured](../reliability.md).
"""
FOLLOWING = """\
## Backups, restores, upgrades

The first promise, kept across them.
"""


def main() -> int:
    sizing = OPERATIONS / "sizing.md"
    return pages.settle({OPERATIONS / "promises.md": promise_page(), sizing: filled(sizing)})


def results(folder: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


# -- promises --------------------------------------------------------------------------------------


def promise_page() -> str:
    """Return the page of promises."""
    parts = [pages.NOTE + PROMISES]
    parts += [_promise(promise, "## ") for promise in promises.PROMISES]
    parts.append(FOLLOWING)
    parts += [_promise(promise, "### ") for promise in promises.FOLLOWING]
    return "\n".join(parts)


def _promise(promise: promises.Promise, head: str) -> str:
    parts = [f"{head}{promise.words[0]}\n"]
    if promise.remark[0]:
        parts.append(f"*({promise.remark[0]})*\n")
    if promise.meaning:
        parts.append("\n".join(f"- {sentence}" for sentence in promise.meaning) + "\n")
    if promise.proofs:
        rows = [
            (pages.code(_command(proof)), proof.shows, _figures(proof)) for proof in promise.proofs
        ]
        parts.append(pages.table(("proof", "what it does", "the large run"), rows))
    return "\n".join(parts)


def _command(proof: promises.Proof) -> str:
    return f"./dev test {proof.name}" if "/" in proof.name else f"./dev faults {proof.name}"


def _figures(proof: promises.Proof) -> str:
    """Return the figures of a proof's saved result, or how to make them."""
    if "/" in proof.name:
        return "–"
    row = next(row for row in _rows.ROWS if row.name == proof.name)
    result = results(FAULTS).get(row.name)
    if result is None:
        return f"not measured on this tree yet: `./dev faults all --full --save {row.name}`"
    if missing := [name for name in proof.figures if name not in result["figures"]]:
        raise SystemExit(f"tests/faults/results/{row.name}.json has no figure {missing[0]}")
    verdict = "passed" if result["pass"] else "FAILED"
    said = [f"{name.replace('_', ' ')} {result['figures'][name]:,}" for name in proof.figures]
    return ", ".join([f"{verdict}, {result['machine']['day']}", *said])


# -- sizes -----------------------------------------------------------------------------------------


def filled(path: Path) -> str:
    """Return the page with its blocks as they should be."""
    text = path.read_text("utf-8")
    for name, block in blocks().items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text, count = pattern.subn(
            lambda found, block=block: f"{found[1]}\n{block}\n{found[2]}", text
        )
        if count != 1:
            raise SystemExit(f"{path.name} has {count} blocks <!-- {name} -->, one is needed")
    return text


def blocks() -> dict[str, str]:
    """Return name -> content of the blocks of the page on sizes."""
    measured = results(BENCHES)
    return {
        "rates": rates(measured),
        "memory": memory(measured, results(FAULTS)),
        "disk": disk(measured.get("disk")),
        "example": example(measured.get("disk")),
        "kept": kept(),
    }


def rates(measured: dict[str, dict[str, Any]]) -> str:
    """Return what one server did, with all cores of its machine for it and its callers."""
    wanted = (
        ("ingest", "single_events_per_s", "durable events/s, one a request"),
        ("ingest", "batch_events_per_s", "durable events/s, ten a request"),
        ("deliver", "events_per_s", "events/s through a rule to a function and settled"),
        ("invoke", "callers32_per_s", "synchronous invocations/s"),
        ("match", "events_per_s", "events/s matched against 10,000 rules"),
    )
    rows = [
        (what, generate_readme.number(measured[bench]["figures"][key]), f"`./dev bench {bench}`")
        for bench, key, what in wanted
        if bench in measured
    ]
    table = pages.table(("what", "at most", "measured by"), rows)
    cores = {str(one["machine"]["cores"]) for one in measured.values()}
    return f"{table}\nOn {' or '.join(sorted(cores))} cores, the caller's work included.\n"


def memory(measured: dict[str, dict[str, Any]], faults: dict[str, dict[str, Any]]) -> str:
    wanted = (
        (measured, "startup", "idle_rss_mb", "an idle server"),
        (faults, "pending", "rss_mb_draining", "the same, working off a backlog"),
        (faults, "soak", "rss_mb_end", "at the end of the soak"),
    )
    rows: list[tuple[str, str, str]] = []
    for source, name, key, what in wanted:
        verb = "bench" if source is measured else "faults"
        if name in source:
            said = f"{generate_readme.number(source[name]['figures'][key])} MiB"
        else:
            said = "not measured on this tree yet"
        rows.append((what, said, f"`./dev {verb} {name}`"))
    return pages.table(("what", "memory", "measured by"), rows)


DISK_ROWS = (
    ("event_256", "an event of 256 bytes that one rule delivers"),
    ("event_1024", "an event of 1,024 bytes that one rule delivers"),
    ("event_8192", "an event of 8,192 bytes that one rule delivers"),
    ("delivery_of_10", "each further delivery of it (the mean of nine)"),
    ("dead_letter_1024", "a dead letter of an event of 1,024 bytes"),
    ("queue_message_1024", "a queue message of 1,024 bytes"),
    ("async_log", "an asynchronous invocation with 256 bytes of payload, in the log"),
    ("invocation_records", "the record and one line of log of an invocation"),
)


def disk(result: dict[str, Any] | None) -> str:
    """Return what one more of each costs, and what a new directory has."""
    if result is None:
        return "Not measured on this tree yet: `./dev bench disk --save`.\n"
    figures = result["figures"]
    rows = [(what, f"{figures[key]:,.0f}") for key, what in DISK_ROWS]
    table = pages.table(("what", "bytes on disk"), rows)
    empty = ", ".join(
        f"{name} {figures[f'empty_{key}'] / MIB:,.1f} MiB"
        for key, name in (
            ("nonces", "the table of nonces"),
            ("ready", "room kept ready for the log"),
            ("log", "the first segment"),
            ("registry", "the registry"),
        )
    )
    machine = result["machine"]
    return (
        f"{table}\nA new directory has {empty}.\n\nMeasured by `./dev bench disk` over"
        f" {result['events']:,} of each, {machine['day']}.\n"
    )


def example(result: dict[str, Any] | None) -> str:
    """Return the formula with the measured figures put in."""
    if result is None:
        return "Not measured on this tree yet: `./dev bench disk --save`.\n"
    figures = result["figures"]
    rate, targets = 100, 3
    age_s = retention.Keep().age_ms // 1000
    each = figures["event_1024"] + (targets - 1) * figures["delivery_of_10"]
    held = rate * age_s * each
    bound = retention.Keep().bytes
    met = "the bound on bytes is met first" if held > bound else "the age is met first"
    return (
        f"{rate} events/s of 1 KiB to {targets} targets: {rate} × {age_s:,} s × {each:,.0f} bytes"
        f" = {held / 1024**3:,.1f} GiB; {met}.\n"
    )


def kept() -> str:
    """Return the settings of retention and of segments, as the code has them."""
    keep, journal = retention.Keep(), settings.JournalSettings()
    rows = list(_kept(keep, journal))
    return pages.table(("what", "kept", "what goes"), rows)


def _kept(
    keep: retention.Keep, journal: settings.JournalSettings
) -> Iterator[tuple[str, str, str]]:
    from headrace.store.sqlite import records

    yield (
        "settled events with their traces",
        f"{keep.age_ms // 3_600_000} hours or {keep.bytes // 1024**3} GiB, whichever comes first",
        "the oldest sealed segment, whole; looked at every minute",
    )
    yield (
        "a segment",
        f"until {journal.roll_bytes // MIB} MiB, {journal.roll_events:,} events or"
        f" {journal.roll_ms // 60_000} minutes; then the next event begins a new one",
        "nothing: it is sealed",
    )
    yield ("open deliveries, retries, queue messages, dead letters", "until they are settled",
           "nothing: they are copied forward before their segment goes")  # fmt: skip
    yield (
        "function logs and records of invocations",
        f"{records.BYTES_MAX // MIB:,} MiB",
        "the oldest file",
    )
    yield ("resources, code, switches", "until they are deleted",
           "nothing by itself")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
