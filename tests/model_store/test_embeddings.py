"""The embedding store: what goes in comes out, in any order, whatever happened to the files."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from backend.errors import StoreError
from model_store.embeddings import EmbeddingStore
from model_store.files import TEMPORARY_PREFIX
from tests.model_store.damage import flip_bytes

VERSION = "vit-16px-abc"
KEYS = [f"{number * 0x9E3779B97F4A7C15 % 2**128:032x}" for number in range(100)]
ROWS = np.random.default_rng(0).standard_normal((100, 6)).astype(np.float32)


@pytest.fixture
def store(tmp_path: Path) -> EmbeddingStore:
    return EmbeddingStore(tmp_path / "embeddings")


def fill(store: EmbeddingStore, count: int = 100, part: int = 30) -> None:
    for start in range(0, count, part):
        stop = min(count, start + part)
        store.write_part(VERSION, KEYS[start:stop], ROWS[start:stop])


def parts(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "embeddings" / VERSION).glob("part-*.parquet"))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_read_returns_the_rows_in_the_order_asked_for(dtype: str, tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, dtype)
    fill(store)
    order = np.random.default_rng(1).permutation(100)[:70]
    rows = EmbeddingStore(tmp_path, dtype).read(VERSION, [KEYS[row] for row in order])
    assert rows.dtype == dtype
    np.testing.assert_array_equal(rows, ROWS[order].astype(dtype))


def test_read_returns_a_row_twice_when_its_key_is_asked_for_twice(store: EmbeddingStore) -> None:
    fill(store)
    rows = store.read(VERSION, [KEYS[5], KEYS[99], KEYS[5]])
    np.testing.assert_array_equal(rows, ROWS[[5, 99, 5]])


def test_read_by_part_gives_each_row_its_position_and_leaves_out_keys_without_one(
    store: EmbeddingStore,
) -> None:
    fill(store, count=50, part=20)
    order = np.random.default_rng(1).permutation(100)
    parts = list(store.read_by_part(VERSION, [KEYS[row] for row in order]))
    assert len(parts) == 3
    positions, rows = (np.concatenate(column) for column in zip(*parts, strict=True))
    assert sorted(positions) == np.flatnonzero(order < 50).tolist()
    np.testing.assert_array_equal(rows, ROWS[order[positions]])


def test_read_returns_no_row_when_no_key_is_asked_for(store: EmbeddingStore) -> None:
    assert len(store.read(VERSION, [])) == 0


def test_read_raises_when_a_key_has_no_row(store: EmbeddingStore) -> None:
    fill(store, count=50)
    with pytest.raises(StoreError, match=rf"2 of 3 images have no row.*{KEYS[60]}"):
        store.read(VERSION, [KEYS[0], KEYS[60], KEYS[61]])


def test_missing_keeps_the_order_and_names_each_key_once(store: EmbeddingStore) -> None:
    assert store.missing(VERSION, KEYS) == KEYS
    fill(store, count=50)
    asked = [KEYS[70], KEYS[3], KEYS[60], KEYS[70]]
    assert store.missing(VERSION, asked) == [KEYS[70], KEYS[60]]
    assert store.missing("another", asked) == [KEYS[70], KEYS[3], KEYS[60]]


def test_store_sees_parts_when_another_process_writes_them(tmp_path: Path) -> None:
    reader, writer = EmbeddingStore(tmp_path), EmbeddingStore(tmp_path)
    fill(writer, count=30)
    assert reader.missing(VERSION, KEYS) == KEYS[30:]
    fill(writer, count=60)
    assert reader.missing(VERSION, KEYS) == KEYS[60:]
    writer.drop_version(VERSION)
    assert reader.missing(VERSION, KEYS) == KEYS


def test_write_part_replaces_the_part_when_keys_are_the_same(
    store: EmbeddingStore, tmp_path: Path
) -> None:
    store.write_part(VERSION, KEYS[:10], ROWS[:10])
    store.write_part(VERSION, KEYS[:10], ROWS[10:20])
    assert len(parts(tmp_path)) == 1
    np.testing.assert_array_equal(store.read(VERSION, KEYS[:10]), ROWS[10:20])


def test_store_ignores_a_half_written_part(store: EmbeddingStore, tmp_path: Path) -> None:
    fill(store, count=30)
    half = parts(tmp_path)[0].with_name(f"{TEMPORARY_PREFIX}xyz")
    half.write_bytes(parts(tmp_path)[0].read_bytes()[:100])
    fresh = EmbeddingStore(tmp_path / "embeddings")
    assert fresh.missing(VERSION, KEYS[:31]) == [KEYS[30]]


def test_store_sets_a_part_aside_when_its_footer_is_damaged(
    store: EmbeddingStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(store, count=60)
    damaged = parts(tmp_path)[0]
    damaged.write_bytes(damaged.read_bytes()[:-20])
    fresh = EmbeddingStore(tmp_path / "embeddings")
    with caplog.at_level(logging.WARNING):
        missing = fresh.missing(VERSION, KEYS[:60])
    assert len(missing) == 30
    assert damaged.name in caplog.text
    fresh.write_part(VERSION, missing, np.stack([ROWS[KEYS.index(key)] for key in missing]))
    np.testing.assert_array_equal(fresh.read(VERSION, KEYS[:60]), ROWS[:60])


def test_read_sets_a_part_aside_and_raises_when_a_row_has_flipped_bits(
    store: EmbeddingStore, tmp_path: Path
) -> None:
    fill(store, count=30)
    (part,) = parts(tmp_path)
    content = bytearray(part.read_bytes())
    position = content.index(ROWS[12].tobytes())
    content[position] ^= 0xFF
    part.write_bytes(content)
    with pytest.raises(StoreError, match=rf"{part.name}.*damaged.*embedded again"):
        store.read(VERSION, KEYS[:30])
    assert store.missing(VERSION, KEYS[:30]) == KEYS[:30]
    fill(store, count=30)
    np.testing.assert_array_equal(store.read(VERSION, KEYS[:30]), ROWS[:30])


def test_no_damaged_row_is_read_wherever_a_part_is_damaged(tmp_path: Path) -> None:
    folder = tmp_path / "embeddings"
    EmbeddingStore(folder).write_part(VERSION, KEYS[:4], ROWS[:4])
    (part,) = parts(tmp_path)
    whole, silent = part.read_bytes(), []
    for position in range(len(whole)):
        flip_bytes(part, position, 1)
        store = EmbeddingStore(folder)
        try:
            found = ROWS[:4] if store.missing(VERSION, KEYS[:4]) else store.read(VERSION, KEYS[:4])
        except StoreError:
            found = ROWS[:4]
        silent += [] if np.array_equal(found, ROWS[:4]) else [position]
        part.write_bytes(whole)
    assert silent == []


def test_versions_are_listed_and_dropped(store: EmbeddingStore) -> None:
    assert store.versions() == []
    fill(store)
    store.write_part("other", KEYS[:2], ROWS[:2])
    assert store.versions() == ["other", VERSION]
    assert store.size_bytes(VERSION) > ROWS.nbytes
    store.drop_version(VERSION)
    store.drop_version(VERSION)
    assert store.versions() == ["other"]
    assert store.size_bytes(VERSION) == 0
    assert store.missing(VERSION, KEYS) == KEYS


@pytest.mark.parametrize("version", ["", "..", "a/b", ".hidden", "a b"])
def test_store_raises_when_the_version_is_no_folder_name(
    version: str, store: EmbeddingStore
) -> None:
    with pytest.raises(StoreError, match="version name"):
        store.write_part(version, KEYS[:1], ROWS[:1])


@pytest.mark.parametrize("keys", [KEYS[:2], KEYS[:4], [KEYS[0], KEYS[0], KEYS[1]]])
def test_write_part_raises_when_keys_do_not_fit_the_rows(
    keys: list[str], store: EmbeddingStore
) -> None:
    with pytest.raises(StoreError, match="one row for each"):
        store.write_part(VERSION, keys, ROWS[:3])


def test_part_is_readable_parquet_that_says_what_it_holds(
    store: EmbeddingStore, tmp_path: Path
) -> None:
    fill(store, count=30)
    table = pq.read_table(parts(tmp_path)[0])
    assert table["image_key"].to_pylist() == KEYS[:30]
    assert table.schema.metadata == {b"dtype": b"float32", b"width": b"6"}
    rows = np.frombuffer(b"".join(table["row"].to_pylist()), np.float32).reshape(30, 6)
    np.testing.assert_array_equal(rows, ROWS[:30])
