"""What can be wrong around a data directory and its machine, each with a remedy.

Every check reads only and needs neither lock nor key, so all of them may run beside a server. What
is inside the files is looked at by `verify`, what only a server knows is asked of it by the
command. Must never mend anything.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import apsw
import msgspec

from headrace import plugins
from headrace.access import keys
from headrace.core import clock as clocks
from headrace.core import errors
from headrace.functions import sandbox
from headrace.store import ports
from headrace.store.sqlite import capture, directory
from headrace.store.sqlite import disk as disks
from headrace.store.sqlite import segment as segments

#: Less room than this is worth a word, and less than that stops new events on a large disk.
DISK_WARN_BYTES: Final = 2 * 1024**3
DISK_FAIL_BYTES: Final = 256 * 1024**2
#: A record may be this much ahead of the clock: clocks are set in small steps all the time.
AHEAD_MS: Final = 5_000
#: Shards that a server of this version runs.
SHARDS: Final = 1

Verdict = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    name: str
    verdict: Verdict
    detail: str
    remedy: str = ""


# -- the directory --------------------------------------------------------------------------------


def format_of(path: Path) -> Finding:
    """Can this version open the directory at all? Nothing else is looked at when it cannot."""
    try:
        found = directory.format_of(path)
    except (ports.Corrupt, OSError) as fault:
        remedy = f"Restore from a backup: headrace restore SRC --data DIR ({path} stays as it is)."
        return Finding("format", "fail", str(fault), remedy)
    try:
        directory.refuse_format(path, found)
    except directory.DirectoryTooNew as fault:
        return Finding("format", "fail", str(fault), "Use a later version of Headrace.")
    except directory.DirectoryTooOld as fault:
        remedy = "Use the version of Headrace that wrote it, and finalize there."
        return Finding("format", "fail", str(fault), remedy)
    newest = directory.FORMAT
    if found == newest:
        return Finding("format", "ok", f"format {found}")
    detail = f"the directory has the old format {found}, this version can go to {newest}"
    remedy = (
        "Once the old version is not needed any more: headrace upgrade --finalize (there is no way"
        " back)."
    )
    return Finding("format", "warn", detail, remedy)


def around(path: Path, clock: clocks.Clock) -> Iterator[Finding]:
    """Yield what can be seen of a directory of our format without reading its content."""
    yield key_file(path)
    yield shards(path)
    yield newest_record(path, clock.wall_ms())


def key_file(path: Path) -> Finding:
    file = path / keys.FILE_NAME
    try:
        mode = file.stat().st_mode & 0o777
    except FileNotFoundError:
        return Finding("key file", "ok", "none: the key comes from the environment or the start")
    if mode & 0o077:
        remedy = f"chmod 600 {file}; if others had access, delete it to get a new pair."
        detail = f"{file} can be read by others (mode {mode:04o})"
        return Finding("key file", "fail", detail, remedy)
    return Finding("key file", "ok", "only its owner can read it")


def shards(path: Path) -> Finding:
    """A shard that no worker owns keeps its events, and delivers none."""
    orphans = [number for number in capture.shards(path) if number >= SHARDS]
    if not orphans:
        return Finding("shards", "ok", "every shard has its worker")
    held = ", ".join(f"{path / f'shard-{number:04d}'}" for number in orphans)
    return Finding(
        "shards",
        "fail",
        f"{held}: no worker of this version owns it, so what it holds is not delivered",
        f"Start the version that wrote it with --workers {max(orphans) + 1} until it is empty; or"
        " move the folder away.",
    )


def newest_record(path: Path, now_ms: int) -> Finding:
    """The clock must not be behind what was written: retention and schedules go by it."""
    newest_ms = max((_newest_ms(folder) for folder in capture.shards(path).values()), default=0)
    ahead_ms = newest_ms - now_ms
    if ahead_ms <= AHEAD_MS:
        return Finding("records", "ok", "none is newer than the clock")
    return Finding(
        "records",
        "fail",
        f"the clock is {ahead_ms / 1000:.0f} s behind the newest record",
        "If the clock is wrong now, set it (timedatectl set-ntp true); if it was ahead for a while,"
        " nothing is lost: what is written meanwhile is told by position, not by time.",
    )


def _newest_ms(folder: Path) -> int:
    """Return the time of the newest frame; 0 when none can be read."""
    for file in reversed(segments.listed(folder)):
        try:
            connection = disks.Disk().read(file)
        except apsw.Error:
            continue  # `verify` names it
        try:
            newest = connection.execute(
                "SELECT at_ms FROM frame ORDER BY pos DESC LIMIT 1"
            ).fetchone()
        except apsw.Error:
            continue
        finally:
            connection.close(True)
        if newest is not None:
            return int(newest[0])
    return 0


# -- the machine ----------------------------------------------------------------------------------


def free_bytes(path: Path) -> int:
    return shutil.disk_usage(path).free


def disk(free: int) -> Finding:
    """free: bytes that the directory's file system has left."""
    detail = f"{free / 1024**3:.1f} GiB free"
    remedy = "Free disk space, or keep events for a shorter time."
    if free < DISK_FAIL_BYTES:
        return Finding("disk", "fail", f"{detail}: new events are refused", remedy)
    if free < DISK_WARN_BYTES:
        return Finding("disk", "warn", detail, remedy)
    return Finding("disk", "ok", detail)


def walls() -> Finding:
    """Can functions be walled off here?"""
    try:
        found = sandbox.choose()
    except errors.Unavailable as fault:
        return Finding("sandbox", "fail", fault.message, fault.remedy)
    return running_walls(found.rung, found.description)


def running_walls(rung: str, description: str) -> Finding:
    """Return what to say of the walls that a server has chosen."""
    if rung == "L0":
        remedy = "Install bubblewrap and start without --sandbox none."
        return Finding("sandbox", "warn", description, remedy)
    return Finding("sandbox", "ok", f"{rung}: {description}")


def installed_plugins() -> Iterator[Finding]:
    return plugged(msgspec.to_builtins(plugins.load().plugins))


def plugged(found: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield a finding for each plug-in that is refused, else one for all. found: `plugins.Plugin`
    as plain data."""
    rows = list(found)
    refused = [one for one in rows if one["problem"]]
    for one in refused:
        yield Finding(
            "plug-in",
            "fail",
            f"{one['name']} of {one['package'] or 'an unknown package'} is refused:"
            f" {one['problem']}",
            "Install a release of it for this version of Headrace, or uninstall it; then start"
            " the server again.",
        )
    if not refused:
        yield Finding("plug-ins", "ok", ", ".join(one["name"] for one in rows) or "none installed")


def failing(subscriptions: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield a finding for each target whose deliveries wait after a failed attempt, else one for
    all. subscriptions: the rows of the books."""
    found = False
    for row in subscriptions:
        if row.get("failing"):
            found = True
            whose, remedy = _whose(row["name"])
            detail = f"{whose}: {row['failing']} deliveries wait after a failed attempt"
            yield Finding("target", "warn", detail, remedy)
    if not found:
        yield Finding("targets", "ok", "no delivery waits after a failed attempt")


def _whose(name: str) -> tuple[str, str]:
    """Return whom a subscription delivers to, and what to do when that fails."""
    parts = name.split("/")
    if len(parts) == 6 and parts[1] == "subscription":
        _, _, bus, rule, target, _ = parts
        return (
            f"target {target} of rule {rule} on bus {bus}",
            f"Look where it points: headrace rule get {rule} --bus {bus}. Once it answers, the"
            " retries deliver by themselves.",
        )
    if len(parts) == 4 and parts[1] == "function":
        return f"function {parts[2]}", f"See why it fails: headrace fn logs {parts[2]}"
    return name, "headrace event list"
