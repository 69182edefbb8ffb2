"""The row `control` sees what is left over, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import _left

KNOWN, OTHER = "a" * 64, "b" * 64
USUAL = (
    "VERSION", "lock", "nonces", "registry.db", "registry.db-wal", "shard-0000/000000000001.seg",
    "shard-0000/next-2.new", "scratch/runtime/passwd", f"blobs/aa/{KNOWN}",
    f"scratch/code/{KNOWN}.1234/index.py",
)  # fmt: skip


@pytest.mark.parametrize(
    "left",
    [
        f"blobs/bb/{OTHER}", "blobs/1.part", f"scratch/code/{OTHER}.1234/index.py",
        "scratch/code/unpacking-x/code/index.py", "shard-0000/next-3.new", "something",
    ],
)  # fmt: skip
def test_a_file_that_is_left_over_is_named(tmp_path: Path, left: str) -> None:
    for name in (*USUAL, left):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(_left.strange(tmp_path, {KNOWN})) == [left]
