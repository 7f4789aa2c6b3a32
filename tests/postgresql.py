"""A PostgreSQL of the tests' own: Debian's binaries, a folder below TMPDIR, a port of 127.0.0.1."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa

from backend.harness.child import free_port

BINARIES = Path("/usr/lib/postgresql")
# PostgreSQL refuses to run as root.
USER = "postgres"
START_TIMEOUT_S = 60.0
# What is written need not outlast the machine, only the server.
SETTINGS = ("fsync=off", "full_page_writes=off", "max_connections=100", "shared_buffers=32MB")


def binaries() -> Path | None:
    """The folder of the newest PostgreSQL's binaries; None where there is none."""
    found = [path.parent for path in BINARIES.glob("*/bin/initdb")]
    return max(found, key=lambda path: float(path.parent.name), default=None)


class PostgresServer:
    """A running PostgreSQL; `admin` may do everything, with a password."""

    def __init__(self) -> None:
        folder = binaries()
        assert folder is not None
        self._bin = folder
        self.port = free_port()
        self.password = secrets.token_hex(8)
        self.folder = Path(tempfile.mkdtemp(prefix="alfa-mix-postgresql-"))
        self._schemas = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._initialize()
        self.start()

    def start(self) -> None:
        """Start the server; returns when it answers."""
        options = [f"-c{setting}" for setting in (*SETTINGS, "unix_socket_directories=")]
        options += ["-clisten_addresses=127.0.0.1", f"-p{self.port}"]
        command = self._as_user([self._bin / "postgres", "-D", self.folder / "data", *options])
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise AssertionError((self.folder / "log").read_text(errors="replace")[-2000:])
            time.sleep(0.05)

    def stop(self) -> None:
        """End it at once, as `pg_ctl stop -m immediate`: open transactions are lost."""
        assert self._process is not None
        self._signal(signal.SIGQUIT)
        self._process.wait()
        self._process = None

    def freeze(self) -> None:
        """Have all of its processes stand still, as where its machine does."""
        self._signal_each(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        self._signal_each(signal.SIGCONT)

    def close(self) -> None:
        """End it, where it runs, and remove all of it."""
        if self._process is not None:
            self.stop()
        shutil.rmtree(self.folder)

    def url(self, password: str | None = None, **query: str) -> str:
        """The URL of its database."""
        secret = self.password if password is None else password
        address = sa.make_url(f"postgresql+psycopg://admin:{secret}@127.0.0.1:{self.port}/postgres")
        return address.set(query=query).render_as_string(hide_password=False)

    def create_schema(self) -> str:
        """The URL of an empty part of its database: as good as one of its own, and there sooner."""
        self._schemas += 1
        self.execute(f"CREATE SCHEMA journal_{self._schemas}")
        return self.url(options=f"-csearch_path=journal_{self._schemas}")

    def execute(self, statement: str) -> None:
        """Execute a statement as its admin, in no transaction."""
        engine = sa.create_engine(self.url(), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text(statement))
        engine.dispose()

    def _initialize(self) -> None:
        secret = self.folder / "password"
        secret.write_text(self.password)
        if os.getuid() == 0:
            for path in (self.folder, secret):
                shutil.chown(path, USER)
        options = ["-D", self.folder / "data", "-U", "admin", f"--pwfile={secret}", "--no-sync"]
        options += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
        command = self._as_user([self._bin / "initdb", *options])
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder)

    def _answers(self) -> bool:
        command = [self._bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0

    def _signal_each(self, number: int) -> None:
        for process_id in self._process_ids():
            # A process of one connection may just have ended.
            with suppress(ProcessLookupError):
                os.kill(process_id, number)

    def _process_ids(self) -> list[int]:
        """The server, which starts no other one once it stands still, and those it started."""
        assert self._process is not None
        server = self._process.pid
        os.kill(server, signal.SIGSTOP)
        started = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        return [server, *map(int, started)]

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def _as_user(self, command: Sequence[str | Path]) -> list[str]:
        words = [str(word) for word in command]
        if os.getuid() != 0:
            return words
        return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *words]
