"""The subnets that Label Studio refuses to ask, and what lets it ask one address of them.

Label Studio's list can only be replaced as a whole (docs/network.md).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Iterator
from typing import Any

LOOPBACK = ("127.0.0.0/8", "::1/128")
# Label Studio's own list but for loopback, where the harness's backends listen.
BANNED_BUT_LOOPBACK = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12"),
    *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
    *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "233.252.0.0/24", "240.0.0.0/4"),
    *("255.255.255.255/32", "::/128", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96"),
    *("64:ff9b:1::/48", "100::/64", "2001:0000::/32", "2001:20::/28", "2001:db8::/32"),
    *("2002::/16", "fc00::/7", "fe80::/10", "ff00::/8"),
)

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = Any  # either version's, whose methods take their own version alone


def variables_for(host: str) -> dict[str, str]:
    """Label Studio's environment variables with which it asks `host` and nothing more.

    Of loopback all is opened, of other networks the host's addresses alone. Empty where none are
    needed, or where nobody knows the host's address.
    """
    addresses = list(_addresses(host))
    listed = [ipaddress.ip_network(subnet) for subnet in (*BANNED_BUT_LOOPBACK, *LOOPBACK)]
    banned = [part for subnet in listed for part in _without(subnet, addresses)]
    if banned == listed:
        return {}
    return {
        "USE_DEFAULT_BANNED_SUBNETS": "false",
        "USER_ADDITIONAL_BANNED_SUBNETS": ",".join(map(str, banned)),
    }


def _without(subnet: IPNetwork, addresses: Iterable[IPAddress]) -> list[IPNetwork]:
    """The parts of a subnet that hold none of the addresses."""
    parts = [subnet]
    for address in addresses:
        parts = [left for part in parts for left in _parts_beside(part, address)]
    return parts


def _parts_beside(part: IPNetwork, address: IPAddress) -> list[IPNetwork]:
    if address not in part:
        return [part]
    if address.is_loopback:
        return []
    return sorted(part.address_exclude(ipaddress.ip_network(address)))


def _addresses(host: str) -> Iterator[IPAddress]:
    """Those that a name leads to from here; for a loopback one both loopbacks."""
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host or ".", None)}
    except (OSError, UnicodeError):
        return
    addresses = {ipaddress.ip_address(str(one).partition("%")[0]) for one in found}
    if any(address.is_loopback for address in addresses):
        addresses |= {ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")}
    yield from sorted(addresses, key=lambda address: (address.version, int(address)))
