"""The LabelStudioMLBase subclass: parse, delegate, format; no state of its own.

In the web process `fit` only notes that a project changed; the worker calls the same `fit`, and
there it is where the fine-tuning happens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Protocol, runtime_checkable

from backend.errors import AlfaMixError
from backend.label_studio.client import project_key
from backend.sdk.compatibility import LabelStudioMLBase, event_of, initialize_base

# Label Studio's name of a project towards ML backends, "id.createdEpoch", or its bare id.
PROJECT = re.compile(r"[0-9]+(\.[0-9]+)?")


class Services(Protocol):
    """What a process lets the model do."""

    def version(self, project: str) -> str:
        """The model version that the project's queue follows."""

    def fit(self, project: str, event: str) -> dict[str, Any]:
        """Act on a change of the project, or note it."""


@runtime_checkable
class AnsweringServices(Services, Protocol):
    """What a process that answers `predict` lets the model do."""

    def predictions(self, project: str, tasks: list[dict]) -> list[dict]:
        """One prediction per task, in Label Studio's JSON."""


class AlfaMixModel(LabelStudioMLBase):
    """Fine-tunes a DINO ViT in `fit`, answers `predict` from it; needs `bound_to` first."""

    services: ClassVar[Services]

    @classmethod
    def bound_to(cls, services: Services) -> type[AlfaMixModel]:
        """A subclass that works with the services of one process."""
        return type("AlfaMix", (cls,), {"services": services})

    def __init__(
        self, project_id: str | None = None, label_config: str | None = None, **_ignored: Any
    ) -> None:
        self.project = project_id or ""
        self._kept: dict[str, str] = {}
        initialize_base(self, project_id, label_config)

    @property
    def model_version(self) -> str:
        """The version that the project's queue follows."""
        return self.services.version(self.project)

    def setup(self) -> None:
        """2.x's hook: the version that `/setup` answers."""
        self.set("model_version", self.model_version)

    # 2.x keeps these in a database of its own; here nothing of a model outlives its request.

    def get(self, key: str) -> str | None:
        """What was `set`, None for nothing."""
        return self._kept.get(key)

    def set(self, key: str, value: str) -> None:
        """Keep a value."""
        self._kept[key] = value

    def has(self, key: str) -> bool:
        """Whether something was `set`."""
        return key in self._kept

    def predict(
        self, tasks: list[dict], context: Mapping | None = None, **_ignored: Any
    ) -> list[dict]:
        """One prediction per task: the class of the current head, score 1.0 (last in the queue)."""
        if not isinstance(self.services, AnsweringServices):
            raise AlfaMixError("the worker answers no predictions; the web process does")
        project = self.project or str((tasks[0] if tasks else {}).get("project") or "")
        return self.services.predictions(project, tasks)

    def fit(self, *arguments: Any, **keywords: Any) -> dict[str, Any]:
        """Bring the project up to date: in the worker train, select and publish; else note it."""
        event, data = event_of(arguments, keywords)
        return self.services.fit(self.project or project_of(data), event)


def project_of(data: Mapping[str, Any]) -> str:
    """The project key that a webhook's payload names.

    AlfaMixError: the payload names no project.
    """
    project = data.get("project")
    if isinstance(project, str) and PROJECT.fullmatch(project):
        return project
    if isinstance(project, int):
        return str(project)
    if isinstance(project, Mapping) and isinstance(project.get("id"), int):
        created_at = project.get("created_at")
        if isinstance(created_at, str):
            return project_key(project["id"], _moment(created_at))
        return str(project["id"])
    raise AlfaMixError(
        f"found no project in the payload (its fields: {sorted(data)}); needed is Label Studio's "
        'webhook payload with "project": {"id": ..., "created_at": ...}'
    )


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise AlfaMixError(
            f"found created_at {text[:40]!r} in the payload; needed is an ISO 8601 moment"
        ) from error
