"""Whether the weights of a file are those of a network, and the network filled with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from timm.models import eva, vision_transformer

from backend.errors import WeightsError
from backend.vision.vit_checks import Vit, create_vit
from backend.vision.weights_file import WeightsFile


def vit_from_file(name: str, arguments: Mapping[str, Any], file: WeightsFile) -> Vit:
    """timm's ViT `name` with the weights that `file` holds.

    Raises:
        WeightsError: they are of another network; the message says where it differs.
    """
    vit = create_vit(name, **arguments)
    state = _convert(file, vit, name)
    differences = _differences(state, vit.state_dict())
    if differences:
        raise WeightsError(f"{file.path} holds another network than {name}: {differences}")
    vit.load_state_dict(state)
    return vit


def _convert(file: WeightsFile, vit: Vit, name: str) -> dict[str, torch.Tensor]:
    """The file's weights in timm's names, their position grid resampled to the input size.

    The patch size is compared first: timm would resample another one's patches without a word.
    """
    patches = file.state.get("patch_embed.proj.weight")
    wanted = vit.patch_embed.proj.weight
    if patches is not None and patches.ndim == 4 and patches.shape != wanted.shape:
        raise WeightsError(
            f"{file.path} holds another network than {name}: patch_embed.proj.weight is "
            f"{tuple(patches.shape)}, needed is {tuple(wanted.shape)}"
        )
    try:
        if isinstance(vit, eva.Eva):
            return eva.checkpoint_filter_fn(file.state, vit)
        return vision_transformer.checkpoint_filter_fn(file.state, vit)
    except (RuntimeError, KeyError, AssertionError, ValueError) as error:
        raise WeightsError(f"{file.path} holds another network than {name}: {error!r}") from error


def _differences(state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> str:
    """What keeps `state` from fitting, in words; empty when it fits."""
    shapes = [
        f"{key} is {tuple(state[key].shape)}, needed is {tuple(expected[key].shape)}"
        for key in expected
        if key in state and state[key].shape != expected[key].shape
    ]
    parts = [
        _some("missing", [key for key in expected if key not in state]),
        _some("too many", [key for key in state if key not in expected]),
        _some("other shapes", shapes),
    ]
    return "; ".join(filter(None, parts))


def _some(title: str, items: list[str], shown: int = 3) -> str:
    if not items:
        return ""
    more = f" and {len(items) - shown} more" if len(items) > shown else ""
    return f"{title}: {', '.join(items[:shown])}{more}"
