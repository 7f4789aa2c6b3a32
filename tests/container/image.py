"""An image without an engine: a Dockerfile's steps carried out in a folder.

What the base image holds is made by debootstrap: the Debian release whose own Python is the one
that FROM names, with pip where the official image has it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.container.dockerfile import Dockerfile, DockerfileError, DockerIgnore, Instruction
from tests.container.host import borrowed, lent, name_files

SUITES = {"3.11": "bookworm", "3.13": "trixie"}
BASE_IMAGE = re.compile(r"python:(\d+\.\d+)(?:\.\d+)?-slim(?:-(\w+))?")
BASE_PACKAGES = "ca-certificates,python3,python3-venv"
BASE_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
}
# Left by debootstrap, not in the official image.
APT_LEAVINGS = ("var/cache/apt/archives", "var/lib/apt/lists")
MB = 1e6


@dataclass(frozen=True)
class Step:
    """An instruction that was carried out, what it added, and how long it took."""

    instruction: Instruction
    added_mb: float
    took_s: float


def suite_of(base_image: str) -> str:
    """The Debian release whose Python is that of the image.

    DockerfileError: no release has it, or the image is of another release.
    """
    match = BASE_IMAGE.fullmatch(base_image)
    suite = SUITES.get(match[1]) if match else None
    if match is None or suite is None or match[2] not in (None, suite):
        raise DockerfileError(
            f"FROM {base_image}: no Debian release has it; known are "
            + ", ".join(f"python:{version}-slim-{name}" for version, name in SUITES.items())
        )
    return suite


def size_mb(root: Path) -> float:
    """Megabytes (1e6) on disk of a folder, without what is mounted in it."""
    command = ["du", "--summarize", "--one-file-system", "--block-size=1", str(root)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(printed.split()[0]) / MB


class Image:
    """A root folder in which steps are carried out, one after the other."""

    def __init__(self, root: Path, context: Path, lendings: Mapping[str, str]) -> None:
        """root: empty. context: the folder that COPY reads. lendings: variables of each RUN that
        do not stay (see `host.package_environment`)."""
        self.root = root
        self.environment = dict(BASE_ENVIRONMENT)
        self._context = context
        self._ignore = DockerIgnore((context / ".dockerignore").read_text())
        self._lendings = dict(lendings)
        self._arguments: dict[str, str] = {}
        self._workdir = "/"
        self._user = "root"

    def build(self, dockerfile: Dockerfile, arguments: Mapping[str, str]) -> Iterator[Step]:
        """The steps, each after it was carried out; `arguments` are those of --build-arg."""
        unknown = set(arguments) - set(dockerfile.arguments)
        if unknown:
            raise DockerfileError(f"no ARG is named {', '.join(sorted(unknown))}")
        self._arguments = dict(arguments)
        before = 0.0
        for instruction in dockerfile.instructions:
            started = time.monotonic()
            self._carry_out(instruction)
            after = size_mb(self.root)
            yield Step(instruction, after - before, time.monotonic() - started)
            before = after

    def command_line(self, command: list[str], environment: Mapping[str, str]) -> list[str]:
        """What runs a command in the image as its user, in its folder, with this environment."""
        user = [] if self._user == "root" else [f"--userspec={self._user}:{self._user}"]
        variables = [f"{name}={value}" for name, value in environment.items()]
        inside = ["env", "--ignore-environment", f"--chdir={self._workdir}", *variables, *command]
        return ["chroot", *user, str(self.root), *inside]

    def place(self, path: str) -> Path:
        """Where a path of the image is on this machine."""
        return self.root / (Path(self._workdir) / path).relative_to("/")

    def _carry_out(self, instruction: Instruction) -> None:
        carry_out: dict[str, Callable[[Instruction], None]] = {
            "FROM": self._from,
            "ARG": self._declare,
            "ENV": lambda each: self.environment.update(each.pairs),
            "RUN": self._run,
            "COPY": self._copy,
            "WORKDIR": self._enter,
            "USER": self._become,
            "VOLUME": self._keep,
        }
        # The others say how the container is run.
        carry_out.get(instruction.name, lambda _: None)(instruction)

    def _from(self, instruction: Instruction) -> None:
        suite = suite_of(instruction.text)
        command = ["debootstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", suite]
        _quietly([*command, str(self.root)])
        _quietly(["chroot", str(self.root), "python3", "-m", "venv", "/usr/local"])
        for leavings in APT_LEAVINGS:
            shutil.rmtree(self.root / leavings)
            (self.root / leavings).mkdir()
        for path in name_files():
            _in(self.root, path).unlink(missing_ok=True)

    def _declare(self, instruction: Instruction) -> None:
        self._arguments = instruction.pairs | self._arguments

    def _run(self, instruction: Instruction) -> None:
        environment = self._lendings | self._arguments | self.environment
        shell = ["/bin/sh", "-c", instruction.text]
        with lent(self.root, borrowed(self._lendings)):
            _quietly(self.command_line(shell, environment))

    def _copy(self, instruction: Instruction) -> None:
        *sources, target = instruction.words
        if len(sources) > 1 and not target.endswith("/"):
            raise DockerfileError(f"COPY {instruction.text}: several files need a folder, with /")
        for source in sources:
            if (self._context / source).is_dir():
                self._copy_files(source, self.place(target))
            else:
                name = f"{target}{Path(source).name}" if target.endswith("/") else target
                self._copy_file(source, self.place(name))

    def _copy_files(self, source: str, target: Path) -> None:
        top = self._context / source
        for path in sorted(top.rglob("*")):
            name = path.relative_to(self._context).as_posix()
            if path.is_file() and not self._ignore.ignores(name):
                self._copy_file(name, target / path.relative_to(top))

    def _copy_file(self, source: str, target: Path) -> None:
        if self._ignore.ignores(source):
            raise DockerfileError(f"COPY {source}: .dockerignore keeps it out")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(self._context / source, target)

    def _enter(self, instruction: Instruction) -> None:
        self._workdir = str(Path(self._workdir) / instruction.text)
        self.place("").mkdir(parents=True, exist_ok=True)

    def _become(self, instruction: Instruction) -> None:
        self._user = instruction.text
        self.environment["HOME"] = f"/home/{self._user}"

    def _keep(self, instruction: Instruction) -> None:
        for volume in instruction.words:
            self.place(volume).mkdir(parents=True, exist_ok=True)


def _in(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def _quietly(command: list[str]) -> None:
    """Run a command; what it printed is shown where it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        print(done.stdout[-8000:], flush=True)
        done.check_returncode()
