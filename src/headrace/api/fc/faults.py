"""Errors in Function Compute's envelope; which word each cause has here is in `core.codes`.

Must never invent a cause.
"""

from __future__ import annotations

from typing import Final

from headrace.api import http, operations
from headrace.core import codes, errors

_CLOSE: Final = (b"connection", b"close")


class PathUnknown(errors.InvalidInput):
    """No operation of this API answers at this path and method."""

    code = "PathNotSupported"


class NotBuilt(errors.Unsupported):
    """The operation exists in the cloud and is not supported here."""

    code = "NotImplemented"
    status = 501


def refuse(error: errors.HeadraceError, request_id: str) -> http.Response:
    """Return `error` as the SDK reads it: {"Code", "Message", "RequestId"}."""
    word = codes.word_of(error, "fc")
    body = {
        "Code": word.code,
        "Message": operations.told(error, word.message),
        "RequestId": request_id,
    }
    answer = http.json_response(body, word.status)
    answer.headers = identified(request_id)
    if isinstance(error, errors.PayloadTooLarge):
        # The rest of the body may still be on its way: the connection cannot carry another request.
        answer.headers = (*answer.headers, _CLOSE)
    return answer


def identified(request_id: str) -> tuple[tuple[bytes, bytes], ...]:
    """The header that every answer of this API carries."""
    return ((b"x-fc-request-id", request_id.encode("ascii", "replace")),)
