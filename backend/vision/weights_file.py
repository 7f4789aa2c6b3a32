"""Backbone weights from a file: plain tensors by timm's or DINO's names, and perhaps a card.

Nothing in a file is executed: safetensors holds tensors only, and `torch.load` runs with
`weights_only=True`.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors import safe_open

from backend.errors import WeightsError

NESTING_KEYS = ("teacher", "model_ema", "state_dict_ema", "state_dict", "model")
PREFIXES = ("module.", "backbone.", "_orig_mod.")
HEADS = ("head.", "fc.", "head_dist.")


@dataclass(frozen=True)
class WeightsCard:
    """How to rebuild the network of a file; None stands for the model's own timm configuration.

    model: timm name.
    model_arguments: arguments of its constructor.
    image_px: side of the images it was trained on.
    """

    model: str
    model_arguments: dict[str, Any]
    image_px: int | None
    mean: tuple[float, float, float] | None
    std: tuple[float, float, float] | None
    interpolation: str | None


@dataclass(frozen=True)
class WeightsFile:
    """State dict without head (CPU, float32) and the card, if the file carries one."""

    path: Path
    state: dict[str, torch.Tensor]
    card: WeightsCard | None


def read_weights(path: Path) -> WeightsFile:
    """The backbone weights in a `.safetensors`, `.pth` or `.pt` file.

    Raises:
        WeightsError: the file is missing, of another kind, damaged, or holds no tensors.
    """
    if not path.is_file():
        raise WeightsError(
            f"there is no weights file {path}; needed is a .safetensors or .pth file"
        )
    try:
        if path.suffix == ".safetensors":
            raw, card = _read_safetensors(path)
        else:
            raw, card = torch.load(path, map_location="cpu", weights_only=True), None
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        raise WeightsError(f"cannot read the weights file {path}: {error}") from error
    except (pickle.UnpicklingError, safetensors.SafetensorError) as error:
        raise WeightsError(
            f"{path} is no file of plain tensors ({error}); needed is a .safetensors file, or a "
            f".pth file that torch.load(weights_only=True) accepts"
        ) from error
    return WeightsFile(path, _plain_state(raw, path), card)


def _read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], WeightsCard | None]:
    with safe_open(path, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        text = (file.metadata() or {}).get("card")
    return tensors, None if text is None else _parse_card(text, path)


def _parse_card(text: str, path: Path) -> WeightsCard:
    try:
        card = json.loads(text)
        return WeightsCard(
            model=card["model"],
            model_arguments=dict(card.get("model_arguments", {})),
            image_px=card.get("image_px"),
            mean=_triple(card.get("mean")),
            std=_triple(card.get("std")),
            interpolation=card.get("interpolation"),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise WeightsError(
            f"the card of {path} cannot be understood ({error!r}); needed is JSON with model, "
            f"model_arguments, image_px, mean and std"
        ) from error


def _triple(values: list[float] | None) -> tuple[float, float, float] | None:
    if values is None:
        return None
    red, green, blue = map(float, values)
    return red, green, blue


def _plain_state(raw: object, path: Path) -> dict[str, torch.Tensor]:
    """The tensors of the backbone, whatever they are nested in and prefixed with."""
    nested = raw
    while isinstance(nested, Mapping):
        key = next((k for k in NESTING_KEYS if isinstance(nested.get(k), Mapping)), None)
        if key is None:
            break
        nested = nested[key]
    if not isinstance(nested, Mapping):
        raise WeightsError(f"{path} holds a {type(raw).__name__}; needed are tensors by name")
    state = {
        _strip(name): value.float()
        for name, value in nested.items()
        if isinstance(value, torch.Tensor)
    }
    state = {name: value for name, value in state.items() if not name.startswith(HEADS)}
    if not state:
        raise WeightsError(f"{path} holds no tensors of a network; needed are a ViT's")
    return state


def _strip(name: str) -> str:
    while name.startswith(PREFIXES):
        name = name.split(".", 1)[1]
    return name
