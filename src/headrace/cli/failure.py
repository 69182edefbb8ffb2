"""What a command ends with when it does not succeed: a cause, an exit code, the next command.

Owns the exit codes, which scripts rely on. Must never print.
"""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """Exit codes; stable."""

    OK = 0
    #: The operation failed, or nothing matched.
    FAILED = 1
    #: The command line or a file it names is wrong; nothing was sent.
    USAGE = 2
    NOT_FOUND = 3
    #: Credentials are missing, unknown or refused.
    AUTH = 4
    #: No server answers.
    UNREACHABLE = 5


class Failure(Exception):
    """A command cannot do what it was asked."""

    def __init__(
        self,
        message: str,
        exit_code: Exit = Exit.FAILED,
        *,
        remedy: str = "",
        code: str = "",
        request_id: str = "",
    ) -> None:
        """remedy: what to do next, one sentence or command.  code: the API's word for it."""
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.remedy = remedy
        self.code = code
        self.request_id = request_id


def usage(message: str, remedy: str = "") -> Failure:
    """Return the failure of a command line that cannot be right."""
    return Failure(message, Exit.USAGE, remedy=remedy)
