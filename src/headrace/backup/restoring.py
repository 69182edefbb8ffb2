"""Checking a backup, and laying it out as a data directory that a server can start on.

Everything is checked before anything is written, and VERSION is written last: a restore that was
cut short leaves a directory that no server takes. Must never write into a directory that holds
anything.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

from headrace.backup import vault as vaults
from headrace.store import files
from headrace.store.sqlite import directory

#: Damaged files that one message names.
SHOWN_MAX = 5


def check(source: Path) -> tuple[vaults.Manifest, list[str]]:
    """Read a backup whole: its manifest, and a sentence for each file that is not what was saved.

    Raises: BackupError when there is no whole backup or this version cannot restore it.
    """
    vault = vaults.Vault(source)
    manifest = vault.manifest()
    if manifest is None:
        raise vaults.BackupError(
            f"{source} holds no whole backup: there is no manifest.json",
            "It was interrupted, or it is something else: run `headrace backup --incremental` to"
            " make it whole.",
        )
    try:
        directory.refuse_format(source, manifest.data_format)
    except (directory.DirectoryTooNew, directory.DirectoryTooOld) as fault:
        raise vaults.BackupError(
            str(fault), f"Use version {manifest.version}, which made the backup."
        ) from fault
    found = (vault.check(entry) for entry in manifest.files)
    return manifest, [problem for problem in found if problem]


def restore(source: Path, target: Path) -> vaults.Manifest:
    """Lay a backup out in `target`, which is empty or not there; durable on return.

    Raises: BackupError (not whole, damaged, `target` in use or not empty), OSError.
    """
    source, target = source.absolute(), target.absolute()
    _refuse_used(target)
    manifest, problems = check(source)
    if problems:
        raise vaults.BackupError(
            f"{source} is damaged, nothing was restored: " + "; ".join(problems[:SHOWN_MAX]),
            "Restore from another backup.",
        )
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    free = shutil.disk_usage(target).free
    if free < manifest.bytes:
        raise vaults.BackupError(
            f"{target} has room for {free} bytes, the backup needs {manifest.bytes}",
            "Free disk space, or choose another directory.",
        )
    _lay_out(vaults.Vault(source), manifest, target)
    return manifest


def _refuse_used(target: Path) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise vaults.BackupError(f"{target} is no directory")
    holder = directory.holder(target)
    if holder:
        raise vaults.BackupError(
            f"{target} is in use by the server with process id {holder}",
            "Choose an empty directory, or stop the server and move its directory away.",
        )
    if any(target.iterdir()):
        raise vaults.BackupError(
            f"{target} is not empty", "Choose an empty directory, or one that does not exist yet."
        )


def _lay_out(vault: vaults.Vault, manifest: vaults.Manifest, target: Path) -> None:
    made = {target}
    # False sorts before True: the version is last, and with it the directory begins to exist.
    for entry in sorted(manifest.files, key=lambda one: one.kind == "version"):
        path = target / entry.name
        if entry.kind == "version":
            for folder in sorted(made, reverse=True):
                files.sync_directory(folder)
        for folder in reversed(path.relative_to(target).parents):
            (target / folder).mkdir(mode=0o700, exist_ok=True)
            made.add(target / folder)
        _copy(vault, entry, path)
    files.sync_directory(target)
    files.sync_directory(target.parent)


def _copy(vault: vaults.Vault, entry: vaults.Entry, path: Path) -> None:
    digest = hashlib.sha256()
    with contextlib.ExitStack() as stack:
        read = stack.enter_context(vault.place(entry.sha256).open("rb"))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        written = stack.enter_context(open(descriptor, "wb"))
        while chunk := read.read(vaults.CHUNK_BYTES):
            digest.update(chunk)
            written.write(chunk)
        written.flush()
        os.fsync(descriptor)
    if digest.hexdigest() != entry.sha256:
        raise vaults.BackupError(
            f"{entry.name} changed while it was restored; {path.parent} is not whole",
            "Remove the directory and restore from another backup.",
        )
