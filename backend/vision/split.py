"""The ViT cut in two: a frozen trunk, whose activations can be kept, and a tail that trains.

    pixels --trunk--> activations --tail--> embedding z

Where the cut lies follows from `Finetune`:

- `head`: the trunk is the whole ViT, activations are z, the tail is the identity.
- `blocks:n`: the trunk ends before the last n blocks; the tail is those, the final norm and the
  attention that pools, where there is one.
- `full`: the trunk is the identity on pixels; the tail is the whole ViT.

The embedding is that of the ALFA-Mix authors and of DINO's linear evaluation: the CLS tokens of the
last F blocks, each through the final norm, concatenated. SigLIP (Zhai et al. 2023; 2: Tschannen et
al. 2025) has no CLS token: there it is what its loss saw, the last block's tokens pooled by
attention.

Legend: B images, T tokens (CLS first, where there is one), C width of a token, F feature blocks,
D = F C, X CLS tokens that the trunk hands on besides its last tokens.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn

from backend.errors import SettingsError
from backend.vision.finetune import Finetune
from backend.vision.network import Backbone, last_block
from backend.vision.preprocessing import Normalize


@dataclass(frozen=True)
class Split:
    """Trunk and pre-trained tail of one backbone, both frozen.

    activation_shape: shape of one image's activations.
    activation_dtype: what they are stored and handed on as; float16 halves `blocks:n`.
    """

    finetune: Finetune
    trunk: nn.Module
    tail: nn.Module
    activation_shape: tuple[int, ...]
    activation_dtype: torch.dtype

    def new_tail(self) -> nn.Module:
        """A copy of the pre-trained tail that may be trained."""
        return copy.deepcopy(self.tail).requires_grad_(True)


def split_backbone(backbone: Backbone, finetune: Finetune, device: torch.device) -> Split:
    """The backbone cut where `finetune` says, on `device`. Splits share the backbone's weights.

    Raises:
        SettingsError: more blocks are to train than there are.
    """
    parts = _parts(backbone, finetune)
    trunk, tail = (part.eval().requires_grad_(False).to(device) for part in parts[:2])
    shape = _activation_shape(trunk, backbone.preprocessing.image_px, device)
    return Split(finetune, trunk, tail, shape, parts[2])


def _parts(backbone: Backbone, finetune: Finetune) -> tuple[nn.Module, nn.Module, torch.dtype]:
    """Trunk and tail, and what the activations between them are stored as."""
    depth = len(backbone.blocks)
    whole = nn.Sequential(Trunk(backbone, depth - 1), _tail(backbone, depth - 1))
    if finetune.blocks is None:
        return nn.Identity(), whole, torch.uint8
    if finetune.is_head:
        return whole, nn.Identity(), torch.float32
    if finetune.blocks > depth:
        raise SettingsError(
            f"ALFAMIX_FINETUNE is {finetune.text}; {backbone.name} has {depth} blocks"
        )
    cut = depth - finetune.blocks
    return Trunk(backbone, cut), _tail(backbone, cut), torch.float16


def _tail(backbone: Backbone, cut: int) -> nn.Module:
    return (
        Tail(backbone, cut) if backbone.pool is None else PoolingTail(backbone, cut, backbone.pool)
    )


def _activation_shape(trunk: nn.Module, image_px: int, device: torch.device) -> tuple[int, ...]:
    pixels = torch.zeros(1, 3, image_px, image_px, dtype=torch.uint8, device=device)
    with torch.inference_mode():
        return tuple(trunk(pixels).shape[1:])


class Trunk(nn.Module):
    """Pixels (B, 3, px, px) uint8 to packed activations (B, X + T, C).

    Packed are the CLS tokens after each feature block before `cut`, oldest first, except the
    newest, which is the first of the T tokens that follow. Where attention pools there are none.
    """

    def __init__(self, backbone: Backbone, cut: int) -> None:
        super().__init__()
        self.normalize = Normalize(backbone.preprocessing)
        self.stem = backbone.stem
        first_feature = len(backbone.blocks) - backbone.feature_blocks
        self.blocks = _Blocks(backbone, 0, cut, first_feature)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        tokens, features = self.blocks(self.stem(self.normalize(pixels)))
        return torch.cat([*(cls.unsqueeze(1) for cls in features[:-1]), tokens], dim=1)


class Tail(nn.Module):
    """Packed activations (B, X + T, C) of `Trunk(backbone, cut)` to embeddings (B, D) float32.

    `cut` leaves it at least the network's last block.
    """

    def __init__(self, backbone: Backbone, cut: int) -> None:
        super().__init__()
        depth = len(backbone.blocks)
        first_feature = depth - backbone.feature_blocks
        self.features_before = max(0, cut - first_feature)
        self.blocks = _Blocks(backbone, cut, depth - 1, first_feature)
        self.last = backbone.blocks[-1]
        self.norm = backbone.norm

    def forward(self, packed: torch.Tensor) -> torch.Tensor:
        extra = max(0, self.features_before - 1)
        before = [packed[:, i] for i in range(self.features_before)]
        tokens, features = self.blocks(packed[:, extra:].float())
        newest = last_block(self.last, tokens, **self.blocks.arguments())
        cls = torch.stack([*(token.float() for token in before), *features, newest], dim=1)
        return self.norm(cls).flatten(1).float()


class PoolingTail(nn.Module):
    """Activations (B, T, C) of `Trunk(backbone, cut)` to embeddings (B, C) float32.

    pool: the backbone's.
    """

    def __init__(self, backbone: Backbone, cut: int, pool: nn.Module) -> None:
        super().__init__()
        depth = len(backbone.blocks)
        self.blocks = _Blocks(backbone, cut, depth, depth)
        self.norm = backbone.norm
        self.pool = pool

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens, _ = self.blocks(tokens.float())
        return self.pool(self.norm(tokens)).float()


class _Blocks(nn.Module):
    """Blocks start to stop (exclusive) of the backbone, noting CLS tokens from `first_feature` on.

    (B, T, C) tokens to (B, T, C) tokens and a list of (B, C), one for each feature block.
    """

    def __init__(self, backbone: Backbone, start: int, stop: int, first_feature: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(backbone.blocks[start:stop])
        self.first_feature = first_feature - start
        self.argument_names = tuple(backbone.block_arguments)
        for name, value in backbone.block_arguments.items():
            self.register_buffer(name, value, persistent=False)

    def arguments(self) -> dict[str, torch.Tensor]:
        """What each block needs besides the tokens, on the module's device."""
        return {name: getattr(self, name) for name in self.argument_names}

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        features = []
        for number, block in enumerate(self.blocks):
            tokens = block(tokens, **self.arguments())
            if number >= self.first_feature:
                features.append(tokens[:, 0])
        return tokens, features
