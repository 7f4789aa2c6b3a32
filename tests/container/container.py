"""A built image, started and stopped as an engine does it: its user, its environment, its PID 1."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from tests.container.dockerfile import Dockerfile
from tests.container.findings import User
from tests.container.image import BASE_ENVIRONMENT

LOOK_EVERY_S = 0.2


class Container:
    """The image's command, the first process of a PID namespace of its own."""

    def __init__(
        self, root: Path, dockerfile: Dockerfile, environment: Mapping[str, str], log: Path
    ) -> None:
        """environment: what an engine adds to the image's own."""
        self.root = root
        self.log = log
        self.user = User.named(root, dockerfile.user)
        own = BASE_ENVIRONMENT | {"HOME": self.user.home} | dockerfile.environment
        self._environment = own | dict(environment)
        self._dockerfile = dockerfile
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start its command; it is on its way then."""
        namespaces = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*namespaces, *self._as_its_user(self._dockerfile.command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def is_healthy(self) -> bool:
        """Whether its HEALTHCHECK succeeds now."""
        check = self._dockerfile.health_check
        command = ["unshare", *self._as_its_user(check.command)]
        try:
            asked = subprocess.run(command, capture_output=True, timeout=check.timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return asked.returncode == 0

    def wait_until_healthy(self) -> float | None:
        """Seconds until its HEALTHCHECK succeeded; None where it ended or the start period did."""
        started = time.monotonic()
        while time.monotonic() - started < self._dockerfile.health_check.start_period_s:
            if self.is_healthy():
                return time.monotonic() - started
            if self._process is None or self._process.poll() is not None:
                return None
            time.sleep(LOOK_EVERY_S)
        return None

    def processes(self) -> list[Path]:
        """Its processes, as folders of /proc."""
        return [folder for folder in Path("/proc").glob("[0-9]*") if _root_of(folder) == self.root]

    def stop(self, grace_s: float) -> tuple[int | None, float]:
        """SIGTERM to its first process alone: exit status and seconds; status None past `grace_s`.

        What is left of it then is killed.
        """
        assert self._process is not None
        started = time.monotonic()
        for main in _children(self._process.pid):
            os.kill(main, signal.SIGTERM)
        try:
            status = self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            status = None
        took_s = time.monotonic() - started
        self.kill()
        return status, took_s

    def kill(self) -> None:
        """End it at once; returns when it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _as_its_user(self, command: list[str]) -> list[str]:
        variables = [f"{name}={value}" for name, value in self._environment.items()]
        return [
            *(f"--root={self.root}", f"--wd={self._dockerfile.workdir}"),
            *(f"--setgid={self.user.gid}", f"--setuid={self.user.uid}"),
            *("--", "env", "--ignore-environment", *variables, *command),
        ]


def user_ids(process: Path) -> set[int]:
    """The user ids of a process: real, effective, saved, of the file system."""
    [line] = [line for line in (process / "status").read_text().splitlines() if "Uid:" in line]
    return set(map(int, line.split()[1:]))


def _root_of(process: Path) -> Path | None:
    try:
        return (process / "root").readlink()
    except OSError:
        return None


def _children(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
