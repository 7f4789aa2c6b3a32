"""The labeled images, fetched once each and kept for as long as the backtest runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from backend.backtest.labels import LabeledProject
from backend.label_studio.images import ImageFetcher, by_key, sources_of
from backend.replay import memory_stores
from backend.vision import FeatureStores
from model_store.embeddings import EmbeddingStore


class KeptImages:
    """Bytes of an image by its key; safe from several threads for different keys.

    With `full` every training and every embedding reads the images again: not from Label Studio.
    """

    def __init__(self, fetcher: ImageFetcher, project: LabeledProject, folder: Path) -> None:
        self._folder = folder
        sources = sources_of(project.image_keys, project.uris, project.task_ids)
        self._load = by_key(fetcher.fetch, sources)

    def __call__(self, image_key: str) -> bytes:
        """The file's bytes. ImageError: they cannot be had, and why."""
        path = self._folder / image_key
        if path.exists():
            return path.read_bytes()
        content = self._load(image_key)
        path.write_bytes(content)
        return content


@contextmanager
def kept_images(
    fetcher: ImageFetcher, project: LabeledProject
) -> Iterator[tuple[KeptImages, FeatureStores]]:
    """Images and stores whose files go with the context.

    Embeddings stay in memory; activations, a hundred times as big, in the temporary folder.
    """
    with TemporaryDirectory(prefix="backtest-") as name:
        images = Path(name) / "images"
        images.mkdir()
        activations = EmbeddingStore(Path(name) / "activations", dtype="float16")
        stores = FeatureStores(memory_stores().embeddings, activations)
        yield KeptImages(fetcher, project, images), stores
