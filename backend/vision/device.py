"""Where the network runs and in which precision."""

from __future__ import annotations

import torch

from backend.errors import SettingsError


def resolve_device(text: str) -> torch.device:
    """The device that `auto`, `cpu`, `cuda`, `cuda:1` or `mps` stands for on this machine.

    Raises:
        SettingsError: torch does not know the name, or the device is not there.
    """
    if text == "auto":
        return torch.device(_best_device())
    try:
        device = torch.device(text)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(
            f"ALFAMIX_DEVICE is {text!r}, which cannot be used: {reason}"
        ) from error
    return device


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; emulated it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return False


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 autocast where the hardware has it, else nothing."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=has_bfloat16(device))
