"""What a handler of this API is given beyond an operation's call, and readings they share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Protocol

from headrace.api import http, operations
from headrace.api.fc import download
from headrace.core import errors, limits

LIMIT_DEFAULT = 20
#: Carries the revision of the record an answer shows; sent back, it guards an edit.
REVISION_HEADER = "x-headrace-revision"


class Packages(Protocol):
    """Where code packages are kept; wired in `app`."""

    async def put(self, package: bytes) -> str:
        """Check the zip, keep it durably, return its sha256. Raises: PackageInvalid, StoreFull."""
        ...

    async def get(self, sha256: str) -> bytes:
        """Return the zip, byte for byte as it was put. Raises: KeyError."""
        ...


class FcCall(operations.Call):
    """A call of this API."""

    packages: Packages
    links: download.Links


def revision_of(call: operations.Call) -> int | None:
    """Return the revision the caller edits on, None for the current one. Raises: InvalidInput."""
    text = call.request.headers.get(REVISION_HEADER)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise errors.InvalidInput(
            f"The header {REVISION_HEADER} must be a revision number.",
            field=REVISION_HEADER, got=text[:40],
        )  # fmt: skip
    return int(text)


def revised(value: object, revision: int) -> http.Response:
    """Return `value` as JSON with the revision it was read at."""
    answer = http.json_response(value)
    answer.headers = ((REVISION_HEADER.encode(), str(revision).encode()),)
    return answer


def page_of(call: operations.Call) -> tuple[int, str | None]:
    """Return limit and page token. Raises: LimitInvalid. CHOICE: default 20, at most 100."""
    limit: int = call.args.get("limit", LIMIT_DEFAULT)
    if not 1 <= limit <= limits.PAGE_ITEMS_MAX:
        raise errors.LimitInvalid(
            f"limit must be 1-{limits.PAGE_ITEMS_MAX}, it is {limit}.", field="limit", got=limit
        )
    return limit, call.args.get("nextToken") or None


def listed(name: str, items: list[Any], token: str | None) -> dict[str, Any]:
    """Return a page as the API shows it: no nextToken on the last one."""
    out: dict[str, Any] = {name: items}
    if token is not None:
        out["nextToken"] = token
    return out


def time_text(at_ms: int) -> str:
    """Return a wall clock as RFC 3339 UTC with seconds, `2023-04-01T08:15:27Z`."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def check_latest(qualifier: str) -> None:
    """Accept LATEST alone: versions and aliases cannot be made yet. Raises: VersionNotFound."""
    if qualifier in ("", "LATEST"):
        return
    kind = "version" if qualifier.isdigit() else "alias"
    raise errors.VersionNotFound(
        f"The {kind} {qualifier} does not exist.",
        code="VersionNotFound" if kind == "version" else "AliasNotFound",
        field="qualifier",
        got=qualifier,
    )
