"""Embeddings (or any fixed-width rows) of images in Parquet parts, by features version and image.

Layout: `<folder>/<version>/part-<digest of its keys>.parquet`, two columns: `image_key` (string)
and `row` (raw numbers as fixed-size binary; dtype and width stand in the schema's metadata).
Raw binary because nested float columns read and write up to ten times slower.

A part is immutable and appears whole (see `files`), so any number of processes may read while one
writes. Every page has a checksum. A damaged part is set aside with a warning; its rows are missing
again and whoever fills the store computes them anew.

Legend: N rows asked for, D width of a row.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backend.errors import StoreError
from model_store.files import set_aside, write_atomically
from model_store.part_index import PartIndex

logger = logging.getLogger(__name__)
VERSION_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
PART_GLOB = "part-*.parquet"


class EmbeddingStore:
    """Rows of one dtype below one folder."""

    def __init__(self, folder: Path, dtype: str = "float32") -> None:
        self._folder = folder
        self._dtype = np.dtype(dtype)
        self._indexes: dict[str, PartIndex] = {}

    def missing(self, version: str, keys: Sequence[str]) -> list[str]:
        """Those of `keys` without a row, in their order, each once."""
        unique = list(dict.fromkeys(keys))
        found = self._index(version).locate(unique).found
        return [key for key, there in zip(unique, found, strict=True) if not there]

    def write_part(self, version: str, keys: Sequence[str], rows: np.ndarray) -> None:
        """Add the rows of `keys`, atomically; the same keys again replace the same part.

        Args:
            version: features version, letters, digits and `._-` only.
            keys: N image keys, no duplicates.
            rows: (N, D), cast to the store's dtype.

        Raises:
            StoreError: the part cannot be written, or keys and rows do not fit each other.
        """
        if rows.ndim != 2 or len(keys) != len(rows) or len(set(keys)) != len(keys):
            raise StoreError(
                f"a part needs one row for each of its distinct keys; "
                f"got {len(set(keys))} distinct of {len(keys)} keys and rows {rows.shape}"
            )
        table = _table(keys, np.ascontiguousarray(rows, self._dtype))
        digest = hashlib.blake2b("".join(keys).encode(), digest_size=8).hexdigest()
        path = self._version_folder(version) / f"part-{digest}.parquet"
        write_atomically(path, lambda temporary: _write_table(table, temporary))

    def read(self, version: str, keys: Sequence[str]) -> np.ndarray:
        """The rows of `keys`, (N, D) in the store's dtype and the order of `keys`.

        Beyond the result, memory holds one part at a time.

        Raises:
            StoreError: a key has no row, or a part turned out damaged (it is then set aside: fill
                the store again and repeat).
        """
        places = self._index(version).locate(keys)
        if not places.found.all():
            first = keys[int(np.argmin(places.found))]
            raise StoreError(
                f"{int((~places.found).sum())} of {len(keys)} images have no row of version "
                f"{version} in {self._folder}, the first is {first}; embed them first"
            )
        result: np.ndarray | None = None
        for part, positions, part_rows in places.by_part():
            rows = self._read_rows(part)
            if result is None:
                result = np.empty((len(keys), rows.shape[1]), self._dtype)
            result[positions] = rows[part_rows]
        return np.empty((0, 0), self._dtype) if result is None else result

    def read_by_part(
        self, version: str, keys: Sequence[str]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Positions in `keys` and their rows, part by part: memory holds one part at a time.

        Keys without a row are left out.

        Raises:
            StoreError: as `read`.
        """
        for part, positions, part_rows in self._index(version).locate(keys).by_part():
            yield positions, self._read_rows(part)[part_rows]

    def versions(self) -> list[str]:
        """All versions that have a folder, sorted."""
        if not self._folder.is_dir():
            return []
        return sorted(p.name for p in self._folder.iterdir() if VERSION_PATTERN.fullmatch(p.name))

    def size_bytes(self, version: str) -> int:
        """Bytes on disk of the version's parts."""
        return sum(p.stat().st_size for p in self._version_folder(version).glob(PART_GLOB))

    def drop_version(self, version: str) -> None:
        """Remove all rows of `version`; nothing happens when there are none.

        Raises:
            StoreError: the folder cannot be removed.
        """
        self._indexes.pop(version, None)
        try:
            shutil.rmtree(self._version_folder(version))
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"cannot remove version {version}: {error}") from error

    def _index(self, version: str) -> PartIndex:
        """The version's index, brought up to date with the parts on disk."""
        index = self._indexes.get(version, PartIndex.empty())
        paths = sorted(self._version_folder(version).glob(PART_GLOB))
        if paths != index.parts:
            index = index.with_parts(paths, self._read_keys)
            self._indexes[version] = index
        return index

    def _read_keys(self, part: Path) -> list[str] | None:
        """The part's image keys; None when it is damaged (and then set aside)."""
        try:
            return _read_column(part, "image_key").to_pylist()
        except (pa.ArrowException, OSError) as error:
            _set_aside(part, error)
            return None

    def _read_rows(self, part: Path) -> np.ndarray:
        """All rows of the part, (rows, D)."""
        try:
            column = _read_column(part, "row")
        except (pa.ArrowException, OSError) as error:
            _set_aside(part, error)
            raise StoreError(
                f"{part} is damaged ({error}) and was set aside; its images are embedded again"
            ) from error
        width = column.type.byte_width // self._dtype.itemsize
        return np.frombuffer(column.buffers()[1], self._dtype).reshape(-1, width)[: len(column)]

    def _version_folder(self, version: str) -> Path:
        if not VERSION_PATTERN.fullmatch(version):
            raise StoreError(f"{version!r} is no version name; letters, digits and ._- are")
        return self._folder / version


def _table(keys: Sequence[str], rows: np.ndarray) -> pa.Table:
    width = rows.shape[1] * rows.itemsize
    column = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(width), len(rows), [None, pa.py_buffer(rows)]
    )
    metadata = {"dtype": rows.dtype.name, "width": str(rows.shape[1])}
    return pa.table({"image_key": pa.array(keys, pa.string()), "row": column}, metadata=metadata)


def _write_table(table: pa.Table, path: Path) -> None:
    """Write without compression or statistics: random floats gain nothing from either."""
    pq.write_table(
        table,
        path,
        compression="none",
        use_dictionary=False,
        write_statistics=False,
        write_page_checksum=True,
    )


def _read_column(part: Path, name: str) -> pa.Array:
    table = pq.read_table(part, columns=[name], page_checksum_verification=True)
    return table[name].combine_chunks()


def _set_aside(part: Path, error: Exception) -> None:
    """Rename a damaged part out of the way, unless it is simply gone (a dropped version)."""
    if part.exists():
        aside = set_aside(part)
        logger.warning("%s is damaged (%s): set aside as %s", part, error, aside.name)
