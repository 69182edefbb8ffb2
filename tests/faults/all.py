"""Every row in turn, each a process of its own: one JSON line a row, then one for all.

usage: ./dev faults all [--full [--save]] [NAME ...]

At CI size it takes minutes; rows that another test suite runs there are left to it unless named.
With --full the figures that documents show are made, and kept with --save (`./dev docs` then writes
the page).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.rig import harness, product
from tests.faults import _rows

HERE = Path(__file__).parent
RESULTS = HERE / "results"


def chosen(names: Sequence[str], *, full: bool) -> list[_rows.Row]:
    """Return the rows to run. Raises: SystemExit naming the rows when there is no such one."""
    if unknown := sorted(set(names) - {row.name for row in _rows.ROWS}):
        known = ", ".join(row.name for row in _rows.ROWS)
        raise SystemExit(f"no row {', '.join(unknown)}; there are: {known}")
    if names:
        return [row for row in _rows.ROWS if row.name in names]
    return [row for row in _rows.ROWS if full or row.suite == "faults"]


def run(row: _rows.Row, *, full: bool) -> dict[str, Any]:
    """Run one row; return its line, made up where it printed none (`pass` false)."""
    command = [sys.executable, str(HERE / f"{row.name}.py"), *(row.full if full else row.ci)]
    seconds_max = row.full_s_max if full else row.ci_s_max
    started = time.monotonic()
    # A group of its own: what a row that hangs has started goes with it.
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=product.ROOT, start_new_session=True,
        env={**os.environ, "PYTHONPATH": _python_path()},
    )  # fmt: skip
    try:
        said, _ = process.communicate(timeout=seconds_max)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        line = failed(row, f"no end within {seconds_max} s")
    else:
        line = read(row, said, process.returncode)
    line["seconds"] = round(time.monotonic() - started, 1)
    return line


def _python_path() -> str:
    given = os.environ.get("PYTHONPATH", "")
    return os.pathsep.join(filter(None, (given, str(product.ROOT))))


def read(row: _rows.Row, said: str, code: int) -> dict[str, Any]:
    """Return the last line of a row as it is meant; it passes only if the exit code says so too."""
    lines = said.strip().splitlines()
    try:
        line = json.loads(lines[-1]) if lines else {}
    except json.JSONDecodeError:
        line = {}
    if line.get("bar") != row.name:
        return failed(row, f"exit {code} without a line of its own")
    return {**line, "pass": bool(line["pass"]) and code == 0}


def failed(row: _rows.Row, why: str) -> dict[str, Any]:
    return {"bar": row.name, "figures": {"failed": why}, "pass": False}


def save(row: _rows.Row, line: dict[str, Any], *, arguments: Sequence[str] | None = None) -> None:
    """Keep the line of a full run, with what a reader needs to place it.

    arguments: those it was run with, where they are not those of the row.
    """
    RESULTS.mkdir(exist_ok=True)
    shown = list(row.full if arguments is None else arguments)
    kept = {**line, "arguments": shown, "machine": harness.machine()}
    (RESULTS / f"{row.name}.json").write_text(json.dumps(kept, indent=1) + "\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the rows; 0 when all passed."""
    given = _parse(arguments)
    started = time.monotonic()
    lines: list[dict[str, Any]] = []
    for row in chosen(given.rows, full=given.full):
        show(f"{row.name}: {row.attack}")
        line = run(row, full=given.full)
        print(json.dumps(line), flush=True)
        show(f"{row.name}: {'passed' if line['pass'] else 'FAILED'} in {line['seconds']} s")
        lines.append(line)
        if given.save:
            save(row, line)
    bad = [line["bar"] for line in lines if not line["pass"]]
    figures = {
        "rows": len(lines), "failed": bad, "seconds": round(time.monotonic() - started, 1)
    }  # fmt: skip
    print(json.dumps({"bar": "all", "figures": figures, "pass": not bad}))
    return 1 if bad else 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev faults all")
    parser.add_argument("--full", action="store_true", help="the sizes that documents show")
    parser.add_argument("--save", action="store_true", help="keep the figures; with --full")
    parser.add_argument("rows", nargs="*", metavar="NAME", help="these rows only")
    given = parser.parse_args(arguments)
    if given.save and not given.full:
        parser.error("--save keeps the figures of full runs: add --full")
    return given


def show(text: str) -> None:
    print(f"all: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
