"""Small pictures of a project's images, made once: what the admin's pages show.

They lie in the project's folder by the key of their image. The oldest go when they are many.
"""

from __future__ import annotations

from pathlib import Path

from model_store.files import write_bytes

# About 40 MB.
KEPT = 10_000
SUFFIX = ".webp"


def thumbnail_file(project_folder: Path, image_key: str) -> Path:
    """Where the small picture of an image lies, or will."""
    return project_folder / "thumbnails" / f"{image_key}{SUFFIX}"


def write_thumbnail(path: Path, data: bytes) -> None:
    """Keep a small picture. StoreError: it cannot be written."""
    write_bytes(path, data)


def drop_old_thumbnails(project_folder: Path, kept: int = KEPT) -> None:
    """Remove all but the newest of a project's small pictures."""
    found = [(path.stat().st_mtime_ns, path) for path in (project_folder / "thumbnails").glob("*")]
    for _, path in sorted(found, reverse=True)[kept:]:
        path.unlink(missing_ok=True)
