"""What every bench shares: floor and product in turn, medians, one JSON line, a results file.

A figure is the median over the rounds of one run; the ratio is the median of the rounds' ratios, so
a drift of the machine between rounds cancels out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

RESULTS = Path(__file__).parent.parent / "results"
#: Floor and product are measured alternately at least this often.
ROUNDS_MIN = 5

Figures = Mapping[str, float]


def rounds(
    ours: Callable[[], Figures], floor: Callable[[], Figures], *, number: int = ROUNDS_MIN
) -> list[tuple[Figures, Figures]]:
    """Measure both in turn; which goes first changes from round to round."""
    taken: list[tuple[Figures, Figures]] = []
    for index in range(number):
        show(f"round {index + 1} of {number}")
        if index % 2:
            floored = floor()
            taken.append((ours(), floored))
        else:
            measured = ours()
            taken.append((measured, floor()))
    return taken


def report(bench: str, taken: list[tuple[Figures, Figures]], *, save: bool) -> int:
    """Print the JSON line; keep it as the result of this bench when `save`."""
    line: dict[str, object] = {
        "bench": bench,
        "figures": _medians([ours for ours, _ in taken]),
        "floor": _medians([floor for _, floor in taken]),
        "ratio": _ratios(taken),
        "samples": [{"ours": dict(ours), "floor": dict(floor)} for ours, floor in taken],
        "machine": machine(),
    }
    return told(line, save=save)


def told(line: dict[str, object], *, save: bool) -> int:
    """Print the JSON line of a bench; keep it as its result when `save`."""
    line.setdefault("machine", machine())
    print(json.dumps(line))
    if save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{line['bench']}.json").write_text(json.dumps(line, indent=1) + "\n")
    return 0


def _medians(samples: list[Figures]) -> dict[str, float]:
    return {name: round(statistics.median(s[name] for s in samples), 3) for name in samples[0]}


def _ratios(taken: list[tuple[Figures, Figures]]) -> dict[str, float]:
    shared = [name for name in taken[0][0] if taken[0][1].get(name)]
    return {
        name: round(statistics.median(ours[name] / floor[name] for ours, floor in taken), 3)
        for name in shared
    }


def machine() -> dict[str, object]:
    """What a reader needs to place the figures."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def arguments(bench: str, doc: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"dev bench {bench}", description=doc)
    parser.add_argument("--quick", action="store_true", help="short rounds, for a look")
    parser.add_argument("--save", action="store_true", help="keep the line in bench/results")
    return parser.parse_args()


def show(text: str) -> None:
    """Progress, for people."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def percentile(values: list[float], part: float) -> float:
    """The value below which `part` (0..1) of `values` lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def wait_for_line(process: subprocess.Popen[str], word: str) -> str:
    """Read a child's output until a line holds `word`; it names the child when it ends before."""
    assert process.stdout is not None
    for line in process.stdout:
        if word in line:
            return line
    raise SystemExit(f"{process.args!r} ended before it said {word!r}")
