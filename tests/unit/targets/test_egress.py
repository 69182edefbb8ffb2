"""Which addresses a target may reach, judged address by address."""

from __future__ import annotations

import pytest

from headrace.targets import egress

NEVER = [
    "169.254.169.254", "169.254.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192",
    "0.0.0.0", "0.1.2.3", "255.255.255.255", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "::", "fe80::1", "fe80::1%eth0", "ff02::1", "fd00:ec2::254", "fd20:ce::254",
    "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
    "2001:0:1::1", "64:ff9b:1::1",
]  # fmt: skip
PRIVATE = [
    "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "100.64.0.1", "198.18.0.1", "::1", "fc00::1", "fd12::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "93.184.216.34", "100.128.0.1", "172.32.0.1", "2606:4700::1111"]


@pytest.mark.parametrize("address", NEVER)
@pytest.mark.parametrize("allow_private", [False, True])
def test_metadata_link_local_and_smuggled_addresses_are_never_reachable(
    address: str, allow_private: bool
) -> None:
    with pytest.raises(egress.AddressDenied):
        egress.Egress(allow_private=allow_private).check(address, 80)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_reachable_only_when_allowed(address: str) -> None:
    egress.Egress(allow_private=True).check(address, 80)
    with pytest.raises(egress.AddressDenied):
        egress.Egress(allow_private=False).check(address, 80)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_reachable(address: str) -> None:
    egress.Egress(allow_private=False).check(address, 443)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_the_servers_own_port_is_denied_on_this_machine_only(address: str) -> None:
    guard = egress.Egress(allow_private=True)
    guard.forbid_own_port(7280)
    with pytest.raises(egress.AddressDenied, match="own port"):
        guard.check(address, 7280)
    guard.check(address, 7281)
    guard.check("10.255.254.253", 7280)
    guard.check("1.1.1.1", 7280)
