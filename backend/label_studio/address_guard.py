"""Which hosts images may come from besides Label Studio.

Whoever may import tasks chooses the URLs that the backend fetches. So they may lead to public
addresses, and of the others only to those that the admin names in ALFAMIX_IMAGE_HOSTS: else a task
could have the backend ask what listens on its own machine or on the intranet. Nobody's image lives
on a cloud's metadata service, which hands out credentials to whoever asks: those, and all other
link-local addresses, are refused even where they are named.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Mapping
from typing import Any

from backend.errors import ImageError, PrivateAddressError

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
ANY_SUBDOMAIN = "*."


class AddressGuard:
    """Refuses what leads neither to a public address nor to one that is named."""

    def __init__(self, named: Iterable[str] = ()) -> None:
        """named: host names, `*.domain` for all names below one, addresses and networks."""
        self._names: set[str] = set()
        self._domains: list[str] = []
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for entry in named:
            if entry.startswith(ANY_SUBDOMAIN):
                self._domains.append(entry.removeprefix("*"))
            elif (network := _network(entry)) is not None:
                self._networks.append(network)
            else:
                self._names.add(entry)

    def check_host(self, host: str, port: int) -> None:
        """Resolve a name and refuse it when any of its addresses is to be refused.

        A name that does not resolve passes: a proxy may know it, else the connection will fail.

        Raises:
            ImageError: with the name and the address, or for a malformed name.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError as error:
            raise ImageError(f"{host!r} is not a valid host name") from error
        except OSError:
            return
        for *_, socket_address in found:
            self.check_address(str(socket_address[0]), host)

    def check_address(self, address: str, host: str) -> None:
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
        if not ip.is_global and not self._is_named(ip, host):
            raise PrivateAddressError(
                f"{host} leads to {ip}, which is no public address; if images are to come from "
                "there, name it in ALFAMIX_IMAGE_HOSTS",
                host,
            )

    def _is_named(self, ip: IPAddress, host: str) -> bool:
        name = host.lower().rstrip(".")
        return (
            name in self._names
            or any(name.endswith(domain) for domain in self._domains)
            or any(ip in network for network in self._networks)
        )


class PeerCheck:
    """httpcore's trace hook: refuses what was connected to, before anything is sent to it.

    The name may have been given another address since it was resolved. Behind a proxy it is the
    proxy that resolves it, and the proxy that is connected to.
    """

    def __init__(self, host: str, guard: AddressGuard) -> None:
        self._host = host
        self._guard = guard
        self._is_direct = False

    def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """Called by httpcore before and after it connects.

        Raises:
            ImageError: the address is to be refused.
            OSError: the connection is lost already.
        """
        if event == "connection.connect_tcp.started":
            self._is_direct = info["host"] == self._host
        elif event == "connection.connect_tcp.complete" and self._is_direct:
            stream = info["return_value"]
            try:
                address = stream.get_extra_info("server_addr")[0]
                self._guard.check_address(address, self._host)
            except ImageError:
                stream.close()
                raise


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry)
    except ValueError:
        return None


def _embedded_ipv4(ip: IPAddress) -> IPAddress:
    """The IPv4 address inside an IPv6 one (mapped, NAT64, 6to4), else the address itself."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip
