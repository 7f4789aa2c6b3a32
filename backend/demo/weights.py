"""Which backbone the demo starts with where nobody chose one."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from backend.settings import BUNDLED, Settings

HUB_TIMEOUT_S = 5.0
# Small enough for seconds a round on a processor; the position grid is resampled.
IMAGE_PX = 112


def backbone_settings(environ: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """The settings to add to `environ`, and one line that says which network it will be.

    A choice of the user's stays as it is; else the default where it can be had, else the bundled
    network.
    """
    if any(environ.get(name) for name in ("ALFAMIX_BACKBONE", "ALFAMIX_BACKBONE_WEIGHTS")):
        return {}, environ.get("ALFAMIX_BACKBONE") or f"{Settings.backbone}, your weights"
    if _is_cached(Settings.backbone) or _is_within_reach(Settings.backbone, environ):
        return {"ALFAMIX_IMAGE_PX": str(IMAGE_PX)}, f"{Settings.backbone} at {IMAGE_PX} px"
    line = (
        "the small bundled network: the hub is out of reach. For the DINO ViT-S set "
        "ALFAMIX_BACKBONE_WEIGHTS to its .safetensors or .pth file"
    )
    return {"ALFAMIX_BACKBONE": BUNDLED}, line


def _is_cached(name: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(f"timm/{name}", "model.safetensors"), str)


def _is_within_reach(name: str, environ: Mapping[str, str]) -> bool:
    endpoint = environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    url = f"{endpoint}/timm/{name}/resolve/main/model.safetensors"
    try:
        # The file itself lies behind a redirect to another host, which must be reached as well.
        return httpx.head(url, timeout=HUB_TIMEOUT_S, follow_redirects=True).is_success
    except httpx.TransportError:
        return False
