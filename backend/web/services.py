"""What the web process lets the model do: answer, and note what happened."""

from __future__ import annotations

from backend.errors import AlfaMixError
from backend.web.predictor import Predictor
from model_store.journal import Journal

START_TRAINING = "START_TRAINING"
# What the worker otherwise looks at only now and then.
OF_THE_CONNECTION = frozenset({"PROJECT_UPDATED", "TASKS_DELETED"})


class WebServices:
    """The model's services in the web process."""

    def __init__(self, journal: Journal, predictor: Predictor) -> None:
        self._journal = journal
        self._predictor = predictor

    def version(self, project: str) -> str:
        """The version that the project's queue follows."""
        return self._journal.model_version(self._journal.key_of(project))

    def predictions(self, project: str, tasks: list[dict]) -> list[dict]:
        """One prediction per task. AlfaMixError: the project is not connected."""
        key = self._key(project)
        if self._journal.project(key) is None:
            raise _unknown(project)
        return self._predictor.predict(key, tasks)

    def fit(self, project: str, event: str) -> dict[str, str]:
        """Note that the project changed. AlfaMixError: it is not connected."""
        key = self._key(project)
        self._journal.note_changed(
            key,
            training_requested=event == START_TRAINING,
            look_at_connection=event in OF_THE_CONNECTION,
        )
        return {"job_id": key, "status": "noted"}

    def _key(self, project: str) -> str:
        key = self._journal.key_of(project)
        if key is None:
            raise _unknown(project)
        return key


def _unknown(project: str) -> AlfaMixError:
    return AlfaMixError(f"project {project!r} is not connected to this backend")
