"""Devices by name, and bfloat16 only where the processor multiplies it."""

from __future__ import annotations

import pytest
import torch

from backend.errors import SettingsError
from backend.vision import device as device_module
from backend.vision.device import autocast, has_bfloat16, resolve_device

CPU = torch.device("cpu")


def test_resolve_device_finds_a_device_when_auto() -> None:
    assert resolve_device("auto").type in {"cpu", "cuda", "mps"}
    assert resolve_device("cpu") == CPU


@pytest.mark.parametrize("text", ["gpu", "", "cuda:99", "cpu:x"])
def test_resolve_device_raises_when_there_is_no_such_device(text: str) -> None:
    with pytest.raises(SettingsError, match="ALFAMIX_DEVICE"):
        resolve_device(text)


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"avx512_bf16": False, "avx512_f": True}, False),
        ({"bf16": True}, True),  # ARM
    ],
)
def test_autocast_is_on_when_the_processor_has_bfloat16(
    capabilities: dict[str, bool], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_module.torch.cpu, "get_capabilities", lambda: capabilities)
    assert has_bfloat16(CPU) is expected
    with autocast(CPU):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if expected else torch.float32)
