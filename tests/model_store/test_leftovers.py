"""What is left behind goes when its time is over."""

from __future__ import annotations

import os
from pathlib import Path

from model_store.files import set_aside, write_bytes
from model_store.leftovers import DAY_S, HOUR_S, remove_leftovers

NOW = 1_800_000_000.0


def made(path: Path, age_s: float) -> Path:
    """A file that was last written so long ago."""
    write_bytes(path, b"content")
    os.utime(path, (NOW - age_s, NOW - age_s))
    return path


def test_leftovers_go_when_their_time_is_over(tmp_path):
    gone = [
        made(tmp_path / "rounds" / ".writing-abc", HOUR_S + 1),
        made(tmp_path / "embeddings" / "v" / "part-1.parquet.damaged", 30 * DAY_S + 1),
        made(tmp_path / "journal.sqlite.damaged", 30 * DAY_S + 1),
    ]
    kept = [
        made(tmp_path / "rounds" / ".writing-def", HOUR_S - 1),
        made(tmp_path / "part-2.parquet.damaged", 30 * DAY_S - 1),
        made(tmp_path / "part-3.parquet", 1000 * DAY_S),
        made(tmp_path / "journal.sqlite", 1000 * DAY_S),
    ]
    remove_leftovers(tmp_path, NOW)
    assert [path.exists() for path in gone] == [False] * 3
    assert [path.exists() for path in kept] == [True] * 4


def test_damaged_file_is_kept_from_when_it_was_set_aside(tmp_path):
    damaged = made(tmp_path / "part-1.parquet", 1000 * DAY_S)
    aside = set_aside(damaged)
    assert aside == tmp_path / "part-1.parquet.damaged"
    remove_leftovers(tmp_path, aside.stat().st_mtime + 1)
    assert aside.read_bytes() == b"content"
    assert not damaged.exists()
