"""Short-lived links to code packages: what GetFunctionCode returns and what the link answers.

Owns the key that signs links; it lives as long as the process, so a restart ends every link early.
A link names one account and one package by digest; it must never open anything else.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final
from urllib import parse as urlparse

import msgspec

from headrace.core import errors

if TYPE_CHECKING:
    from headrace.api import http
    from headrace.core import clock

#: CHOICE: as long as the cloud's presigned link lives, a few minutes.
LINK_MS_MAX: Final = 10 * 60 * 1000
#: No operation of the API stands below this path.
PATH: Final = "/2023-03-30/packages/"


class Link(msgspec.Struct, frozen=True):
    account: str
    sha256: str
    #: Wall clock after which the link is dead.
    until_ms: int


class Links:
    """Makes links and tells true ones from others."""

    def __init__(self, clock: clock.Clock, random: clock.Random) -> None:
        self._clock = clock
        self._key = random.getrandbits(256).to_bytes(32, "big")

    def url(self, request: http.Request, account: str, sha256: str) -> str:
        """Return a link to the package at the address by which `request` reached us."""
        link = Link(account, sha256, self._clock.wall_ms() + LINK_MS_MAX)
        query = urlparse.urlencode(
            {"Account": account, "Expires": link.until_ms, "Signature": self._signature(link)}
        )
        host = request.headers.get("host", "localhost")
        # Behind a proxy that ends TLS only this header knows what the client spoke.
        secure = request.headers.get("x-forwarded-proto", "").strip().lower() == "https"
        return f"{'https' if secure else 'http'}://{host}{PATH}{sha256}?{query}"

    def opened(self, request: http.Request) -> Link:
        """Return what the link of `request` opens.

        Raises: SignatureWrong, RequestStale, MethodNotAllowed.
        """
        given = dict(urlparse.parse_qsl(request.query))
        until = given.get("Expires", "")
        until_ms = int(until) if until.isascii() and until.isdigit() and len(until) < 16 else 0
        link = Link(given.get("Account", ""), request.path.removeprefix(PATH), until_ms)
        expected = self._signature(link).encode()
        if not hmac.compare_digest(expected, given.get("Signature", "").encode()):
            raise errors.SignatureWrong("The signature of the link is wrong.")
        if until_ms <= self._clock.wall_ms():
            raise errors.RequestStale("The link has expired; ask GetFunctionCode for a new one.")
        return link

    def _signature(self, link: Link) -> str:
        text = f"{link.account}\n{link.sha256}\n{link.until_ms}".encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()
