"""Floor of `coldstart`: the same walls around an interpreter that does nothing; nothing of ours.

    python bench/floors/coldstart_floor.py BWRAP COUNT      prints one JSON list of milliseconds

A sample is the time from the spawn to the end of `bwrap … python -I -S -c pass`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def command(bwrap: str) -> list[str]:
    """Return the flags of the product's sandbox, written down a second time."""
    prefix = os.path.realpath(sys.base_prefix)
    python = f"{prefix}/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    flags = [bwrap, "--unshare-all", "--unshare-user", "--uid", "10000", "--gid", "10000"]
    flags += ["--disable-userns", "--die-with-parent", "--new-session", "--hostname", "fn"]
    flags += ["--clearenv", "--cap-drop", "ALL", "--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib64"):
        folder = Path("/", name)
        if folder.is_symlink():
            flags += ["--symlink", os.readlink(folder), str(folder)]
    if not prefix.startswith("/usr"):
        flags += ["--ro-bind", prefix, prefix]
    flags += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/run", "--tmpfs", "/tmp"]
    return [*flags, "--", python, "-I", "-S", "-c", "pass"]


def sample(argv: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(argv, check=True, env={}, stdin=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000


def main() -> None:
    argv = command(sys.argv[1])
    print(json.dumps([sample(argv) for _ in range(int(sys.argv[2]))]))


if __name__ == "__main__":
    main()
