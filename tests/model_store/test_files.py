"""Files are there wholly or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.errors import StoreError
from model_store.files import (
    read_json,
    write_atomically,
    write_bytes,
    write_json,
)


def test_write_bytes_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file"
    write_bytes(path, b"old")
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_write_atomically_keeps_the_old_file_when_writing_breaks_off(tmp_path: Path) -> None:
    def half(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        assert temporary.parent == tmp_path
        raise KeyboardInterrupt

    path = tmp_path / "file"
    write_bytes(path, b"old")
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, half)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_write_bytes_raises_when_the_folder_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="folder must be writable"):
        write_bytes(tmp_path / "file" / "below", b"data")


def test_read_json_returns_what_write_json_wrote(tmp_path: Path) -> None:
    value = {"class": "Zürich", "counts": [1, 2.5, None], "nested": {"a": True}}
    write_json(tmp_path / "value.json", value)
    assert read_json(tmp_path / "value.json") == value
    assert "Zürich" in (tmp_path / "value.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [b"", b"{half", b"\xff\xfe"])
def test_read_json_raises_when_the_file_is_damaged(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"value\.json"):
        read_json(path)


def test_read_json_raises_when_the_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"gone\.json"):
        read_json(tmp_path / "gone.json")
