"""Sandboxes: how a function's process is walled off. One module per rung of the ladder
(`spec/security.md` §3.6).

Owns the seam `Sandbox` and the choice of a rung at start. A sandbox only says what to execute;
`launcher` does it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

import msgspec

from headrace.core import errors

Mode = Literal["auto", "bubblewrap", "none"]


class Spec(msgspec.Struct, frozen=True):
    """What is to run, as the host sees it."""

    #: Unpacked code.
    code: Path
    #: Directory of the runtime (bootstrap and what it needs).
    runtime: Path
    #: Arguments of the interpreter that come before the bootstrap.
    interpreter: tuple[str, ...]
    #: File name of the bootstrap inside `runtime`, and its arguments.
    bootstrap: tuple[str, ...]
    environment: dict[str, str]
    disk_bytes: int


class Command(msgspec.Struct, frozen=True):
    """What to execute for a `Spec`."""

    argv: tuple[str, ...]
    #: The whole environment of `argv`, nothing is inherited.
    environment: dict[str, str]
    #: Descriptors that must be open in the child under the same numbers; the launcher closes ours
    #: after the spawn.
    descriptors: tuple[int, ...]
    directory: str


class Sandbox(Protocol):
    """One way to wall off a process. SIGKILL to the process (group) it starts ends everything
    inside.
    """

    @property
    def rung(self) -> str:
        """L0 … L4 of the ladder."""
        ...

    @property
    def description(self) -> str:
        """One sentence for people: what is active, and what is not."""
        ...

    def code_path(self, code: Path) -> str:
        """Where the code is, as seen from inside."""
        ...

    def command(self, spec: Spec) -> Command: ...


def choose(mode: Mode = "auto") -> Sandbox:
    """Try the rungs once and return the best one that works here.

    Runs one sandboxed interpreter (about 20 ms). Never falls back to an unsandboxed process by
    itself. Raises: errors.Unavailable with what each candidate said.
    """
    from headrace.functions.sandbox import bubblewrap, plain

    if mode == "none":
        return plain.Plain()
    tried: list[str] = []
    for candidate in bubblewrap.candidates():
        sandbox = bubblewrap.Bubblewrap(candidate)
        problem = sandbox.problem()
        if problem is None:
            return sandbox
        tried.append(f"{candidate}: {problem}")
    raise errors.Unavailable(
        "No sandbox works here. " + ("; ".join(tried) or "No bubblewrap was found."),
        remedy=(
            "Install bubblewrap and allow user namespaces to this user "
            "(kernel.unprivileged_userns_clone=1, "
            "user.max_user_namespaces > 0, an AppArmor profile for bwrap on Ubuntu), or start with "
            "--sandbox=none, which runs functions unprotected, for development only."
        ),
    )
