"""Where each image key's row lies: which part, which row. 40 bytes a key, found by bisection.

Legend: N keys asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Places:
    """The places of N keys.

    parts: the parts that `part_number` counts.
    found: (N,) bool; the other two are meaningless where it is False.
    part_number: (N,) int32.
    part_row: (N,) int32, the row inside the part.
    """

    parts: list[Path]
    found: np.ndarray
    part_number: np.ndarray
    part_row: np.ndarray

    def by_part(self) -> Iterator[tuple[Path, np.ndarray, np.ndarray]]:
        """For every part needed: the part, positions in the N keys, rows inside the part.

        Keys that were not found are left out.
        """
        order = np.argsort(self.part_number, kind="stable")
        order = order[self.found[order]]
        numbers, starts = np.unique(self.part_number[order], return_index=True)
        ends = [*starts[1:], len(order)]
        for number, start, end in zip(numbers, starts, ends, strict=False):
            positions = order[start:end]
            yield self.parts[number], positions, self.part_row[positions]


class PartIndex:
    """Immutable index over the keys of some parts."""

    def __init__(self, parts: list[Path], keys_of_part: dict[Path, np.ndarray]) -> None:
        self.parts = parts
        self._keys_of_part = keys_of_part
        readable = [part for part in parts if part in keys_of_part]
        arrays = [keys_of_part[part] for part in readable]
        keys = np.concatenate([*arrays, np.empty(0, "S1")])
        self._order = np.argsort(keys, kind="stable").astype(np.int64)
        self._sorted_keys = keys[self._order]
        self._readable = readable
        self._starts = np.cumsum([0, *map(len, arrays)])

    @classmethod
    def empty(cls) -> PartIndex:
        """An index over no part."""
        return cls([], {})

    def with_parts(
        self, parts: list[Path], read_keys: Callable[[Path], list[str] | None]
    ) -> PartIndex:
        """An index over exactly `parts`; `read_keys` is called for those not known yet."""
        keys_of_part: dict[Path, np.ndarray] = {}
        for part in parts:
            keys = self._keys_of_part.get(part)
            if keys is None:
                names = read_keys(part)
                keys = None if names is None else np.array(names, "S")
            if keys is not None:
                keys_of_part[part] = keys
        return PartIndex([part for part in parts if part in keys_of_part], keys_of_part)

    def locate(self, keys: Sequence[str]) -> Places:
        """Where the rows of `keys` lie; of several rows of one key, that of the first part."""
        wanted = np.array(list(keys), "S") if len(keys) else np.empty(0, "S1")
        if len(self._sorted_keys) == 0:
            nothing = np.zeros(len(wanted), np.int64)
            return Places([], np.zeros(len(wanted), bool), nothing, nothing)
        slot = np.searchsorted(self._sorted_keys, wanted).clip(max=len(self._sorted_keys) - 1)
        found = self._sorted_keys[slot] == wanted
        global_row = self._order[slot]
        part_number = np.searchsorted(self._starts, global_row, side="right") - 1
        return Places(self._readable, found, part_number, global_row - self._starts[part_number])
