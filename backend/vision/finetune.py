"""Which part of the network training may change."""

from __future__ import annotations

import re
from dataclasses import dataclass

from backend.errors import SettingsError


@dataclass(frozen=True)
class Finetune:
    """A parsed ALFAMIX_FINETUNE.

    text: as written, `head`, `blocks:n` or `full`.
    blocks: number of last blocks that train; 0 for `head`, None for all and the patch embedding.
    """

    text: str
    blocks: int | None

    @property
    def is_head(self) -> bool:
        """Whether only the linear head trains, so that embeddings never change."""
        return self.blocks == 0

    @property
    def is_full(self) -> bool:
        """Whether everything trains."""
        return self.blocks is None


def parse_finetune(text: str) -> Finetune:
    """What `head`, `blocks:n` (n >= 1) or `full` stands for.

    Raises:
        SettingsError: anything else.
    """
    if text == "head":
        return Finetune(text, 0)
    if text == "full":
        return Finetune(text, None)
    match = re.fullmatch(r"blocks:([1-9][0-9]*)", text)
    if match is None:
        raise SettingsError(
            f"ALFAMIX_FINETUNE is {text!r}; needed is head, blocks:n with n from 1, or full"
        )
    return Finetune(text, int(match[1]))
