"""Power loss: a journal and a registry are driven on a recorded disk, then thousands of crash
images are opened.

Every image must open, hold all that was acknowledged before the cut and nothing that was never
sent, replay what was appended byte for byte, pass SQLite's own check, and go on working.

    python -m tests.faults.powerloss [--full] [--images N] [--seed N]

prints one JSON line {"bar": "powerloss", "figures": {...}, "pass": bool} and exits 0 or 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from headrace.bus import ledger as ledgers
from headrace.store import ports
from headrace.store.settings import JournalSettings
from headrace.store.sqlite import Directory, SqliteJournal, SqliteRegistry
from headrace.store.sqlite import disk as disks
from tests.faults import vfs

IMAGES_CI = 200
IMAGES_DEFAULT = 1_000
IMAGES_FULL = 5_000
FRAMES_PER_RUN = 220
IMAGES_PER_RUN = 100

#: Small bounds, so that a short run rolls, seals, trims and restarts its log many times.
SETTINGS = JournalSettings(
    roll_events=60,
    roll_bytes=64 * 1024,
    low_disk_bytes=0,
    reserve_bytes=0,
    wal_bytes_max=512 * 1024,
    checkpoint_ms=1,
    checkpoint_bytes=64 * 1024,
)

#: Extra check of one image: (what the journal opened with, the frames it replayed).
Check = Callable[[ports.Opened, Sequence[ports.Replayed]], list[str]]


class WallClock:
    """Satisfies `core.clock.Clock`; the registry only asks for leases, which are not used here."""

    def wall_ms(self) -> int:
        return 0

    def mono_us(self) -> int:
        return 0


@dataclass
class Sent:
    """One frame of the run and when, in operations, it was handed over and acknowledged."""

    last: int
    frame: ports.Frame
    sent_at: int
    acked_at: int


@dataclass
class Run:
    """A recorded run and what a correct image may hold."""

    ops: list[vfs.Op]
    root: str
    frames: list[Sent] = field(default_factory=list)
    #: (operations when the trim began, first position it may leave)
    trims: list[tuple[int, int]] = field(default_factory=list)
    #: (operations when the commit was durable, revision)
    commits: list[tuple[int, int]] = field(default_factory=list)
    states: dict[int, bytes] = field(default_factory=dict)


def random_frame(random: Random, number: int, last: int) -> ports.Frame:
    """Return a frame as a bus would write it, and some no bus would."""
    at_ms = 1_790_000_000_000 + number * 7
    events = tuple(
        ports.Record(
            bus=random.randint(1, 3),
            received_ms=at_ms - random.randint(0, 5),
            kind=random.randint(0, 4),
            key=random.getrandbits(64) - (1 << 63),
            generation=number // 50,
            matches=tuple(sorted(random.sample(range(1, 9), random.randint(0, 4)))),
            body=random.randbytes(random.choice((0, 20, 300, 900, 9_000))),
            origin=ports.Position(random.randint(1, last))
            if last and random.random() < 0.1
            else None,
        )
        for _ in range(random.choice((0, 1, 1, 2, 5, 12)))
    )
    settlements = tuple(
        ports.Settlement(
            ports.Position(random.randint(max(1, last - 80), last)),
            random.randint(1, 8),
            random.choice(list(ports.Verdict)),
            random.randint(1, 4),
            random.randint(0, 90_000),
            random.choice((0, 200, 500)),
            random.choice((0, 1_000)),
            random.randbytes(random.choice((0, 0, 0, 40))),
        )
        for _ in range(random.choice((0, 1, 3, 10)) if last else 0)
    )
    marks = {
        f"mark-{random.randint(0, 5)}": random.choice((None, random.randbytes(30)))
        for _ in range(random.choice((0, 0, 1, 3)))
    }
    return ports.Frame(at_ms, events, settlements, marks)


async def drive(seed: int, folder: Path) -> Run:
    """Run the store on a recorded disk: frames, rolls, seals, snapshots, trims, reopenings."""
    random = Random(seed)
    disk = vfs.RecordingDisk()
    ops = disk.record.ops
    run = Run(ops, str(folder))
    directory = Directory(folder, None, disk)
    registry = SqliteRegistry(directory, WallClock())
    await registry.open()
    executor = ThreadPoolExecutor(1)
    last = 0
    ledger = ledgers.Ledger()

    def snapshot() -> tuple[ports.Position, bytes]:
        run.states[last] = ledger.dump()
        return ports.Position(last), run.states[last]

    def journal() -> SqliteJournal:
        return SqliteJournal(directory, writer=executor, settings=SETTINGS, snapshot=snapshot)

    current = journal()
    await current.open()
    for number in range(FRAMES_PER_RUN):
        frame = random_frame(random, number, last)
        sent_at = len(ops)
        last = int(await current.append(frame))
        ledger.apply(frame, ports.Position(last))
        run.frames.append(Sent(last, frame, sent_at, len(ops)))
        chance = random.random()
        if chance < 0.05:
            at, state = snapshot()
            await current.save(at, state)
        elif chance < 0.09:
            before = max(0, last - random.randint(60, 200))
            run.trims.append((len(ops), before))
            await current.trim(ports.Position(before))
        elif chance < 0.11:
            await current.close()
            current = journal()
            await current.open()
        elif chance < 0.20:
            value = random.choice((None, random.randbytes(50)))
            revision = await registry.commit([ports.Change(f"a/{random.randint(0, 5)}", value)])
            run.commits.append((len(ops), revision))
        elif chance < 0.25:
            await current.quiesce()
    await current.close()
    await registry.close()
    executor.shutdown()
    return run


async def examine(
    run: Run, cut: int, folder: Path, check: Check | None, settings: JournalSettings
) -> list[str]:
    """Open one image and return what is wrong with it."""
    directory = Directory(folder, None, disks.Disk())
    executor = ThreadPoolExecutor(1)
    journal = SqliteJournal(directory, writer=executor, settings=settings)
    wrong: list[str] = []
    try:
        opened = await journal.open()
        baseline_at, _ = await journal.baseline()
        replayed = [one async for one in journal.replay(ports.Position(0), bodies=True)]
        wrong += _compare(run, cut, opened, replayed)
        wrong += _ledgers(run, opened, [one async for one in journal.replay(opened.at)])
        if baseline_at < (replayed[0].last - len(replayed[0].frame.events) - 1 if replayed else 0):
            wrong.append(f"frames after the baseline {baseline_at} are missing")
        if check is not None:
            wrong += check(opened, replayed)
        following = ports.Frame(1_790_000_100_000, (), (), {"alive": b"yes"})
        last = await journal.append(following)
        tail = [one async for one in journal.replay(opened.last)]
        if [(one.last, one.frame) for one in tail] != [(last, following)]:
            wrong.append("the journal does not go on after the crash")
        await journal.quiesce()
        wrong += await journal.verify()
    except Exception as error:
        wrong.append(f"{type(error).__name__}: {error}")
    finally:
        await journal.close()
        executor.shutdown()
    wrong += await _examine_registry(run, cut, directory)
    return wrong


def _compare(run: Run, cut: int, opened: ports.Opened, replayed: list[ports.Replayed]) -> list[str]:
    wrong: list[str] = []
    sent = {one.last: one for one in run.frames if one.sent_at <= cut}
    stored = {int(one.last): one.frame for one in replayed}
    kept_from = max((before for at, before in run.trims if at <= cut), default=0)
    lost = [
        one.last
        for one in sent.values()
        if one.acked_at <= cut and one.last >= kept_from and one.last not in stored
    ]
    phantom = [last for last in stored if last not in sent]
    changed = [last for last, frame in stored.items() if last in sent and sent[last].frame != frame]
    if lost:
        wrong.append(f"acknowledged and lost: {lost}")
    if phantom:
        wrong.append(f"stored and never sent: {phantom}")
    if changed:
        wrong.append(f"not what was appended: {changed}")
    lasts = [one.last for one in run.frames]
    order = list(stored)
    if order and order != lasts[lasts.index(order[0]) : lasts.index(order[0]) + len(order)]:
        wrong.append("the frames are not one stretch of what was sent")
    end = order[-1] if order else 0
    if opened.last != end:
        wrong.append(f"opened at {opened.last}, the last frame is {end}")
    marks: dict[str, bytes] = {}
    for one in run.frames:
        if one.last <= end:
            marks.update({name: value for name, value in one.frame.marks.items() if value})
            for name in [name for name, value in one.frame.marks.items() if value is None]:
                marks.pop(name, None)
    if opened.marks != marks:
        wrong.append("the marks are not those of the frames")
    if opened.state is not None and run.states.get(opened.at) != opened.state:
        wrong.append(f"the snapshot at {opened.at} is not one that was taken there")
    return wrong


def _ledgers(run: Run, opened: ports.Opened, tail: Sequence[ports.Replayed]) -> list[str]:
    """Recovery, snapshot and replay, says what the ledger said when the last kept frame ended."""
    recovered = ledgers.Ledger.load(opened.state)
    for one in tail:
        recovered.apply(one.frame, one.last)
    reference = ledgers.Ledger()
    for sent in run.frames:
        if sent.last <= opened.last:
            reference.apply(sent.frame, ports.Position(sent.last))
    if _told(recovered) == _told(reference):
        return []
    return [f"the ledger at {opened.last} is not the one that was there"]


def _told(ledger: ledgers.Ledger) -> tuple[object, ...]:
    """Everything a ledger knows, in one order."""
    deliveries = {
        number: (sorted(state.open), state.retries, state.dropped, state.balance, state.enqueued,
                 state.carried_in, state.delivered, state.dead, state.moved_out, state.retried,
                 state.stray)
        for number, state in ledger.subscriptions.items()
    }  # fmt: skip
    return int(ledger.last), deliveries, ledger.buses


async def _examine_registry(run: Run, cut: int, directory: Directory) -> list[str]:
    registry = SqliteRegistry(directory, WallClock())
    try:
        revision = await registry.open()
        wanted = max((number for at, number in run.commits if at <= cut), default=0)
        wrong = [] if revision >= wanted else [f"registry at {revision}, {wanted} was durable"]
        ceiling = max((number for _, number in run.commits), default=0)
        return wrong if revision <= ceiling else [*wrong, f"registry at {revision}, past the end"]
    except Exception as error:
        return [f"registry: {type(error).__name__}: {error}"]
    finally:
        await registry.close()


async def images(
    count: int, seed: int, check: Check | None = None, settings: JournalSettings = SETTINGS
) -> tuple[dict[str, int], list[str]]:
    """Make and examine `count` images; return figures and the first problems found."""
    figures = {"images": 0, "bad": 0, "runs": 0, "operations": 0, "frames": 0}
    problems: list[str] = []
    while figures["images"] < count:
        run_seed = seed + figures["runs"]
        with tempfile.TemporaryDirectory(prefix="headrace-powerloss-") as temporary:
            base = Path(temporary)
            folder = base / "run"
            folder.mkdir()
            run = await drive(run_seed, folder)
            figures["runs"] += 1
            figures["operations"] += len(run.ops)
            figures["frames"] += len(run.frames)
            wanted = min(IMAGES_PER_RUN, count - figures["images"])
            async for cut, keep, found in _images_of_run(
                run, run_seed, wanted, base, check, settings
            ):
                figures["images"] += 1
                figures["bad"] += bool(found)
                if found and len(problems) < 10:
                    problems.append(f"seed {run_seed} cut {cut} keep {keep}: {'; '.join(found)}")
    return figures, problems


async def _images_of_run(
    run: Run, seed: int, count: int, base: Path, check: Check | None, settings: JournalSettings
):
    random = Random(seed)
    model = vfs.Model()
    applied = 0
    for cut in sorted(random.choices(range(len(run.ops) + 1), k=count)):
        for op in run.ops[applied:cut]:
            model.apply(op)
        applied = cut
        keep = random.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        place = base / "image"
        place.mkdir()
        model.image(run.root, place, random, keep)
        yield cut, keep, await examine(run, cut, place, check, settings)
        shutil.rmtree(place)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--images", type=int)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    count = chosen.images or (IMAGES_FULL if chosen.full else IMAGES_DEFAULT)
    begun = time.monotonic()
    figures, problems = asyncio.run(images(count, chosen.seed))
    for problem in problems:
        print(problem, file=sys.stderr)
    passed = figures["bad"] == 0
    seconds = round(time.monotonic() - begun, 1)
    print(
        json.dumps({"bar": "powerloss", "figures": {**figures, "seconds": seconds}, "pass": passed})
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
