"""What both processes open at start: the journal and, where it is needed, the network.

Nothing here imports torch until the network is asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from backend.settings import Settings
from model_store.journal import Journal
from model_store.project_folder import host_folder

if TYPE_CHECKING:
    from backend.vision import VisionConfig, VisionSession


def folder_of(settings: Settings) -> Path:
    """The folder of the configured Label Studio, below MODEL_DIR."""
    return host_folder(settings.model_dir, settings.label_studio_url)


def open_journal(settings: Settings) -> Journal:
    """The embedded journal of the configured Label Studio."""
    return Journal.in_folder(folder_of(settings))


def open_session(settings: Settings) -> VisionSession:
    """The network of the settings, loaded. WeightsError, SettingsError."""
    from backend.vision import VisionSession

    return VisionSession.open(_vision_config(settings))


def _vision_config(settings: Settings) -> VisionConfig:
    """The settings as the vision room takes them."""
    from backend.vision import BackboneSpec, TrainingConfig, VisionConfig

    return VisionConfig(
        backbone=BackboneSpec(
            settings.backbone,
            settings.backbone_weights,
            settings.image_px,
            settings.feature_blocks,
        ),
        finetune=settings.finetune,
        device=settings.device,
        training=TrainingConfig(
            epoch_limit=settings.epochs, head_lr=settings.head_lr, block_lr=settings.block_lr
        ),
        activation_limit_gib=settings.activations_gib,
    )
