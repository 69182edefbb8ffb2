"""Which addresses a target may connect to: the guard against requests forged through us (SSRF).

Judges the address that is really handed to `connect`, never the text of a URL, so that decimal,
mapped, nip-style and rebinding names all end at the same check. Never resolves a name twice for one
connection.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
#: (host, port) -> every address of the host, as text.
Resolve = Callable[[str, int], Awaitable[list[str]]]

#: Never reachable, whatever is configured: cloud metadata services that live outside link-local
#: space, and transition prefixes that smuggle an IPv4 address inside an IPv6 one.
_NEVER = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "100.100.100.200/32",  # Alibaba Cloud metadata, inside the CGNAT range
        "168.63.129.16/32",  # Azure host agent
        "192.0.0.0/24",  # holds Oracle Cloud's metadata address
        "255.255.255.255/32",
        "fd00:ec2::/32",  # AWS metadata over IPv6
        "fd20:ce::254/128",  # Google Cloud metadata over IPv6
        "::/128",
        "::ffff:0:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/32",
        "2002::/16",
    )
)


class AddressDenied(OSError):
    """A target's host stands at an address that must not be reached from here."""


class Egress:
    """The rule for outgoing connections of targets.

    allow_private: also loopback, RFC 1918, CGNAT and ULA addresses. CHOICE: the server passes True
    when it is bound to loopback itself, because then whoever writes a rule already has the machine.
    """

    def __init__(self, *, allow_private: bool, resolve: Resolve | None = None) -> None:
        self._allow_private = allow_private
        self._own_ports: set[int] = set()
        self.resolve: Resolve = resolve or resolve_by_system

    def forbid_own_port(self, port: int) -> None:
        """Deny `port` on every address of this machine: the server must not call itself."""
        self._own_ports.add(port)

    def check(self, text: str, port: int) -> None:
        """Return when a connection to the address is allowed. Raises: AddressDenied."""
        address = unmapped(ipaddress.ip_address(text))
        reason = self._reason(address, port)
        if reason is not None:
            raise AddressDenied(f"{address} port {port} is {reason}")

    def _reason(self, address: Address, port: int) -> str | None:
        if any(address in network for network in _NEVER if network.version == address.version):
            return "never a target"
        if address.is_link_local or address.is_multicast:
            return "link-local or multicast, never a target"
        if address.is_reserved and not address.is_loopback:
            return "a reserved address"
        if port in self._own_ports and is_local(address):
            return "the server's own port"
        if not self._allow_private and not address.is_global:
            return "not a public address"
        return None


def unmapped(address: Address) -> Address:
    """Return the IPv4 address that an IPv4-mapped IPv6 address stands for; others as they are."""
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or ipaddress.IPv6Address(int(address))
    return address


def is_local(address: Address) -> bool:
    """True when the address belongs to this machine: only then can a socket be bound to it."""
    if address.is_loopback:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True


async def resolve_by_system(host: str, port: int) -> list[str]:
    """Ask the system's resolver, off the event loop."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
