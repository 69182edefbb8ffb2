"""Code packages on the wire: base64 in, a link out, the checksum of the exact bytes both ways."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Any, Final

from headrace.api import http
from headrace.api.fc import calls, download
from headrace.core import crc64, errors
from headrace.resources import inputs


async def stored(call: calls.FcCall, given: dict[str, Any]) -> inputs.Code | None:
    """Check and keep the package of an InputCodeLocation; None when it names none.

    Its size is bounded by that of the whole request. Raises: InvalidInput, PackageInvalid.
    """
    text: str = given.get("zipFile", "")
    if not text:
        return None
    package, checksum = await asyncio.to_thread(_decoded, text)
    wanted: str = given.get("checksum", "")
    if wanted and wanted != checksum:
        raise errors.InvalidInput(
            f"code.checksum is {wanted[:40]}, the package has the CRC-64 {checksum}.",
            field="code.checksum", expected=checksum, got=wanted[:40],
        )  # fmt: skip
    sha256 = await call.packages.put(package)
    return inputs.Code(sha256=sha256, checksum=checksum, size=len(package))


def _decoded(text: str) -> tuple[bytes, str]:
    """Return the package and its checksum; takes a while for a large one."""
    try:
        package = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise errors.InvalidInput(
            f"code.zipFile is not base64: {error}", field="code.zipFile", expected="base64"
        ) from error
    return package, crc64.printed(package)


async def get(call: calls.FcCall) -> dict[str, Any]:
    calls.check_latest(call.args.get("qualifier", ""))
    function = call.services.catalog.get_function(call.account, call.args["functionName"])
    url = call.links.url(call.request, call.account, function.code_sha256)
    return {"checksum": function.code_checksum, "url": url}


async def downloaded(packages: calls.Packages, link: download.Link) -> http.Response:
    """Answer a link with the package it names."""
    try:
        package = await packages.get(link.sha256)
    except KeyError as error:
        raise errors.FunctionNotFound("The code package is no longer kept.") from error
    return http.Response(200, package, b"application/zip")


HANDLERS: Final = {"GetFunctionCode": get}
