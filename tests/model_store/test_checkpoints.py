"""Checkpoints come back as they were saved, or with a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from backend.errors import StoreError, StoreUnavailableError
from model_store.checkpoints import load_checkpoint, save_checkpoint
from tests.model_store.damage import flip_bytes

TENSORS = {
    "head.weight": torch.arange(6, dtype=torch.float32).view(2, 3),
    "half": torch.tensor([0.5, -2], dtype=torch.float16),
    "transposed": torch.arange(6).view(2, 3).T,
}
# What this process has mapped (Linux).
MAPS = Path("/proc/self/maps")
CARD = {"seed": 3, "classes": ["Hund", "Küken"], "training": {"loss": 0.25}}


def test_load_checkpoint_returns_what_was_saved(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "checkpoints", "round-7", TENSORS, CARD)
    assert path == tmp_path / "checkpoints" / "round-7.safetensors"
    checkpoint = load_checkpoint(path)
    assert checkpoint.card == CARD
    assert checkpoint.tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert checkpoint.tensors[name].dtype == tensor.dtype
        assert torch.equal(checkpoint.tensors[name], tensor)


def test_checkpoint_is_a_plain_safetensors_file(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, "r", TENSORS, CARD)
    assert torch.equal(load_file(path)["head.weight"], TENSORS["head.weight"])


def test_save_checkpoint_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, "r", TENSORS, CARD)
    path = save_checkpoint(tmp_path, "r", {}, {"seed": 4})
    assert list(tmp_path.iterdir()) == [path]
    assert load_checkpoint(path).card == {"seed": 4}


def test_load_checkpoint_raises_when_the_file_is_cut_short(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, "r", TENSORS, CARD)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(StoreError, match=r"r\.safetensors"):
        load_checkpoint(path)


def test_load_checkpoint_raises_wherever_the_file_is_damaged(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, "r", TENSORS, CARD)
    whole = path.read_bytes()
    silent = []
    for position in range(len(whole)):
        flip_bytes(path, position, 1)
        try:
            checkpoint = load_checkpoint(path)
        except StoreError:
            pass
        else:
            is_same = checkpoint.card == CARD and all(
                torch.equal(checkpoint.tensors[name], tensor) for name, tensor in TENSORS.items()
            )
            silent += [] if is_same else [position]
        path.write_bytes(whole)
    assert silent == []


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 0.999])
def test_load_checkpoint_raises_wherever_the_file_ends_early(tmp_path: Path, share: float) -> None:
    path = save_checkpoint(tmp_path, "r", TENSORS, CARD)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(StoreError, match=r"r\.safetensors"):
        load_checkpoint(path)


def test_load_checkpoint_takes_a_file_without_digest(tmp_path: Path) -> None:
    # As releases before 0.2 wrote them.
    save_file({"a": torch.ones(2)}, tmp_path / "old.safetensors", {"card": '{"seed": 3}'})
    assert load_checkpoint(tmp_path / "old.safetensors").card == {"seed": 3}


def test_load_checkpoint_raises_when_the_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"gone\.safetensors"):
        load_checkpoint(tmp_path / "gone.safetensors")


def test_load_checkpoint_says_so_when_the_file_system_fails(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, "r", TENSORS, CARD)
    aside = path.rename(tmp_path / "aside")
    path.symlink_to(path)  # ELOOP, for root as well
    with pytest.raises(StoreUnavailableError, match=r"r\.safetensors now: .*symbolic links"):
        load_checkpoint(path)
    aside.replace(path)
    assert load_checkpoint(path).card == CARD


def test_load_checkpoint_raises_when_there_is_no_card(tmp_path: Path) -> None:
    save_file(TENSORS | {"transposed": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(StoreError, match="carries no card"):
        load_checkpoint(tmp_path / "w.safetensors")


@pytest.mark.skipif(not MAPS.exists(), reason="Linux shows what a process has mapped")
def test_loaded_checkpoint_needs_its_file_no_more(tmp_path):
    path = save_checkpoint(tmp_path, "00012", TENSORS, CARD)
    checkpoint = load_checkpoint(path)
    assert str(path) not in MAPS.read_text()
    torch.testing.assert_close(checkpoint.tensors, TENSORS)
