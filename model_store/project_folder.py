"""The folder of one project below MODEL_DIR, and the tables that its rounds leave there."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backend.errors import StoreError
from model_store.files import write_atomically

KEPT_ROUNDS = 5
# What a backtest leaves in its folder.
REPORT_NAME = "report.txt"
PICTURE_NAME = "learning-curves.png"
ROWS_NAME = "rounds.csv"
DIGEST_KEY = b"digest"
ROUND_FILES = (
    "checkpoints/[0-9]*.safetensors",
    "checkpoints/tuning-*.safetensors",
    "rounds/*-ranking.parquet",
    "rounds/*-scores.parquet",
    "rounds/*-reasons.parquet",
    "rounds/*-map.parquet",
    "rounds/*-tasks.parquet",  # of releases before 0.2
)


def host_folder(model_dir: Path, label_studio_url: str) -> Path:
    """The folder of one Label Studio: its host, port and path, in characters every disk takes."""
    parts = urlsplit(label_studio_url)
    name = (parts.netloc.rpartition("@")[2] + parts.path).strip("/")
    return model_dir / "".join(sign if sign.isalnum() or sign in ".-" else "_" for sign in name)


@dataclass(frozen=True)
class ProjectFolder:
    """Where one project's embeddings, activations, checkpoints and rounds lie."""

    path: Path

    @property
    def embeddings(self) -> Path:
        return self.path / "embeddings"

    @property
    def activations(self) -> Path:
        return self.path / "activations"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def backtest(self) -> Path:
        """The results of the last backtest that the admin asked for."""
        return self.path / "backtest"

    def ranking_file(self, number: int) -> Path:
        """The order in which a round serves the pool."""
        return self.path / "rounds" / f"{number:05d}-ranking.parquet"

    def has_rounds(self) -> bool:
        """Whether any round left a ranking here."""
        return any(self.path.glob("rounds/*-ranking.parquet"))

    def scores_file(self, number: int) -> Path:
        """The class and probability that a round's network gives each image."""
        return self.path / "rounds" / f"{number:05d}-scores.parquet"

    def reasons_file(self, number: int) -> Path:
        """Why the tasks at the head of a round's ranking stand there."""
        return self.path / "rounds" / f"{number:05d}-reasons.parquet"

    def map_file(self, number: int) -> Path:
        """The pool in two dimensions, as a round saw it."""
        return self.path / "rounds" / f"{number:05d}-map.parquet"

    def map_files(self) -> list[Path]:
        """The maps that are kept, oldest first."""
        found = self.path.glob("rounds/*-map.parquet")
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)

    def drop_old_rounds(self, kept: Collection[str]) -> None:
        """Remove the files of all but the last rounds and networks, and checkpoints but `kept`."""
        for pattern in ROUND_FILES:
            # By time, not by name: a journal that was lost counts from the beginning again.
            found = sorted(self.path.glob(pattern), key=lambda path: path.stat().st_mtime_ns)
            for path in found[:-KEPT_ROUNDS]:
                if path.name not in kept:
                    path.unlink(missing_ok=True)


def round_name(number: int) -> str:
    """The name of a round's checkpoint."""
    return f"{number:05d}"


def tuning_name(number: int) -> str:
    """The name of a fine-tuned network's checkpoint."""
    return f"tuning-{number:05d}"


def write_table(path: Path, columns: Mapping[str, np.ndarray | list]) -> None:
    """Write columns of equal length as one Parquet file, whole or not at all.

    With them goes a digest, and each page has a checksum: what Parquet does not find, these do.
    """
    table = pa.table(dict(columns))
    table = table.replace_schema_metadata({DIGEST_KEY: _digest(table)})
    write_atomically(
        path, lambda temporary: pq.write_table(table, temporary, write_page_checksum=True)
    )


def read_table(path: Path) -> pa.Table:
    """A table that `write_table` wrote. StoreError: missing or damaged."""
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        # Those of earlier releases have no digest.
        noted = (table.schema.metadata or {}).get(DIGEST_KEY)
        is_damaged = noted is not None and noted != _digest(table)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise StoreError(f"{path} is missing or damaged: {error}") from error
    if is_damaged:
        raise StoreError(f"{path} is damaged: its digest is another one")
    return table


def _digest(table: pa.Table) -> bytes:
    """A digest of a table's columns: 32 hex digits."""
    digest = hashlib.blake2b(digest_size=16)
    for name, column in zip(table.column_names, table.columns, strict=True):
        digest.update(f"{name} {column.type} {len(column)}".encode())
        if pa.types.is_string(column.type):
            digest.update("\n".join(column.to_pylist()).encode())
        else:
            digest.update(column.to_numpy().tobytes())
    return digest.hexdigest().encode()
