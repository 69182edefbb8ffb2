"""What invocations hold from the moment they are taken until they end: a place and their payload.

Owns both bounds, and each account's share of them while several compete. Must never keep an
invocation waiting: what finds no room is refused.
"""

from __future__ import annotations

from headrace.core import calling, errors, shares
from headrace.functions import scaling


class Holdings:
    """All invocations that wait or run."""

    def __init__(self, limits: scaling.Limits) -> None:
        self._calls = shares.Shares(limits.invocations_max)
        self._payloads = shares.Shares(limits.payload_bytes_max)

    def take(self, call: calling.Call) -> None:
        """Make room for `call`. Raises: errors.Throttled; ShareUsed when others compete."""
        size = len(call.payload)
        if not self._calls.allows(call.account, 1):
            raise _throttled(call.account, "invocations", self._calls)
        if not self._payloads.allows(call.account, size):
            raise _throttled(call.account, "bytes of payloads", self._payloads)
        self._calls.take(call.account, 1)
        self._payloads.take(call.account, size)

    def give_back(self, call: calling.Call) -> None:
        self._calls.give_back(call.account, 1)
        self._payloads.give_back(call.account, len(call.payload))


def _throttled(account: str, what: str, held: shares.Shares) -> errors.Throttled:
    code = "ResourceThrottled"
    if held.contended(account):
        return errors.ShareUsed.of("functions", held.share(account), what, code=code)
    text = f"The function is throttled: {held.most} {what} wait or run already."
    return errors.Throttled(text, code=code, remedy=errors.ShareUsed.remedy)
