"""How fast images are embedded, beside how fast the bare network is on the same pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from backend.vision.pixel_batches import Loader, pixel_batches
from backend.vision.session import VisionSession
from benchmarks.timing import seconds_of


@dataclass(frozen=True)
class EmbeddingSpeed:
    """images_s: with loading, decoding and resizing. network_images_s: pixels in memory."""

    images_s: float
    network_images_s: float


def measure_embedding(
    session: VisionSession, image_keys: Sequence[str], load: Loader, repeats: int = 3
) -> EmbeddingSpeed:
    """Medians over `repeats` turns of both, taken in turns so that a busy machine slows both.

    All pixels are held in memory meanwhile: 38 KB an image at 112 px.
    """
    network = session.pretrained()
    batches = list(pixel_batches(image_keys, load, session.preprocessing))
    count = sum(len(batch.image_keys) for batch in batches)

    def bare() -> None:
        for batch in batches:
            session.embed_pixels(network, batch.pixels)

    def whole() -> None:
        session.embed_now(network, image_keys, load)

    turns = [(seconds_of(whole), seconds_of(bare)) for _ in range(repeats)]
    whole_s, bare_s = (median(seconds) for seconds in zip(*turns, strict=True))
    return EmbeddingSpeed(count / whole_s, count / bare_s)
