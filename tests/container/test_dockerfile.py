"""The reader of Dockerfile and .dockerignore, by what Docker's reference says of each."""

from __future__ import annotations

import pytest

from tests.container.dockerfile import Dockerfile, DockerfileError, DockerIgnore, HealthCheck

EXAMPLE = r"""# a comment
FROM python:3.13-slim

ARG INDEX=
ARG NAME="two words"
ENV A=1 \
    # a comment between continued lines is left out
    B="x y"
RUN pip install ${INDEX:+--index-url "$INDEX"} \
    && echo "done"
WORKDIR /app
COPY one two ./
COPY folder folder
user worker
ENV A=3
VOLUME ["/data", "/more"]
EXPOSE 80 81
HEALTHCHECK --interval=30s --start-period=2m \
    CMD ["python", "-c", "print(\"a b\")"]
CMD ["python", "-m", "backend"]
"""


@pytest.fixture(scope="module")
def dockerfile() -> Dockerfile:
    return Dockerfile.read(EXAMPLE)


def test_instructions_are_read_in_order_when_lines_continue(dockerfile):
    names = [instruction.name for instruction in dockerfile.instructions]
    assert " ".join(names) == (
        "FROM ARG ARG ENV RUN WORKDIR COPY COPY USER ENV VOLUME EXPOSE HEALTHCHECK CMD"
    )
    run = next(each for each in dockerfile.instructions if each.name == "RUN")
    assert run.text.split() == [
        *("pip", "install", "${INDEX:+--index-url", '"$INDEX"}', "&&", "echo", '"done"')
    ]


def test_environment_holds_the_last_value_of_each_name(dockerfile):
    assert dockerfile.environment == {"A": "3", "B": "x y"}


def test_what_a_container_needs_is_read(dockerfile):
    assert dockerfile.base_image == "python:3.13-slim"
    assert dockerfile.arguments == {"INDEX": "", "NAME": "two words"}
    assert (dockerfile.user, dockerfile.workdir) == ("worker", "/app")
    assert dockerfile.volumes == ["/data", "/more"]
    assert dockerfile.ports == [80, 81]
    assert dockerfile.copied == ["one", "two", "folder"]
    assert dockerfile.command == ["python", "-m", "backend"]
    assert dockerfile.health_check == HealthCheck(
        command=["python", "-c", 'print("a b")'],
        interval_s=30.0,
        timeout_s=30.0,
        start_period_s=120.0,
    )


@pytest.mark.parametrize(
    "line",
    [
        "ADD archive.tar /",
        "ONBUILD RUN true",
        "COPY --chown=worker one two",
        "COPY one",
        "RUN --mount=type=cache,target=/root true",
        "RUN <<EOF",
        'RUN ["true"]',
        "COPY $SOURCE /",
        "ENV PATH=/bin:$PATH",
        "WORKDIR",
    ],
)
def test_line_is_refused_when_it_is_not_known(line):
    with pytest.raises(DockerfileError):
        Dockerfile.read(f"FROM python:3.13-slim\n{line}\n")


def test_command_is_refused_when_a_shell_would_get_the_signals():
    dockerfile = Dockerfile.read("FROM a\nCMD python -m backend\n")
    with pytest.raises(DockerfileError, match="signals"):
        _ = dockerfile.command


def test_second_stage_is_refused_when_one_is_meant():
    with pytest.raises(DockerfileError, match="2 times FROM"):
        _ = Dockerfile.read("FROM a\nFROM b\n").base_image


@pytest.mark.parametrize(
    ("path", "is_ignored"),
    [
        ("README.md", True),
        ("backend", False),
        ("backend/web/app.py", False),
        ("backend/__pycache__/app.pyc", True),
        ("__pycache__", True),
        ("backend/secret.key", True),
        ("backend/web/secret.key", False),
        ("backendx", True),
        ("docs/a/b.md", True),
        ("docs/a/b.txt", False),
    ],
)
def test_last_rule_decides_what_is_ignored(path, is_ignored):
    rules = "# a comment\n*\n!backend\n!docs/**/*.txt\n**/__pycache__\nbackend/*.key\n"
    assert DockerIgnore(rules).ignores(path) == is_ignored
