"""The network: images in, embeddings and class probabilities out."""

from __future__ import annotations

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
from backend.vision.finetune import Finetune, parse_finetune
from backend.vision.fitting import ADAM
from backend.vision.hub import hub_address
from backend.vision.linear_head import LinearHead
from backend.vision.network import BackboneSpec
from backend.vision.pixel_batches import Loader
from backend.vision.session import VisionConfig, VisionSession
from backend.vision.training import Progress, TrainingConfig
from backend.vision.vit_checks import REMEDIES

__all__ = [
    "ADAM",
    "REMEDIES",
    "BackboneSpec",
    "EmbeddedImages",
    "FeatureStores",
    "Finetune",
    "LabeledImages",
    "LinearHead",
    "Loader",
    "Network",
    "PoolReport",
    "Progress",
    "Trained",
    "TrainedNetwork",
    "TrainingConfig",
    "TrainingReport",
    "VisionConfig",
    "VisionSession",
    "hub_address",
    "parse_finetune",
]
