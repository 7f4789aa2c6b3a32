"""One setting made ready to run: its data, the examples of a seed, and a learner for them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch

from backend.acquisition.rule import Rule
from backend.errors import SettingsError
from backend.replay import Learner, Plan, SessionLearner, Truth
from backend.replay.memory_rows import MemoryRows
from backend.settings import Settings
from backend.vision import (
    BackboneSpec,
    FeatureStores,
    TrainingConfig,
    VisionConfig,
    VisionSession,
)
from benchmarks.curves.data import Data, DataError, Part, load
from benchmarks.curves.drawing import Drawn, draw, test_rows
from benchmarks.curves.network import NetworkLearner, Recipe, mlp, torchvision_network
from benchmarks.curves.settings import INITIALIZATIONS, Setting
from model_store.embeddings import EmbeddingStore

EPOCHS = 60  # of the ViTs, as ALFAMIX_EPOCHS
MLP_EPOCHS = 500  # a small set takes one step an epoch
IMAGE_LR, TABULAR_LR = 1e-3, 1e-4
DIGESTED_IMAGES = 200  # of each part: reading all would take longer than embedding few


@dataclass(frozen=True)
class Place:
    """Where things are. features: what networks made of images, kept between runs."""

    data: Path
    features: Path
    weights: Path | None


@dataclass(frozen=True, eq=False)
class Stage:
    """A setting with one seed's examples. rare: the classes that the pool holds few of."""

    learner: Learner
    truth: Truth
    plan: Plan
    rare: tuple[int, ...]


def rule(setting: Setting, strategy: str) -> Rule:
    """How a round chooses with the default settings; a first batch by the strategy itself."""
    usual = Rule.of(Settings())
    cold_start = strategy if setting.is_cold else usual.cold_start
    return replace(usual, strategy=strategy, cold_start=cold_start)


def stage(setting: Setting, seed: int, place: Place) -> Stage:
    """The learner, the hidden labels and the plan of one seed.

    Raises:
        DataError, SettingsError, WeightsError: the setting cannot be run here; says what is needed.
    """
    data = data_of(setting, place)
    drawn = draw(setting, data, seed)
    budget = setting.per_class * drawn.truth.num_classes
    first = 0 if setting.is_cold else budget
    make = _vit if setting.is_vit else _network
    learner = make(setting, data, drawn, place)
    return Stage(learner, drawn.truth, Plan(first, budget, setting.rounds), drawn.rare)


@lru_cache(maxsize=2)
def _loaded(name: str, root: Path) -> Data:
    return load(name, root)


def data_of(setting: Setting, place: Place) -> Data:
    """The setting's data, kept in memory for the next setting. DataError."""
    return _loaded(setting.data, place.data)


def check(setting: Setting, place: Place) -> Data:
    """The data of a setting that can be run here; raises as `stage` does."""
    if setting.initialization not in INITIALIZATIONS:
        raise SettingsError(
            f"initialization is {setting.initialization!r}; needed is one of "
            f"{', '.join(INITIALIZATIONS)}"
        )
    data = data_of(setting, place)
    if setting.is_vit:
        if setting.initialization != "pretrained":
            raise SettingsError(
                f"{setting.network} starts from pre-trained weights in every round; found "
                f"initialization {setting.initialization!r}, needed is pretrained"
            )
        _images(data.train)
        _session(setting, place)
    else:
        _recipe(setting, data).build(2)
    return data


def warm(setting: Setting, place: Place) -> None:
    """Make and keep the pre-trained features of the images that the setting's seeds draw."""
    if not setting.network.startswith("head"):
        return
    data, session = data_of(setting, place), _session(setting, place)
    stores = FeatureStores(_kept(setting, place), None)
    pools = [draw(setting, data, seed).pool for seed in range(setting.seeds)]
    keys = _keys("train", np.unique(np.concatenate(pools)))
    keys += _keys("test", test_rows(setting, data))
    session.embed_pool(session.pretrained(), keys, partial(_read, data), stores, _unheard)


def _vit(setting: Setting, data: Data, drawn: Drawn, place: Place) -> SessionLearner:
    session = _session(setting, place)
    keys = _keys("train", drawn.pool), _keys("test", drawn.test)
    rows, version = MemoryRows(), session.pretrained().version
    kept = _kept(setting, place)
    for part in keys:
        if setting.network.startswith("head") and not kept.missing(version, part):
            rows.write_part(version, part, kept.read(version, part))
    stores = FeatureStores(rows, MemoryRows())
    return SessionLearner(
        session, keys[0], keys[1], drawn.truth.num_classes, partial(_read, data), stores
    )


def _session(setting: Setting, place: Place) -> VisionSession:
    if setting.backbone != "bundled" and place.weights is None:
        raise DataError(
            f"needed is --weights FILE with the weights of {setting.backbone}; none was given"
        )
    weights = None if setting.backbone == "bundled" else place.weights
    return _opened(setting.backbone, weights, setting.image_px, setting.network, setting.head)


@lru_cache(maxsize=1)
def _opened(
    backbone: str, weights: Path | None, image_px: int | None, finetune: str, head: str
) -> VisionSession:
    spec, training = BackboneSpec(backbone, weights, image_px), TrainingConfig(epoch_limit=EPOCHS)
    return VisionSession.open(VisionConfig(spec, finetune, "cpu", training, head=head))


def _kept(setting: Setting, place: Place) -> EmbeddingStore:
    return EmbeddingStore(place.features / _fingerprint(setting.data, place.data))


@lru_cache(maxsize=8)
def _fingerprint(name: str, root: Path) -> str:
    """A folder's name that other labels or images under the same name would not share."""
    data = _loaded(name, root)
    digest = hashlib.blake2b(digest_size=8)
    for part in (data.train, data.test):
        images = _images(part)
        digest.update(part.labels.tobytes())
        for row in np.unique(np.linspace(0, images.count - 1, DIGESTED_IMAGES).astype(int)):
            digest.update(images.read(row))
    return f"{Path(name).name}-{digest.hexdigest()}"


def _keys(part: str, rows: np.ndarray) -> list[str]:
    return [f"{part}/{row}" for row in rows]


def _read(data: Data, key: str) -> bytes:
    name, _, row = key.partition("/")
    return _images(data.train if name == "train" else data.test).read(int(row))


def _images(part: Part):
    if part.images is None:
        raise DataError("a ViT needs images; found rows of numbers, which suit network mlp")
    return part.images


def _network(setting: Setting, data: Data, drawn: Drawn, place: Place) -> NetworkLearner:
    if setting.network == "mlp":
        inputs = _vectors(setting.data, place.data)
    else:
        inputs = _pixels(setting.data, place.data)
    return NetworkLearner(
        _recipe(setting, data),
        inputs[0][drawn.pool],
        inputs[1][drawn.test],
        drawn.truth.num_classes,
        setting.initialization == "continued",
        setting.head,
    )


@lru_cache(maxsize=1)
def _vectors(name: str, root: Path) -> tuple[torch.Tensor, torch.Tensor]:
    data = _loaded(name, root)
    return torch.from_numpy(data.train.as_vectors()), torch.from_numpy(data.test.as_vectors())


@lru_cache(maxsize=1)
def _pixels(name: str, root: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, 3, px, px) and (T, 3, px, px) float32 in 0..1; gray is repeated."""
    data = _loaded(name, root)
    found = []
    for part in (data.train, data.test):
        images = _images(part)
        pictures = (images.picture(row).convert("RGB") for row in range(images.count))
        pixels = np.stack([np.asarray(picture) for picture in pictures])
        found.append(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)
    return found[0], found[1]


def _recipe(setting: Setting, data: Data) -> Recipe:
    is_image = data.train.images is not None
    lr = IMAGE_LR if is_image else TABULAR_LR
    if setting.network == "mlp":
        if setting.initialization == "pretrained":
            raise SettingsError("an mlp has no pre-trained weights; needed is random or continued")
        columns = _columns(data.train)
        return Recipe(partial(mlp, columns), lr, MLP_EPOCHS)
    if setting.network not in ("resnet18", "densenet121"):
        raise SettingsError(
            f"network is {setting.network!r}; needed is mlp, resnet18, densenet121, head, "
            "blocks:n or full"
        )
    if not is_image:
        raise DataError(f"{setting.network} needs images; found rows of numbers")
    return Recipe(partial(_torchvision, setting), lr, EPOCHS)


def _torchvision(setting: Setting, num_classes: int):
    try:
        return torchvision_network(
            setting.network, num_classes, setting.initialization == "pretrained"
        )
    except OSError as error:
        raise DataError(
            f"the pre-trained weights of {setting.network} cannot be downloaded: {error}"
        ) from error


def _columns(part: Part) -> int:
    if part.vectors is not None:
        return part.vectors.shape[1]
    return part.images.px**2 * len(part.images.mode)


def _unheard(done: int, total: int) -> None:
    """Warming is one step of the progress bar."""
