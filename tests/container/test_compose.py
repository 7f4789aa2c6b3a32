"""docker-compose.yml against the Dockerfile, the settings and the Label Studio of the tests."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from backend.errors import SettingsError
from backend.settings import Settings
from tests.container.compose import Compose, variables_of
from tests.container.dockerfile import Dockerfile, DockerIgnore
from tests.container.image import suite_of

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yml"
ENV = {"LABEL_STUDIO_PASSWORD": "a password", "LABEL_STUDIO_TOKEN": "0123456789abcdef" * 2}
# What the Dockerfile sets for other programs than ours.
FOREIGN = ("PIP_", "PYTHON", "HF_")
# 10 s are promised for all that `serve` started.
ENDING_S = 10
PREFIX = "LABEL_STUDIO_"


@pytest.fixture(scope="module")
def compose() -> Compose:
    return Compose.read(COMPOSE_FILE, ENV)


@pytest.fixture(scope="module")
def dockerfile() -> Dockerfile:
    return Dockerfile.read((ROOT / "Dockerfile").read_text())


def known_settings() -> set[str]:
    return {setting.metadata["variable"] for setting in fields(Settings)}


def test_env_file_is_told_of_at_the_top():
    head = COMPOSE_FILE.read_text().partition("services:")[0]
    assert variables_of(COMPOSE_FILE) == set(ENV) == set(re.findall(r"(\w+)=<", head))


def test_backend_is_given_settings_that_exist(compose, dockerfile):
    own = {name for name in dockerfile.environment if not name.startswith(FOREIGN)}
    assert own | set(compose.services["backend"].environment) <= known_settings()


def test_settings_accept_what_the_backend_is_given(compose, dockerfile):
    environment = dockerfile.environment | compose.services["backend"].environment
    settings = Settings.from_environ(environment)
    [(_address, _published, port)] = compose.services["label-studio"].ports
    assert settings.label_studio_url == f"http://label-studio:{port}"
    assert settings.label_studio_api_key == ENV["LABEL_STUDIO_TOKEN"]
    assert settings.model_dir == Path("/data")
    assert settings.port == 9090


def test_settings_refuse_a_name_that_does_not_exist(dockerfile):
    with pytest.raises(SettingsError):
        Settings.from_environ(dockerfile.environment | {"ALFAMIX_DEVICES": "cpu"})


def test_ports_agree(compose, dockerfile):
    backend = compose.services["backend"]
    assert [port for _address, _published, port in backend.ports] == dockerfile.ports
    assert dockerfile.ports == [int(dockerfile.environment["PORT"])]
    published = [port for service in compose.services.values() for port in service.ports]
    assert {address for address, _published, _port in published} == {"127.0.0.1"}


def test_volumes_agree(compose, dockerfile):
    backend = compose.services["backend"]
    assert [target for _name, target in backend.volumes] == dockerfile.volumes
    assert dockerfile.volumes == [dockerfile.environment["MODEL_DIR"]]
    assert dockerfile.environment["HF_HOME"].startswith(dockerfile.environment["MODEL_DIR"])
    named = [name for service in compose.services.values() for name, _target in service.volumes]
    assert sorted(named) == sorted(compose.volumes)


def test_build_arguments_exist(compose, dockerfile):
    assert set(compose.services["backend"].arguments) == set(dockerfile.arguments)


def test_container_is_given_the_time_it_takes_to_end(compose):
    assert compose.services["backend"].stop_grace_s > ENDING_S


def test_container_is_not_root(dockerfile):
    assert dockerfile.user == "backend"


def test_what_is_copied_is_there(dockerfile):
    ignore = DockerIgnore((ROOT / ".dockerignore").read_text())
    for path in dockerfile.copied:
        assert (ROOT / path).exists()
        assert not ignore.ignores(path)


def test_image_has_a_python_that_the_project_supports(dockerfile):
    assert suite_of(dockerfile.base_image)
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    [version] = re.findall(r"python:3\.(\d+)", dockerfile.base_image)
    [oldest] = re.findall(r">=3\.(\d+)$", required)
    assert int(oldest) <= int(version)


def test_backend_has_a_name_that_label_studio_takes_in_a_webhook(compose):
    # Label Studio's check (Django's) wants a dot in every name but localhost.
    [told] = re.findall(r"http://([^:]+):9090", COMPOSE_FILE.read_text().partition("services:")[0])
    assert told == compose.services["backend"].names[-1]
    assert "." in told


def test_label_studio_is_the_one_of_the_tests(compose):
    [pin] = re.findall(r"^label-studio==(.*)$", _read("requirements-label-studio.txt"), re.M)
    assert compose.services["label-studio"].image == f"heartexlabs/label-studio:{pin}"


def test_label_studio_reads_what_it_is_given(compose, label_studio_venv):
    sources = [*label_studio_venv.glob("lib/python*/site-packages/label_studio/core/**/*.py")]
    sources += label_studio_venv.glob("lib/python*/site-packages/label_studio/*.py")
    if not sources:
        pytest.skip(f"no Label Studio in {label_studio_venv}")
    read = set(re.findall(r"""['"]([A-Z_]+)['"]""", "".join(map(Path.read_text, sources))))
    given = compose.services["label-studio"].environment
    # Its settings are read with the prefix or without.
    assert {name for name in given if not {name, name.removeprefix(PREFIX)} & read} == set()


def _read(name: str) -> str:
    return (ROOT / name).read_text()
