"""A seed is all that a failure needs: the same seed is the same run, in every process."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.house import tree
from tests.simulation import run

SEED = 7


def test_the_same_seed_twice_is_the_same_history() -> None:
    first, second = run.seed(SEED, whole=True), run.seed(SEED, whole=True)
    assert first.story == second.story
    assert first.digest == second.digest
    assert run.seed(SEED + 1).digest != first.digest


def test_a_seed_is_the_same_run_in_every_process() -> None:
    """Sets of strings are ordered differently in each process, and nothing may hang on that."""
    program = f"from tests.simulation import run; print(run.seed({SEED}).digest)"
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": chance, "PYTHONPATH": os.pathsep.join(sys.path)},
            cwd=tree.ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for chance in ("1", "2")
    }
    assert found == {run.seed(SEED).digest + "\n"}
