"""What an upgrade needs of a data directory on which no server runs."""

from __future__ import annotations

import os
from pathlib import Path

from headrace.store import ports
from headrace.store.sqlite import directory


def finalize(folder: Path) -> int:
    """Bring a directory to the newest format, for good; return that format.

    Raises: store.ports.StoreError (none of ours, held, too new, too old), OSError.
    """
    if not (folder / "VERSION").is_file():
        raise ports.StoreError("it is no data directory of Headrace")
    lock = directory.take_lock(folder)
    try:
        directory.finalize(folder)
    finally:
        os.close(lock)
    return directory.FORMAT
