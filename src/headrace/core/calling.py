"""One wish to run a function and how its end is told: what functions, targets and the wiring share.

Types only: targets and functions never import each other, they meet here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from headrace.core import errors


class Call(msgspec.Struct, frozen=True, gc=False):
    """One wish to run a function."""

    account: str
    function: str
    payload: bytes
    #: Logs and trace share it.
    request_id: str
    qualifier: str = "LATEST"
    #: Put the last 4 KiB of the log into the answer.
    log_tail: bool = False
    #: What the code may want to know of the cause (event id, rule, attempt …):
    #: `context.attributes`.
    attributes: dict[str, str] = {}
    #: 0 on the first attempt.
    retry_count: int = 0


class Result(Protocol):
    """How a run ended: functions.invocation.Invocation fits."""

    @property
    def payload(self) -> bytes: ...

    @property
    def error_type(self) -> str | None:
        """None when the function returned; else what FC says in x-fc-error-type."""
        ...


#: Told once how a call ended, or why it was not run. Must not raise.
Told = Callable[[Result | errors.HeadraceError], None]
#: Gives a call up: nothing is told afterwards.
Abandon = Callable[[], None]
#: Starts a call, without a task of its own. Raises errors.HeadraceError when it is refused at once.
Begin = Callable[[Call, Told], Abandon]
