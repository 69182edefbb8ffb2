"""What `find` means, independent of an engine: which record fits a query, and the page token.

Pure; must never open a file.
"""

from __future__ import annotations

import base64
import binascii
import zlib

import msgspec

from headrace.core import errors
from headrace.store import ports

_token_decoder = msgspec.msgpack.Decoder(tuple[int, int])


def fits(query: ports.EventQuery, record: ports.Record) -> bool:
    """Return whether `find` yields the record."""
    return (
        record.bus == query.bus
        and query.start_ms <= record.received_ms < query.stop_ms
        and (query.key is None or record.key == query.key)
        and (query.kinds is None or record.kind in query.kinds)
        and (query.subscriptions is None or not set(query.subscriptions).isdisjoint(record.matches))
    )


def write_token(query: ports.EventQuery, before: int) -> str:
    """Return the token of the page that goes on below position `before`."""
    packed = msgspec.msgpack.encode((before, _fingerprint(query)))
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def read_token(query: ports.EventQuery, token: str) -> int:
    """Return the position a token goes on below.

    Raises: NextTokenInvalid for a token of another query.
    """
    try:
        packed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        before, fingerprint = _token_decoder.decode(packed)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise errors.NextTokenInvalid(field="NextToken", got=token) from error
    if fingerprint != _fingerprint(query):
        raise errors.NextTokenInvalid(field="NextToken", got=token)
    return before


def page_of(
    query: ports.EventQuery, found: list[ports.Found], limit: int
) -> ports.Page[ports.Found]:
    """Return the page made of `found`, which was read with one more than `limit`."""
    if len(found) <= limit:
        return ports.Page(found, None)
    items = found[:limit]
    return ports.Page(items, write_token(query, items[-1].position))


def _fingerprint(query: ports.EventQuery) -> int:
    return zlib.crc32(msgspec.msgpack.encode(query))
