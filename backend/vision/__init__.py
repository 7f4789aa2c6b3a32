"""The network: images in, embeddings and class probabilities out."""

from backend.vision.exchange import (
    EmbeddedImages,
    FeatureStores,
    LabeledImages,
    Network,
    PoolReport,
    Trained,
    TrainingReport,
)
from backend.vision.finetune import Finetune, parse_finetune
from backend.vision.linear_head import LinearHead
from backend.vision.network import BackboneSpec
from backend.vision.pixel_batches import Loader
from backend.vision.session import VisionConfig, VisionSession
from backend.vision.training import Progress, TrainingConfig

__all__ = [
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
    "TrainingConfig",
    "TrainingReport",
    "VisionConfig",
    "VisionSession",
    "parse_finetune",
]
