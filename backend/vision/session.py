"""Everything a round or a prediction asks of the network, behind one class.

A session holds one pre-trained backbone. From it come networks: the pre-trained one (round 0) and
one for each training. The stores are passed in, so one session serves many projects.

Legend: N images, L labeled, D embedding, K classes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from backend.errors import ImageError, WeightsError
from backend.vision.activations import ActivationSource, Cache, PartWriter, new_rows
from backend.vision.device import autocast, resolve_device
from backend.vision.exchange import (
    EmbeddedImages,
    FeatureStores,
    LabeledImages,
    Network,
    PoolReport,
    Trained,
    TrainingReport,
)
from backend.vision.finetune import parse_finetune
from backend.vision.linear_head import HEAD_BIAS, HEAD_WEIGHT, LinearHead
from backend.vision.network import Backbone, BackboneSpec, load_backbone
from backend.vision.pixel_batches import Loader
from backend.vision.preprocessing import Preprocessing
from backend.vision.split import Split, split_backbone
from backend.vision.training import Classifier, Progress, TrainingConfig, new_head, train

TAIL_PREFIX = "tail."
GIB = 2**30


@dataclass(frozen=True)
class VisionConfig:
    """What a session is opened with.

    finetune: `head`, `blocks:n` or `full`.
    device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
    activation_limit_gib: most that is kept of the activations of `blocks:n`, per store.
    """

    backbone: BackboneSpec
    finetune: str = "blocks:2"
    device: str = "auto"
    training: TrainingConfig = field(default_factory=TrainingConfig)
    activation_limit_gib: float = 20.0


class VisionSession:
    """One backbone, opened once a process. Embedding is safe from several threads at once."""

    def __init__(self, config: VisionConfig, backbone: Backbone, device: torch.device) -> None:
        self._config = config
        self._backbone = backbone
        self._device = device
        self._split = self._cut(config.finetune)

    @classmethod
    def open(cls, config: VisionConfig) -> "VisionSession":
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
        activations, labels, unreadable = self._gather(labeled, load, stores)
        generator = torch.Generator().manual_seed(seed)
        head = new_head(self.embedding_dim, num_classes, generator)
        classifier = Classifier(self._split.new_tail(), head).to(self._device)
        outcome = train(
            classifier, activations, labels, self._config.training, generator, on_progress
        )
        tail = classifier.tail.requires_grad_(False)
        tensors = _tensors(tail, classifier.merged_head())
        network = self._network(self._split, tail, tensors)
        report = TrainingReport(**asdict(outcome), unreadable=unreadable)
        return Trained(network, tensors, self._card(network, num_classes, seed, report), report)

    def restore(self, tensors: Mapping[str, torch.Tensor], card: Mapping[str, Any]) -> Network:
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
        tail_state = {
            key.removeprefix(TAIL_PREFIX): value
            for key, value in tensors.items()
            if key.startswith(TAIL_PREFIX)
        }
        try:
            tail.load_state_dict(tail_state)
        except RuntimeError as error:
            raise WeightsError(f"the checkpoint's tensors do not fit its card: {error}") from error
        return self._network(split, tail.requires_grad_(False).to(self._device), tensors)

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
        total, computed, unreadable = len(set(image_keys)), 0, {}
        # in head mode the source itself keeps what it computes: activations are the embeddings
        is_head = network.split.finetune.is_head
        writer = PartWriter(None if is_head else Cache(stores.embeddings, network.version))
        done = total - len(missing)
        on_progress(done, total)
        for batch in self._source(network.split, stores).batches(missing, load):
            writer.add(batch.image_keys, self._run_tail(network, batch.activations))
            computed += len(batch.image_keys)
            unreadable |= batch.unreadable
            on_progress(done + computed + len(unreadable), total)
        writer.flush()
        return PoolReport(computed, unreadable)

    def embed_pixels(self, network: Network, pixels: torch.Tensor) -> np.ndarray:
        """(B, D) float32 embeddings of (B, 3, px, px) uint8 pixels: the bare network."""
        source = ActivationSource(network.split, self.preprocessing, self._device, cache=None)
        return self._run_tail(network, source.compute(pixels))

    def embed_now(
        self, network: Network, image_keys: Sequence[str], load: Loader
    ) -> EmbeddedImages:
        """The embeddings of a few images, computed at once and written nowhere."""
        found: list[str] = []
        rows = [np.empty((0, self.embedding_dim), np.float32)]
        unreadable: dict[str, str] = {}
        source = ActivationSource(network.split, self.preprocessing, self._device, cache=None)
        for batch in source.batches(image_keys, load):
            found += batch.image_keys
            rows.append(self._run_tail(network, batch.activations))
            unreadable |= batch.unreadable
        return EmbeddedImages(found, np.concatenate(rows), unreadable)

    def _cut(self, finetune: str) -> Split:
        return split_backbone(self._backbone, parse_finetune(finetune), self._device)

    def _source(self, split: Split, stores: FeatureStores) -> ActivationSource:
        cache = None
        if split.finetune.is_head:
            cache = Cache(stores.embeddings, self._backbone.version)
        elif not split.finetune.is_full and stores.activations is not None:
            version = f"{self._backbone.version}-{split.finetune.text.replace(':', '_')}"
            limit = int(self._config.activation_limit_gib * GIB)
            cache = Cache(stores.activations, version, limit)
        return ActivationSource(split, self.preprocessing, self._device, cache)

    def _gather(
        self, labeled: LabeledImages, load: Loader, stores: FeatureStores
    ) -> tuple[torch.Tensor, torch.Tensor, dict[str, str]]:
        """Activations (L, ...) and labels (L,) of the readable images in the order of `labeled`.

        One image may be labeled twice (two tasks with the same picture).
        """
        rows_of: dict[str, list[int]] = {}
        for row, key in enumerate(labeled.image_keys):
            rows_of.setdefault(key, []).append(row)
        count = len(labeled.image_keys)
        activations = new_rows((count, *self._split.activation_shape), self._split.activation_dtype)
        is_readable = torch.zeros(count, dtype=torch.bool)
        unreadable: dict[str, str] = {}
        for batch in self._source(self._split, stores).batches(list(rows_of), load):
            for key, activation in zip(batch.image_keys, batch.activations, strict=True):
                activations[rows_of[key]] = activation
                is_readable[rows_of[key]] = True
            unreadable |= batch.unreadable
        if not is_readable.any():
            reason = next(iter(unreadable.values()), "there are no labels")
            raise ImageError(f"none of {count} labeled images can be read: {reason}")
        labels = torch.from_numpy(np.asarray(labeled.labels, np.int64))
        if is_readable.all():
            return activations, labels, unreadable
        return activations[is_readable], labels[is_readable], unreadable

    def _network(
        self, split: Split, tail: torch.nn.Module, tensors: Mapping[str, torch.Tensor]
    ) -> Network:
        version = self._backbone.version
        if not split.finetune.is_head:
            version = f"{version}-{_digest(tail)}"
        return Network(version, LinearHead.from_tensors(tensors), split, tail)

    def _card(
        self, network: Network, num_classes: int, seed: int, report: TrainingReport
    ) -> dict[str, Any]:
        return {
            "backbone": self._backbone.name,
            "fingerprint": self._backbone.fingerprint,
            "features_version": network.version,
            "finetune": self._split.finetune.text,
            "image_px": self.image_px,
            "feature_blocks": self._backbone.feature_blocks,
            "class_count": num_classes,
            "seed": seed,
            "training": {**asdict(self._config.training), **asdict(report)},
        }

    @torch.inference_mode()
    def _run_tail(self, network: Network, activations: torch.Tensor) -> np.ndarray:
        """(B, D) float32 embeddings of (B, ...) activations."""
        if len(activations) == 0:
            return np.empty((0, self.embedding_dim), np.float32)
        with autocast(self._device):
            embeddings = network.tail(activations.to(self._device))
        return embeddings.float().cpu().numpy()


def _tensors(tail: torch.nn.Module, head: torch.nn.Linear) -> dict[str, torch.Tensor]:
    """What a checkpoint holds: the trained part, on the CPU."""
    named = {TAIL_PREFIX + key: value for key, value in tail.state_dict().items()}
    named |= {HEAD_WEIGHT: head.weight.detach(), HEAD_BIAS: head.bias.detach()}
    return {key: value.cpu() for key, value in named.items()}


def _digest(tail: torch.nn.Module) -> str:
    """Digest of the tail's weights: one training, one version."""
    digest = hashlib.blake2b(digest_size=6)
    for _, tensor in sorted(tail.state_dict().items()):
        digest.update(tensor.float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
