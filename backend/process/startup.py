"""What both processes open at start: the journal and, where it is needed, the network.

Nothing here imports torch until the network is asked for.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

from backend.settings import Settings
from model_store.journal import Journal
from model_store.project_folder import host_folder

if TYPE_CHECKING:
    from backend.vision import VisionConfig, VisionSession


# Where those that share a MODEL_DIR have a folder each.
MACHINES = "machines"


def folder_of(settings: Settings) -> Path:
    """The folder of the configured Label Studio, below MODEL_DIR."""
    return host_folder(settings.model_dir, settings.label_studio_url)


def machine_folder(settings: Settings) -> Path:
    """Where a backend keeps what is its own: below MODEL_DIR, which several may share."""
    if not settings.database_url:
        return folder_of(settings)
    return folder_of(settings) / MACHINES / machine_name(settings)


def machine_name(settings: Settings) -> str:
    """What tells this backend from others that share a MODEL_DIR."""
    return f"{socket.gethostname()}-{settings.port}"


def open_journal(settings: Settings) -> Journal:
    """The journal of the configured Label Studio: a file, or what several machines share."""
    folder = folder_of(settings)
    if not settings.database_url:
        return Journal.in_folder(folder)
    return Journal.shared_by(folder, settings.database_url)


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
        head=settings.head,
    )
