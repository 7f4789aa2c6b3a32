"""Answers `/predict`: from the scores that the round left, and from the network for new images."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from itertools import islice
from typing import TYPE_CHECKING

from backend.errors import LabelConfigError, StoreError, WeightsError
from backend.label_studio.access import Access
from backend.label_studio.annotations import TaskState, choice_result, read_task
from backend.label_studio.images import by_key, image_key
from backend.label_studio.label_config import ImageChoices, parse_label_config
from backend.process.serve import WEB_THREADS
from backend.settings import Settings
from backend.web.live import LiveLoads
from model_store.journal import Journal, ProjectState, RoundState
from model_store.project_folder import ProjectFolder, host_folder
from model_store.scores import Scores, read_scores

if TYPE_CHECKING:
    from backend.vision import VisionSession

logger = logging.getLogger(__name__)

# A live prediction that carries the current version joins the queue: it goes last.
LAST_IN_QUEUE = 1.0
# The person who opened the task waits meanwhile.
LIVE_S = 5.0
# Requests that may wait for the network and for images at the same time: the other threads stay
# free for what is stored.
LIVE_REQUESTS = WEB_THREADS // 2
LIVE_LOADS = 32
# Images of one request that the network is asked for.
LIVE_IMAGES = 64


class Predictor:
    """Predictions of every project, in the web process; safe to call from several threads."""

    def __init__(
        self, settings: Settings, journal: Journal, open_session: Callable[[], VisionSession]
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._open_session = open_session
        self._access = Access(
            settings.label_studio_url,
            settings.label_studio_api_key,
            image_timeout_s=LIVE_S,
            image_hosts=settings.image_hosts,
        )
        self._loads = LiveLoads(LIVE_LOADS)
        self._live_requests = threading.BoundedSemaphore(LIVE_REQUESTS)
        self._session: VisionSession | None = None
        self._scores: dict[str, tuple[int, Scores]] = {}
        # Two locks: who needs stored scores does not wait until the network is loaded.
        self._scores_lock = threading.Lock()
        self._session_lock = threading.Lock()

    def predict(self, key: str, tasks: list[dict]) -> list[dict]:
        """One prediction per task, without a result where there is no head or no image yet."""
        project = self._journal.project(key)
        state = self._journal.published_round(key)
        if project is None or state is None or state.checkpoint is None:
            return [_prediction([], self._journal.model_version(key)) for _ in tasks]
        config = parse_label_config(project.label_config)
        if list(config.classes) != list(state.classes):
            raise LabelConfigError(
                f"the classes are now {list(config.classes)}, the network was trained on "
                f"{list(state.classes)}; the next round trains on the new ones"
            )
        read = [read_task(task, config) for task in tasks]
        # What measures the network is labeled without a hint.
        unhinted = self._journal.audits.open_ids(key)
        hinted = [task for task in read if task.task_id not in unhinted]
        chosen = self._answers(project, list(config.classes), hinted)
        return [
            _prediction(
                _result(config, None if task.task_id in unhinted else chosen.get(task.uri)),
                state.model_version,
            )
            for task in read
        ]

    def _answers(
        self, project: ProjectState, classes: list[str], tasks: list[TaskState]
    ) -> dict[str | None, tuple[int, float]]:
        """What the newest round says whose files can be read; nothing where there is none."""
        for state in self._journal.trained_rounds(project.key):
            if state.checkpoint is None or list(state.classes) != classes:
                continue
            try:
                return self._chosen(project, state, state.checkpoint, tasks)
            except (StoreError, WeightsError) as error:
                logger.error("project %d: %s", project.project_id, error)
        return {}

    def _chosen(
        self, project: ProjectState, state: RoundState, checkpoint: str, tasks: list[TaskState]
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
            chosen.update(self._live(project, checkpoint, unseen))
        return chosen

    def _live(
        self, project: ProjectState, name: str, sources: Mapping[str, tuple[str, int]]
    ) -> dict[str | None, tuple[int, float]]:
        """What the network says of some images; of none where too many requests wait already."""
        if not self._live_requests.acquire(blocking=False):
            logger.info("project %d: no live prediction: too many wait", project.project_id)
            return {}
        try:
            return self._computed(project, name, dict(islice(sources.items(), LIVE_IMAGES)))
        finally:
            self._live_requests.release()

    def _computed(
        self, project: ProjectState, name: str, sources: Mapping[str, tuple[str, int]]
    ) -> dict[str | None, tuple[int, float]]:
        # torch comes with these: the web process needs it only for an image that no round has seen.
        from backend.vision import LinearHead
        from model_store.checkpoints import load_checkpoint

        fetcher = self._access.fetcher(project.access_token, project.hostname)
        session = self._opened()
        checkpoint = load_checkpoint(self._folder(project.key).checkpoints / name)
        network = session.restore(checkpoint.tensors, checkpoint.card)
        load = self._loads.by_deadline(by_key(fetcher.fetch, sources), LIVE_S)
        found = session.embed_now(network, list(sources), load)
        for key, reason in found.unreadable.items():
            logger.info("task %d: no prediction: %s", sources[key][1], reason)
        if not found.image_keys:
            return {}
        head = LinearHead.from_tensors(checkpoint.tensors)
        probabilities = head.probabilities(found.embeddings)
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
                scores = read_scores(self._folder(key).scores_file(state.number))
                self._scores[key] = (state.number, scores)
            return scores

    def _folder(self, key: str) -> ProjectFolder:
        settings = self._settings
        return ProjectFolder(host_folder(settings.model_dir, settings.label_studio_url) / key)


def _result(config: ImageChoices, chosen: tuple[int, float] | None) -> list[dict]:
    if chosen is None:
        return []
    label, probability = chosen
    return [choice_result(config, config.classes[label], probability)]


def _prediction(result: list[dict], version: str) -> dict:
    return {"result": result, "score": LAST_IN_QUEUE, "model_version": version}
