"""The rows of the fault harness: what each attacks, what it promises, how it is run. Data only.

Every script of this folder that prints a bar has its row here; a test counts them.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One script: `./dev faults NAME`."""

    name: str
    #: Its numbers in the list of reliability bars.
    bars: str
    #: What is done to the system.
    attack: str
    #: What must hold, always.
    promise: str
    ci: tuple[str, ...] = ()
    full: tuple[str, ...] = ("--full",)
    ci_s_max: int = 120
    full_s_max: int = 3_600
    #: The test suite that runs it at CI size, when that is not this folder's.
    suite: str = "faults"


ROWS = (
    Row(
        "syscall", "R3",
        "the Nth write, sync, rename, open or removal fails with EIO, ENOSPC or EINTR, writes"
        " nothing or writes half",
        "nothing acknowledged is lost, nothing is acknowledged after a failed sync, missing room"
        " is waited out, nothing hangs for 5 s",
        ci_s_max=240,
    ),
    Row(
        "powerloss", "R4",
        "the power goes between any two operations; unsynced sectors are kept, dropped or torn",
        "every image opens with all that was acknowledged and nothing that was never sent",
        ci=("--images", "200"),
    ),
    Row(
        "kill9", "R1",
        "kill -9 of all processes under load and in the middle of edits",
        "nothing acknowledged is lost, no edit is half made, ready again within 2 s",
        ci=("--ci",), ci_s_max=240,
    ),
    Row(
        "control", "R2",
        "kill -9 in the middle of creating, updating and deleting rules, functions, triggers and"
        " code",
        "each step is done whole or not at all, what got a 2xx stands, both doors show the same, no"
        " file is left over",
    ),
    Row(
        "pending", "R13",
        "a restart on a large backlog of undelivered events",
        "answers within 3 s, delivers within 5 s, holds the backlog on disk",
        ci=("--ci",), full=(),
    ),
    Row(
        "diskfull", "R5",
        "somebody else fills the disk under the server, and frees it again",
        "publishes are refused with a code, reads and deletes go on, nothing acknowledged is lost,"
        " normal again within 5 s without a restart",
    ),
    Row(
        "clock", "R6",
        "the wall clock jumps under load: an hour ahead and back, a second back every second, a"
        " leap second, a year ahead",
        "nothing acknowledged is lost, no loop gets busy, retries keep their waits, the log's times"
        " do not go back, no request counts twice, doctor names the clock",
    ),
    Row(
        "slowtarget", "R7",
        "one target takes 30 s for each event beside nine fast ones; then sixty more such come",
        "the fast ones are as quick as without it (1.2 times the p99), memory grows by at most 100"
        " MB, the backlog is on disk and arrives in the end",
    ),
    Row(
        "deadtarget", "R8, R9",
        "a target is dead for a day, another one flaps (simulated time)",
        "each retry at its documented time, then exactly one dead letter; every event has one end",
    ),
    Row(
        "poison", "R10",
        "events whose handler raises, or ends its process from inside",
        "all others arrive, each of these is one dead letter after its retries, a killed instance"
        " is replaced within 200 ms",
    ),
    Row(
        "soak", "R16",
        "500 events/s, 50 invocations/s and configuration churn for 20 minutes (a minute in CI)",
        "memory grows by at most 1 MB in 10 minutes after the fifth, descriptors are flat, no"
        " errors",
        ci=("--ci",), ci_s_max=180,
    ),
    Row(
        "connections", "R12",
        "ten thousand idle connections beside 200 busy ones, then more than the cap",
        "the busy ones' p99 is at most 1.5 times as long, an idle one costs at most 40 KB, a new"
        " one is answered within 100 ms; above the cap 503 at once",
    ),
    Row(
        "burst", "R14",
        "ten times what the server can take, in requests of a hundred events",
        "what is accepted takes at most twice as long as at capacity and is delivered, the rest is"
        " told when to come back, memory stays bounded",
    ),
    Row(
        "upgrade", "R15",
        "20 hand-overs between two versions under 500 events/s, 50 invocations/s and edits; then a"
        " stop under load",
        "no request fails, nothing acknowledged is lost or delivered twice, a stop takes 30 s at"
        " most",
        ci=("--ci",),
    ),
    Row(
        "backup", "R21",
        "backups while events are published and resources edited, each restored and started",
        "all acknowledged before is there, both APIs read the same, at most 1 s more on the p99",
        ci_s_max=240,
    ),
    Row(
        "sim", "R19",
        "10,000 simulated days of the whole bus, each from a seed: crashes, full and slow disks,"
        " failing targets, clocks that step",
        "no invariant breaks; a seed that breaks one is named with the command that tells its day",
        full=("--seeds", "10000"), suite="simulation",
    ),
    Row(
        "doors", "R20",
        "random steps through both official SDKs, kill -9 in between",
        "both doors show one record, as an independent model says",
        suite="properties",
    ),
)  # fmt: skip
