"""aiohttp's resolver over the egress rule: one look-up, every answer checked, those connected to.

Never hands out an address that `egress` has not judged, and never asks twice for one connection.
"""

from __future__ import annotations

import ipaddress
import socket

from aiohttp import abc

from headrace.targets import egress as egresses


class PinningResolver(abc.AbstractResolver):
    """aiohttp's view of an `Egress`."""

    def __init__(self, egress: egresses.Egress) -> None:
        self._egress = egress

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[abc.ResolveResult]:
        addresses = await self._egress.resolve(host, port)
        if not addresses:
            raise OSError(f"{host} has no address")
        for text in addresses:
            self._egress.check(text, port)
        return [_result(host, text, port) for text in addresses]

    async def close(self) -> None:
        """Nothing is held open."""


def _result(host: str, text: str, port: int) -> abc.ResolveResult:
    version = ipaddress.ip_address(text).version
    return abc.ResolveResult(
        hostname=host,
        host=text,
        port=port,
        family=socket.AF_INET if version == 4 else socket.AF_INET6,
        proto=socket.IPPROTO_TCP,
        flags=socket.AI_NUMERICHOST,
    )
