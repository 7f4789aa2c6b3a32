"""Steps of a Dockerfile carried out in a folder: those that need no root, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.container.dockerfile import Dockerfile, DockerfileError
from tests.container.host import folders_named, package_environment
from tests.container.image import Image, suite_of


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A build's folder, of which `kept` and LICENSE are let in."""
    context = tmp_path / "context"
    for path in ("kept/a.py", "kept/deep/b.py", "kept/__pycache__/a.pyc", "LICENSE", "secret"):
        (context / path).parent.mkdir(parents=True, exist_ok=True)
        (context / path).write_text(path)
    (context / ".dockerignore").write_text("*\n!kept\n!LICENSE\n**/__pycache__\n")
    return context


def built(context: Path, *lines: str, **arguments: str) -> set[str]:
    """The files of an image that these lines make."""
    root = context.parent / "root"
    root.mkdir()
    dockerfile = Dockerfile.read("\n".join(lines))
    for _step in Image(root, context, {}).build(dockerfile, arguments):
        pass
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_folder_is_copied_without_what_is_ignored(context):
    files = built(context, "WORKDIR /app", "COPY kept code", "COPY LICENSE ./")
    assert files == {"app/code/a.py", "app/code/deep/b.py", "app/LICENSE"}


def test_file_is_copied_under_another_name_when_no_folder_is_meant(context):
    assert built(context, "COPY LICENSE /usr/share/license") == {"usr/share/license"}


def test_ignored_file_is_refused_when_it_is_copied(context):
    with pytest.raises(DockerfileError, match="dockerignore"):
        built(context, "COPY secret /")


def test_build_argument_is_refused_when_no_arg_is_named_so(context):
    with pytest.raises(DockerfileError, match="INDEX"):
        built(context, "WORKDIR /app", INDEX="x")


def test_workdir_is_below_the_last_one_when_it_is_relative(context):
    assert built(context, "WORKDIR /a", "WORKDIR b", "COPY LICENSE ./") == {"a/b/LICENSE"}


@pytest.mark.parametrize(
    ("image", "suite"),
    [
        ("python:3.13-slim", "trixie"),
        ("python:3.13.9-slim-trixie", "trixie"),
        ("python:3.11-slim", "bookworm"),
    ],
)
def test_suite_is_the_one_with_the_images_python(image, suite):
    assert suite_of(image) == suite


@pytest.mark.parametrize("image", ["python:3.12-slim", "python:3.13", "debian:13-slim"])
def test_base_image_is_refused_when_no_suite_has_its_python(image):
    with pytest.raises(DockerfileError, match="FROM"):
        suite_of(image)


def test_pips_variables_are_passed_on_and_no_others():
    environ = {"PIP_INDEX_URL": "x", "HTTPS_PROXY": "y", "PORT": "1", "SECRET_TOKEN": "z"}
    passed_on = package_environment(environ)
    assert passed_on.items() >= {"PIP_INDEX_URL": "x", "HTTPS_PROXY": "y"}.items()
    assert not passed_on.keys() & {"PORT", "SECRET_TOKEN"}


def test_folders_are_found_in_variables_when_they_exist(tmp_path):
    wheels, index = tmp_path / "wheels", tmp_path / "pypi" / "simple"
    wheels.mkdir()
    index.mkdir(parents=True)
    environment = {
        "PIP_FIND_LINKS": f"{wheels} https://example.com/wheels",
        "PIP_EXTRA_INDEX_URL": index.as_uri(),
        "PIP_CERT": "/no/such/file",
    }
    assert folders_named(environment) == [tmp_path / "pypi", wheels]
