"""What the steps of one project's round work with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from backend.label_studio.client import LabelStudioClient, Project
from backend.label_studio.images import ImageFetcher
from backend.label_studio.label_config import ImageChoices
from backend.loop.snapshot import Snapshot, load_snapshot
from backend.settings import Settings
from backend.vision import FeatureStores, Network, VisionSession
from model_store.checkpoints import load_checkpoint
from model_store.embeddings import EmbeddingStore
from model_store.journal import Journal, RoundState
from model_store.project_folder import ProjectFolder

PROGRESS_EVERY_S = 0.5


@dataclass(frozen=True)
class Workbench:
    """All that the steps of one project's round work with."""

    settings: Settings
    journal: Journal
    client: LabelStudioClient
    fetcher: ImageFetcher
    session: VisionSession
    folder: ProjectFolder
    project: Project
    config: ImageChoices

    def stores(self) -> FeatureStores:
        """The project's embeddings and kept activations."""
        return FeatureStores(
            EmbeddingStore(self.folder.embeddings),
            EmbeddingStore(self.folder.activations, dtype="float16"),
        )

    def snapshot(self, state: RoundState) -> Snapshot:
        """The tasks as they were when the round began."""
        return load_snapshot(self.folder.tasks_file(state.number))

    def loader(self, snapshot: Snapshot) -> Callable[[str], bytes]:
        """Image key to image bytes."""
        sources = snapshot.sources()
        return lambda key: self.fetcher.fetch(*sources[key])

    def progress(self, phase: str) -> Callable[[int, int], None]:
        """A callback that notes a phase's progress, at most twice a second."""
        self.journal.set_phase(self.project.key, phase)
        noted_at = time.monotonic()

        def note(done: int, total: int) -> None:
            nonlocal noted_at
            if done >= total or time.monotonic() - noted_at >= PROGRESS_EVERY_S:
                noted_at = time.monotonic()
                self.journal.set_phase(self.project.key, phase, done, total)

        return note

    def network(self, state: RoundState) -> Network:
        """The round's network: its checkpoint's, or the pre-trained one before any training."""
        if state.checkpoint is None:
            return self.session.pretrained()
        checkpoint = load_checkpoint(self.folder.checkpoints / state.checkpoint)
        return self.session.restore(checkpoint.tensors, checkpoint.card)
