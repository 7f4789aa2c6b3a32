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
from backend.harness.server import BANNED_SUBNETS

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = {"127.0.0.0/8", "::1/128"}
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


def collapsed(subnets: Iterable[str]) -> list[Any]:
    """The same addresses in as few networks as possible."""
    networks = [ipaddress.ip_network(subnet) for subnet in subnets]
    return [
        *ipaddress.collapse_addresses(n for n in networks if n.version == 4),
        *ipaddress.collapse_addresses(n for n in networks if n.version == 6),
    ]


@pytest.fixture(scope="module")
def own_list(label_studio_venv: Path) -> list[str]:
    if not label_studio_venv.exists():
        pytest.skip(f"no Label Studio in {label_studio_venv}")
    return label_studios_own(label_studio_venv)


def test_harness_bans_all_but_loopback(own_list: list[str]) -> None:
    assert set(BANNED_SUBNETS) == set(own_list) - LOOPBACK


def test_docs_name_the_list_of_the_harness() -> None:
    page = (ROOT / "docs" / "network.md").read_text()
    [named] = re.findall(r"USER_ADDITIONAL_BANNED_SUBNETS=(\S+)", page)
    assert tuple(named.split(",")) == BANNED_SUBNETS


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
