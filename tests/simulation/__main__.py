"""Run many seeds, or one of them with its whole story.

    ./dev sim [--seeds N] [--from N]     N simulated days, one process for each core
    ./dev sim --seeds 10000 --save       the figures of docs/reliability.md
    ./dev sim --seed N                   one day, every line of it

The last line is one JSON object; the exit code is 1 when an invariant broke, or when it took too
long for so many days.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent import futures

from tests.faults import _rows
from tests.faults import all as rows
from tests.simulation import run

SEEDS = 300
#: What the page of measured reliability shows, and how long that may take.
SEEDS_FULL, SECONDS_FULL_MAX = 10_000, 1_800
#: Seeds one process takes at a time.
CHUNK = 10
PROGRESS_S = 10.0
#: Every sentence that is checked at some moment of a day; `history.check` carries them.
INVARIANTS = (
    "a bad entry is refused",
    "a blocked target skips nothing",
    "a closed delivery stays closed",
    "a function keeps its bound",
    "a verdict brings forth one record",
    "a verdict rests on an attempt",
    "a window keeps its bound",
    "accepted events are counted",
    "an answered edit is in force",
    "an event goes to whom its rules say",
    "an event is stored once",
    "attempts are numbered one by one",
    "attempts count up by one",
    "concurrency is kept",
    "delivered is what a target took",
    "every rule's account is right",
    "everything is delivered in the end",
    "few are sent ahead",
    "few starts at a time",
    "loaded bytes are counted",
    "no attempt after a final verdict",
    "no error goes unheard",
    "no error is logged",
    "no retry before its time",
    "nothing is loaded when it is quiet",
    "nothing is raised",
    "nothing is stored that nobody sent",
    "nothing stays open for nobody",
    "one attempt at a time",
    "only deliveries are settled",
    "only what has nothing to do is stopped",
    "only what is durable is delivered",
    "only what was deleted is dropped",
    "positions ascend",
    "queues are bounded",
    "requests go to instances that are ready",
    "the books balance",
    "the committer is empty when it is quiet",
    "the journal is never given up",
    "the ledger counts what was written",
    "the ledger knows what is open",
    "the pool keeps its bound",
    "the pool knows who is busy",
    "what a target took is delivered",
    "what a target took is settled",
    "what is acknowledged is durable",
    "what is refused is not stored",
    "what is sent after an answer stands after it",
)


def main(arguments: Sequence[str]) -> int:
    """Run what the command line says; return its exit code."""
    parser = argparse.ArgumentParser(prog="./dev sim", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many days (default 300)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    parser.add_argument("--seed", type=int, help="this one only, with its whole story")
    parser.add_argument("--save", action="store_true", help="keep the figures; from 10000 days on")
    given = parser.parse_args(arguments)
    if given.save and given.seeds < SEEDS_FULL:
        parser.error(f"--save keeps what the documents show: add --seeds {SEEDS_FULL}")
    start_s = time.monotonic()
    if given.seed is not None:
        results = [run.seed(given.seed, whole=True)]
        show(results[0].story)
    else:
        results = list(many(range(given.first, given.first + given.seeds)))
    broken = [result for result in results if result.broken]
    for result in broken[:5]:
        show(told(result))
    seconds = time.monotonic() - start_s
    figures = {
        "seeds": len(results),
        "breaks": len(broken),
        "broken_seeds": [result.seed for result in broken][:20],
        "events": sum(result.events for result in results),
        "deliveries": sum(result.deliveries for result in results),
        "attempts": sum(result.attempts for result in results),
        "crashes": sum(result.crashes for result in results),
        "simulated_days": len(results),
        "seconds": round(seconds, 1),
        "invariants": len(INVARIANTS),
    }
    in_time = len(results) < SEEDS_FULL or seconds <= SECONDS_FULL_MAX * len(results) / SEEDS_FULL
    good = not broken and bool(results) and in_time
    line = {"bar": "sim", "figures": figures, "pass": good}
    print(json.dumps(line))
    if given.save:
        row = next(row for row in _rows.ROWS if row.name == "sim")
        shown = ("--seeds", str(given.seeds))
        rows.save(row, {**line, "seconds": round(seconds, 1)}, arguments=shown)
    return 0 if good else 1


def many(seeds: range) -> Iterator[run.Result]:
    """Run seeds on every core; yield the results in the order of the seeds."""
    chunks = [seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK)]
    shown_s, done = time.monotonic(), 0
    with futures.ProcessPoolExecutor(os.cpu_count(), initializer=gc.freeze) as pool:
        for results in pool.map(chunk, chunks):
            done += len(results)
            for result in results:
                if result.broken:
                    show(f"seed {result.seed}: {result.invariant}: {result.words[:300]}")
            if time.monotonic() - shown_s >= PROGRESS_S or done == len(seeds):
                shown_s = time.monotonic()
                show(f"{done} of {len(seeds)} days")
            yield from results


def chunk(seeds: range) -> list[run.Result]:
    return [run.seed(number, compared=False) for number in seeds]


def told(result: run.Result) -> str:
    lines = list(itertools.islice(result.story.split("\n")[::-1], 40))[::-1]
    head = f"\nseed {result.seed} broke: {result.invariant}\n  {result.words}"
    return "\n".join([head, *lines, f"  again: ./dev sim --seed {result.seed}"])


def show(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
