"""Whether weights are still to be downloaded, and from where."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.constants import ENDPOINT

from backend.errors import WeightsError
from backend.vision.network import BUNDLED_NAME
from backend.vision.vit_checks import SOURCE_PREFIXES, meta_vit

WEIGHTS_FILES = ("model.safetensors", "pytorch_model.bin")


def hub_address(name: str, weights: Path | None) -> str | None:
    """The address of a network's weights at the hub; None where they need not be had from there.

    weights: a file that they are read from instead.
    """
    repository = None if weights is not None or name == BUNDLED_NAME else _repository(name)
    if repository is None or any(
        isinstance(try_to_load_from_cache(repository, file), str) for file in WEIGHTS_FILES
    ):
        return None
    return f"{ENDPOINT}/{repository}"


def _repository(name: str) -> str | None:
    prefix = next((prefix for prefix in SOURCE_PREFIXES if name.startswith(prefix)), None)
    if prefix is not None:
        return None if prefix == "local-dir:" else name.removeprefix(prefix)
    try:
        # set by timm; a Module types what it does not declare as a Tensor or a Module
        return cast("Mapping[str, Any]", meta_vit(name, {}).pretrained_cfg).get("hf_hub_id")
    except WeightsError:  # whoever loads it is told why
        return None
