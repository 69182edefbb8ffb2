"""Errors in Function Compute's words: which code and status each cause has on this API.

The one mapping of the FC face. Must never invent a cause: it only renames those of `core.errors`.
"""

from __future__ import annotations

from typing import Final

from headrace.api import http, operations
from headrace.core import errors

#: First match wins, so children stand before their parents. Codes: SDK, Terraform, FC error pages.
_WORDS: Final[tuple[tuple[type[errors.HeadraceError], str, int], ...]] = (
    (errors.PayloadTooLarge, "EntityTooLarge", 400),
    (errors.InvalidInput, "InvalidArgument", 400),
    (errors.SignatureMissing, "MissingRequiredHeader", 400),
    (errors.KeyUnknown, "InvalidAccessKeyID", 403),
    (errors.SignatureWrong, "SignatureNotMatch", 403),
    (errors.AccessDenied, "AccessDenied", 403),
    (errors.Throttled, "ResourceThrottled", 429),
)
_CLOSE: Final = (b"connection", b"close")


class PathUnknown(errors.InvalidInput):
    """No operation of this API answers at this path and method."""


class NotBuilt(errors.Unsupported):
    """The operation exists in the cloud and is not supported here."""

    code = "NotImplemented"
    status = 501


def word_of(error: errors.HeadraceError) -> tuple[str, int]:
    """Return the code and status of `error` on this API."""
    if isinstance(error, PathUnknown):
        return "PathNotSupported", 400
    for kind, code, status in _WORDS:
        if isinstance(error, kind):
            # A class outside core (a request that came too late, headers too long) keeps its
            # status.
            return code, status if error.status in (400, 403, 409, 413, 429) else error.status
    if type(error) is errors.HeadraceError:
        return "InternalServerError", 500
    return error.code, error.status


def refuse(error: errors.HeadraceError, request_id: str) -> http.Response:
    """Return `error` as the SDK reads it: {"Code", "Message", "RequestId"}."""
    code, status = word_of(error)
    body = {"Code": code, "Message": operations.told(error), "RequestId": request_id}
    answer = http.json_response(body, status)
    answer.headers = identified(request_id)
    if isinstance(error, errors.PayloadTooLarge):
        # The rest of the body may still be on its way: the connection cannot carry another request.
        answer.headers = (*answer.headers, _CLOSE)
    return answer


def identified(request_id: str) -> tuple[tuple[bytes, bytes], ...]:
    """The header that every answer of this API carries."""
    return ((b"x-fc-request-id", request_id.encode("ascii", "replace")),)
