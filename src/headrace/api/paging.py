"""Limit and NextToken as the cloud has them: defaults, bounds and the words of the refusal."""

from __future__ import annotations

from typing import Any

from headrace.core import errors, limits

#: Buses, rules and targets.
LIMIT_RESOURCES = 100
#: Everything else.
LIMIT_DEFAULT = 10


def limit_of(args: dict[str, Any], default: int) -> int:
    """Return the page size asked for. Raises LimitInvalid outside 1..100."""
    limit: int = args.get("Limit", default)
    if not 1 <= limit <= limits.PAGE_ITEMS_MAX:
        raise errors.LimitInvalid(field="Limit", expected=f"1..{limits.PAGE_ITEMS_MAX}", got=limit)
    return limit


def token_of(args: dict[str, Any]) -> str | None:
    """Return the page token, None for the first page ("" counts as none)."""
    return args.get("NextToken") or None


def page(name: str, items: list[Any], token: str | None, total: int) -> dict[str, Any]:
    """Return a page of a list answer; NextToken is absent on the last one (CHOICE, eventbridge.md
    1.11).
    """
    out: dict[str, Any] = {name: items, "Total": total}
    if token is not None:
        out["NextToken"] = token
    return out
