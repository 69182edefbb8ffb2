"""Parameters as they come in: query and form of RPC requests merged, JSON objects of bodies.

Must never interpret an operation's own parameters; `shapes` does that.
"""

from __future__ import annotations

from typing import Any, cast
from urllib import parse as urlparse

import msgspec

from headrace.api import bounds, http
from headrace.core import errors, jsontext

FORM = "application/x-www-form-urlencoded"

#: Accepted with every operation, by name, and without effect on it: who signs, how, and in which
#: region and format.
PROTOCOL = frozenset(
    {
        "Action", "Version", "Format", "RegionId", "AccessKeyId", "SecurityToken", "Timestamp",
        "Signature", "SignatureMethod", "SignatureVersion", "SignatureNonce", "SignatureType",
    }
)  # fmt: skip


class Parameters(msgspec.Struct):
    action: str
    version: str
    client_token: str
    #: What belongs to the operation.
    own: dict[str, str]


def merged(request: http.Request) -> dict[str, str]:
    """Return query and form parameters of `request` as one mapping.

    Raises: InvalidInput for a parameter given twice with different values, a body that is not a
    form,
    text that is not UTF-8, or too many parameters.
    """
    out: dict[str, str] = {}
    if request.query:
        _add(out, request.query)
    if request.body:
        kind = request.headers.get("content-type", FORM).partition(";")[0].strip().lower()
        if kind != FORM:
            raise errors.InvalidInput(
                f"The body of an RPC request must be {FORM}, it is {kind[:80]}.",
                field="content-type",
                expected=FORM,
            )
        try:
            _add(out, request.body.decode("ascii"))
        except UnicodeDecodeError as error:
            raise errors.InvalidInput("The form holds bytes that are not encoded.") from error
    return out


def _add(out: dict[str, str], text: str) -> None:
    for name, value in pairs(text):
        if out.setdefault(name, value) != value:
            raise errors.InvalidInput(f"The parameter {name} is given twice.", field=name)


def pairs(text: str) -> list[tuple[str, str]]:
    """Return the decoded parameters of a query or form. Raises: InvalidInput."""
    try:
        return urlparse.parse_qsl(
            text,
            keep_blank_values=True,
            errors="strict",
            max_num_fields=bounds.PARAMETERS_MAX,
        )
    except ValueError as error:
        raise errors.InvalidInput(f"The parameters cannot be read: {error}") from error


def sorted_out(request: http.Request) -> Parameters:
    """Return the parameters of `request` with the protocol's own set apart.

    Raises: InvalidInput; when header and parameter disagree on action or version too.
    """
    own = merged(request)
    action = _agreed(own, "Action", request.headers.get("x-acs-action", ""))
    version = _agreed(own, "Version", request.headers.get("x-acs-version", ""))
    token = own.pop("ClientToken", "")
    for name in PROTOCOL & own.keys():
        del own[name]
    return Parameters(action, version, token, own)


def _agreed(own: dict[str, str], name: str, header: str) -> str:
    value = own.get(name, "")
    if header and value and header != value:
        raise errors.InvalidInput(
            f"The header x-acs-{name.lower()} and the parameter {name} differ.", field=name
        )
    return header or value


def json_object(text: str | bytes, what: str) -> dict[str, Any]:
    """Return the JSON object in `text`; numbers keep their spelling. Raises: InvalidInput.

    what: names the text in the message, and is its field: "body", "Event".
    """
    try:
        value = jsontext.decode(text)
    except jsontext.Malformed as fault:
        raise errors.InvalidInput(f"The {what} is not valid JSON: {fault}", field=what) from fault
    if not isinstance(value, dict):
        raise errors.InvalidInput(f"The {what} must be a JSON object.", field=what)
    return cast("dict[str, Any]", value)
