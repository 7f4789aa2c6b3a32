"""Answers `/predict`: from the scores that the round left, and from the network for new images."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backend.errors import AlfaMixError, LabelConfigError
from backend.label_studio.access import Access
from backend.label_studio.annotations import TaskState, choice_result, read_task
from backend.label_studio.images import image_key
from backend.label_studio.label_config import ImageChoices, parse_label_config
from backend.settings import Settings
from model_store import versions
from model_store.journal import Journal, ProjectState, RoundState
from model_store.project_folder import ProjectFolder, host_folder, read_table

if TYPE_CHECKING:
    from backend.vision import VisionSession

logger = logging.getLogger(__name__)

# A live prediction that carries the current version joins the queue: it goes last.
LAST_IN_QUEUE = 1.0


@dataclass(frozen=True, eq=False)
class Scores:
    """Class index and probability per image key, as a round's network gave them."""

    keys: np.ndarray  # (N,) bytes, sorted
    labels: np.ndarray  # (N,) int32
    probabilities: np.ndarray  # (N,) float32

    def get(self, key: str) -> tuple[int, float] | None:
        row = int(np.searchsorted(self.keys, key.encode()))
        if row == len(self.keys) or self.keys[row] != key.encode():
            return None
        return int(self.labels[row]), float(self.probabilities[row])


class Predictor:
    """Predictions of every project, in the web process; safe to call from several threads."""

    def __init__(
        self, settings: Settings, journal: Journal, open_session: Callable[[], VisionSession]
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._open_session = open_session
        self._access = Access(settings.label_studio_url, settings.label_studio_api_key)
        self._session: VisionSession | None = None
        self._scores: dict[str, tuple[int, Scores]] = {}
        # Two locks: who needs stored scores does not wait until the network is loaded.
        self._scores_lock = threading.Lock()
        self._session_lock = threading.Lock()

    def version(self, key: str | None) -> str:
        """The version that a project's queue follows."""
        state = None if key is None else self._journal.published_round(key)
        return versions.UNNUMBERED if state is None else state.model_version

    def predict(self, key: str, tasks: list[dict]) -> list[dict]:
        """One prediction per task, without a result where there is no head or no image yet."""
        project = self._journal.project(key)
        state = self._journal.published_round(key)
        if project is None or state is None or state.checkpoint is None:
            return [_prediction([], self.version(key)) for _ in tasks]
        config = parse_label_config(project.label_config)
        if list(config.classes) != list(state.classes):
            raise LabelConfigError(
                f"the classes are now {list(config.classes)}, the network was trained on "
                f"{list(state.classes)}; the next round trains on the new ones"
            )
        read = [read_task(task, config) for task in tasks]
        chosen = self._chosen(project, state, read)
        return [
            _prediction(_result(config, chosen.get(task.uri)), state.model_version) for task in read
        ]

    def _chosen(
        self, project: ProjectState, state: RoundState, tasks: list[TaskState]
    ) -> dict[str | None, tuple[int, float]]:
        scores = self._scores_of(project.key, state)
        chosen: dict[str | None, tuple[int, float]] = {}
        unseen: dict[str, tuple[str, int]] = {}
        for task in tasks:
            if task.uri is None:
                continue
            found = scores.get(image_key(task.uri))
            if found is None:
                unseen[image_key(task.uri)] = (task.uri, task.task_id)
            else:
                chosen[task.uri] = found
        if unseen:
            chosen.update(self._computed(project, state, unseen))
        return chosen

    def _computed(
        self, project: ProjectState, state: RoundState, sources: Mapping[str, tuple[str, int]]
    ) -> dict[str | None, tuple[int, float]]:
        # torch comes with these: the web process needs it only for an image that no round has seen.
        from model_store.checkpoints import load_checkpoint

        fetcher = self._access.fetcher(project.access_token, project.hostname)
        session = self._opened()
        checkpoint = load_checkpoint(self._folder(project.key).checkpoints / state.checkpoint)
        network = session.restore(checkpoint.tensors, checkpoint.card)
        found = session.embed_now(network, list(sources), lambda key: fetcher.fetch(*sources[key]))
        for key, reason in found.unreadable.items():
            logger.info("task %d: no prediction: %s", sources[key][1], reason)
        if not found.image_keys:
            return {}
        probabilities = network.head.probabilities(found.embeddings)
        return {
            sources[key][0]: (int(row.argmax()), float(row.max()))
            for key, row in zip(found.image_keys, probabilities, strict=True)
        }

    def _opened(self) -> VisionSession:
        with self._session_lock:
            if self._session is None:
                self._session = self._open_session()
            return self._session

    def _scores_of(self, key: str, state: RoundState) -> Scores:
        with self._scores_lock:
            number, scores = self._scores.get(key, (-1, None))
            if scores is None or number != state.number:
                scores = _read_scores(self._folder(key), state.number)
                self._scores[key] = (state.number, scores)
            return scores

    def _folder(self, key: str) -> ProjectFolder:
        settings = self._settings
        return ProjectFolder(host_folder(settings.model_dir, settings.label_studio_url) / key)


def _read_scores(folder: ProjectFolder, number: int) -> Scores:
    table = read_table(folder.scores_file(number))
    keys = np.array(table["image_key"].to_pylist(), dtype="S32")
    order = np.argsort(keys)
    labels = table["label"].to_numpy()
    probabilities = table["probability"].to_numpy()
    return Scores(keys[order], labels[order], probabilities[order])


def _result(config: ImageChoices, chosen: tuple[int, float] | None) -> list[dict]:
    if chosen is None:
        return []
    label, probability = chosen
    return [choice_result(config, config.classes[label], probability)]


def _prediction(result: list[dict], version: str) -> dict:
    return {"result": result, "score": LAST_IN_QUEUE, "model_version": version}


class WebServices:
    """What the web process lets the model do: answer, and note what happened."""

    def __init__(self, journal: Journal, predictor: Predictor) -> None:
        self._journal = journal
        self._predictor = predictor

    def version(self, project: str) -> str:
        return self._predictor.version(self._journal.key_of(project))

    def predictions(self, project: str, tasks: list[dict]) -> list[dict]:
        key = self._journal.key_of(project)
        if key is None:
            raise AlfaMixError(f"project {project!r} is not connected to this backend")
        return self._predictor.predict(key, tasks)

    def fit(self, project: str, event: str) -> dict[str, str]:
        key = self._journal.key_of(project)
        if key is None:
            raise AlfaMixError(f"project {project!r} is not connected to this backend")
        self._journal.note_changed(key, training_requested=event == "START_TRAINING")
        return {"job_id": key, "status": "noted"}
