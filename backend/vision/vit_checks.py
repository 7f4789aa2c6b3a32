"""Name and sizes of a network, checked before its weights are loaded."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeGuard, cast

import timm
import torch
from timm.data import resolve_data_config
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer

from backend.errors import SettingsError, WeightsError

SOURCE_PREFIXES = ("hf-hub:", "hf_hub:", "local-dir:")
REMEDIES = (
    "set ALFAMIX_BACKBONE_WEIGHTS to a .safetensors or .pth file of these weights, or make the hub "
    "(huggingface.co) reachable, or set ALFAMIX_BACKBONE=bundled for the small ViT that ships"
)

Vit = VisionTransformer | Eva


def has_cls_token(model: torch.nn.Module) -> TypeGuard[Vit]:
    """Whether `model` is one of timm's ViTs that begin with a CLS token."""
    return isinstance(model, Vit) and model.cls_token is not None


def pools_by_attention(vit: Vit) -> bool:
    """Whether `vit` has no CLS token, but attention that makes one vector of its patches."""
    return not vit.num_prefix_tokens and vit.attn_pool is not None


def gives_one_vector(model: torch.nn.Module) -> TypeGuard[Vit]:
    """Whether `model` is one of timm's ViTs that stand for an image by one vector."""
    return has_cls_token(model) or (isinstance(model, Vit) and pools_by_attention(model))


def meta_vit(name: str, arguments: Mapping[str, Any]) -> Vit:
    """timm's ViT `name` on the meta device, where weights have no storage.

    Raises:
        WeightsError: timm does not know or cannot build it, or it is no ViT that gives one vector
            an image, by a CLS token or by attention pooling.
    """
    if not name.startswith(SOURCE_PREFIXES):
        _check_name(name)
    try:
        with torch.device("meta"):
            model = timm.create_model(name, pretrained=False, **arguments)
    except OSError as error:
        raise WeightsError(
            f"the description of {name} cannot be had ({error}); {REMEDIES}"
        ) from error
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise WeightsError(f"timm cannot build {name} with {dict(arguments)}: {error}") from error
    if not gives_one_vector(model):
        raise WeightsError(
            f"{name} is a {type(model).__name__}; needed is a ViT with a CLS token, such as "
            f"vit_small_patch16_224.dino, or with attention pooling, such as "
            f"vit_base_patch16_siglip_224.v2_webli"
        )
    if getattr(model, "rope_mixed", False):
        raise WeightsError(
            f"{name} has position embeddings of its own in each block: not supported"
        )
    return model


def create_vit(name: str, *, pretrained: bool = False, **arguments: Any) -> Vit:
    """timm's model `name`, which `meta_vit` has found to be a ViT."""
    # timm's own type is any Module
    return cast("Vit", timm.create_model(name, pretrained=pretrained, **arguments))


def patch_px(vit: Vit) -> int:
    """Side of the network's patches."""
    return vit.patch_embed.patch_size[0]


def checked_image_px(name: str, vit: Vit, image_px: int | None) -> int:
    """`image_px`, or the network's own for None.

    Raises:
        SettingsError: it is no multiple of the patch size.
    """
    own_px = resolve_data_config(model=vit)["input_size"][-1]
    wanted_px = own_px if image_px is None else image_px
    patch = patch_px(vit)
    if wanted_px < patch or wanted_px % patch:
        below = max(1, wanted_px // patch) * patch
        raise SettingsError(
            f"ALFAMIX_IMAGE_PX is {wanted_px}; {name} needs a multiple of its patch size "
            f"{patch}, such as {below} or {below + patch}"
        )
    return wanted_px


def checked_feature_blocks(name: str, vit: Vit, feature_blocks: int) -> int:
    """`feature_blocks`; 1 where attention pools, which has seen the last block's tokens only.

    Raises:
        SettingsError: it has fewer, or none are asked for.
    """
    if pools_by_attention(vit):
        return 1
    depth = len(vit.blocks)
    if not 1 <= feature_blocks <= depth:
        raise SettingsError(
            f"ALFAMIX_FEATURE_BLOCKS is {feature_blocks}; {name} has {depth} blocks"
        )
    return feature_blocks


def _check_name(name: str) -> None:
    base, _, tag = name.partition(".")
    known = timm.list_models(f"{base}*", pretrained=True, include_tags=True)
    if timm.is_model(base) and (not tag or name in known):
        return
    candidates = timm.list_models("*vit*", pretrained=True) + timm.list_models("*vit*")
    near = difflib.get_close_matches(name, candidates, n=4, cutoff=0.5)
    hint = f"; near names: {', '.join(near)}" if near else ""
    raise WeightsError(f"timm {timm.__version__} knows no model {name!r}{hint}")
