"""A Label Studio of our own: started in a folder, found healthy, stopped without a trace."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from backend.errors import DemoError
from backend.harness.child import Child, clean_environment, free_port
from backend.label_studio.banned_subnets import variables_for

# 20 s on an idle machine, minutes on a busy one: the first start in a folder creates the database.
START_TIMEOUT_S = 1800.0
BINARY = Path("bin") / "label-studio"


@dataclass(frozen=True)
class Account:
    """A Label Studio user; `token` is the 40-digit legacy token."""

    email: str
    password: str
    token: str


class LabelStudioServer:
    """A running Label Studio, bound to 127.0.0.1; a second one on the same folder goes on there."""

    def __init__(
        self, launch: Callable[[], Child], url: str, admin: Account, folder: Path, root: Path
    ) -> None:
        self.url = url
        self.admin = admin
        self.folder = folder
        self.document_root = root
        self.child = launch()
        self._launch = launch

    @classmethod
    def start(
        cls,
        binary: Path,
        folder: Path,
        admin: Account,
        document_root: Path,
        port: int | None = None,
        timeout_s: float = START_TIMEOUT_S,
    ) -> LabelStudioServer:
        """A Label Studio that runs `binary` on the data of `folder` and serves.

        `port` is taken if it is free, else another one; `document_root` is the folder below which
        local files may be served. DemoError: no such binary, it ended, or it never answered.
        """
        if not os.access(binary, os.X_OK):
            raise DemoError(f"no Label Studio at {binary}; `make install` puts one there")
        data = folder.absolute()
        data.mkdir(parents=True, exist_ok=True)
        port = free_port(port)
        url = f"http://localhost:{port}"
        env = clean_environment(os.environ) | _settings(url, data, admin, document_root)
        command = [str(binary.absolute()), "start", "--no-browser"]
        command += ["--internal-host", "127.0.0.1", "--port", str(port)]

        def launch() -> Child:
            return Child.start("Label Studio", command, env, data / "label-studio.log", cwd=data)

        server = cls(launch, url, admin, data, document_root)
        server._wait(timeout_s)
        return server

    @property
    def token(self) -> str:
        """The admin's legacy token."""
        return self.admin.token

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.rpartition(":")[2])

    @property
    def database(self) -> Path:
        """Its SQLite file."""
        return self.folder / "label_studio.sqlite3"

    def restart(self) -> None:
        """End Label Studio and start it again as it was; returns when it serves.

        DemoError: it ended, or it never answered.
        """
        self.stop()
        self.child = self._launch()
        self._wait(START_TIMEOUT_S)

    def stop(self) -> None:
        """End Label Studio; returns when it is gone."""
        self.child.stop()

    def __enter__(self) -> LabelStudioServer:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _wait(self, timeout_s: float) -> None:
        """Wait until it serves; it is gone where it does not."""
        try:
            self.child.wait_until_healthy(self.url, timeout_s)
            self._check_identity()
        except BaseException:
            self.stop()
            raise

    def _check_identity(self) -> None:
        """DemoError: another Label Studio took the port, or the folder has another admin."""
        headers = {"Authorization": f"Token {self.token}"}
        reply = httpx.get(f"{self.url}/api/current-user/whoami", headers=headers, timeout=60.0)
        if reply.status_code != httpx.codes.OK:
            raise DemoError(
                f"the Label Studio at {self.url} does not know {self.admin.email}'s token: "
                "the data folder belongs to another user; needed is a folder of its own"
            )


def _settings(url: str, data: Path, admin: Account, document_root: Path) -> dict[str, str]:
    return {
        "LABEL_STUDIO_BASE_DATA_DIR": str(data),
        "LABEL_STUDIO_HOST": url,
        "LABEL_STUDIO_USERNAME": admin.email,
        "LABEL_STUDIO_PASSWORD": admin.password,
        "LABEL_STUDIO_USER_TOKEN": admin.token,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(document_root.absolute()),
        # Else Label Studio refuses every ML backend on localhost (403): see docs/network.md.
        **variables_for("127.0.0.1"),
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
    }
