"""The contract of the embedding store, on disk and in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.errors import StoreError
from backend.replay.memory_rows import MemoryRows
from model_store.embeddings import EmbeddingStore

VERSION = "vit-16px-abc"
KEYS = [f"{number:032x}" for number in range(20)]
ROWS = np.random.default_rng(0).standard_normal((20, 6)).astype(np.float32)

Store = EmbeddingStore | MemoryRows


@pytest.fixture(params=["disk", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return EmbeddingStore(tmp_path) if request.param == "disk" else MemoryRows()


def test_read_returns_rows_in_the_order_asked_for_also_twice(store: Store) -> None:
    store.write_part(VERSION, KEYS[:8], ROWS[:8])
    store.write_part(VERSION, KEYS[8:], ROWS[8:])

    rows = store.read(VERSION, [KEYS[15], KEYS[2], KEYS[15]])

    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, ROWS[[15, 2, 15]])
    assert len(store.read(VERSION, [])) == 0


def test_missing_keeps_the_order_and_names_each_key_once(store: Store) -> None:
    store.write_part(VERSION, KEYS[:5], ROWS[:5])

    asked = [KEYS[9], KEYS[0], KEYS[7], KEYS[9]]

    assert store.missing(VERSION, asked) == [KEYS[9], KEYS[7]]
    assert store.missing("another", asked) == [KEYS[9], KEYS[0], KEYS[7]]


def test_read_raises_when_a_key_has_no_row(store: Store) -> None:
    store.write_part(VERSION, KEYS[:5], ROWS[:5])

    with pytest.raises(StoreError, match=rf"2 of 3 images have no row.*{KEYS[6]}"):
        store.read(VERSION, [KEYS[0], KEYS[6], KEYS[7]])


def test_rows_are_replaced_when_their_keys_are_written_again(store: Store) -> None:
    store.write_part(VERSION, KEYS[:3], ROWS[:3])
    store.write_part(VERSION, KEYS[:3], ROWS[3:6])

    np.testing.assert_array_equal(store.read(VERSION, KEYS[:3]), ROWS[3:6])


def test_rows_stay_when_the_written_array_changes_later(store: Store) -> None:
    rows = ROWS[:3].copy()
    store.write_part(VERSION, KEYS[:3], rows)
    rows[:] = 0

    np.testing.assert_array_equal(store.read(VERSION, KEYS[:3]), ROWS[:3])


def test_version_is_gone_when_it_was_dropped_once_or_twice(store: Store) -> None:
    store.write_part(VERSION, KEYS, ROWS)
    store.write_part("other", KEYS, ROWS)
    assert store.size_bytes(VERSION) >= ROWS.nbytes

    store.drop_version(VERSION)
    store.drop_version(VERSION)

    assert store.missing(VERSION, KEYS) == KEYS
    assert store.size_bytes(VERSION) == 0
    assert store.missing("other", KEYS) == []


@pytest.mark.parametrize("keys", [KEYS[:2], KEYS[:4], [KEYS[0], KEYS[0], KEYS[1]]])
def test_write_part_raises_when_keys_do_not_fit_the_rows(keys: list[str], store: Store) -> None:
    with pytest.raises(StoreError, match="one row for each"):
        store.write_part(VERSION, keys, ROWS[:3])
