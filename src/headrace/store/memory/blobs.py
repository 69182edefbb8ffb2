"""Blobs without a data directory: files in a temporary one, because a sandbox binds paths. Gone at
exit.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from headrace.store.files import FileBlobs


class MemoryBlobs(FileBlobs):
    """Satisfies `ports.Blobs`."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="headrace-blobs-")
        super().__init__(Path(self._temporary.name) / "blobs")
