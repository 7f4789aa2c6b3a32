"""Picks of BorealisAI/uherding's strategies, which expect a GPU and networks on images."""

from __future__ import annotations

import contextlib
import importlib
import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from backend.acquisition import Pool

BATCH_ROWS = 512


def uherding_picks(strategy: str, pool: Pool, budget: int, seed: int) -> np.ndarray:
    """The (B,) pool rows of the class `Herding` or `UHerding`; neither draws anything at random.

    ModuleNotFoundError: `pycls` of a checkout's folder `deep-al` cannot be imported.
    """
    module = importlib.import_module(f"pycls.al.{strategy.lower()}")

    class OnProcessor(getattr(module, strategy)):
        def construct_kernel_fn(self, kernel_name: str) -> object:
            return module.RBFKernel("cpu")

    embeddings = torch.tensor(np.concatenate([pool.embeddings, pool.labeled_embeddings]))
    unlabeled = np.arange(len(pool.ids))
    labeled = np.arange(len(pool.ids), len(embeddings))
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        chosen = OnProcessor(
            _configuration(Path(folder)),
            labeled,
            unlabeled,
            budget,
            1.0,
            _Classifier(pool),
            dataObj=_Loaders(),
            dataset=embeddings,
            device="cpu",
            permute=False,
        )
        return chosen.select_samples()[0]


class _Configuration(dict):
    """Read as theirs is: by key and by attribute."""

    __getattr__ = dict.__getitem__


def _configuration(folder: Path) -> _Configuration:
    """Features of the classifier itself, width from the labeled rows, no temperature."""
    learning = {"FEATURE": "classifier", "UNC_FEATURE": "classifier", "TEMP": 1.0}
    learning |= {"SAMPLING_FN": "uherding_margin", "UNC_TRANS_FN": "identity"}
    learning |= {"NORMALIZE": True, "ADAPTIVE_DELTA": True}
    names = ("COVERAGE_PATH", "UNCERTAINTY_PATH", "INDICES_PATH", "LOGIT_PATH")
    return _Configuration(
        {name: str(folder / name) for name in names},
        DATASET=_Configuration(NAME="ours"),
        RNG_SEED=0,
        NUM_GPUS=1,
        EXP_DIR=str(folder),
        TRAIN=_Configuration(BATCH_SIZE=BATCH_ROWS),
        ACTIVE_LEARNING=_Configuration(learning),
    )


class _Classifier:
    """The pool's head as a network whose images are embeddings."""

    def __init__(self, pool: Pool) -> None:
        self._head = pool.head

    def eval(self) -> None:
        """Nothing to switch off."""

    def to(self, device: str) -> None:
        """Nothing to move."""

    def __call__(self, images: Tensor, labels: object = None) -> Mapping[str, Tensor]:
        return {"features": images, "preds": self._head(images)}


class _OnGpu:
    """A tensor that stays where it is."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    def to(self, device: str) -> Tensor:
        """The tensor."""
        return self._tensor

    def cuda(self, device: int) -> Tensor:
        """The tensor."""
        return self._tensor


class _Batches:
    """Embeddings and no labels, some at a time."""

    def __init__(self, embeddings: Tensor) -> None:
        self._embeddings = embeddings
        self.dataset = SimpleNamespace(no_aug=False)

    def __len__(self) -> int:
        return -(-len(self._embeddings) // BATCH_ROWS)

    def __iter__(self) -> Iterator[tuple[_OnGpu, _OnGpu]]:
        for batch in self._embeddings.split(BATCH_ROWS):
            yield _OnGpu(batch), _OnGpu(torch.zeros(len(batch)))


class _Loaders:
    def getSequentialDataLoader(
        self, indexes: Sequence[int], batch_size: int, data: Tensor
    ) -> _Batches:
        """Those rows of the data; the name is theirs."""
        return _Batches(data[np.asarray(indexes).astype(int)])
