"""A ViT, images and settings small enough for whole runs within a test."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.pretraining.config import Crops, DinoConfig
from backend.pretraining.train import RunOptions

CONFIG = DinoConfig(
    model_arguments={
        "img_size": 8,
        "patch_size": 4,
        "embed_dim": 8,
        "depth": 2,  # timm never drops the first block
        "num_heads": 2,
        "dynamic_img_size": True,
    },
    crops=Crops(global_px=8, local_px=4, local_count=1),
    epochs=2,
    batch_size=6,
    warmup_epochs=0.5,
    freeze_last_layer_epochs=0.5,
    out_dim=16,
    hidden_dim=8,
    bottleneck_dim=4,
    drop_path_rate=0.5,
)


@pytest.fixture(autouse=True)
def _denormals_as_before():
    """The command flushes them to zero in its process; hypothesis refuses to work there."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Two threads would only wait for each other on networks this small."""
    torch.set_num_threads(1)


@pytest.fixture
def config() -> DinoConfig:
    """Settings of a run of eight steps on `pixels`."""
    return CONFIG


@pytest.fixture
def pixels() -> torch.Tensor:
    """(26, 1, 8, 8) uint8 random images."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (26, 1, 8, 8), generator=generator, dtype=torch.uint8)


@pytest.fixture
def said() -> list[str]:
    """What the run said."""
    return []


@pytest.fixture
def options(tmp_path: Path, said: list[str]) -> RunOptions:
    """A run that keeps its state in `tmp_path` and its words in `said`."""
    return replace(RunOptions(tmp_path / "out.safetensors.run.pt"), say=said.append)


@pytest.fixture
def write_idx(tmp_path: Path) -> Callable[[str, np.ndarray], Path]:
    """Writes a uint8 array as an IDX file, gzipped when the name ends in .gz."""

    def write(name: str, values: np.ndarray) -> Path:
        header = struct.pack(">I", 0x0800 + values.ndim) + struct.pack(
            f">{values.ndim}I", *values.shape
        )
        content = header + values.astype(np.uint8).tobytes()
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return write
