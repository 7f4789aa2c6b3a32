"""A server started by the demo or by the tests, which never outlives whoever started it."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from backend.errors import DemoError
from backend.process.leash import leashed

LAST_LINES = 15
POLL_S = 0.25
# What a program needs from the environment to run at all. The rest stays out: Label Studio reads
# variables as common as HOST, PORT and USERNAME.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
PASSED_ON_ENDINGS = ("_PROXY", "_proxy", "CA_BUNDLE", "CERT_FILE", "CERT_DIR")


class Child:
    """A running command, its output in a log file, in a process group that ends with it."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        log: Path,
        cwd: Path | None = None,
    ) -> Child:
        """`command`, just started; its output is appended to `log`."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                leashed(command),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
            )
        return cls(name, process, log)

    @property
    def running(self) -> bool:
        """Whether the command has not ended."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the command and all it started; returns when they are gone."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def wait_until_healthy(self, url: str, timeout_s: float) -> None:
        """Wait until `url`/health answers 200.

        DemoError: the command ended, or did not answer in time; quotes the end of its log.
        """
        deadline = time.monotonic() + timeout_s
        with httpx.Client(base_url=url, timeout=2.0) as client:
            while not _is_healthy(client):
                if not self.running:
                    raise DemoError(f"{self.name} ended while starting. {self.quoted_log()}")
                if time.monotonic() > deadline:
                    raise DemoError(
                        f"{self.name} did not answer at {url}/health within {timeout_s:.0f} s. "
                        f"{self.quoted_log()}"
                    )
                time.sleep(POLL_S)

    def check(self) -> None:
        """DemoError: the command ended; quotes the end of its log."""
        if not self.running:
            raise DemoError(f"{self.name} ended. {self.quoted_log()}")

    def quoted_log(self) -> str:
        """The end of its log, below the file's name."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join([f"{self.log}:", *lines[-LAST_LINES:]])


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of `environ` that any program needs, and no setting of another one."""
    return {
        name: value
        for name, value in environ.items()
        if name in PASSED_ON or name.endswith(PASSED_ON_ENDINGS)
    }


def free_port(preferred: int | None = None) -> int:
    """A TCP port of 127.0.0.1 that nobody listens on: `preferred` if it is one, else any."""
    if preferred and _is_free(preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _is_free(port: int) -> bool:
    """Whether nobody listens on `port`, at 127.0.0.1 or at any address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def _is_healthy(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
