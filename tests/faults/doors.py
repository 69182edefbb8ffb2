"""Two doors: 2,000 random steps through both SDKs against an independent model.

The server is killed with -9 about every 100 steps, two writers meet on one revision, and every 20
steps probe events show which functions run with which payload. All of it is in
`tests/properties/doors`; this is the command.

usage: ./dev faults doors [--full] [--seed N] [--steps N]
"""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from tests.properties.doors import run

STEPS_SHORT = 300


def main(arguments: list[str] | None = None) -> int:
    """Print the figures as one line; 0 when they are good."""
    given = _parse(arguments)
    steps = given.steps or (run.STEPS if given.full else STEPS_SHORT)
    seed = secrets.randbelow(1 << 31) if given.seed is None else given.seed
    show(f"seed {seed}, {steps} steps")
    home = Path(tempfile.mkdtemp(prefix="headrace-doors-"))
    made = run.once(home, seed=seed, steps=steps)
    figures = made.figures()
    good = run.passed(figures, whole=steps >= run.STEPS)
    if made.mismatches:
        show(f"the data directory and the log are kept in {home}")
    else:
        shutil.rmtree(home)
    show(made.told())
    if made.missed():
        show(f"not done: {', '.join(made.missed())}")
    print(json.dumps({"bar": "doors", "figures": figures, "pass": good}))
    return 0 if good else 1


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev faults doors")
    parser.add_argument("--full", action="store_true", help=f"{run.STEPS} steps")
    parser.add_argument("--seed", type=int, help="choose the steps of an earlier run")
    parser.add_argument("--steps", type=int)
    return parser.parse_args(arguments)


def show(text: str) -> None:
    print(f"doors: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
