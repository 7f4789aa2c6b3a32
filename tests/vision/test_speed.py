"""The speed measurement embeds every image in both ways."""

from pathlib import Path

from backend.vision import BackboneSpec, VisionConfig, VisionSession
from backend.vision.speed import measure_embedding
from tests.vision.tiny import CountingLoader, image_keys


def test_measure_embedding_loads_every_image_once_a_turn_and_once_ahead(weights_path: Path) -> None:
    config = VisionConfig(BackboneSpec("not_used", weights_path), device="cpu")
    load = CountingLoader()
    speed = measure_embedding(VisionSession.open(config), image_keys(7), load, repeats=2)
    assert len(load.loaded) == 7 * (1 + 2)
    assert speed.images_s > 0
    assert speed.network_images_s > 0
