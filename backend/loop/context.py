"""What everything that works on one project needs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from backend.label_studio.access import Access
from backend.label_studio.client import LabelStudioClient
from backend.label_studio.images import ImageFetcher
from backend.label_studio.label_config import ImageChoices, parse_label_config
from backend.settings import Settings
from backend.vision import FeatureStores, Network, VisionSession
from model_store.checkpoints import load_checkpoint
from model_store.embeddings import EmbeddingStore
from model_store.journal import Journal, ProjectState
from model_store.project_folder import ProjectFolder, host_folder
from model_store.tunings import PRETRAINED, Tuning

PROGRESS_EVERY_S = 0.5


@dataclass(frozen=True)
class WorkerContext:
    """What all projects of a worker share.

    confirm: raises LeaseLostError where another worker may have taken the project over; it takes
        no time.
    checks_put_off: by project, since when a look at its connection waits, by the monotonic clock.
    """

    settings: Settings
    journal: Journal
    session: VisionSession
    access: Access
    confirm: Callable[[], None] = lambda: None
    checks_put_off: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ProjectContext:
    """One project, and all that is needed to work on it.

    config: its label config when it began. own_settings: what the admin set for it alone.
    """

    worker: WorkerContext
    client: LabelStudioClient
    fetcher: ImageFetcher
    folder: ProjectFolder
    key: str
    project_id: int
    config: ImageChoices
    own_settings: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, worker: WorkerContext, state: ProjectState) -> ProjectContext:
        """The context of a project as the journal knows it.

        LabelConfigError: its label config is not one that the backend can work with.
        SettingsError: what was set for it cannot be used any more.
        LabelStudioUnauthorizedError: there is no token.
        """
        settings = worker.settings
        folder = host_folder(settings.model_dir, settings.label_studio_url) / state.key
        settings.of_project(state.own_settings)
        return cls(
            worker=worker,
            client=worker.access.client(state.access_token),
            fetcher=worker.access.fetcher(state.access_token, state.hostname),
            folder=ProjectFolder(folder),
            key=state.key,
            project_id=state.project_id,
            config=parse_label_config(state.label_config),
            own_settings=state.own_settings,
        )

    @property
    def settings(self) -> Settings:
        """The settings of the environment, and over them the project's own."""
        return self.worker.settings.of_project(self.own_settings)

    @property
    def journal(self) -> Journal:
        """The journal of the host."""
        return self.worker.journal

    @property
    def session(self) -> VisionSession:
        """The worker's network."""
        return self.worker.session

    def stores(self) -> FeatureStores:
        """The project's embeddings and kept activations."""
        return FeatureStores(
            EmbeddingStore(self.folder.embeddings),
            EmbeddingStore(self.folder.activations, dtype="float16"),
        )

    def network(self, tuning: Tuning | None) -> Network:
        """A tuning's network: its checkpoint's, or the pre-trained one for None."""
        if tuning is None or tuning.checkpoint is None:
            return self.session.pretrained()
        checkpoint = load_checkpoint(self.folder.checkpoints / tuning.checkpoint)
        return self.session.restore(checkpoint.tensors, checkpoint.card)


def number_of(tuning: Tuning | None) -> int:
    """A tuning's number; the pre-trained network is number 0."""
    return PRETRAINED if tuning is None else tuning.number


Note = Callable[[int, int], None]


def seldom(note: Note, every_s: float = PROGRESS_EVERY_S) -> Note:
    """A callback for (done, total) that calls `note` first, at the end, and once in `every_s`."""
    noted_at = -math.inf

    def noted(done: int, total: int) -> None:
        nonlocal noted_at
        if done >= total or time.monotonic() - noted_at >= every_s:
            noted_at = time.monotonic()
            note(done, total)

    return noted
