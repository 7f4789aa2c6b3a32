"""The subnets that Label Studio is to ban: its own list but for one network, wherever it stands."""

from __future__ import annotations

import ast
import ipaddress
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from backend.harness.child import free_port
from backend.label_studio.banned_subnets import (
    BANNED_BUT_LOOPBACK,
    LOOPBACK,
    variables_for,
)

ROOT = Path(__file__).resolve().parents[2]
ADDITIONAL = "USER_ADDITIONAL_BANNED_SUBNETS"
OWN_LIST = "default_banned_subnets"
COMPOSE_NETWORK = "172.30.0.0/16"


def label_studios_own(venv: Path) -> list[str]:
    """The list in the source of the installed Label Studio."""
    [source] = venv.glob("lib/python*/site-packages/label_studio/core/utils/io.py")
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Assign) and "default_banned_subnets" in ast.unparse(
            node.targets[0]
        ):
            return ast.literal_eval(node.value)
    raise AssertionError("Label Studio keeps its list elsewhere")


def networks(subnets: Iterable[str]) -> list[Any]:
    return [ipaddress.ip_network(subnet) for subnet in subnets]


def collapsed(subnets: Iterable[str]) -> list[Any]:
    """The same addresses in as few networks as possible."""
    found = networks(subnets)
    return [
        *ipaddress.collapse_addresses(n for n in found if n.version == 4),
        *ipaddress.collapse_addresses(n for n in found if n.version == 6),
    ]


@pytest.fixture(scope="module")
def own_list(label_studio_venv: Path) -> list[str]:
    if not label_studio_venv.exists():
        pytest.skip(f"no Label Studio in {label_studio_venv}")
    return label_studios_own(label_studio_venv)


def test_list_is_that_of_label_studio(own_list: list[str]) -> None:
    assert {*BANNED_BUT_LOOPBACK, *LOOPBACK} == set(own_list)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.1.1"])
def test_all_but_loopback_is_banned_for_a_backend_on_the_same_machine(host: str) -> None:
    variables = variables_for(host)
    assert variables["USE_DEFAULT_BANNED_SUBNETS"] == "false"
    assert tuple(variables[ADDITIONAL].split(",")) == tuple(map(str, networks(BANNED_BUT_LOOPBACK)))


@pytest.mark.parametrize("address", ["10.0.0.8", "192.168.1.20", "172.30.0.1", "fd00::20"])
def test_one_address_alone_is_opened_for_a_backend_in_a_private_network(
    own_list: list[str], address: str
) -> None:
    banned = variables_for(address)[ADDITIONAL].split(",")
    assert not any(ipaddress.ip_address(address) in subnet for subnet in networks(banned))
    assert collapsed([*banned, address]) == collapsed(own_list)


@pytest.mark.parametrize("host", ["93.184.215.14", "", "a..b", "nobody.invalid"])
def test_nothing_is_to_be_set_for_a_public_or_unknown_address(host: str) -> None:
    assert variables_for(host) == {}


def test_docs_name_the_list_for_the_same_machine() -> None:
    page = (ROOT / "docs" / "network.md").read_text()
    [named] = re.findall(r"USER_ADDITIONAL_BANNED_SUBNETS=(\S+)", page)
    assert tuple(named.split(",")) == BANNED_BUT_LOOPBACK


def test_docs_count_the_list_of_label_studio(own_list: list[str]) -> None:
    assert f"one of {len(own_list)} subnets" in (ROOT / "docs" / "network.md").read_text()


def test_compose_bans_all_but_its_own_network(own_list: list[str]) -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    environment = compose["services"]["label-studio"]["environment"]
    assert environment["USE_DEFAULT_BANNED_SUBNETS"] == "false"
    banned = environment["USER_ADDITIONAL_BANNED_SUBNETS"].split(",")
    assert collapsed([*banned, COMPOSE_NETWORK]) == collapsed(own_list)
    [subnet] = [entry["subnet"] for entry in compose["networks"]["default"]["ipam"]["config"]]
    opened = ipaddress.ip_network(COMPOSE_NETWORK)
    assert ipaddress.ip_network(subnet).subnet_of(opened)
    assert not any(ipaddress.ip_network(entry).overlaps(opened) for entry in banned if "." in entry)


@pytest.mark.label_studio
@pytest.mark.parametrize(
    "host", ["169.254.169.254", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.100.100.200"]
)
@pytest.mark.parametrize("path", ["/api/ml", "/api/webhooks/"])
def test_label_studio_refuses_what_is_banned(label_studio: Any, host: str, path: str) -> None:
    project_id = label_studio.create_project("<View></View>")
    body = {"project": project_id, "url": f"http://{host}:9090", "title": "backend"}
    reply = label_studio.session.post(label_studio.url + path, json=body)
    assert reply.status_code in (400, 403)
    assert "reserved network address" in reply.text


@pytest.mark.label_studio
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_label_studio_asks_a_backend_on_its_own_machine(label_studio: Any, host: str) -> None:
    project_id = label_studio.create_project("<View></View>")
    url = f"http://{host}:{free_port()}"
    body = {"project": project_id, "url": url, "title": "backend"}
    reply = label_studio.session.post(f"{label_studio.url}/api/ml", json=body)
    assert "reserved network address" not in reply.text
    assert "health check failed" in reply.text
