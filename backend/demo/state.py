"""What a demo folder remembers, so that the next start goes on where this one was."""

from __future__ import annotations

import fcntl
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from backend.errors import DemoError
from backend.harness.server import Account
from model_store.files import read_json, write_json

EMAIL = "admin@example.com"
LABEL_STUDIO_PORT = 8080
BACKEND_PORT = 9090


@dataclass(frozen=True)
class DemoState:
    """The admin, the ports of the last start and the project; `password` is every user's."""

    email: str
    password: str
    token: str
    label_studio_port: int = LABEL_STUDIO_PORT
    backend_port: int = BACKEND_PORT
    project_id: int | None = None
    imported: bool = False

    @property
    def admin(self) -> Account:
        """The user who owns the project."""
        return Account(self.email, self.password, self.token)

    @classmethod
    def new(cls) -> DemoState:
        """An admin with a password and a token of this folder's own."""
        return cls(EMAIL, secrets.token_urlsafe(9), secrets.token_hex(20))


class DemoFolder:
    """The one folder that the demo leaves behind."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.label_studio = self.path / "label-studio"
        self.backend = self.path / "backend"
        self.backend_log = self.path / "backend.log"
        self.digits = self.path / "images" / "digits"
        self.dataset = self.path / "dataset.json"
        self._state = self.path / "demo.json"

    def read(self) -> DemoState:
        """The state of the last start, a new one where there was none."""
        return DemoState(**read_json(self._state)) if self._state.exists() else DemoState.new()

    def write(self, state: DemoState, **changes: Any) -> DemoState:
        """The state with `changes`, written to the disk; only its owner may read the file."""
        state = replace(state, **changes)
        write_json(self._state, asdict(state))
        return state

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second demo out of the folder; DemoError: one is running."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise DemoError(
                    f"a demo is running on {self.path}; end it, or give another --folder"
                ) from error
            yield
