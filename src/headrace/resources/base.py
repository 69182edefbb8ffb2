"""What every part of the catalog shares: the editor, the settings, chance, paging, and bounds on
plain texts.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from headrace.core import clock, errors
from headrace.resources import editing, inputs, settings
from headrace.store import ports

T = TypeVar("T")

#: Rows of one page of resources; a larger `Limit` is refused.
LIST_LIMIT_MAX: Final = 100


class Part:
    """Base of the parts that `Catalog` is made of."""

    def __init__(
        self, editor: editing.Editor, random: clock.Random, given: settings.Settings
    ) -> None:
        self._editor = editor
        self._random = random
        self._settings = given

    async def _new_number(self, prefix: str) -> int:
        """Return a number that nothing had before, interned as `prefix` and 16 hex digits."""
        name = f"{prefix}/{self._random.getrandbits(64):016x}"
        while self._editor.is_interned(name):  # chance repeats itself when a seed is used again
            name = f"{prefix}/{self._random.getrandbits(64):016x}"
        return await self._editor.intern(name)

    def _uuid(self) -> str:
        """Return a random (version 4) UUID as text."""
        bits = self._random.getrandbits(128)
        bits = bits & ~(0xF000 << 64) | 0x4000 << 64
        bits = bits & ~(0xC000 << 48) | 0x8000 << 48
        text = f"{bits:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def _check_description(self, given: str, field: str) -> str:
        most = settings.DESCRIPTION_CHARS_MAX
        if len(given) > most:
            raise errors.InvalidInput(
                f"{field} has {len(given)} characters, at most {most} are allowed.",
                field=field,
                expected=most,
                got=len(given),
            )
        return given

    def _drop(self, draft: editing.Draft, key: ports.Key) -> None:
        """Let a fence go with the thing it guarded."""
        self._editor.fence(draft, key)
        if draft.guards[key] != ports.ABSENT:
            draft.changes[key] = None


def fence_of(account: str, kind: editing.KindName, *path: str) -> ports.Key:
    """Return the key that writes touch when they begin to use the thing; its delete watches it."""
    return "/".join((account, "uses", kind, *path))


def check_tags(given: Mapping[str, str], field: str) -> dict[str, str]:
    """Return the tags as a record holds them."""
    if len(given) > settings.TAGS_MAX:
        raise errors.InvalidInput(
            f"{field} has more than {settings.TAGS_MAX} entries.", field=field
        )
    for key, value in given.items():
        if not key or len(key) > settings.TAG_CHARS_MAX or len(value) > settings.TAG_CHARS_MAX:
            raise errors.InvalidInput(
                f"{field} [{key}] must have 1-{settings.TAG_CHARS_MAX} characters, "
                "and its value at most as many.",
                field=field,
                got=key,
            )
    return dict(given)


def page_of(rows: Iterable[tuple[str, T]], *, limit: int, token: str | None) -> inputs.Listing[T]:
    """Return one page of `rows` (sort key, item), ascending by key.

    Raises: LimitInvalid unless 1 <= limit <= 100; NextTokenInvalid.
    """
    if not 1 <= limit <= LIST_LIMIT_MAX:
        raise errors.LimitInvalid(
            "Specified parameter Limit is not valid.",
            field="Limit",
            expected=f"1-{LIST_LIMIT_MAX}",
            got=limit,
        )
    ordered = sorted(rows, key=_sort_key)
    after = _untoken(token) if token else None
    rest = ordered if after is None else [row for row in ordered if row[0] > after]
    page = rest[:limit]
    more = _token(page[-1][0]) if len(rest) > limit else None
    return inputs.Listing([item for _, item in page], more, len(ordered))


def _sort_key(row: tuple[str, Any]) -> str:
    return row[0]


def _token(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _untoken(token: str) -> str:
    try:
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as broken:
        raise errors.NextTokenInvalid(
            "Specified parameter NextToken is not valid.", field="NextToken", got=token
        ) from broken
