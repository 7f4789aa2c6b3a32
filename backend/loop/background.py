"""What is computed behind the queue: the pool's embeddings, and the fine-tuned network.

Nobody waits for it. Images are embedded in the order of their keys, which are digests: whatever is
done so far is spread over the pool. A fine-tuned network embeds the whole pool before a round
chooses by it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from backend.acquisition import has_two_classes
from backend.errors import StoreError, StoreUnavailableError, WeightsError
from backend.loop import due, maps, sync, unreadable
from backend.loop.context import ProjectContext, number_of, seldom
from backend.loop.snapshot import Snapshot, loader, take_snapshot
from backend.loop.standing import standing_of
from backend.vision import LabeledImages, Network
from model_store import phases
from model_store.checkpoints import save_checkpoint
from model_store.embeddings import EmbeddingStore
from model_store.project_folder import tuning_name
from model_store.tunings import Tuning

logger = logging.getLogger(__name__)

HEAD_ONLY = "head"
# Images embedded at a time: few at first, since a first batch waits for them, then as many as take
# a few seconds, so that other projects have their turn.
FIRST_SLICE = 128
MOST_IN_A_SLICE = 2048
SLICE_S = 4.0
# A shared file system may fail for a while. A file that it cannot read for so long is lost.
FAILING_S = 600.0


class Stopped(Exception):
    """The worker is ending: what was computed is kept as far as it is on disk."""


@dataclass
class Background:
    """One worker's work behind the queues.

    should_stop: asked after every few images, and after every epoch.
    meanwhile: called after every epoch of a project's training, with its key.
    clock: seconds that are never set back.
    """

    should_stop: Callable[[], bool]
    meanwhile: Callable[[str], None] = lambda key: None
    clock: Callable[[], float] = time.monotonic
    images_per_s: float = field(default=0.0, init=False)
    # Since when the checkpoint of a project's network cannot be read.
    _failing_since: dict[tuple[str, int], float] = field(default_factory=dict, init=False)

    def advance(self, context: ProjectContext) -> bool:
        """Do one piece of what a project needs; whether there is more."""
        journal, key = context.journal, context.key
        project = journal.project(key)
        if project is None or project.is_paused:
            journal.set_background(key, "")
            return False
        sync.compare(context)
        snapshot = take_snapshot(context)
        done, network = self._current(context)
        newest = journal.tunings.newest(key)
        if self._embed_some(context, snapshot, done, network):
            return True
        if newest is not None and newest.phase != phases.DONE:
            self._continue(context, snapshot, newest)
            return True
        _drop_old_features(context, done)
        if self._is_tuning_due(context, snapshot, newest):
            _open(context, snapshot, newest)
            return True
        maps.draw(context)
        journal.set_background(key, "")
        return False

    # Embedding

    def _embed_some(
        self, context: ProjectContext, snapshot: Snapshot, tuning: Tuning | None, network: Network
    ) -> bool:
        """Embed a slice of what a network's embeddings lack; whether there was any."""
        stores = context.stores()
        needed = {str(key) for key in snapshot.image_keys[snapshot.is_needed]}
        missing = set(stores.embeddings.missing(network.version, sorted(needed)))
        wanted = unreadable.wanted(context, snapshot, missing)
        is_done = tuning is None or tuning.phase == phases.DONE
        if is_done:
            _note_embedded(context, snapshot, missing, wanted, snapshot.unembedded)
        if not wanted:
            return False
        part = wanted[: self._slice()]
        total, before = len(needed), len(needed) - len(wanted)
        note = seldom(
            lambda done, _: context.journal.set_background(
                context.key, phases.EMBED, before + done, total
            )
        )
        started = time.monotonic()
        report = context.session.embed_pool(
            network, part, loader(context, part), stores, self._stoppable(context, note)
        )
        self.images_per_s = len(part) / max(1e-3, time.monotonic() - started)
        unreadable.note(context, snapshot, set(part), report.unreadable)
        if is_done:
            left = missing - set(part) | set(report.unreadable)
            _note_embedded(context, snapshot, left, wanted[len(part) :], len(wanted))
        return True

    def _slice(self) -> int:
        fitting = int(self.images_per_s * SLICE_S)
        return min(max(FIRST_SLICE, fitting), MOST_IN_A_SLICE)

    # Fine-tuning

    def _is_tuning_due(
        self, context: ProjectContext, snapshot: Snapshot, newest: Tuning | None
    ) -> bool:
        if context.settings.finetune == HEAD_ONLY:
            return False
        published = context.journal.published_round(context.key)
        if published is None:
            return False
        labels = snapshot.labels[snapshot.is_labeled]
        return due.tuning_due(
            standing_of(context, published),
            newest,
            has_two_classes=has_two_classes(labels),
        )

    def _continue(self, context: ProjectContext, snapshot: Snapshot, tuning: Tuning) -> None:
        if list(tuning.classes) != list(context.config.classes):
            logger.info("project %d: the classes changed, training anew", context.project_id)
            context.journal.tunings.drop(tuning)
        elif tuning.phase == phases.TRAIN:
            self._train(context, snapshot, tuning)
        else:
            self._embed(context, snapshot, tuning)

    def _embed(self, context: ProjectContext, snapshot: Snapshot, tuning: Tuning) -> None:
        """A slice of what a new network has not seen, or a network that has seen the whole pool."""
        network = self._network(context, tuning)
        if network is not None and not self._embed_some(context, snapshot, tuning, network):
            now = context.journal.now()
            context.journal.tunings.update(tuning, phase=phases.DONE, finished_at=now)

    def _train(self, context: ProjectContext, snapshot: Snapshot, tuning: Tuning) -> None:
        """A new network version as a checkpoint."""
        journal, started = context.journal, time.monotonic()
        note = seldom(
            lambda done, total: journal.set_background(context.key, phases.TRAIN, done, total)
        )

        def epoch_done(done: int, total: int) -> None:
            note(done, total)
            self.meanwhile(context.key)

        note(0, context.settings.epochs)
        keys = snapshot.image_keys[snapshot.is_labeled].tolist()
        trained = context.session.train(
            LabeledImages(keys, snapshot.labels[snapshot.is_labeled]),
            num_classes=len(tuning.classes),
            seed=context.settings.seed + tuning.number,
            load=loader(context, keys),
            stores=context.stores(),
            on_progress=self._stoppable(context, epoch_done),
        )
        card = {**trained.card, "classes": list(tuning.classes)}
        context.worker.confirm()
        path = save_checkpoint(
            context.folder.checkpoints, tuning_name(tuning.number), trained.tensors, card
        )
        report = trained.report
        statistics = {
            **tuning.statistics,
            "train_accuracy": report.train_accuracy,
            "epochs": report.epochs,
            "loss": report.loss,
        }
        journal.tunings.update(
            tuning,
            phase=phases.EMBED,
            checkpoint=path.name,
            features_version=trained.network.version,
            n_labeled=len(keys),
            label_changes=snapshot.label_changes,
            statistics=statistics,
            seconds={phases.TRAIN: round(time.monotonic() - started, 3)},
        )

    # The networks there are

    def _current(self, context: ProjectContext) -> tuple[Tuning | None, Network]:
        """The newest network that is done; one that cannot be had any more is forgotten."""
        while (tuning := context.journal.tunings.newest_done(context.key)) is not None:
            network = self._network(context, tuning)
            if network is not None:
                return tuning, network
        return None, context.session.pretrained()

    def _network(self, context: ProjectContext, tuning: Tuning) -> Network | None:
        """A tuning's network; None where it cannot be had any more: then the tuning is forgotten.

        StoreUnavailableError: its file cannot be read now, and perhaps can be later.
        """
        name = (context.key, tuning.number)
        try:
            network = context.network(tuning)
        except (WeightsError, StoreError) as error:
            since = self._failing_since.setdefault(name, self.clock())
            if isinstance(error, StoreUnavailableError) and self.clock() - since < FAILING_S:
                raise
            logger.warning("project %d: %s; it is trained anew", context.project_id, error)
            context.journal.tunings.drop(tuning)
            network = None
        self._failing_since.pop(name, None)
        return network

    def _stoppable(
        self, context: ProjectContext, note: Callable[[int, int], None]
    ) -> Callable[[int, int], None]:
        def noted(done: int, total: int) -> None:
            if self.should_stop():
                raise Stopped
            context.worker.confirm()
            note(done, total)

        return noted


def _open(context: ProjectContext, snapshot: Snapshot, newest: Tuning | None) -> None:
    published = context.journal.published_round(context.key)
    state = Tuning(
        key=context.key,
        number=number_of(newest) + 1,
        phase=phases.TRAIN,
        checkpoint=None,
        features_version=None,
        classes=list(context.config.classes),
        n_labeled=int(snapshot.is_labeled.sum()),
        label_changes=snapshot.label_changes,
        statistics={} if published is None else {"round": published.number},
        seconds={},
        started_at=context.journal.now(),
        finished_at=None,
    )
    logger.info(
        "project %d: fine-tuning %d on %d labels", context.project_id, state.number, state.n_labeled
    )
    context.journal.tunings.open(state)


def _note_embedded(
    context: ProjectContext,
    snapshot: Snapshot,
    missing: set[str],
    wanted: list[str],
    known: int | None,
) -> None:
    """Note how many tasks have an embedding, and how many images are still to be embedded.

    known: how many that were when this was found out; tasks that came since are not overlooked.
    """
    keys = snapshot.image_keys[snapshot.is_needed]
    embedded = sum(str(key) not in missing for key in keys)
    context.journal.note_embedded(context.key, embedded, len(wanted), known=known)


def _drop_old_features(context: ProjectContext, done: Tuning | None) -> None:
    """Drop the embeddings that no round chooses from any more, nor one that just begins."""
    journal, key = context.journal, context.key
    published, latest = journal.published_round(key), journal.latest_round(key)
    if published is None or latest is None:
        return
    oldest = min(published.tuning, latest.tuning, number_of(done) - 1)
    tunings = [journal.tunings.get(key, n) for n in range(oldest, number_of(done) + 1)]
    kept = {tuning.features_version for tuning in tunings if tuning is not None}
    kept.add(context.session.pretrained().version)
    store = EmbeddingStore(context.folder.embeddings)
    context.worker.confirm()
    for version in store.versions():
        if version not in kept:
            store.drop_version(version)
