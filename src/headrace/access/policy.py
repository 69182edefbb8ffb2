"""Who may do what: the one question every operation asks before it acts.

Owns principals and the evaluation Deny > Allow > deny. Faces name the action and the resource of
each operation; it must never parse a request or know where statements are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from headrace.core import errors

Effect = Literal["Allow", "Deny"]


class Statement(msgspec.Struct, frozen=True):
    """One line of a policy; `*` and `?` in actions and resources match as in RAM."""

    effect: Effect
    actions: tuple[str, ...]
    resources: tuple[str, ...] = ("*",)


class Principal(msgspec.Struct, frozen=True):
    """Who asks, once the signature was verified."""

    account: str
    access_key_id: str
    #: The account itself: allowed everything that no statement denies.
    root: bool = False
    statements: tuple[Statement, ...] = ()


_EVERYTHING = Statement("Allow", ("*",))


def authorize(principal: Principal, action: str, resource: str) -> None:
    """Return if `principal` may do `action` (`eventbridge:PutEvents`) on `resource` (an ARN).

    Raises: AccessDenied.
    """
    statements: Sequence[Statement] = principal.statements
    if principal.root:
        if not statements:
            return
        statements = (*statements, _EVERYTHING)
    if verdict(statements, action, resource) != "Allow":
        raise errors.AccessDenied(
            f"The caller has no right to [{action}] on [{resource}].", field=action, got=resource
        )


def verdict(statements: Iterable[Statement], action: str, resource: str) -> Effect:
    """Return Deny if any matching statement denies or none matches, else Allow."""
    allowed: Effect = "Deny"
    for statement in statements:
        actions = (pattern.lower() for pattern in statement.actions)
        if _covers(actions, action.lower()) and _covers(statement.resources, resource):
            if statement.effect == "Deny":
                return "Deny"
            allowed = "Allow"
    return allowed


def _covers(patterns: Iterable[str], text: str) -> bool:
    # RAM knows no sets of characters, so a "[" stands for itself.
    return any(fnmatchcase(text, pattern.replace("[", "[[]")) for pattern in patterns)
