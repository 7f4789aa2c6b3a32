"""docker-compose.yml, read: its two services with the variables of .env filled in."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

VARIABLE = re.compile(r"\$\{(\w+):\?[^}]*\}")


@dataclass(frozen=True)
class Service:
    """One service; ports are (address, published, target), volumes (name, target).

    names: what it is called in the network.
    """

    names: list[str]
    image: str | None
    arguments: dict[str, str]
    environment: dict[str, str]
    ports: list[tuple[str, int, int]]
    volumes: list[tuple[str, str]]
    stop_grace_s: float


@dataclass(frozen=True)
class Compose:
    """The services by name, their network, and the volumes that are kept."""

    services: dict[str, Service]
    subnet: ipaddress.IPv4Network
    volumes: list[str]

    @classmethod
    def read(cls, file: Path, env: Mapping[str, str]) -> Compose:
        """The file with `env` filled in. KeyError: a variable is lacking."""
        text = VARIABLE.sub(lambda match: env[match[1]], file.read_text())
        loaded = yaml.safe_load(text)
        [network] = loaded["networks"]["default"]["ipam"]["config"]
        services = {name: _service(name, fields) for name, fields in loaded["services"].items()}
        return cls(services, ipaddress.IPv4Network(network["subnet"]), [*loaded["volumes"]])


def variables_of(file: Path) -> set[str]:
    """What .env has to name."""
    return set(VARIABLE.findall(file.read_text()))


def _service(name: str, fields: Mapping[str, Any]) -> Service:
    return Service(
        names=[name, *fields.get("networks", {}).get("default", {}).get("aliases", [])],
        image=fields.get("image"),
        arguments=fields.get("build", {}).get("args", {}),
        environment=fields["environment"],
        ports=[_port(text) for text in fields["ports"]],
        volumes=[tuple(text.split(":")) for text in fields["volumes"]],
        stop_grace_s=float(fields.get("stop_grace_period", "10s").removesuffix("s")),
    )


def _port(text: str) -> tuple[str, int, int]:
    address, published, target = text.split(":")
    return address, int(published), int(target)
