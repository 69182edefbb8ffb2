"""A function's code as a zip: the same bytes for the same files, so nothing changes in vain."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from headrace.cli import failure
from headrace.core import limits

#: Never part of a package.
LEFT_OUT: Final = frozenset(
    {
        "__pycache__", ".git", ".hg", ".svn", ".DS_Store", ".venv", "venv", ".idea", ".vscode",
        ".pytest_cache", ".mypy_cache", ".ruff_cache", ".s",
    }
)  # fmt: skip
_LEFT_OUT_ENDINGS: Final = (".pyc", ".pyo", ".swp")
#: Files of a folder that is packed; a larger one is refused before anything is sent.
FILES_MAX: Final = 50_000
#: The request carries the zip as base64 with a little JSON around it.
ZIP_BYTES_MAX: Final = (limits.CODE_REQUEST_BYTES_MAX - limits.MIB) // 4 * 3
#: The first time a zip can tell.
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)

SAMPLE: Final = '''\
"""A function: `handler` is called once for every event."""

import json
import logging


def handler(event, context):
    """event: bytes; context: request_id, function, region, ...; the result is the answer."""
    order = json.loads(event or b"{}")
    logging.getLogger().info("got %s", order)
    return json.dumps({"ok": True, "got": order})
'''


def write_sample(folder: Path) -> None:
    """Write a function into a directory that is new or empty. Raises: Failure (USAGE)."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise failure.usage(f"{folder} is not empty.", "headrace fn init OTHER-NAME")
        (folder / "index.py").write_text(SAMPLE)
    except OSError as fault:
        raise failure.usage(f"{folder} cannot be written: {fault.strerror}") from fault


def zipped(folder: Path) -> bytes:
    """Return the files below `folder` as a zip; same files, same bytes.

    Raises: Failure (USAGE): no directory, nothing in it, links out of it, too large.
    """
    root = folder.resolve()
    if not root.is_dir():
        raise failure.usage(f"{folder} is not a directory.", "headrace fn init NAME")
    content = io.BytesIO()
    count = 0
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for path in _files(root):
            count += 1
            if count > FILES_MAX:
                raise failure.usage(f"{folder} has more than {FILES_MAX} files.")
            _add(archive, path, path.relative_to(root).as_posix())
            if content.tell() > ZIP_BYTES_MAX:
                raise failure.usage(
                    f"{folder} is larger than {ZIP_BYTES_MAX // limits.MIB} MiB as a zip."
                )
    if not count:
        raise failure.usage(f"{folder} has no files.", "headrace fn init NAME")
    return content.getvalue()


def _files(root: Path) -> Iterator[Path]:
    """Yield the files of a package in one order on every machine."""
    for base, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT)
        for name in folders:
            _check_link(root, Path(base, name))
        for name in sorted(files):
            if name in LEFT_OUT or name.endswith(_LEFT_OUT_ENDINGS):
                continue
            path = Path(base, name)
            _check_link(root, path)
            yield path


def _check_link(root: Path, path: Path) -> None:
    """A link to a file of the package becomes a copy; any other would leak or lose something."""
    if not path.is_symlink():
        return
    real = path.resolve()
    if not real.is_file() or not real.is_relative_to(root):
        raise failure.usage(f"{path} is a link to {real}, which is no file of the package.")


def _add(archive: zipfile.ZipFile, path: Path, name: str) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = 3  # Unix: the mode below counts
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise failure.usage(f"{path} is no plain file.")
        info.external_attr = (stat.S_IFREG | (0o755 if mode & 0o111 else 0o644)) << 16
        archive.writestr(info, path.read_bytes())
    except OSError as fault:
        raise failure.usage(f"{path} cannot be read: {fault.strerror}") from fault
