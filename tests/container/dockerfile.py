"""A Dockerfile and a .dockerignore, read: what an image builder would be told to do.

The part of their language that this project's files use. What else there is in it is refused by
name, so that nothing is left out without a word.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

# With how many words, at least, each is followed.
INSTRUCTIONS = {
    "FROM": 1,
    "ARG": 1,
    "ENV": 1,
    "RUN": 1,
    "COPY": 2,
    "WORKDIR": 1,
    "USER": 1,
    "VOLUME": 1,
    "EXPOSE": 1,
    "HEALTHCHECK": 1,
    "CMD": 1,
}
# Words here are taken as they stand: `$NAME` in them would be another word to a builder.
UNEXPANDED = {"FROM", "ARG", "ENV", "COPY", "WORKDIR", "USER", "VOLUME", "EXPOSE"}
FLAG = re.compile(r"--([a-z-]+)=(\S+)")
SECONDS = {"s": 1, "m": 60}


class DockerfileError(Exception):
    """A line that this reader does not know how to carry out."""


@dataclass(frozen=True)
class Instruction:
    """One instruction; `text` is what follows its name, lines joined."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """The words of its text, of a JSON list or as a shell splits them."""
        return json.loads(self.text) if self.text.startswith("[") else shlex.split(self.text)

    @property
    def pairs(self) -> dict[str, str]:
        """NAME=value of ENV and ARG; an ARG without a value is empty."""
        return {name: value for name, _, value in (word.partition("=") for word in self.words)}


@dataclass(frozen=True)
class HealthCheck:
    """The command that tells whether a container works, and how often it is asked."""

    command: list[str]
    interval_s: float
    timeout_s: float
    start_period_s: float


@dataclass(frozen=True)
class Dockerfile:
    """The instructions in their order."""

    instructions: tuple[Instruction, ...]

    @classmethod
    def read(cls, text: str) -> Dockerfile:
        """The instructions of a file's text. DockerfileError: one is not known here."""
        return cls(tuple(_instruction(line) for line in _joined_lines(text)))

    @property
    def base_image(self) -> str:
        """What FROM names."""
        return self._only("FROM").text

    @property
    def environment(self) -> dict[str, str]:
        """What ENV sets for the container."""
        return {name: value for each in self._all("ENV") for name, value in each.pairs.items()}

    @property
    def arguments(self) -> dict[str, str]:
        """What ARG declares, with the defaults."""
        return {name: value for each in self._all("ARG") for name, value in each.pairs.items()}

    @property
    def user(self) -> str:
        """The user that the command runs as, root where nothing is said."""
        return self._last("USER", "root")

    @property
    def workdir(self) -> str:
        """The folder that the command runs in."""
        return self._last("WORKDIR", "/")

    @property
    def command(self) -> list[str]:
        """CMD; DockerfileError: it is not a list, so a shell would stand before signals."""
        return _listed(self._only("CMD").text)

    @property
    def volumes(self) -> list[str]:
        """Folders that outlive the container."""
        return [word for each in self._all("VOLUME") for word in each.words]

    @property
    def ports(self) -> list[int]:
        """Ports that are listened on."""
        return [int(word) for each in self._all("EXPOSE") for word in each.words]

    @property
    def copied(self) -> list[str]:
        """Paths of the build's folder that COPY takes."""
        return [word for each in self._all("COPY") for word in each.words[:-1]]

    @property
    def health_check(self) -> HealthCheck:
        """HEALTHCHECK, with a builder's defaults."""
        flags, command = _split_flags(self._only("HEALTHCHECK").text)
        if not command.startswith("CMD "):
            raise DockerfileError(f"HEALTHCHECK {command}: needed is CMD [...]")
        return HealthCheck(
            command=_listed(command.removeprefix("CMD ")),
            interval_s=_seconds(flags.pop("interval", "30s")),
            timeout_s=_seconds(flags.pop("timeout", "30s")),
            start_period_s=_seconds(flags.pop("start-period", "0s")),
        )

    def _all(self, name: str) -> list[Instruction]:
        return [each for each in self.instructions if each.name == name]

    def _last(self, name: str, default: str) -> str:
        return next((each.text for each in reversed(self._all(name))), default)

    def _only(self, name: str) -> Instruction:
        found = self._all(name)
        if len(found) != 1:
            raise DockerfileError(f"{len(found)} times {name}; needed is one")
        return found[0]


class DockerIgnore:
    """The paths that a .dockerignore keeps out of a build."""

    def __init__(self, text: str) -> None:
        lines = (line.strip() for line in text.splitlines())
        rules = [line for line in lines if line and not line.startswith("#")]
        self._rules = [(_pattern(rule.removeprefix("!")), rule.startswith("!")) for rule in rules]

    def ignores(self, path: str) -> bool:
        """Whether a path, relative and with `/`, is kept out: the last rule about it decides."""
        ways = [path[:end] for end in _ends(path)]
        ignored = False
        for pattern, lets_in in self._rules:
            if any(pattern.fullmatch(way) for way in ways):
                ignored = not lets_in
        return ignored


def _ends(path: str) -> list[int]:
    """Where the path itself and the folders above it end."""
    return [*(match.start() for match in re.finditer("/", path)), len(path)]


def _pattern(rule: str) -> re.Pattern[str]:
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", rule.strip("/"))
    kinds = {"**/": r"(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(kinds.get(piece, re.escape(piece)) for piece in pieces))


def _joined_lines(text: str) -> Iterable[str]:
    """The instructions, a line each: comments out, continued lines together."""
    kept = [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    return "\n".join(kept).replace("\\\n", "").splitlines()


def _instruction(line: str) -> Instruction:
    name, _, text = line.strip().partition(" ")
    name, text = name.upper(), text.strip()
    if name not in INSTRUCTIONS:
        raise DockerfileError(f"{name} is not known here: {line}")
    if name != "HEALTHCHECK" and text.startswith("--"):
        raise DockerfileError(f"a flag that is not known here: {line}")
    if name in UNEXPANDED and "$" in text:
        raise DockerfileError(f"a variable outside of RUN: {line}")
    if name == "RUN" and ("<<" in text or text.startswith("[")):
        raise DockerfileError(f"needed is one shell command: {line}")
    instruction = Instruction(name, text)
    if name not in ("RUN", "HEALTHCHECK", "CMD") and len(instruction.words) < INSTRUCTIONS[name]:
        raise DockerfileError(f"something is missing: {line}")
    return instruction


def _split_flags(text: str) -> tuple[dict[str, str], str]:
    flags = {}
    while match := FLAG.match(text):
        flags[match[1]] = match[2]
        text = text[match.end() :].lstrip()
    return flags, text


def _listed(text: str) -> list[str]:
    if not text.startswith("["):
        raise DockerfileError(f"{text}: needed is a list, since a shell passes no signals on")
    return json.loads(text)


def _seconds(text: str) -> float:
    return float(text[:-1]) * SECONDS[text[-1]]
