"""Which addresses images may come from: public ones, and those that are named."""

from __future__ import annotations

import socket

import pytest

from backend.errors import ImageError
from backend.label_studio.address_guard import AddressGuard

METADATA = [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "fe80::1%1",
    "fd00:ec2::254",
    "100.100.100.200",
    "168.63.129.16",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "224.0.0.1",
]
NOT_PUBLIC = [
    "127.0.0.1",
    "0.0.0.0",
    "10.0.0.5",
    "172.16.0.1",
    "192.168.1.2",
    "100.64.0.1",
    "198.18.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fd12::1",
    "::ffff:10.0.0.5",
    "64:ff9b::a00:5",
    "2002:a00:5::1",
]
PUBLIC = ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "64:ff9b::808:808"]
EVERYTHING = ("0.0.0.0/0", "::/0", "images.test", "*.test")


@pytest.mark.parametrize("address", METADATA)
@pytest.mark.parametrize("named", [(), EVERYTHING])
def test_check_host_refuses_metadata_addresses_when_they_are_named_too(
    address: str, named: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [(2, 1, 6, "", (ip, 80)) for ip in ("93.184.216.34", address)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(ImageError, match=r"images.test leads to"):
        AddressGuard(named).check_host("images.test", 80)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_check_address_wants_other_addresses_named_when_they_are_not_public(address: str) -> None:
    with pytest.raises(ImageError, match=r"images.test leads to .* ALFAMIX_IMAGE_HOSTS"):
        AddressGuard().check_address(address, "images.test")
    AddressGuard(EVERYTHING[:2]).check_address(address, "images.test")


@pytest.mark.parametrize("address", PUBLIC)
def test_check_address_allows_public_addresses_when_nothing_is_named(address: str) -> None:
    AddressGuard().check_address(address, "images.test")


@pytest.mark.parametrize(
    ("named", "host", "is_allowed"),
    [
        ("images.test", "images.test", True),
        ("images.test", "IMAGES.test.", True),
        ("images.test", "a.images.test", False),
        ("images.test", "evil-images.test", False),
        ("*.images.test", "a.images.test", True),
        ("*.images.test", "a.b.images.test", True),
        ("*.images.test", "images.test", False),
        ("*.images.test", "evil-images.test", False),
        ("*.images.test", "images.test.evil.test", False),
        ("10.0.0.0/8", "images.test", True),
        ("10.1.2.3/32", "10.1.2.3", True),
        ("10.1.2.3/32", "images.test", True),
        ("10.1.2.4/32", "images.test", False),
        ("fd00::/8", "images.test", False),
    ],
)
def test_check_address_allows_what_is_named_by_name_or_by_address(
    named: str, host: str, is_allowed: bool
) -> None:
    guard = AddressGuard([named])
    if is_allowed:
        guard.check_address("10.1.2.3", host)
    else:
        with pytest.raises(ImageError, match="ALFAMIX_IMAGE_HOSTS"):
            guard.check_address("10.1.2.3", host)


@pytest.mark.parametrize("host", ["a..b", "a" * 70, ".test"])
def test_check_host_raises_when_the_name_is_malformed(host: str) -> None:
    with pytest.raises(ImageError, match="is not a valid host name"):
        AddressGuard().check_host(host, 80)


def test_check_host_passes_when_a_name_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror("unknown name")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    AddressGuard().check_host("images.test", 80)
