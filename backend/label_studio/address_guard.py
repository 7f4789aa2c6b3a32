"""Which network addresses an image URL may lead to.

Whoever may import tasks chooses the URLs that the backend fetches. The bytes are only decoded as
an image and never shown, so little can leak; still, nobody's image lives on a cloud's metadata
service, which hands out credentials to whoever asks. Those and all other link-local addresses are
refused. Private and loopback addresses are allowed: image servers are often on the intranet.
"""

from __future__ import annotations

import ipaddress
import socket

from backend.errors import ImageError

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Metadata services outside the link-local ranges.
METADATA_ADDRESSES = frozenset(
    ipaddress.ip_address(address)
    for address in (
        "fd00:ec2::254",  # AWS over IPv6
        "fd20:ce::254",  # Google Cloud over IPv6
        "100.100.100.200",  # Alibaba Cloud
        "168.63.129.16",  # Azure
    )
)
NAT64 = ipaddress.ip_network("64:ff9b::/96")


def check_host(host: str, port: int) -> None:
    """Resolve a name and refuse it when any of its addresses is link-local or a metadata service.

    A name that does not resolve passes: a proxy may know it, else the connection will fail.

    Raises:
        ImageError: with the name and the address.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return
    for *_, socket_address in found:
        check_address(str(socket_address[0]), host)


def check_address(address: str, host: str) -> None:
    """Refuse one numeric address that `host` leads to.

    Raises:
        ImageError: with the name and the address.
    """
    ip = _embedded_ipv4(ipaddress.ip_address(address.partition("%")[0]))
    if ip.is_link_local or ip.is_multicast or ip in METADATA_ADDRESSES:
        raise ImageError(
            f"{host} leads to {ip}, a link-local, multicast or cloud metadata address; "
            "images are not fetched from there"
        )


def _embedded_ipv4(ip: IPAddress) -> IPAddress:
    """The IPv4 address inside an IPv6 one (mapped, NAT64, 6to4), else the address itself."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip
