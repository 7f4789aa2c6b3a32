"""Everything a round or a prediction asks of the network, behind one class.

A session holds one pre-trained backbone. From it come networks: the pre-trained one (round 0) and
one for each training. The stores are passed in, so one session serves many projects.

Legend: N images, L labeled, D embedding, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from backend.errors import WeightsError
from backend.vision.activations import (
    ActivationSource,
    Cache,
    CachedActivations,
    ComputedActivations,
    PartWriter,
)
from backend.vision.batch_sizes import filled
from backend.vision.checkpoint_tensors import tail_digest, tail_state, trained_tensors
from backend.vision.device import autocast, resolve_device
from backend.vision.exchange import (
    EmbeddedImages,
    FeatureStores,
    LabeledImages,
    Network,
    PoolReport,
    Trained,
    TrainedNetwork,
    TrainingReport,
)
from backend.vision.finetune import parse_finetune
from backend.vision.fitting import Fitted, Fitting
from backend.vision.heads import AUTO
from backend.vision.linear_head import LinearHead
from backend.vision.network import Backbone, BackboneSpec, load_backbone
from backend.vision.pixel_batches import Loader
from backend.vision.preprocessing import Preprocessing
from backend.vision.split import Split, split_backbone
from backend.vision.training import Progress, TrainingConfig
from backend.vision.training_set import training_set

GIB = 2**30


@dataclass(frozen=True)
class VisionConfig:
    """What a session is opened with.

    finetune: `head`, `blocks:n` or `full`.
    device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
    activation_limit_gib: most that is kept of the activations of `blocks:n`, per store.
    head: `auto`, a kind of `backend.vision.heads`, or `adam`.
    """

    backbone: BackboneSpec
    finetune: str = "blocks:2"
    device: str = "auto"
    training: TrainingConfig = field(default_factory=TrainingConfig)
    activation_limit_gib: float = 20.0
    head: str = AUTO


class VisionSession:
    """One backbone, opened once a process. Embedding is safe from several threads at once."""

    def __init__(self, config: VisionConfig, backbone: Backbone, device: torch.device) -> None:
        self._config = config
        self._backbone = backbone
        self._device = device
        self._split = self._cut(config.finetune)
        self._fitting = Fitting(config.head, backbone.embedding_dim, config.training, device)

    @classmethod
    def open(cls, config: VisionConfig) -> VisionSession:
        """Load the backbone.

        Raises:
            WeightsError: the network or its weights cannot be had; see `load_backbone`.
            SettingsError: image size, feature blocks, finetune or device do not suit it.
        """
        device = resolve_device(config.device)
        return cls(config, load_backbone(config.backbone), device)

    @property
    def embedding_dim(self) -> int:
        """D."""
        return self._backbone.embedding_dim

    @property
    def image_px(self) -> int:
        """Side of the square that images are resized to."""
        return self.preprocessing.image_px

    @property
    def preprocessing(self) -> Preprocessing:
        """How images become pixels."""
        return self._backbone.preprocessing

    def pretrained(self) -> Network:
        """The network as it was pre-trained, without a head."""
        return Network(self._backbone.version, None, self._split, self._split.tail)

    def train(
        self,
        labeled: LabeledImages,
        num_classes: int,
        seed: int,
        load: Loader,
        stores: FeatureStores,
        on_progress: Progress,
    ) -> Trained:
        """A network fine-tuned on `labeled`, from the pre-trained weights.

        Equal seed, labels and images give equal weights on one thread.

        Args:
            num_classes: K; every label is below it.
            on_progress: called with (epochs done, epoch limit); may raise to stop.

        Raises:
            ImageError: not one of the labeled images can be read.
        """
        source = self._source(self._split, stores)
        found = training_set(labeled, self._split, source, load)
        network, fit = self.pretrained(), (num_classes, seed, on_progress)
        if self._split.finetune.is_head:
            fitted = self._fitting.head(found.activations.numpy(), found.labels.numpy(), *fit)
        else:
            tail, fitted = self._fitting.tuned(
                self._split.new_tail(), found.activations, found.labels, *fit
            )
            version = f"{self._backbone.version}-{tail_digest(tail)}"
            network = Network(version, None, self._split, tail)
        return self._trained(network, fitted, num_classes, seed, found.unreadable)

    def fit_head(
        self,
        network: Network,
        embeddings: np.ndarray,
        labels: np.ndarray,
        num_classes: int,
        seed: int,
    ) -> Trained:
        """The same network with a head fitted anew on embeddings that it gave: seconds of work.

        Equal seed, labels and embeddings give equal weights on one thread.

        Args:
            embeddings: (L, D) float32 of `network`.
            labels: (L,) int64 in [0, K).
            num_classes: K.
        """
        labels = np.asarray(labels, np.int64)
        fitted = self._fitting.head(embeddings, labels, num_classes, seed, _unheard)
        return self._trained(network, fitted, num_classes, seed, {})

    def _trained(
        self,
        network: Network,
        fitted: Fitted,
        num_classes: int,
        seed: int,
        unreadable: dict[str, str],
    ) -> Trained:
        """`network` with a head, and what a checkpoint holds of it."""
        tensors = trained_tensors(network.tail, fitted.head)
        trained = TrainedNetwork(network.version, fitted.head, network.split, network.tail)
        report = TrainingReport(**asdict(fitted.outcome), unreadable=unreadable, head=fitted.report)
        return Trained(trained, tensors, self._card(trained, num_classes, seed, report), report)

    def restore(
        self, tensors: Mapping[str, torch.Tensor], card: Mapping[str, Any]
    ) -> TrainedNetwork:
        """The network of a checkpoint, whatever ALFAMIX_FINETUNE is now.

        Raises:
            WeightsError: the checkpoint belongs to another backbone, or its tensors do not fit.
        """
        if card.get("fingerprint") != self._backbone.fingerprint:
            raise WeightsError(
                f"the checkpoint was trained on backbone {card.get('backbone')} "
                f"({card.get('fingerprint')}); loaded is {self._backbone.version}. "
                f"Needed is the same ALFAMIX_BACKBONE, weights, IMAGE_PX and FEATURE_BLOCKS"
            )
        split = self._cut(card["finetune"])
        tail = split.new_tail()
        try:
            tail.load_state_dict(tail_state(tensors))
        except RuntimeError as error:
            raise WeightsError(f"the checkpoint's tensors do not fit its card: {error}") from error
        tail.requires_grad_(False).to(self._device)
        head = LinearHead.from_tensors(tensors)
        return TrainedNetwork(card["features_version"], head, split, tail)

    def embed_pool(
        self,
        network: Network,
        image_keys: Sequence[str],
        load: Loader,
        stores: FeatureStores,
        on_progress: Progress,
    ) -> PoolReport:
        """Fill `stores.embeddings` with what `image_keys` lack of `network.version`.

        Written part by part: after an interruption the same call goes on where the last part ended.

        Args:
            on_progress: called with (images done, images); may raise to stop.
        """
        missing = stores.embeddings.missing(network.version, image_keys)
        total, computed = len(set(image_keys)), 0
        unreadable: dict[str, str] = {}
        writer = PartWriter(Cache(stores.embeddings, network.version))
        done = total - len(missing)
        on_progress(done, total)
        for batch in self._source(network.split, stores).batches(missing, load):
            # in head mode the source has kept them: its activations are the embeddings
            if not network.split.finetune.is_head:
                writer.add(batch.image_keys, self._run_tail(network, batch.activations))
            computed += len(batch.image_keys)
            unreadable |= batch.unreadable
            on_progress(done + computed + len(unreadable), total)
        writer.flush()
        return PoolReport(computed, unreadable)

    def embed_pixels(self, network: Network, pixels: torch.Tensor) -> np.ndarray:
        """(B, D) float32 embeddings of (B, 3, px, px) uint8 pixels: the bare network."""
        return self._run_tail(network, self._computed(network.split).compute(pixels))

    def embed_now(
        self, network: Network, image_keys: Sequence[str], load: Loader
    ) -> EmbeddedImages:
        """The embeddings of a few images, computed at once and written nowhere."""
        found: list[str] = []
        rows = [np.empty((0, self.embedding_dim), np.float32)]
        unreadable: dict[str, str] = {}
        for batch in self._computed(network.split).batches(image_keys, load):
            found += batch.image_keys
            rows.append(self._run_tail(network, batch.activations))
            unreadable |= batch.unreadable
        return EmbeddedImages(found, np.concatenate(rows), unreadable)

    def _cut(self, finetune: str) -> Split:
        return split_backbone(self._backbone, parse_finetune(finetune), self._device)

    def _computed(self, split: Split) -> ComputedActivations:
        return ComputedActivations(split, self.preprocessing, self._device)

    def _source(self, split: Split, stores: FeatureStores) -> ActivationSource:
        computed = self._computed(split)
        if split.finetune.is_head:
            return CachedActivations(computed, Cache(stores.embeddings, self._backbone.version))
        if split.finetune.is_full or stores.activations is None:
            return computed
        version = f"{self._backbone.version}-{split.finetune.text.replace(':', '_')}"
        limit = int(self._config.activation_limit_gib * GIB)
        return CachedActivations(computed, Cache(stores.activations, version, limit))

    def _card(
        self, network: Network, num_classes: int, seed: int, report: TrainingReport
    ) -> dict[str, Any]:
        return {
            "backbone": self._backbone.name,
            "fingerprint": self._backbone.fingerprint,
            "features_version": network.version,
            "finetune": network.split.finetune.text,
            "image_px": self.image_px,
            "feature_blocks": self._backbone.feature_blocks,
            "class_count": num_classes,
            "seed": seed,
            "head": self._config.head,
            "training": {**asdict(self._config.training), **asdict(report)},
        }

    @torch.inference_mode()
    def _run_tail(self, network: Network, activations: torch.Tensor) -> np.ndarray:
        """(B, D) float32 embeddings of (B, ...) activations."""
        if len(activations) == 0:
            return np.empty((0, self.embedding_dim), np.float32)
        with autocast(self._device):
            embeddings = network.tail(filled(activations.to(self._device)))[: len(activations)]
        return embeddings.float().cpu().numpy()


def _unheard(_done: int, _total: int) -> None:
    """Progress of what takes seconds, which nobody asks for."""
